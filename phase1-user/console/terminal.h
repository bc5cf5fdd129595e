/*
 * The user's terminal: raw mode, and getting it back.
 *
 * Owns: the saved termios and the guardian, a small child process that restores them if plex86
 * dies without having done so (a crash, kill -9). Knows nothing of guests.
 */
#ifndef PLEX86_TERMINAL_H
#define PLEX86_TERMINAL_H

#include <stdbool.h>
#include <sys/types.h>
#include <termios.h>
#include "../error.h"

struct terminal {
	int fd;
	bool raw;
	struct termios saved;
	pid_t guardian;
	int guardian_fd; /* write end of its pipe: a byte is goodbye, just its end is an accident */
};

/* Put the terminal `fd` into raw mode. Call it before any thread exists. */
bool terminal_make_raw(struct terminal *t, int fd, struct error *e);
/* Put it back, once; harmless when it is not raw. */
void terminal_restore(struct terminal *t);

#endif
