/*
 * Statistics as JSON: see stats-json.h.
 */
#include "stats-json.h"

#include <jansson.h>
#include "events.h"

static const char *const kind_names[STATS_KINDS] = {"traps", "handovers", "exits", "events"};

static json_t *row_to_json(const struct stats_row *r)
{
	if (r->kind == STATS_EVENT)
		return json_u64(r->count);
	return json_pack("{s:o, s:o}", "count", json_u64(r->count), "ns", json_u64(r->ns));
}

json_t *stats_to_json(const struct stats *s)
{
	json_t *kinds[STATS_KINDS];

	for (unsigned i = 0; i < STATS_KINDS; i++)
		kinds[i] = json_object();
	for (unsigned i = 0; i < s->rows; i++)
		json_object_set_new(kinds[s->row[i].kind], s->row[i].name, row_to_json(&s->row[i]));
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "uptime_ns", json_u64(s->ns), "idle_ns",
			 json_u64(s->idle_ns), kind_names[STATS_TRAP], kinds[STATS_TRAP],
			 kind_names[STATS_HANDOVER], kinds[STATS_HANDOVER], kind_names[STATS_EXIT],
			 kinds[STATS_EXIT], kind_names[STATS_EVENT], kinds[STATS_EVENT]);
}

static u64 number(const json_t *json)
{
	return json_is_integer(json) && json_integer_value(json) > 0 ? json_integer_value(json) : 0;
}

static void row_from_json(struct stats *s, enum stats_kind kind, const char *name,
			  const json_t *row)
{
	if (kind == STATS_EVENT)
		stats_add(s, kind, name, number(row), 0);
	else
		stats_add(s, kind, name, number(json_object_get(row, "count")),
			  number(json_object_get(row, "ns")));
}

bool stats_from_json(struct stats *s, const json_t *json)
{
	const json_t *ns = json_object_get(json, "uptime_ns");
	const char *name;
	json_t *row;

	*s = (struct stats){.ns = number(ns), .idle_ns = number(json_object_get(json, "idle_ns"))};
	for (unsigned kind = 0; kind < STATS_KINDS; kind++)
		json_object_foreach(json_object_get(json, kind_names[kind]), name, row)
			row_from_json(s, kind, name, row);
	return json_is_integer(ns);
}
