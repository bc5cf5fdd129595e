/*
 * The jail: what the process may still ask of the host once guest code runs in it.
 */
#ifndef PLEX86_EMULATOR_JAIL_H
#define PLEX86_EMULATOR_JAIL_H

/* 0 or a negative error number. */
long jail_setup(void);

#endif
