/*
 * Looking at a running guest at regular moments.
 *
 * Owns: the timer on the I/O loop, and stopping the guest for the time of a look. No look is taken
 * while it is paused, and none adds up to another that is still to come.
 */
#ifndef PLEX86_SAMPLER_H
#define PLEX86_SAMPLER_H

#include "../machine.h"

/* What the guest is doing. An interrupt that was delivered for no reason but that we looked is
 * taken back in here: it would hide where the guest was. */
struct sight {
	const struct vm *vm; /* a copy of the machine's state; CPL and IF in memory are of later */
	unsigned cpl;
	bool interrupts; /* IF */
};

struct sampler {
	struct machine *machine;
	struct loop_source timer;
	struct machine_job job;
	bool waiting;  /* for `job` */
	struct vm *vm; /* the copy that is looked at */
	u64 missed;    /* looks that were not taken, the guest not having stopped in time */
	/* With the loop's lock held. NULL: the guest idles. */
	void (*look)(struct sampler *s, const struct sight *sight);
};

/* `look` is set, all else zero. Begins with the machine's loop. */
bool sampler_start(struct sampler *s, struct machine *machine, u64 period_ns, struct error *e);
/* The loop has ended, or the run. */
void sampler_stop(struct sampler *s);

#endif
