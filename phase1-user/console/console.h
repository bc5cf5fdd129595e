/*
 * The guest's console: standard input and output of plex86, or another target.
 *
 * Owns: raw mode of the terminal, the Ctrl-A commands, passing input on no faster than the guest
 * takes it, and a thread that writes output so that a slow reader holds up nobody else. What the
 * guest's side is (a UART, a virtio device) is the sink's business.
 *
 * All functions but open and close are called with the loop's lock held.
 */
#ifndef PLEX86_CONSOLE_H
#define PLEX86_CONSOLE_H

#include "console-target.h"
#include "../loop.h"

struct console;

enum console_event {
	CONSOLE_QUIT,	 /* Ctrl-A x */
	CONSOLE_STATS,	 /* Ctrl-A s */
	CONSOLE_RESIZED, /* perhaps: see console_size() */
	CONSOLE_LOST,	 /* the output cannot be written any more: errno in `error` */
};

struct console_config {
	struct console_target *target;
	/* How many bytes of input are worth offering to the guest's side now; offering some, which
	 * returns how many it has taken. */
	size_t (*room)(void *owner);
	size_t (*receive)(void *owner, const u8 *data, size_t len);
	void (*event)(void *owner, enum console_event event, int error);
	void *owner;
	/* Input that is not a terminal goes to a Linux tty: quote what the tty would interpret, and
	 * turn the end of input into its ^D (guest/init/cmdline.h, plex86.pipe). */
	bool quote_pipe;
};

/* Takes the terminal, if the console is on the standard streams and their input is one. Call it
 * before any other thread exists; NULL with the error set on failure. Input is read only after
 * console_start(). */
struct console *console_open(struct loop *loop, const struct console_config *config,
			     struct error *e);
bool console_start(struct console *c, struct error *e);
/* Write out what is left (for `patience_ms` at most; -1: however long it takes, or until
 * console_give_up()), and give the terminal back. False if some output could not be written in
 * time: then a thread still hangs in write(), and the console and its loop must be left alone. */
bool console_close(struct console *c, int patience_ms);

/* The size of the terminal; false if it is not known. */
bool console_size(const struct console *c, unsigned *columns, unsigned *rows);

/* Output of the guest. Waits, with the lock released, while too much is queued. */
void console_write(struct console *c, const u8 *data, size_t len);
/* The guest's side has room for input again. */
void console_drained(struct console *c);
/* Let a waiting console_write() go on, discarding: the guest is being stopped. */
void console_give_up(struct console *c);
/* A message of ours in the middle of the guest's output, on standard error. */
void console_message(struct console *c, const char *text);

#endif
