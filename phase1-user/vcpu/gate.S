/*
 * The gate: from the guest's kernel into the monitor and back, without the host's kernel.
 *
 * Owns: the instructions between the PV page's stub (common/stubs.S) and gate.c. We come in 64-bit
 * mode, with the guest's registers and stack pointer; what is above the low 32 bits of them and
 * R8-R15 mean nothing to a 32-bit guest and are ours; R10 is the stub's offset in the PV page.
 *
 * A signal may come anywhere; its handler looks at CS and RIP only (gate_interrupted()). Between
 * gate_leave and gate_left it moves RIP back to gate_leave, so nothing there may spoil the frame.
 */
#define GATE_FRAME 96 /* sizeof(struct gate_frame); `noted` follows */
#define FRAME_RFLAGS 72

#define FLAGS_TF_DF_NT_AC 0x44500

	.text
	.globl	gate_entry, gate_leave, gate_left
	.hidden	gate_entry, gate_leave, gate_left
	.type	gate_entry, @function
gate_entry:
	movl	%esp, %r8d
	movl	%ss, %r9d
	movq	gate_stack(%rip), %rsp
	pushq	%r9
	pushq	%r8
	pushfq
	subq	$16, %rsp		/* rip and cs: the core knows */
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rbx
	pushq	%rbp
	pushq	%rsi
	pushq	%rdi
	testl	$FLAGS_TF_DF_NT_AC, FRAME_RFLAGS(%rsp)
	jz	1f
	pushq	$2
	popfq
1:	movq	%rsp, %rdi
	movl	%r10d, %esi
	call	gate_call

gate_leave:
	movq	gate_stack(%rip), %rsp
	leaq	-GATE_FRAME(%rsp), %rsp
	cmpq	$0, GATE_FRAME(%rsp)
	jne	2f
	popq	%rdi
	popq	%rsi
	popq	%rbp
	popq	%rbx
	popq	%rdx
	popq	%rcx
	popq	%rax
	iretq
gate_left:

2:	movq	%rsp, %rdi
	call	gate_look_again
	jmp	gate_leave
	.size	gate_entry, . - gate_entry

	.section .note.GNU-stack,"",@progbits
