/*
 * What the stubs' assembly (stubs.S) and their keeper (stubs.c) share.
 *
 * Owns: the monitor's own dwords of the PV page, and the states a stub can be interrupted in.
 */
#ifndef PLEX86_STUBS_LAYOUT_H
#define PLEX86_STUBS_LAYOUT_H

#include "../guest/include/plex86-abi.h"

/* Dwords of the PV page that only stubs and monitor use, by offset. */
#define STUB_EIP     0x020 /* far pointer: where to return to in user code */
#define STUB_CS	     0x024
#define STUB_ESP     0x028 /* the user's ESP during a system call's entry */
#define STUB_SS	     0x02c /* HOST_FLAT_DS, for a load through CS */
#define STUB_SLOW    0x030 /* not 0: returns to user code must be made by the monitor */
#define STUB_HANDLER 0x034 /* the guest's system call entry */
#define STUB_GATE    0x038 /* 8 bytes: the monitor's 64-bit entry */
#define STUB_TLS     0x040 /* 24 bytes: the guest's TLS descriptors as the host has them */
#define STUB_EXPECT  0x058 /* not 0: the next iret must be made by the monitor (shadow_expect) */
/* 0x05c is the guest kernel's: PLEX86_PV_AHEAD_TASK. */

/* How far a stub has got, by the instruction about to be executed: what must be undone. */
#define STUB_IRET_START	 0  /* nothing */
#define STUB_IRET_PUSHED 1  /* EAX is on top of the frame */
#define STUB_IRET_POP1	 2  /* EIP popped */
#define STUB_IRET_POP2	 3  /* EIP, CS popped */
#define STUB_IRET_POP3	 4  /* EIP, CS, flags popped */
#define STUB_IRET_LAST	 5  /* the user's stack is loaded: only the far jump is missing */
#define STUB_KERN_PUSHED 6  /* to kernel code: EAX pushed, CS in the frame may be the hardware's */
#define STUB_KERN_LAST	 7  /* the same without EAX */
#define STUB_SYS_START	 8  /* far return address on the user's stack */
#define STUB_SYS_POPPED	 9  /* EIP popped into STUB_EIP */
#define STUB_SYS_USER_SP 10 /* ESP is the user's as before the call */
#define STUB_SYS_KERNEL	 11 /* ESP is being changed to the kernel's; STUB_ESP is the user's */
#define STUB_SYS_FLAGS	 12 /* the same, and the flags are in the kernel's frame only */
#define STUB_SYS_LAST	 13 /* in the guest's kernel already: only the jump is missing */
#define STUB_TRAP	 14 /* near return address on the kernel's stack */

#endif
