/*
 * Asking a running machine for a snapshot.
 *
 * Owns: struct snapshot_request, part of the machine: one at a time.
 */
#ifndef PLEX86_SNAPSHOT_REQUEST_H
#define PLEX86_SNAPSHOT_REQUEST_H

#include "../error.h"
#include "../machine.h"

/* Whom to tell how it went, with the lock held: `why` is NULL if all went well. */
typedef void snapshot_done(void *owner, const char *why);

/* Take one now: on the run thread, with the lock held, the guest standing still. It goes on
 * afterwards. The user is told how large it is. */
bool machine_snapshot(struct machine *m, const char *path, struct error *e);
/* Take one soon; any thread, with the lock held. `done` may be NULL: the user is told. If `stop`,
 * the run ends with it. NULL, or why not. */
const char *snapshot_request(struct machine *m, const char *path, bool stop, snapshot_done *done,
			     void *owner);
/* Who asked is no more. */
void snapshot_forget(struct machine *m, void *owner);

#endif
