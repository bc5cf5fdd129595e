/*
 * Statistics as JSON: what the control protocol's `stats` answers, and back.
 */
#ifndef PLEX86_STATS_JSON_H
#define PLEX86_STATS_JSON_H

#include "../watch/stats.h"

struct json_t;

/* {"uptime_ns", "idle_ns", "traps": {NAME: {"count", "ns"}...}, "handovers": ..., "exits": ...,
 * "events": {NAME: COUNT...}}, without what did not happen. */
struct json_t *stats_to_json(const struct stats *s);
/* False: that is none. Names need not be known here. */
bool stats_from_json(struct stats *s, const struct json_t *json);

#endif
