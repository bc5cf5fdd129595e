/*
 * What happens to a guest: see events.h.
 */
#include "events.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "../machine.h"
#include "stats-json.h"

const char *const event_names[] = {"started", "booted",	 "paused", "continued",
				   "goal",    "crashed", "ended",  NULL};

void events_listen(struct events *events, struct event_listener *listener)
{
	listener->next = events->first;
	events->first = listener;
}

void events_emit(struct events *events, const char *name, json_t *data)
{
	struct timespec now;
	json_t *event;
	char *line;
	size_t len;

	clock_gettime(CLOCK_REALTIME, &now);
	event = json_pack("{s:s, s:{s:I, s:I}, s:o}", "event", name, "timestamp", "seconds",
			  (json_int_t)now.tv_sec, "microseconds", (json_int_t)now.tv_nsec / 1000,
			  "data", data ? data : json_object());
	line = json_line(event, &len);
	for (struct event_listener *l = events->first; line && l; l = l->next)
		l->hear(l, line, len);
	free(line);
	json_decref(event);
}

/* ---- values ---- */

json_t *json_text(const char *text)
{
	json_t *json = text ? json_string(text) : json_null();
	char *copy = json ? NULL : strdup(text);

	if (!copy)
		return json;
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	json = json_string(copy);
	free(copy);
	return json;
}

json_t *json_u64(u64 value)
{
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

json_t *json_paused(unsigned paused)
{
	static const struct {
		unsigned who;
		const char *name;
	} names[] = {{PAUSE_CONTROL, "control"}, {PAUSE_DEBUGGER, "debugger"}};
	json_t *list = json_array();

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (paused & names[i].who)
			json_array_append_new(list, json_string(names[i].name));
	return json_pack("{s:o}", "paused_by", list);
}

json_t *json_crash(const struct vm_exit *exit)
{
	if (exit->kind == EXIT_SHUTDOWN)
		return json_pack("{s:s}", "reason", "triple fault");
	if (exit->kind == EXIT_FAULT)
		return json_pack("{s:s}", "reason", vm_fault_text(exit->fault.reason));
	return json_pack("{s:s}", "reason", "the engine gave an exit that means nothing");
}

json_t *json_ended(const struct machine *m, int status)
{
	json_t *data = json_pack("{s:s, s:i}", "why", machine_end_text(m->end), "status", status);
	struct stats stats;
	json_t *counters;

	machine_stats(m, &stats);
	counters = stats_to_json(&stats);
	json_object_update(data, counters);
	json_decref(counters);
	return data;
}

char *json_line(const json_t *object, size_t *len)
{
	char *text = json_dumps(object, JSON_COMPACT), *line;

	if (!text)
		return NULL;
	*len = strlen(text) + 1;
	line = realloc(text, *len + 1);
	if (!line) {
		free(text);
		return NULL;
	}
	memcpy(line + *len - 1, "\n", 2);
	return line;
}
