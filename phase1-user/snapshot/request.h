/*
 * Asking a machine for a snapshot.
 */
#ifndef PLEX86_SNAPSHOT_REQUEST_H
#define PLEX86_SNAPSHOT_REQUEST_H

#include "../error.h"
#include "../machine.h"

/* What one has cost. */
struct snapshot_result {
	u64 bytes, ns;
};

/* Take one now: on the run thread, with the lock held, the guest standing still (machine.h). It
 * goes on as if nothing had happened. The file appears whole or not at all. */
bool machine_snapshot(struct machine *m, const char *path, struct snapshot_result *result,
		      struct error *e);
/* Take one soon, to m->snapshot_to, and tell the user. With the lock held; any thread. */
void snapshot_request(struct machine *m);

#endif
