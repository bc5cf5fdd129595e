/*
 * /dev/plex86 for the engines that need the kernel module: opening it, and giving it guest RAM.
 *
 * Owns: what to say of a module that is not there, is of another build, or takes no more memory.
 */
#ifndef PLEX86_KMOD_DEVICE_H
#define PLEX86_KMOD_DEVICE_H

#include "../../phase2-kmod/plex86-ioctl.h"

#define KMOD_DEVICE "/dev/plex86"

/* A machine of this kind (PLEX86_WHOLE, PLEX86_USER_CODE): a file descriptor, close-on-exec; -1,
 * with one line in err. */
int kmod_device_open(unsigned kind, char *err, size_t err_size);
/* PLEX86_SET_MEMORY, with the layout filled in. */
bool kmod_device_set_memory(int fd, struct plex86_memory *memory, char *err, size_t err_size);

#endif
