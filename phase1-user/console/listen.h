/*
 * Listening sockets that the user has named.
 *
 * Owns: making one at a path of the file system or at a TCP address, and what is said if that
 * cannot be. A path's socket is removed by whoever got it here, when done.
 */
#ifndef PLEX86_LISTEN_H
#define PLEX86_LISTEN_H

#include <netinet/in.h>
#include <sys/types.h>
#include <sys/un.h>
#include "../error.h"

#define LISTEN_MODE_ANY 0777 /* as the umask has it */

/* A socket at `path`, not blocking; one there that nobody listens on any more, as a killed plex86
 * leaves it, is replaced. `what` is whose it is and `spec` how the user has named it, for the
 * error. -1: `e` says why not, and address->sun_path is "". */
int listen_unix(struct sockaddr_un *address, const char *path, mode_t mode, const char *what,
		const char *spec, struct error *e);
/* The same at "[HOST:]PORT", where HOST is a name, an IPv4 address or one of IPv6 in brackets;
 * without it, 127.0.0.1. Port 0: any that is free. */
int listen_tcp(const char *host_port, const char *what, const char *spec, struct error *e);

#endif
