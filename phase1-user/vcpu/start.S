/*
 * Entry point of the vcpu process, the return from its signal handlers, and the change of stacks
 * when the baton is passed (baton.c).
 */
	.text
	.globl	_start
	.type	_start, @function
_start:
	xorl	%ebp, %ebp
	movq	%rsp, %rdi		/* argc, argv, envp, auxv */
	andq	$-16, %rsp
	call	vcpu_main
	ud2
	.size	_start, . - _start

/* The handler of all signals. The guest's AC is still set: the monitor's own accesses need not be
 * aligned. */
	.globl	signal_entry
	.type	signal_entry, @function
signal_entry:
	pushfq
	andl	$~0x40000, (%rsp)
	popfq
	jmp	handle_signal
	.size	signal_entry, . - signal_entry

	.globl	signal_restorer
	.type	signal_restorer, @function
signal_restorer:
	movl	$15, %eax		/* rt_sigreturn */
	syscall
	ud2
	.size	signal_restorer, . - signal_restorer

#define BATON_STACK 0 /* struct baton */
#define SLEEP_STACK_SIZE 4096

	.globl	baton_switch, baton_resume
	.hidden	baton_switch, baton_resume
	.type	baton_switch, @function
baton_switch:				/* baton, to */
	pushq	%rbx
	pushq	%rbp
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, BATON_STACK(%rdi)
	leaq	sleep_stack + SLEEP_STACK_SIZE(%rip), %rsp
	call	baton_sleep
	movq	%rax, %rdi
baton_resume:				/* baton */
	movq	BATON_STACK(%rdi), %rsp
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%rbp
	popq	%rbx
	ret
	.size	baton_switch, . - baton_switch

	.local	sleep_stack
	.comm	sleep_stack, SLEEP_STACK_SIZE, 16

	.section .note.GNU-stack,"",@progbits
