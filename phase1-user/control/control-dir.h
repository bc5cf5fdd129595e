/*
 * Where the control sockets of running guests lie, and what they are called.
 *
 * Owns: the directory, which only its user may enter, and the names of the sockets in it. It is
 * $XDG_RUNTIME_DIR/plex86, or where that is not the user's /run/user/UID/plex86, or else
 * /tmp/plex86-UID.
 */
#ifndef PLEX86_CONTROL_DIR_H
#define PLEX86_CONTROL_DIR_H

#include <stddef.h>
#include <sys/un.h>
#include "../error.h"

#define CONTROL_NAME_MAX 40

struct control_dir {
	char path[62]; /* with a name it makes a socket's address, which has 108 bytes */
	int fd;
};

/* A name has 1 to 40 letters, digits and . _ + -, the first being a letter or digit. */
bool control_name_valid(const char *name);

/* False if it cannot be trusted, or is not there and shall not be made. */
bool control_dir_open(struct control_dir *dir, bool create, struct error *e);
void control_dir_close(struct control_dir *dir);

/* The address of guest `name`'s socket. */
void control_address(const struct control_dir *dir, const char *name, struct sockaddr_un *address);
/* The other way: the name of the guest whose socket a directory entry is. False: it is none. */
bool control_name_of(const char *entry, char *name, size_t size);

/* Connect to a guest. -1: errno says why; with ECONNREFUSED it is dead and its socket was removed,
 * with ENOENT there is none. */
int control_connect(const struct control_dir *dir, const char *name);
/* Listen in the place of guest `name`. -1: errno says why, EADDRINUSE if it is taken. */
int control_listen(const struct control_dir *dir, const char *name);

#endif
