/*
 * The baton: which of a machine's vcpu processes runs.
 *
 * Owns: the switch from one process to another. They are forks of one another and share, at the
 * same addresses, the monitor's text, struct vcpu_shared, guest RAM and the stacks on which the
 * monitor runs. So the call that passes the baton is made in one process and returns in another, on
 * the same stack and with the same variables; what differs is the memory below 4 GiB, and the
 * statics. A process without the baton sleeps on a stack of its own and with all signals blocked,
 * for a handler would use the shared one.
 */
#ifndef PLEX86_VCPU_BATON_H
#define PLEX86_VCPU_BATON_H

#include "../../common/shadow.h"

struct baton {
	u64 stack; /* where the running process goes on: its saved registers */
	/* 0 in a signal handler: the frame has the guest's FPU state, and signals are blocked.
	 * Otherwise 64-byte aligned shared memory for that state, and signals are not blocked. */
	u64 fpu;
	u32 ready;		/* processes that came to baton_wait(): a futex */
	u32 call[SHADOW_COUNT]; /* a futex each: 1 calls that process */
};

/* Pass the baton to process `to`; returns there. */
void baton_pass(struct baton *b, u32 to);
/* Process `self`, without the baton as yet: wait to be passed it, and return from that
 * baton_pass(). */
_Noreturn void baton_wait(struct baton *b, u32 self);
/* Have all of `n` processes come to baton_wait()? Gives them some time. */
bool baton_all_ready(struct baton *b, u32 n);

#endif
