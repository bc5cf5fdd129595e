/*
 * A debugger that only disturbs, for tests: the guest must do the same with it as without.
 *
 * Owns: what it asks of the core. `how` is "step", to stop behind each instruction, or "guard":
 * break and watch points all over a small guest.
 */
#ifndef PLEX86_TEST_DEBUG_H
#define PLEX86_TEST_DEBUG_H

#include "../engine/engine.h"

/* Before the first run. */
void test_debug(struct engine *e, const char *how);

#endif
