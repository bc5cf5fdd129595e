/*
 * On which CPU the vcpu processes of a machine run.
 *
 * Owns: their CPU affinity. Of processes that pass one another the baton only one runs at a time;
 * but a scheduler sees an idle CPU and wakes the next one there, which in a virtual machine costs
 * 50 us instead of one. So while they do that often they are bound to one CPU, unless something
 * else wants that CPU as well: then the scheduler may choose again.
 */
#ifndef PLEX86_AFFINITY_H
#define PLEX86_AFFINITY_H

#include "../../common/types.h"
#include <sched.h>
#include <sys/types.h>

struct affinity {
	const pid_t *pid; /* the processes; [0] is there as long as the machine is */
	unsigned n;
	cpu_set_t allowed; /* what they were started with */
	bool bound;
	u64 last;	    /* when affinity_look() last did something, TSC */
	u64 switches;	    /* so far, at that time */
	u64 waited;	    /* ns that the processes had waited for a CPU, while bound */
	unsigned pause;	    /* looks to come before they may be bound again */
	unsigned contended; /* how many these were at least, the last time; 0: not since it was not
			     */
};

void affinity_init(struct affinity *a, const pid_t *pid, unsigned n);
/* To be called often; does nothing more than 20 times a second. `switches`: so far; `active`: index
 * of the running process. Both may be lies. */
void affinity_look(struct affinity *a, u64 switches, unsigned active);

#endif
