/*
 * A virtiofsd of our own: the program that serves one directory of the host to the guest.
 *
 * Owns: finding and starting it, as root or as an ordinary user, such that it sees that directory
 * and nothing else; its end, which is at the latest that of plex86; and what it has to say.
 */
#ifndef PLEX86_HAL_VIRTIOFSD_H
#define PLEX86_HAL_VIRTIOFSD_H

#include <sys/types.h>
#include "vhost-user.h"

struct virtiofsd {
	pid_t pid;
	int log_fd;	   /* its standard error */
	struct error said; /* the last line of that */
};

/* Start one for `dir`, an absolute path without symbolic links, and talk to it through `u`. False:
 * `e` says why not. */
bool virtiofsd_start(struct virtiofsd *d, struct vhost_user *u, const char *dir, struct error *e);
/* Read what it has written, so that it does not wait for us and d->said is up to date. */
void virtiofsd_listen(struct virtiofsd *d);
/* End it. Close the connection before. */
void virtiofsd_stop(struct virtiofsd *d);

#endif
