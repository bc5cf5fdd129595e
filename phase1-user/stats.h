/*
 * Statistics as a table.
 */
#ifndef PLEX86_STATS_H
#define PLEX86_STATS_H

#include <stddef.h>
#include "../common/trace.h"

#define STATS_TEXT_SIZE 4096

/* One line for each event that happened, the most frequent first. */
void stats_text(const struct vm_stats *stats, char *text, size_t size);

#endif
