/*
 * The end of file systems.
 */
#ifndef PLEX86_INIT_MOUNTS_H
#define PLEX86_INIT_MOUNTS_H

/* Unmounts what can be, and makes the rest read-only, last mounted first. */
void mounts_end(void);

#endif
