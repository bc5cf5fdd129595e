/*
 * Statistics as a table: see stats.h.
 */
#include "stats.h"

#include <stdio.h>
#include <stdlib.h>

struct row {
	u64 count;
	const char *name;
};

static int by_count(const void *a, const void *b)
{
	const struct row *x = a, *y = b;

	return x->count < y->count ? 1 : x->count > y->count ? -1 : 0;
}

void stats_text(const struct vm_stats *stats, char *text, size_t size)
{
	struct row row[EV_COUNT];
	size_t len;

	for (unsigned i = 0; i < EV_COUNT; i++)
		row[i] = (struct row){stats->count[i], event_text(i)->name};
	qsort(row, EV_COUNT, sizeof(row[0]), by_count);
	len = snprintf(text, size, "\nplex86: events\n");
	for (unsigned i = 0; i < EV_COUNT && row[i].count && len < size; i++)
		len += snprintf(text + len, size - len, "%14llu  %s\n",
				(unsigned long long)row[i].count, row[i].name);
}
