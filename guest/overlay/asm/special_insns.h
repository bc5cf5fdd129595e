/*
 * Overlay of <asm/special_insns.h>: CR2 is read from the PV page, where the monitor leaves it with
 * each page fault; `mov %cr2,reg` would trap.
 *
 * The kernel's header both defines native_read_cr2(void) and calls native_read_cr2(). The macro
 * tells the two apart by their argument: the definition becomes that of native_read_cr2_void(),
 * which nobody calls, and the calls come here.
 */
#ifndef PLEX86_SPECIAL_INSNS_H
#define PLEX86_SPECIAL_INSNS_H

#include <linux/compiler_types.h>
#include <plex86-abi.h>

static __always_inline unsigned long native_read_cr2_(void)
{
	return *(volatile unsigned long *)(PLEX86_PV_PAGE + PLEX86_PV_CR2);
}

#define native_read_cr2(arg...) native_read_cr2_##arg(arg)

#include_next <asm/special_insns.h>

#endif
