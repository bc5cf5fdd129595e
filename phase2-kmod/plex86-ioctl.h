/*
 * The interface of /dev/plex86, between the VMM and the kernel module. Version 4.
 *
 * Owns: ioctl numbers and the layout of what is passed. An open file is one virtual machine with
 * its one CPU, once PLEX86_CREATE has said of which kind; it ends when the file is closed.
 * Structures of common/ are passed as they are, so VMM and module must be of the same build:
 * PLEX86_SET_MEMORY tells by `layout`. The VMM's side is phase1-user/engine/engine-kmod.c, and that
 * of PLEX86_USER_CODE phase1-user/emulator/kmod.c.
 *
 * All return 0, or -1 with errno. EINVAL: an argument is wrong, or this is not the time for it;
 * ENOTTY: the machine is of the other kind.
 * Order: PLEX86_GET_VERSION, PLEX86_CREATE (once), PLEX86_SET_MEMORY (once), then PLEX86_SET_CPU
 * and PLEX86_RUN again and again, or PLEX86_USER_RUN. Calls wait for each other but PLEX86_SET_IRQ,
 * PLEX86_NEWS, PLEX86_KICK and PLEX86_GET_STATS, which may come from any thread at any time.
 */
#ifndef PLEX86_IOCTL_H
#define PLEX86_IOCTL_H

#include "../common/state.h"
#include "../common/vm.h"
#include <linux/ioctl.h>

#define PLEX86_API_VERSION 4

/* PLEX86_CREATE's argument. PLEX86_WHOLE: a machine, run by the monitor core in the module.
 * PLEX86_USER_CODE: registers, descriptors and page tables, with which plain user code runs until
 * it traps; the core, and all that it knows, is with who calls PLEX86_USER_RUN. */
#define PLEX86_WHOLE	 0
#define PLEX86_USER_CODE 1

/* Guest RAM, and behind it HOST_EXTRA_BYTES for the PV and device pages: memory of the caller's, at
 * a multiple of 4 KiB, pinned until the file is closed, against RLIMIT_MEMLOCK. And what is decided
 * with it. */
struct plex86_memory {
	u64 address;
	u64 ram_size;	      /* bytes, a multiple of 4 KiB, without the extra ones */
	u64 stop_at, flip_at; /* of a deterministic run: struct clock's */
	u32 flags;	      /* PLEX86_ABI and so on */
	u32 layout;	      /* PLEX86_LAYOUT */
	u16 level_irqs;	      /* interrupt lines that are level-triggered, a mask */
	u16 reserved[3];
};
#define PLEX86_ABI	     1u /* the kernel carries the plex86 note */
#define PLEX86_DETERMINISTIC 2u
#define PLEX86_NO_FAST_PATHS 4u
#define PLEX86_PACED	     8u
#define PLEX86_FLAGS	     15u
#define PLEX86_LAYOUT	     ((u32)(offsetof(struct vm, shadow) << 12 ^ sizeof(struct shadow)))

struct plex86_irq {
	u32 irq; /* 0-15 */
	u32 level;
};

/* A device whose register page the core serves (device-page.h). Before the first PLEX86_RUN. */
struct plex86_device {
	u32 index; /* below DEVICE_PAGES */
	u32 reserved;
	struct device_page page;
};

/* Mapped shared from the file, offset 0, whole pages. Before PLEX86_RUN returns 0 the module fills
 * in `exit`; after a read (EXIT_IO, EXIT_MMIO) it takes io.value or mmio.value from there at the
 * next PLEX86_RUN. */
struct plex86_run {
	struct vm_exit exit;
	u32 idle; /* the guest waits for an interrupt, or until a time */
	struct trace_ring trace;
};

/* The guest's FPU and vector registers: an XSAVE area of the standard format, zeros behind its end.
 * What PLEX86_SET_FPU is given may have no components in it that the host lacks (EINVAL). */
struct plex86_fpu {
	u8 xsave[4096];
};

/* ---- PLEX86_USER_CODE ---- */

/* What is to become of linear pages [page, page + pages), in the page tables of one space. */
struct plex86_user_map {
	u32 page, pages; /* numbers of 4 KiB pages, below 4 GiB; not 0 pages */
	u32 frame; /* of PLEX86_USER_MAP_SET: the page of guest RAM, or behind it, of the first */
	u16 op;	   /* PLEX86_USER_MAP_* */
	u16 prot;  /* HOST_READ, HOST_WRITE, HOST_EXEC; of UNMAP: 0 */
};
#define PLEX86_USER_MAP_UNMAP	0
#define PLEX86_USER_MAP_PROTECT 1 /* those that are mapped */
#define PLEX86_USER_MAP_SET	2

