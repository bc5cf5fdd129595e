/*
 * The guest's time: the host's, or in a deterministic run a function of what the guest has done.
 *
 * Owns: the count of guest-visible events (trace.h) and what follows from it. Each lets
 * CLOCK_EVENT_NS pass; nothing else does but a wait, which is over at once. Interrupts come only
 * where an event has been counted, so that neither the host's signals nor an engine's own events
 * show.
 */
#ifndef PLEX86_CLOCK_H
#define PLEX86_CLOCK_H

#include "trace.h"
#include "types.h"

struct vm;

#define CLOCK_EVENT_NS 1000u
#define CLOCK_TSC_KHZ  1000000u	 /* of a deterministic run's TSC: a cycle a nanosecond */
#define CLOCK_UTC      946684800 /* when it begins: 2000-01-01 */

struct clock {
	bool deterministic; /* set before core_reset() and kept by it */
	u64 events;	    /* guest-visible ones */
	u64 settled;	    /* of these, how many there were when interrupts were last looked at */
	u64 skipped;	    /* ns of waits that are over */
	bool paced; /* set before core_reset(): these take the host's time, so that there is some
		     * for input; what the guest sees is the same */
	u64 wait_until; /* then: host_now() at which the one in progress is over; 0: none is */
	u64 stop_at;	/* events after which to stop with EXIT_DEBUG; 0: never */
	u64 flip_at; /* tests: events after which the next emulation gives a wrong EBX; 0: none */
};

/* Monotonic nanoseconds, seconds since 1970 UTC, and the TSC. */
u64 clock_now(struct vm *vm);
s64 clock_utc(struct vm *vm);
u64 clock_tsc(struct vm *vm);
/* Has clock_now() reached `deadline`? As host_due(). */
bool clock_due(struct vm *vm, u64 deadline);
/* Count an event of the trace. */
void clock_event(struct vm *vm, enum event event);
/* May interrupts be looked at here? Who waits may be given some where it waits. */
bool clock_moved(const struct vm *vm);
/* They have been. */
void clock_settled(struct vm *vm);
/* They may be again: one has been waiting, and the guest has just set IF without a trap. */
void clock_opened(struct vm *vm);
/* The guest waits until `deadline` (clock_now()). False: not here, or not yet: the host has to
 * wait, until clock_wait_until() (host_now(); 0: for news). */
bool clock_skip(struct vm *vm, u64 deadline);
u64 clock_wait_until(const struct vm *vm);
/* Is this where the run was to stop? True once. */
bool clock_stops(struct vm *vm);
/* Is this where a test wants a wrong result? True once. */
bool clock_flips(struct vm *vm);

#endif
