/*
 * Where the guest's console goes: our standard streams, or what --console names.
 *
 * Owns: opening and naming it, and waiting for a peer: the client of a socket, whoever opens the
 * terminal of a pty. A peer comes and goes while the guest runs.
 */
#ifndef PLEX86_CONSOLE_TARGET_H
#define PLEX86_CONSOLE_TARGET_H

#include <sys/un.h>
#include "../loop.h"

enum console_target_kind { TARGET_STDIO, TARGET_FILE, TARGET_SOCKET, TARGET_PTY };

struct console_target {
	enum console_target_kind kind;
	int in, out;		   /* -1: none; of a socket and a pty, while there is a peer */
	int held;		   /* the listening socket, or the pty's master */
	struct loop_source waiter; /* the listening socket, or a timer */
	struct sockaddr_un address;
	char name[64]; /* of the pty's terminal */
	/* A peer has come: `in` and `out` are it. With the lock held. */
	void (*connected)(void *owner);
	void *owner;
	struct loop *loop;
};

/* NULL: standard input and output. False: `e` says why not (exit status 2). */
bool console_target_open(struct console_target *t, const char *spec, struct error *e);
/* Wait for a peer (socket and pty); loop, connected and owner are set. */
bool console_target_wait(struct console_target *t);
/* When nobody waits any more. */
void console_target_close(struct console_target *t);

static inline bool console_target_has_peers(const struct console_target *t)
{
	return t->kind == TARGET_SOCKET || t->kind == TARGET_PTY;
}

#endif
