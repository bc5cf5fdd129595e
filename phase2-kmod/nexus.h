/*
 * Layout of a nexus: a machine's descriptor tables, and what the world switch saves and loads.
 *
 * Owns: the numbers that nexus.S and nexus.c share. Offsets are in bytes from the first page.
 */
#ifndef PLEX86_NEXUS_H
#define PLEX86_NEXUS_H

/* Page 0: what nexus.S saves and loads. */
#define NX_HOST_RSP    0x00
#define NX_HOST_CR3    0x08
#define NX_LOAD_CR3    0x10 /* to be loaded before the guest runs; 0: CR3 is right */
#define NX_NOFLUSH     0x18 /* or-ed to the host's CR3 when it comes back */
#define NX_AWAY	       0x20 /* u32: the monitor's tables are in force */
#define NX_HOST_GDTR   0x30
#define NX_HOST_IDTR   0x40
#define NX_MON_GDTR    0x50
#define NX_MON_IDTR    0x60
#define NX_HOST_TR     0x80
#define NX_HOST_LDT    0x82
#define NX_HOST_DS     0x84
#define NX_HOST_ES     0x86
#define NX_HOST_FS     0x88
#define NX_HOST_GS     0x8a
#define NX_HOST_FSBASE 0x90
#define NX_HOST_GSBASE 0x98
#define NX_CR2	       0xa0
#define NX_PENDING_NMI 0xa8 /* came while the host's IDT was not in force; u32 each */
#define NX_PENDING_MC  0xac
#define NX_FAULT_RIP   0xb0 /* of a fault on the way into the guest */
#define NX_FAULT_VEC   0xb8
#define NX_TO_USER     0xc0 /* where the stubs' changes of view end (stubs.h): u32 */
#define NX_TO_KERNEL   0xc4
#define NX_VIEW	       0xc8 /* u32: the view in force */
#define NX_CR3_KERNEL  0xd0 /* of each view; 0: not without looking first */
#define NX_CR3_USER    0xd8
#define NX_DS	       0x100
#define NX_ES	       0x104
#define NX_FS	       0x108
#define NX_GS	       0x10c
/* The guest's registers. TSS.RSP0 points behind the last: the CPU pushes the frame into place. */
#define NX_RAX	  0x200
#define NX_RCX	  0x208
#define NX_RDX	  0x210
#define NX_RBX	  0x218
#define NX_RBP	  0x220
#define NX_RSI	  0x228
#define NX_RDI	  0x230
#define NX_VECTOR 0x238
#define NX_ERROR  0x240
#define NX_RIP	  0x248
#define NX_CS	  0x250
#define NX_RFLAGS 0x258
#define NX_RSP	  0x260
#define NX_SS	  0x268
#define NX_FRAME  0x270

#define NX_TSS	     0x1000
#define NX_LDT	     0x1800
#define NX_LDT_BYTES 0x100 /* HOST_SLOT_TLS0 entries */
#define NX_IDT	     0x2000
#define NX_GDT	     0x3000
#define NX_NMI_TOP   0x5000
#define NX_MC_TOP    0x5800
#define NX_DF_TOP    0x6000
#define NX_PAGES     8
#define NX_ORDER     3

/* Selectors of the monitor's GDT. The host kernel's own CS and SS, and its TSS (so that it can be
 * loaded again), lie where the host has them; the rest is behind all that the guest can name. */
#define NX_HOST_CS  0x10
#define NX_HOST_SS  0x18
#define NX_HOST_TSS 0x40
#define NX_SEL_TSS  0xf90
#define NX_SEL_LDT  0xfa0

#define NX_FLAT_CS 0x23
#define INT80	   0x80 /* the vector of view changes, and of system calls */
#define NX_USER_TOP \
	0xbffffff8 /* the highest stack pointer with two words of user code's below 3 GiB */

/* Beyond the 256 vectors. */
#define NX_ABORTED	0x102 /* an NMI or #MC came on the way in: nothing has run */
#define NX_VIEW_CHANGED 0x103 /* nexus.c's own: enter again */
#define NX_FAULTED	0x200 /* the guest's state could not be loaded */

#endif
