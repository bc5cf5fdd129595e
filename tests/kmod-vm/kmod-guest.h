/*
 * A machine of /dev/plex86 with a test guest in it.
 *
 * Owns: the order of calls from opening the device until the guest could run, for the programs that
 * test the module from below: run-kmod, robust.
 */
#ifndef PLEX86_KMOD_GUEST_H
#define PLEX86_KMOD_GUEST_H

#include "../../phase2-kmod/plex86-ioctl.h"

#define GUEST_RAM	(16u << 20)
#define GUEST_RAM_BYTES (GUEST_RAM + HOST_EXTRA_BYTES)
#define GUEST_PORT_EXIT 0xf4

struct kmod_guest {
	int fd, memory; /* the machine, and the memfd behind `ram` */
	u8 *ram;
	struct plex86_run *run;
};

/* The steps of kmod_guest_create(): a machine without memory, its memory, a guest in it. Each is 0,
 * or -1 with errno; nothing is said. EINVAL of the last: not a guest. */
int kmod_guest_open(struct kmod_guest *g);
int kmod_guest_memory(struct kmod_guest *g);
int kmod_guest_load(struct kmod_guest *g, const char *path);

/* The vcpu as it is. 0 or -1. */
int kmod_guest_get_cpu(struct kmod_guest *g, struct vcpu *cpu);

/* All of it. -1: it has been said what is wrong, and there is nothing to close. */
int kmod_guest_create(struct kmod_guest *g, const char *path);
/* What has been opened, however far that went. */
void kmod_guest_close(struct kmod_guest *g);

#endif