/* Mapped shared from the file, offset 0, whole pages; zero at first. The module reads each word of
 * it once, and relies on none of them. */
struct plex86_user {
	u32 stop; /* any thread, or a signal handler: PLEX86_USER_RUN is to come back, at once if it
		   * begins with it; to be cleared by who set it */
	u32 space; /* below PLEX86_USER_SPACES: page tables, empty at first */
	u32 maps;  /* of map[], in that order, before anything runs; then the module sets it to 0 */
	u32 ldt_changed; /* a bit for each of ldt[] that is to be taken; the same */
	/* In and out. IF is set, IOPL 0, VM clear; selectors have RPL 3. */
	u32 gpr[8], rip, rflags;
	u16 selector[SEG_COUNT];
	/* Out: a vector, or one of PLEX86_USER_*; its error code; CR2. Of `int $0x80` rip is behind
	 * the instruction, as it is of int3 and into. */
	u32 vector, error, address;
	u64 ldt[HOST_SLOT_TLS0]; /* SDM format; DPL is forced to 3, 64-bit code to 32-bit code */
	struct plex86_user_map map[192];
};
#define PLEX86_USER_SPACES  SHADOW_COUNT
#define PLEX86_USER_STOPPED 0x100 /* `stop`, a signal, or the kernel's need of user mode */
#define PLEX86_USER_REFUSED \
	0x101 /* no CPU takes these selectors; `address` is of no use but for reports */

#define PLEX86_GET_VERSION _IO('x', 0x60) /* returns PLEX86_API_VERSION */
#define PLEX86_SET_MEMORY  _IOW('x', 0x61, struct plex86_memory)
#define PLEX86_SET_CPU	   _IOW('x', 0x62, struct vcpu)
/* The machine's state: struct vm up to its shadows. Pointers in it mean nothing. */
#define PLEX86_GET_STATE _IO('x', 0x63)
/* Run the guest until it needs the VMM. EINTR: a signal, or the kernel had to go by
 * way of user mode; call again. */
#define PLEX86_RUN     _IO('x', 0x64)
#define PLEX86_SET_IRQ _IOW('x', 0x65, struct plex86_irq)
/* Have PLEX86_RUN return EXIT_KICKED soon. */
#define PLEX86_KICK	  _IO('x', 0x66)
#define PLEX86_ADD_DEVICE _IOW('x', 0x67, struct plex86_device)
#define PLEX86_NEWS	  _IO('x', 0x68) /* a status word has changed */
#define PLEX86_GET_STATS  _IOR('x', 0x69, struct vm_stats)
#define PLEX86_GET_SPACES _IO('x', 0x6a) /* returns how many address spaces keep their mappings */
/* A debugger's: the guest's registers, and where it is to stop. After PLEX86_SET_CPU. */
#define PLEX86_SET_REGS	 _IOW('x', 0x6b, struct debug_regs)
#define PLEX86_SET_DEBUG _IOW('x', 0x6c, struct debug_request)
/* The same of a deterministic run: stop behind so many events; 0: never. */
#define PLEX86_STOP_AT _IOW('x', 0x74, u64)
#define PLEX86_GET_FPU _IOR('x', 0x6d, struct plex86_fpu)
#define PLEX86_SET_FPU _IOW('x', 0x6e, struct plex86_fpu)
/* In place of PLEX86_SET_CPU: all of a machine at rest but its RAM, which is there already. */
#define PLEX86_SET_STATE _IOW('x', 0x6f, struct machine_state)
/* Of which kind it is to be: the argument is PLEX86_WHOLE or PLEX86_USER_CODE itself. */
#define PLEX86_CREATE _IO('x', 0x70)
/* With what struct plex86_user says: change page tables, and that and run user code until it traps.
 * ENOMEM: some of it has not been mapped. EINTR: a signal, before anything was done. Of such a
 * machine there are PLEX86_SET_MEMORY (of its flags PLEX86_DETERMINISTIC), PLEX86_GET_SPACES,
 * PLEX86_GET_FPU and PLEX86_SET_FPU as well. */
#define PLEX86_USER_MAP _IO('x', 0x71)
#define PLEX86_USER_RUN _IO('x', 0x72)

#endif
