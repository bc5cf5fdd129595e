/*
 * The frequency of the time-stamp counter, so that guests need not measure it.
 */
#ifndef PLEX86_TSC_H
#define PLEX86_TSC_H

#include "../../common/types.h"

struct tsc_sample {
	u64 tsc, ns;
};

/* Begin measuring; do something useful, then ask for the result. */
void tsc_begin(struct tsc_sample *begin);
/* kHz, as CLOCK_MONOTONIC sees it. Waits if too little time has passed since tsc_begin(). */
unsigned long tsc_khz(const struct tsc_sample *begin);

#endif
