/*
 * Overlay of <asm/special_insns.h>: control registers with fewer traps.
 *
 * CR2 is read from the PV page, where the monitor leaves it with each page fault.
 *
 * The kernel's header both defines native_read_cr2(void) and calls native_read_cr2(). The macro
 * tells the two apart by their argument: the definition becomes that of native_read_cr2_void(),
 * which nobody calls, and the calls come here.
 */
#ifndef PLEX86_SPECIAL_INSNS_H
#define PLEX86_SPECIAL_INSNS_H

#include <linux/compiler_types.h>
#include <linux/stringify.h>
#include <plex86-abi.h>

static __always_inline unsigned long native_read_cr2_(void)
{
	return *(volatile unsigned long *)(PLEX86_PV_PAGE + PLEX86_PV_CR2);
}

#define native_read_cr2(arg...) native_read_cr2_##arg(arg)

/* CR3 is accessed behind a call of the monitor, which spares the trap where that can be done. The
 * kernel's own functions get other names, and those it builds on them here are made anew. */
#define __native_read_cr3 plex86_plain_read_cr3
#define native_write_cr3  plex86_plain_write_cr3

#include_next <asm/special_insns.h>

#undef __native_read_cr3
#undef native_write_cr3

#define PLEX86_TRAP_CALL \
	"call " __stringify(PLEX86_PV_PAGE) " + " __stringify(PLEX86_PV_STUB_TRAP) "\n\t"

static __always_inline unsigned long __native_read_cr3(void)
{
	unsigned long val;

	asm volatile(PLEX86_TRAP_CALL "mov %%cr3, %0" : "=r"(val) : : "memory");
	return val;
}

static __always_inline void native_write_cr3(unsigned long val)
{
	asm volatile(PLEX86_TRAP_CALL "mov %0, %%cr3" : : "r"(val) : "memory");
}

#define __read_cr3()   __native_read_cr3()
#define write_cr3(val) native_write_cr3(val)

#endif
