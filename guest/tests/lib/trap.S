/*
 * The assembly of trap handling.
 *
 * Owns: the 256 entry stubs, the common entry and exit, try_call's catch point, and the ways into
 * user code. Only `pushfl`, `popfl` and `iret` here are rewritten in the plex86 build.
 */

/* Vectors that push an error code (SDM vol. 3, table 6-1). */
#define HAS_ERROR(v) ((v) == 8 || ((v) >= 10 && (v) <= 14) || (v) == 17)

	.text
	.globl	trap_stubs
	.balign 16
trap_stubs:
	.set	v, 0
	.rept	256
	.balign 16
	.if	!HAS_ERROR(v)
	pushl	$0
	.endif
	pushl	$v
	jmp	trap_entry
	.set	v, v + 1
	.endr

trap_entry:
	pushal
	pushl	%ds
	pushl	%es
	pushl	%fs
	pushl	%gs
	movl	$0x2b, %eax
	movl	%eax, %ds
	movl	%eax, %es
	cld
	movl	%esp, %ebx
	pushl	%esp
	call	trap_dispatch
	movl	%ebx, %esp
	popl	%gs
	popl	%fs
	popl	%es
	popl	%ds
	popal
	addl	$8, %esp
	iret

/*
 * u32 try_call(void (*fn)(void *), void *arg)
 * The catch point is this frame; catch_esp leads to it and the older one is kept in it.
 */
	.globl	try_call, try_caught
try_call:
	pushl	%ebp
	pushl	%ebx
	pushl	%esi
	pushl	%edi
	pushfl
	pushl	catch_esp
	movl	%esp, catch_esp
	pushl	32(%esp)		/* arg */
	call	*32(%esp)		/* fn */
	movl	$-1, %eax
	/* trap_dispatch comes here with the vector in EAX, from any stack and code segment. */
try_caught:
	ljmp	$0x10, $1f
1:
	movl	$0x2b, %ecx
	movl	%ecx, %ds
	movl	%ecx, %es
	xorl	%ecx, %ecx
	movl	%ecx, %fs
	movl	%ecx, %gs
	movl	catch_esp, %esp
	popl	catch_esp
	popfl
	popl	%edi
	popl	%esi
	popl	%ebx
	popl	%ebp
	ret

/* void iret_frame(void *frame) */
	.globl	iret_frame, iret_at
iret_frame:
	movl	4(%esp), %esp
iret_at:
	iret

/* void enter_user(void *state): struct user_state in guest.h. */
	.globl	enter_user
enter_user:
	movl	4(%esp), %ebp
	pushl	16(%ebp)		/* ss */
	pushl	12(%ebp)
	pushl	8(%ebp)
	pushl	4(%ebp)
	pushl	0(%ebp)			/* eip */
	movl	36(%ebp), %eax
	movl	40(%ebp), %ebx
	movl	44(%ebp), %ecx
	movl	48(%ebp), %edx
	movl	52(%ebp), %esi
	movl	56(%ebp), %edi
	movw	32(%ebp), %gs
	movw	28(%ebp), %fs
	movw	24(%ebp), %es
	pushl	60(%ebp)
	movw	20(%ebp), %ds
	popl	%ebp
	iret

	.bss
	.balign 4
	.globl	catch_esp
catch_esp:
	.space	4
	.section .note.GNU-stack, "", @progbits
