/*
 * Assembler macros that de-privilege i386 kernel code for CPL 3 (guest ABI of plex86-abi.h).
 *
 * Owns: the replacement of cli, sti, pushf, popf, iret and cpuid in guest kernels, and the call of
 * the monitor in front of in, out, hlt and invlpg. It is run through cpp by guest/make-macros and
 * then put in front of every unit with -Wa,FILE: gas concatenates its inputs, and a macro takes
 * precedence over the mnemonic of its name. Must emit nothing unless a macro is used, and must keep
 * registers and flags as the instruction would.
 *
 * The rules that shaped it:
 * - Macros take no argument, so that each means the same in .altmacro and .noaltmacro mode; those
 *   that need their instruction's own are used nowhere in .altmacro mode.
 * - %ss: goes before every access, since %ds may be the user's at a system call's entry and at the
 *   way out of the kernel; SS is flat in all kernel code (X86_ESPFIX32 is off).
 * - mov crN, ins, lgdt and the like stay as they are: they trap at CPL 3. So do hlt, in, out and
 *   invlpg, but these are frequent: the call in front of them spares the trap where that can be
 *   done. (For mov to cr3 the overlay of special_insns.h makes that call.)
 */
#include "plex86-abi.h"

#define PV(field) %ss:PLEX86_PV_PAGE + field
#define EFLAGS_IF 0x200

	.macro cli
	movl	$0, PV(PLEX86_PV_IF)
	.endm

	.macro sti
	movl	$EFLAGS_IF, PV(PLEX86_PV_IF)
	.endm

/* At CPL 3 with IOPL 0 the hardware's IF is always 1: pushed - 0x200 + virtual IF is the wanted
 * image, and lea computes it with no flag changed. */
	.macro pushfl
	.byte	0x9c			/* pushf */
	pushl	%eax
	pushl	%ecx
	movl	PV(PLEX86_PV_IF), %ecx
	movl	8(%esp), %eax
	leal	-EFLAGS_IF(%eax, %ecx), %eax
	movl	%eax, 8(%esp)
	popl	%ecx
	popl	%eax
	.endm

	.macro pushf
	pushfl
	.endm

/* The and spoils the arithmetic flags, which the popf overwrites anyway. */
	.macro popfl
	pushl	%eax
	movl	4(%esp), %eax
	andl	$EFLAGS_IF, %eax
	movl	%eax, PV(PLEX86_PV_IF)
	popl	%eax
	.byte	0x9d			/* popf */
	.endm

	.macro popf
	popfl
	.endm

/* An iret at CPL 3 ignores IF, and does not trap if the popped CS is the hardware's: so it becomes
 * a jump to the monitor's stub. A fault of the iret is reported at the address stored first, which
 * is the macro's own, because a label before an iret is what exception tables name (.Lirq_return).
 * Kernels without any iret do not exist, so this is also the place that leaves the note. */
	.macro iretl
	.ifndef .Lplex86_note
	.set	.Lplex86_note, 1
	.pushsection .note.plex86, "a", @note
	.balign	4
	.long	.Lplex86_desc - .Lplex86_name
	.long	4
	.long	PLEX86_NOTE_ABI
.Lplex86_name:
	.asciz	PLEX86_NOTE_NAME
.Lplex86_desc:
	.balign	4
	.long	PLEX86_ABI_VERSION
	.popsection
	.endif
.Lplex86_iret\@:
	movl	$.Lplex86_iret\@, PV(PLEX86_PV_IRET_SITE)
	jmp	PLEX86_PV_PAGE + PLEX86_PV_STUB_IRET
	.endm

	.macro iret
	iretl
	.endm

/* The vdso's system call enters through a stub first, by a far call to the flat code segment. The
 * stub returns behind the int $0x80, where the kernel's landing pad is: signals and restarts see an
 * int $0x80 in front of the address, as they expect. Sigreturn trampolines keep the plain int:
 * debuggers know them by their bytes. */
	.macro int vector:vararg
	.ifdef __kernel_vsyscall
	.byte	0x9a			/* lcall */
	.long	PLEX86_PV_PAGE + PLEX86_PV_STUB_INT80
	.word	PLEX86_PV_CALL_CS
	.endif
	{nooptimize} int \vector	/* with a prefix in front it is no macro */
	.endm

	.macro hlt
	call	PLEX86_PV_PAGE + PLEX86_PV_STUB_TRAP
	.byte	0xf4
	.endm

	.macro invlpg operand:vararg
	call	PLEX86_PV_PAGE + PLEX86_PV_STUB_TRAP
	{nooptimize} invlpg \operand
	.endm

	.irp	name, in, inb, inw, inl, out, outb, outw, outl
	.macro \name operands:vararg
	call	PLEX86_PV_PAGE + PLEX86_PV_STUB_TRAP
	{nooptimize} \name \operands
	.endm
	.endr

/* Linux's entry code (the unit that defines __switch_to_asm) copies 17 dwords from stack to stack on
 * its way in and out, by `cld; rep movsl`. The two lie such that their low address bits collide,
 * and rep takes 280 cycles then: in and out, half of a system call. One by one they take 20. */
	.macro rep insn:vararg
	.set	.Lplex86_rep, 1
	.ifdef __switch_to_asm
	.ifc	\insn, movsl
	.set	.Lplex86_rep, 0
	pushl	%eax
.Lplex86_copy\@:
	jecxz	.Lplex86_copied\@
	movl	(%esi), %eax
	movl	%eax, %es:(%edi)
	leal	4(%esi), %esi
	leal	4(%edi), %edi
	leal	-1(%ecx), %ecx		/* no flag changed */
	jmp	.Lplex86_copy\@
.Lplex86_copied\@:
	popl	%eax
	.endif
	.endif
	.if	.Lplex86_rep
	{nooptimize} rep \insn
	.endif
	.endm

/* cpuid does not trap unless the host can arm CPUID faulting; this always does. */
	.macro cpuid
	.byte	PLEX86_CPUID_BYTES
	.endm
