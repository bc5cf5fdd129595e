/*
 * A gdb server for the guest: `target remote` at a socket.
 *
 * Owns: the address, the listening socket and the one connection. It runs on the I/O loop and never
 * waits. One debugger at a time: another one is hung up on at once. One that vanishes leaves a
 * guest without breakpoints that runs on, and the next can come.
 */
#ifndef PLEX86_GDB_H
#define PLEX86_GDB_H

#include "../error.h"
#include "../machine.h"
#include "../watch/symbols.h"

struct gdb_server;

/* Listen at tcp:ADDRESS:PORT or unix:PATH, or if `where` is "" at port 1234 of this host alone.
 * `symbols` (NULL: none) outlive the server. NULL: `e` says why not. */
struct gdb_server *gdb_open(const char *where, const struct symbols *symbols, struct error *e);
/* Serve debuggers from now on, and say on standard error where. `wait`: the guest stands still
 * before its first instruction until a debugger lets it go. */
bool gdb_start(struct gdb_server *server, struct machine *machine, bool wait, struct error *e);
/* The run has ended, with this exit status: tell the debugger. The loop still runs, its lock is not
 * held. */
void gdb_end(struct gdb_server *server, int status);
/* The I/O thread has ended, or gdb_start() was not called. */
void gdb_close(struct gdb_server *server);
/* Remove the socket's name and leave all else as it is: a stuck thread may still use it. */
void gdb_abandon(struct gdb_server *server);

#endif
