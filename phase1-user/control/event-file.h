/*
 * plex86 run --json: a file, or an open file descriptor, that gets each event as a line.
 *
 * Owns: the descriptor, and what its reader has not taken yet. A reader that is slow or stands
 * still never stops the guest: what does not fit into the buffer is lost, and the loss is an error
 * in the end.
 */
#ifndef PLEX86_EVENT_FILE_H
#define PLEX86_EVENT_FILE_H

#include "../error.h"
#include "events.h"
#include "../loop.h"

#define EVENT_FILE_ROOM 65536

struct event_file {
	struct event_listener listener;
	struct loop_source source; /* fd -1: no file */
	struct loop *loop;
	bool regular;
	int error; /* errno, and then nothing is written; ENOBUFS: the reader took too little */
	size_t len;
	char data[EVENT_FILE_ROOM];
};

/* `where` is a path, or fd:N. */
struct event_file *event_file_open(const char *where, struct error *e);
/* Listen from now on. */
void event_file_start(struct event_file *f, struct loop *loop, struct events *events);
/* The guest has ended: give a reader `patience_ms` for each piece of the rest. The loop's lock is
 * not held. Returns errno of what went wrong, or 0. */
int event_file_finish(struct event_file *f, int patience_ms);
void event_file_close(struct event_file *f);

#endif
