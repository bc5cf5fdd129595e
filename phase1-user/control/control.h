/*
 * The control socket of a running guest, by which programs and plex86's own commands talk to it.
 *
 * Owns: the socket, its clients and their buffers. Runs on the I/O loop and never waits: a client
 * has one small buffer in each direction; one that sends lines too long is hung up on, one that
 * does not read gets no more answers, and when too many are connected the one that was silent
 * longest goes. What is said is control-commands.h's business, and docs/control.md tells it.
 */
#ifndef PLEX86_CONTROL_H
#define PLEX86_CONTROL_H

#include "control-dir.h"
#include "../machine.h"

struct control;

/* Take the name of a guest that is about to be made: `name`, or if that is NULL one derived from
 * the file `after`, a kernel or an image. NULL: `e` says why not. */
struct control *control_open(const char *name, const char *after, struct error *e);
/* Serve clients from now on. `about` is what the guest is: name, pid and the like, an object. */
bool control_start(struct control *c, struct machine *machine, struct json_t *about,
		   struct error *e);
/* The run has ended: hang up. The loop still runs, its lock is not held. */
void control_end(struct control *c);
/* Free the name. The I/O thread has ended, or control_start() was not called. */
void control_close(struct control *c);
/* Let the name go and leave all else as it is: a stuck thread may still use it. */
void control_abandon(struct control *c);
const char *control_name(const struct control *c);

#endif
