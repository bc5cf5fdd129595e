/*
 * The frequency of the time-stamp counter: see tsc.h.
 *
 * Always measured: CPUID leaves 15H and 16H are nominal, absent on many CPUs, and wrong under
 * hypervisors that scale the counter, while a measurement over the time it takes to read the
 * kernel file costs nothing.
 */
#include "tsc.h"

#include <time.h>
#include <x86intrin.h>

#define WINDOW_NS 5000000u /* two readings off by 25 ns each are then 10 ppm */
#define TRIES	  8

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Both clocks at one moment: the try in which the least time passed around the reading. */
void tsc_begin(struct tsc_sample *s)
{
	u64 best = 0;

	for (int i = 0; i < TRIES; i++) {
		u64 before = __rdtsc();
		u64 ns = now_ns();
		u64 took = __rdtsc() - before;

		if (i > 0 && took >= best)
			continue;
		best = took;
		s->tsc = before + took / 2;
		s->ns = ns;
	}
}

unsigned long tsc_khz(const struct tsc_sample *begin)
{
	u64 passed = now_ns() - begin->ns;
	struct tsc_sample end = {0, 0};

	if (passed < WINDOW_NS) {
		const struct timespec rest = {0, WINDOW_NS - passed};

		nanosleep(&rest, NULL);
	}
	tsc_begin(&end);
	return (unsigned long)((__uint128_t)(end.tsc - begin->tsc) * 1000000 /
			       (end.ns - begin->ns));
}
