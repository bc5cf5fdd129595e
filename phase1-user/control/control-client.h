/*
 * The client's side of the control protocol (control.h), for the sub-commands about running guests.
 *
 * Owns: a connection and reading answers with a time limit.
 */
#ifndef PLEX86_CONTROL_CLIENT_H
#define PLEX86_CONTROL_CLIENT_H

#include <sys/types.h>
#include "../../common/types.h"
#include "control-dir.h"

#define CLIENT_PATIENCE_MS 3000 /* a living plex86 answers within a fraction of it */

#define CLIENT_LINE_MAX 65536 /* an answer or event is shorter */

struct json_t; /* <jansson.h> */

struct guest {
	char name[CONTROL_NAME_MAX + 1];
	int fd;
	pid_t pid;    /* of its plex86, as the host's kernel says */
	int protocol; /* 0: no greeting has come */
	char end[32]; /* why it ended, if the event has come; "" if not */
	char *in;
	size_t in_len;
};

/* What `status` answers. */
struct guest_status {
	u64 size, resident, shared, uptime, traps;
	bool agent, paused;
};

/* All running guests, by name. Returns how many; free the array after guest_close() of each. */
size_t guests_open(struct guest **list);
/* The one called `name`, or if that is NULL the only one. */
bool guest_open(struct guest *g, const char *name, struct error *e);
void guest_close(struct guest *g);

/* Send a line that is given without its newline. */
bool guest_send(struct guest *g, const char *line);
/* The next message of any kind; a negative patience has no end. NULL: none came in time (errno
 * EAGAIN), or the other side has hung up (0). */
struct json_t *guest_next(struct guest *g, int patience_ms);
/* Have a command done; `arguments`, an object or NULL, is used up. Returns what it returned, NULL:
 * `e` says why. */
struct json_t *guest_ask(struct guest *g, const char *command, struct json_t *arguments,
			 struct error *e);
bool guest_status(struct guest *g, struct guest_status *status, struct error *e);

#endif
