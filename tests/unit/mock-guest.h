/*
 * A machine that only remembers what it was told: what the control protocol needs of machine.h and
 * engine.h.
 *
 * Owns: mock_guest.
 */
#ifndef PLEX86_MOCK_GUEST_H
#define PLEX86_MOCK_GUEST_H

#include "../../phase1-user/machine.h"

struct mock_guest {
	struct machine m;
	unsigned stopped, powered_off;
	bool agent;
	char saved_to[100]; /* by machine_snapshot(), which cannot do "/full" */
};

extern struct mock_guest mock_guest;

#endif
