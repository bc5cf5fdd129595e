/*
 * Overlay of the kernel's <asm/segment.h>: the selectors of a guest that runs at CPL 3.
 *
 * Owns: which descriptor each segment of the guest kernel uses, such that every selector it loads
 * is natively right inside a 64-bit host process. Found before the kernel's own header, which it
 * includes first; it may only change numbers, never the meaning of a name.
 *
 *   GDT  2, 3     kernel code and data, what lies in frames and in the guest's TSS
 *   GDT  4, 5     0x23 and 0x2b, the host's flat 32-bit user segments: what kernel code really
 *                 runs with, since the hardware is at CPL 3
 *   GDT 12..14    the thread's TLS, where the host keeps its own
 *   LDT  0, 1     user code and data, 3 GiB long, provided by the machine
 */
#include_next <asm/segment.h>

#ifndef PLEX86_ASM_SEGMENT_H
#define PLEX86_ASM_SEGMENT_H

#ifdef CONFIG_X86_32
#include <plex86-abi.h>

#undef GDT_ENTRY_KERNEL_CS
#define GDT_ENTRY_KERNEL_CS		2
#undef GDT_ENTRY_KERNEL_DS
#define GDT_ENTRY_KERNEL_DS		3
#undef GDT_ENTRY_DEFAULT_USER_CS
#define GDT_ENTRY_DEFAULT_USER_CS	4
#undef GDT_ENTRY_DEFAULT_USER_DS
#define GDT_ENTRY_DEFAULT_USER_DS	5
#undef GDT_ENTRY_TLS_MIN
#define GDT_ENTRY_TLS_MIN		12

/* User frames are made in C. Assembly keeps __USER_DS at 0x2b, because SAVE_ALL and head_32.S load
 * it into ds and es for the kernel's own use, which must reach beyond 3 GiB. */
#undef __USER_CS
#define __USER_CS			PLEX86_USER_CS
#ifndef __ASSEMBLY__
#undef __USER_DS
#define __USER_DS			PLEX86_USER_DS
#endif

#endif /* CONFIG_X86_32 */
#endif
