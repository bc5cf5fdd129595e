/*
 * The interface of /dev/plex86, between the VMM and the kernel module. Version 1.
 *
 * Owns: ioctl numbers and the layout of what is passed. An open file is one virtual machine with its
 * one CPU; it ends when the file is closed. Structures of common/ are passed as they are, so VMM and
 * module must be of the same build: PLEX86_SET_MEMORY tells by `layout`.
 * engine-kmod.c is written by: nobody yet.
 *
 * All return 0, or -1 with errno. EINVAL: an argument is wrong, or this is not the time for it.
 * Order: PLEX86_GET_VERSION, PLEX86_SET_MEMORY (once), PLEX86_SET_CPU, PLEX86_RUN again and again.
 * These wait for each other; PLEX86_SET_IRQ and PLEX86_KICK may come from any thread at any time.
 */
#ifndef PLEX86_IOCTL_H
#define PLEX86_IOCTL_H

#include "../common/exit.h"
#include "../common/vcpu.h"
#include <linux/ioctl.h>

#define PLEX86_API_VERSION 1

/* Guest RAM, and behind it HOST_EXTRA_BYTES for the PV and device pages: memory of the caller's, at
 * a multiple of 4 KiB, pinned until the file is closed, against RLIMIT_MEMLOCK. */
struct plex86_memory {
	u64 address;
	u64 ram_size; /* a multiple of 4 KiB, without the extra bytes */
	u32 abi;	/* the kernel carries the plex86 note */
	u32 layout;	/* PLEX86_LAYOUT */
};
#define PLEX86_LAYOUT ((u32)(sizeof(struct vcpu) << 16 | sizeof(struct vm_exit)))

struct plex86_irq {
	u32 irq; /* 0-15 */
	u32 level;
};

/* Mapped shared from the file, offset 0, one page. Before PLEX86_RUN returns 0 the module fills in
 * `exit`; after a read (EXIT_IO, EXIT_MMIO) it takes io.value or mmio.value from there at the next
 * PLEX86_RUN, and nothing else. */
struct plex86_run {
	struct vm_exit exit;
};

#define PLEX86_GET_VERSION _IO('x', 0x60) /* returns PLEX86_API_VERSION */
#define PLEX86_SET_MEMORY  _IOW('x', 0x61, struct plex86_memory)
#define PLEX86_SET_CPU	   _IOW('x', 0x62, struct vcpu)
#define PLEX86_GET_CPU	   _IOR('x', 0x63, struct vcpu)
/* Run the guest until it needs the VMM. EINTR: a signal; call again. */
#define PLEX86_RUN     _IO('x', 0x64)
#define PLEX86_SET_IRQ _IOW('x', 0x65, struct plex86_irq)
/* Have PLEX86_RUN return EXIT_KICKED soon. */
#define PLEX86_KICK _IO('x', 0x66)

#endif
