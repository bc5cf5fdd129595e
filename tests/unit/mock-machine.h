/*
 * A machine that only remembers what it was told: what the control protocol needs of machine.h and
 * engine.h.
 *
 * Owns: mock_machine.
 */
#ifndef PLEX86_MOCK_MACHINE_H
#define PLEX86_MOCK_MACHINE_H

#include "../../phase1-user/machine.h"

struct mock_machine {
	struct machine m;
	unsigned stopped, powered_off;
	bool agent;
};

extern struct mock_machine mock_machine;

#endif
