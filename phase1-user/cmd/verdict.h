/*
 * What a run's end means to whoever started it.
 *
 * Owns: the exit status of `plex86 run`, and the line that goes with some of them.
 */
#ifndef PLEX86_VERDICT_H
#define PLEX86_VERDICT_H

#include "../machine.h"
#include "options.h"

/* The status to exit with, unless something goes wrong afterwards. */
int verdict_status(const struct machine *m, const struct run_options *o);
/* A line about an end that is nobody's wish. False: there is nothing to say; a crash has its
 * report. */
bool verdict_explain(const struct machine *m, const struct run_options *o, struct error *e);

#endif
