/*
 * The client's side of the control protocol (control.h), for the sub-commands about running guests.
 *
 * Owns: a connection and reading answers with a time limit.
 */
#ifndef PLEX86_CONTROL_CLIENT_H
#define PLEX86_CONTROL_CLIENT_H

#include <sys/types.h>
#include "../common/types.h"
#include "control-dir.h"

#define CLIENT_PATIENCE_MS 3000 /* a living plex86 answers within a fraction of it */

struct guest {
	char name[CONTROL_NAME_MAX + 1];
	int fd;
	pid_t pid; /* of its plex86, as the host's kernel says */
	char in[512];
	size_t in_len;
};

/* What `status` answers. */
struct guest_status {
	u64 size, resident, shared, uptime, traps;
	bool agent;
};

/* All running guests, by name. Returns how many; free the array after guest_close() of each. */
size_t guests_open(struct guest **list);
/* The one called `name`, or if that is NULL the only one. */
bool guest_open(struct guest *g, const char *name, struct error *e);
void guest_close(struct guest *g);

bool guest_request(struct guest *g, const char *line);
/* The next line, without its end. False: none came in time (errno EAGAIN), or the other side has
 * hung up (0). */
bool guest_line(struct guest *g, char *line, size_t size, int patience_ms);
/* Send a request and give each line of its answer to `take`. False: `e` says why. */
bool guest_ask(struct guest *g, const char *request, void (*take)(void *opaque, char *line),
	       void *opaque, struct error *e);
bool guest_status(struct guest *g, struct guest_status *status, struct error *e);

#endif
