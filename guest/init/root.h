/*
 * From the initramfs to the system on a disk, where only modules can bring that into reach.
 *
 * Owns: the words root=, rootfstype=, init=, ro and rw of the kernel command line, which the kernel
 * leaves to whoever has an initramfs.
 */
#ifndef PLEX86_INIT_ROOT_H
#define PLEX86_INIT_ROOT_H

/* If the command line names a root, mounts it, with the modules of the initramfs in its
 * /lib/modules, and becomes its init. Returns 0 if there is no root=, -1 if that failed, having
 * said why. */
int root_switch(char **envp);

#endif
