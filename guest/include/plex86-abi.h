/*
 * Guest ABI, version 2: what a VM-friendly guest kernel and the monitor agree on.
 *
 * Owns: the layout of the PV page and the meaning of the ELF note. Read by C and by assembly; used
 * by the monitor core, by the assembler macros put into guests (guest/macros) and by tests.
 */
#ifndef PLEX86_ABI_H
#define PLEX86_ABI_H

#define PLEX86_ABI_VERSION 2 /* 1 had no PLEX86_PV_STUB_TRAP; still taken */

/* One page above i386 Linux's FIXADDR_TOP, mapped by the monitor, never by the guest. Before
 * paging is enabled it is there as well. */
#define PLEX86_PV_PAGE 0xfffff000

/* Dwords of the PV page, by offset. */
#define PLEX86_PV_IF        0x000 /* virtual EFLAGS.IF: 0 or 0x200; cli and sti are one store */
#define PLEX86_PV_CPL       0x004 /* virtual CPL, 0 or 3; the monitor's, guests only read it */
#define PLEX86_PV_VERSION   0x008 /* PLEX86_ABI_VERSION */
#define PLEX86_PV_FLAGS     0x00c /* PLEX86_PV_F_* */
#define PLEX86_PV_ESP0      0x010 /* mirror of TSS.esp0 */
#define PLEX86_PV_CR2       0x014 /* mirror of CR2 */
#define PLEX86_PV_IRET_SITE 0x018 /* address of the iret being executed, stored by its macro */
/* With the page fault being delivered, user code has written to fresh memory page after page: the
 * address of the next page, and in the low 12 bits how many from there on the kernel might make
 * present as well, for the monitor can map them all at the price of one. 0: none. The kernel takes
 * it by storing 0. Either side may ignore it. */
#define PLEX86_PV_AHEAD      0x01c
#define PLEX86_PV_AHEAD_TASK 0x05c /* the kernel's own: whom that was suggested to */

#define PLEX86_PV_F_FAST 1 /* the stubs run without trapping */

/* Entries of the code stubs, by offset. Jump to them; what they do is the monitor's business. */
#define PLEX86_PV_STUB_IRET 0x100 /* iretd; a fault in it is reported at PLEX86_PV_IRET_SITE */
/* System call from user code: a far call to PLEX86_PV_CALL_CS:stub, with an `int $0x80` behind it.
 * The stub returns behind that; or it has the int $0x80 executed. */
#define PLEX86_PV_STUB_INT80 0x200
#define PLEX86_PV_CALL_CS    0x23
/* Near call from kernel code, with flat CS and SS: the instruction at the return address would
 * trap, deal with it as if it had. Where that cannot be had for less, the stub just returns and
 * the instruction traps. Uses four bytes of the stack, changes nothing. */
#define PLEX86_PV_STUB_TRAP 0x300

/* CPUID in guest kernel code is `cs invd` (2e 0f 08): always #GP at CPL 3, and meaningless. */
#define PLEX86_CPUID_BYTES 0x2e, 0x0f, 0x08

/* Selectors of user code: LDT entries 0 and 1, flat with a limit of 3 GiB - 1, provided by the
 * machine while LDTR is null. */
#define PLEX86_USER_CS    0x07
#define PLEX86_USER_DS    0x0f
#define PLEX86_USER_LIMIT 0xc0000000

/* ELF note: name "plex86", type 1, descriptor one dword: PLEX86_ABI_VERSION. */
#define PLEX86_NOTE_NAME "plex86"
#define PLEX86_NOTE_ABI  1

/* CPUID leaf 0x40000000. */
#define PLEX86_CPUID_SIGNATURE "Plex86Plex86"

#endif
