/*
 * Statistics: what a guest's monitor has counted, and that as a table.
 *
 * Owns: struct stats, the counters by name. Names come from whoever counted, so that a reader need
 * not be of the same version.
 */
#ifndef PLEX86_STATS_H
#define PLEX86_STATS_H

#include <stddef.h>
#include "../../common/trace.h"

#define STATS_ROWS	160
#define STATS_NAME	16
#define STATS_TEXT_SIZE 12288

enum stats_kind {
	STATS_TRAP,	/* traps by their cause, with the time the monitor spent on them */
	STATS_HANDOVER, /* the hybrid engine's: of user code to the emulator, by the trap's cause,
			 * with the time that the guest spent there */
	STATS_EXIT,	/* exits to the VMM by kind; their time is part of that of traps */
	STATS_EVENT,
	STATS_KINDS
};

struct stats_row {
	enum stats_kind kind;
	char name[STATS_NAME];
	u64 count, ns;
};

struct stats {
	u64 ns;	     /* how long it was counted */
	u64 idle_ns; /* of this, how long the guest had nothing to do */
	struct stats_row row[STATS_ROWS];
	unsigned rows;
};

/* `tsc` is now, on the clock of `v`. */
void stats_collect(struct stats *s, const struct vm_stats *v, u64 ns, u64 tsc,
		   unsigned long tsc_khz);
/* One row more, unless nothing was counted or there is no room. */
void stats_add(struct stats *s, enum stats_kind kind, const char *name, u64 count, u64 ns);
/* All traps. */
u64 stats_traps(const struct stats *s);
/* What has been counted since `before`. */
void stats_subtract(struct stats *s, const struct stats *before);

/* The most frequent first, without what did not happen. */
void stats_table(const struct stats *s, char *text, size_t size);

#endif
