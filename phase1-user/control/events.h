/*
 * What happens to a guest, told to whoever listens: clients of the control socket that subscribed,
 * and the file of `plex86 run --json`. docs/control.md has the events.
 *
 * Owns: the list of listeners, and the form of an event: {"event", "timestamp", "data"} in one
 * line. All functions are called with the loop's lock held.
 */
#ifndef PLEX86_EVENTS_H
#define PLEX86_EVENTS_H

#include <stddef.h>
#include "../../common/types.h"

struct json_t; /* <jansson.h> */
struct machine;
struct vm_exit;

struct event_listener {
	/* `line` ends with its newline. It must not block, nor change the list. */
	void (*hear)(struct event_listener *listener, const char *line, size_t len);
	struct event_listener *next;
};

struct events {
	struct event_listener *first;
};

void events_listen(struct events *events, struct event_listener *listener);
/* `data` is an object, or NULL for an empty one; it is used up. */
void events_emit(struct events *events, const char *name, struct json_t *data);
/* The names of all events, NULL behind the last. */
extern const char *const event_names[];

/* ---- values ---- */

/* Of any bytes: what is not UTF-8 becomes question marks. NULL: null. */
struct json_t *json_text(const char *text);
struct json_t *json_u64(u64 value);
/* {"paused_by": ["control", "debugger"]}: `paused` is machine.h's PAUSE_*. */
struct json_t *json_paused(unsigned paused);
/* {"reason": WHY} of a run that an engine has ended with `exit`. */
struct json_t *json_crash(const struct vm_exit *exit);
/* {"why", "status", "uptime_ns" and all counters}: `status` is what plex86 run will exit with. */
struct json_t *json_ended(const struct machine *m, int status);
/* The object as one line, which the caller frees, and its length. NULL: no memory. */
char *json_line(const struct json_t *object, size_t *len);

#endif
