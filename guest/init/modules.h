/*
 * The modules of an initramfs for a kernel that has its drivers in some: guest/build-stock's.
 *
 * Owns: what stands in /lib/modules/load: paths, one a line, in an order that their dependencies
 * allow. No file: the kernel needs none.
 */
#ifndef PLEX86_INIT_MODULES_H
#define PLEX86_INIT_MODULES_H

/* Loads them all; says which cannot be. True if there is such a file. */
int modules_load(void);

#endif
