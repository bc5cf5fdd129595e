/*
 * The control socket of a running guest: how `plex86 ps`, `stop` and `stat` talk to it.
 *
 * Owns: the socket, its clients and the protocol. Runs on the I/O loop and never waits: a client
 * has one small buffer in each direction; one that sends lines too long is hung up on, one that
 * does not read its answers gets no more of them, and when too many are connected the one that was
 * silent longest goes.
 *
 * The protocol: a request is a line of words, the first of which is a command of the table in
 * control-commands.c. The answer is any number of lines "WORD VALUE..." and then a line "ok", or
 * "error WHY". Commands:
 *   status      what this guest is, and its present state: name, pid, size and resident (bytes of
 *               guest RAM), shared (bytes of memory beside it that its processes share), uptime
 *               (ns), traps, agent (yes: something in the guest hears stop)
 *   stat        the counters: time and idle (ns), then "trap|exit|event NAME COUNT NS"
 *   stop        ask the guest to power off, now or as soon as it listens. When it ends, whoever
 *               asked gets one more line, "ended WHY", and the connection is closed
 *   stop force  end the run at once, as SIGTERM does
 */
#ifndef PLEX86_CONTROL_H
#define PLEX86_CONTROL_H

#include "control-dir.h"
#include "machine.h"

struct control;
struct control_client;

/* Take the name of a guest that is about to be made: `name`, or if that is NULL one derived from
 * the file `after`, a kernel or an image. NULL: `e` says why not. */
struct control *control_open(const char *name, const char *after, struct error *e);
/* Serve clients from now on. */
bool control_start(struct control *c, struct machine *machine, struct error *e);
/* The run has ended: tell those who asked for it. The loop still runs, its lock is not held. */
void control_end(struct control *c);
/* Free the name. The I/O thread has ended, or control_start() was not called. */
void control_close(struct control *c);
/* Let the name go and leave all else as it is: a stuck thread may still use it. */
void control_abandon(struct control *c);

/* ---- for control-commands.c; the lock is held ---- */

/* Answer the request `line`, which is cut into words. */
void control_run_command(struct control *c, struct control_client *client, char *line);
/* Add to the answer. */
void control_reply(struct control_client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
const char *control_name(const struct control *c);
struct machine *control_machine(struct control *c);
/* This client wants to be told of the end. */
void control_await_end(struct control_client *client);

#endif
