/*
 * The PV page's stubs that run without a trap: return from the guest's kernel, entry into it by a
 * system call, and the gate from the kernel into the monitor. A template: stubs.c copies it and
 * fills in addresses of the guest's.
 *
 * Owns: the instruction sequences, and with each the state it leaves behind: an interrupt, a fault
 * or a debug trap may come before any of them, and stubs.c then undoes what has been done.
 * 32-bit code, run at CPL 3 with CS = 0x23 and SS = 0x2b, both flat.
 */
#include "stubs-layout.h"

#define PV(offset)  %ss:PLEX86_PV_PAGE + (offset)
#define CSPV(offset) %cs:PLEX86_PV_PAGE + (offset)
#define HOST_CS64   0x33

#define EFLAGS_TF 0x100
#define EFLAGS_IF 0x200
#define EFLAGS_NT 0x4000
#define EFLAGS_VM 0x20000
#define EFLAGS_AC 0x40000

/* From here to the next mark, an interrupted stub is in state \s. */
.macro state s
	.pushsection .rodata.stubs.states, "a", @progbits
	.long	9f - stubs_template
	.long	\s
	.popsection
9:
.endm

/* The 32-bit immediate or displacement that ends here is filled in by stubs.c. */
.macro patch name
	.globl	\name
	.hidden	\name
\name:
.endm

/* Where the host has a view for each privilege level an `int $0x80` here, which ends at \name, changes
 * views. */
.macro view name
	xchgw	%ax, %ax		/* a nop of two bytes */
	patch	\name
.endm

	.section .rodata.stubs.states, "a", @progbits
	.balign	4
	.globl	stubs_states
	.hidden	stubs_states
stubs_states:

	.section .rodata.stubs, "a", @progbits
	.globl	stubs_template, stubs_template_end
	.hidden	stubs_template, stubs_template_end
	.code32
stubs_template:
	.org	PLEX86_PV_STUB_IRET - PLEX86_PV_STUB_IRET
	state	STUB_IRET_START
	cmpl	$0, PV(STUB_EXPECT)
	jne	.Lslow
	testb	$3, 4(%esp)
	jz	.Lto_kernel
	cmpw	$PLEX86_USER_CS, 4(%esp)
	jne	.Lslow
	cmpw	$PLEX86_USER_DS, 16(%esp)
	jne	.Lslow
	cmpl	$0, PV(STUB_SLOW)
	jne	.Lslow
	pushl	%eax
	state	STUB_IRET_PUSHED
	movl	12(%esp), %eax
	andl	$(EFLAGS_TF | EFLAGS_IF | EFLAGS_NT | EFLAGS_VM | EFLAGS_AC), %eax
	cmpl	$EFLAGS_IF, %eax
	jne	.Lslow_pop
	.irp	offset, 0, 4, 8, 12, 16, 20
	movl	%ss:0x11111111, %eax
	patch	stubs_tls_\offset
	cmpl	PV(STUB_TLS + \offset), %eax
	jne	.Lslow_pop
	.endr
	popl	%eax
	state	STUB_IRET_START
	popl	PV(STUB_EIP)
	state	STUB_IRET_POP1
	addl	$4, %esp
	state	STUB_IRET_POP2
	popfl
	state	STUB_IRET_POP3
	movl	$3, PV(PLEX86_PV_CPL)
	movl	$EFLAGS_IF, PV(PLEX86_PV_IF)
	lss	(%esp), %esp
	state	STUB_IRET_LAST
	view	stubs_to_user
	ljmp	*CSPV(STUB_EIP)

.Lslow_pop:
	state	STUB_IRET_PUSHED
	popl	%eax
.Lslow:
	state	STUB_IRET_START
	patch	stubs_slow		/* a hlt where there is no gate */
	ljmp	$HOST_CS64, $PLEX86_PV_PAGE + PLEX86_PV_STUB_IRET + (.Lland_iret - stubs_template)

/* The user's SS is still loaded, and limited. */
	.org	PLEX86_PV_STUB_INT80 - PLEX86_PV_STUB_IRET
	state	STUB_SYS_START
	view	stubs_to_kernel
	movw	CSPV(STUB_SS), %ss
	popl	PV(STUB_EIP)
	state	STUB_SYS_POPPED
	leal	4(%esp), %esp
	state	STUB_SYS_USER_SP
	movl	%esp, PV(STUB_ESP)
	state	STUB_SYS_KERNEL
	movl	%ss:0x11111111, %esp
	patch	stubs_esp0
	pushl	$PLEX86_USER_DS
	pushl	PV(STUB_ESP)
	pushfl
	pushl	$PLEX86_USER_CS
	pushl	PV(STUB_EIP)
	state	STUB_SYS_FLAGS
	addl	$2, (%esp)
	movl	$0, PV(PLEX86_PV_IF)
	movl	$0, PV(PLEX86_PV_CPL)
	state	STUB_SYS_LAST
	jmp	*PV(STUB_HANDLER)

/* Of the iret's stub, where there is room: the hardware's own iret, once CS is the hardware's; it
 * leaves IF alone, so that goes first. */
.Lto_kernel:
	state	STUB_IRET_START
	cmpl	$0x11111111, 4(%esp)
	patch	stubs_kernel_cs
	jne	.Lslow
	testl	$(EFLAGS_TF | EFLAGS_NT | EFLAGS_VM | EFLAGS_AC), 8(%esp)
	jnz	.Lslow
	pushl	%eax
	state	STUB_KERN_PUSHED
	movl	12(%esp), %eax
	andl	$EFLAGS_IF, %eax
	movl	$0x23, 8(%esp)
	movl	%eax, PV(PLEX86_PV_IF)
	popl	%eax
	state	STUB_KERN_LAST
	iretl

/* The gate: the host's 64-bit code segment takes us to the monitor with no trap. From the landing
 * on we are the monitor's, in 64-bit mode, and a signal need not undo anything (gate.S). R10 tells
 * it the stub that nothing has been done of. */
	.org	PLEX86_PV_STUB_TRAP - PLEX86_PV_STUB_IRET
	.globl	stubs_trap
	.hidden	stubs_trap
stubs_trap:
	state	STUB_TRAP
	ljmp	$HOST_CS64, $PLEX86_PV_PAGE + PLEX86_PV_STUB_IRET + (.Lland_trap - stubs_template)
	.code64
.Lland_trap:
	movl	$PLEX86_PV_STUB_TRAP, %r10d
.Lland:
	.byte	0xff, 0x25		/* jmp *STUB_GATE, relative to where this will lie */
	.long	STUB_GATE - PLEX86_PV_STUB_IRET - (.Llanded - stubs_template)
.Llanded:
.Lland_iret:
	movl	$PLEX86_PV_STUB_IRET, %r10d
	jmp	.Lland
stubs_template_end:

	.pushsection .rodata.stubs.states, "a", @progbits
	.globl	stubs_states_end
	.hidden	stubs_states_end
stubs_states_end:
	.popsection

	.section .note.GNU-stack, "", @progbits
