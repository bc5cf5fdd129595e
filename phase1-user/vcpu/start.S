/*
 * Entry point of the vcpu process, and the return from its signal handlers.
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

	.section .note.GNU-stack,"",@progbits
