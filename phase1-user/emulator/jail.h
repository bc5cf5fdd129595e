/*
 * The jail: what the process may still ask of the host once guest code runs in it.
 */
#ifndef PLEX86_EMULATOR_JAIL_H
#define PLEX86_EMULATOR_JAIL_H

#include <stdbool.h>

/* `kmod`: user code runs in the kernel module. 0 or a negative error number. */
long jail_setup(bool kmod);

#endif
