/*
 * Where the control sockets of running guests lie, and what they are called.
 *
 * Owns: the directories, which only their user may enter, and the names of the sockets in them.
 * The first directory that can be had takes new sockets; all are looked through for those there.
 */
#ifndef PLEX86_CONTROL_DIR_H
#define PLEX86_CONTROL_DIR_H

#include <stddef.h>
#include <sys/un.h>
#include "error.h"

#define CONTROL_NAME_MAX 40
#define CONTROL_DIRS	 3

struct control_dir {
	char path[62]; /* with a name it makes a socket's address, which has 108 bytes */
	int fd;
};

/* A name has 1 to 40 letters, digits and . _ + -, the first being a letter or digit. */
bool control_name_valid(const char *name);

/* The directory for new sockets, made if need be. */
bool control_dir_create(struct control_dir *dir, struct error *e);
/* Those that exist and can be trusted; returns how many. Close them. */
unsigned control_dirs_open(struct control_dir dirs[CONTROL_DIRS]);
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
