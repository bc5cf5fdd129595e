/*
 * Overlay replacing the kernel's <asm/sync_core.h>: serialization by an iret to itself.
 *
 * Owns: sync_core() alone. The hardware CS it pushes is the one it returns to, at CPL 3, so a real
 * iret does the work without a trap, and the virtual IF has no part in it. The opcodes are spelled
 * as bytes to stay clear of the pushf and iret macros.
 */
#ifndef _ASM_X86_SYNC_CORE_H
#define _ASM_X86_SYNC_CORE_H

static __always_inline void sync_core(void)
{
	asm volatile(".byte 0x9c\n\t" /* pushf */
		     "pushl %%cs\n\t"
		     "pushl $1f\n\t"
		     ".byte 0xcf\n" /* iret */
		     "1:"
		     :
		     :
		     : "memory");
}

static inline void sync_core_before_usermode(void)
{
	sync_core();
}

#endif
