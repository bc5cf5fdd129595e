/*
 * Comparing many instructions on all processors.
 *
 * Owns: worker processes that share the counters of decoder-compare.h, and the report at the end.
 */
#ifndef PLEX86_TEST_DECODER_JOBS_H
#define PLEX86_TEST_DECODER_JOBS_H

#include "decoder-compare.h"

enum { COMPLAINTS_MAX = 10 };

/* What one worker sees of the work. */
struct worker {
	struct prober prober;
	struct compare_stats *stats;
	u64 different;
};

/* Compare one instruction; the first differences of each worker are printed. */
void worker_compare(struct worker *w, const u8 *bytes, enum insn_mode mode);

/* Do job(worker, 0) to job(worker, njobs - 1) in processes. Returns the number of differences. */
u64 run_jobs(unsigned njobs, void (*job)(struct worker *w, unsigned n));

#endif
