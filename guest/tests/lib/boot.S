/*
 * Where a test guest starts.
 *
 * Owns: the Multiboot 1 header, the first stacks and the first segment loads. (The plex86 build's
 * ELF note comes from the iret macro.)
 */
#define MB_MAGIC 0x1badb002
#define MB_FLAGS 0x00000003 /* page-aligned modules, memory information */

	.section .multiboot, "a", @progbits
	.balign 4
	.long	MB_MAGIC, MB_FLAGS, -(MB_MAGIC + MB_FLAGS)

	.text
	.globl	_start
_start:
	movl	$boot_stack_top, %esp
	cld
	lgdt	boot_gdtr
	ljmp	$0x10, $1f
1:	movl	$0x18, %eax
	movl	%eax, %ss
	movl	$boot_stack_top, %esp
	movl	$0x2b, %eax
	movl	%eax, %ds
	movl	%eax, %es
	xorl	%eax, %eax
	movl	%eax, %fs
	movl	%eax, %gs
	pushl	%eax
	popfl
	xorl	%ebp, %ebp
	movl	%ebx, boot_info
	call	tables_init
	call	console_init
	call	chips_init
	call	guest_main
	pushl	$0
	call	guest_exit

	.section .rodata
	.balign 4
	.word	0
boot_gdtr:
	.word	64 * 8 - 1
	.long	gdt

	.bss
	.balign 4
	.globl	boot_info		/* the Multiboot information */
boot_info:
	.space	4
	.balign 4096
	.space	16384
boot_stack_top:
	.space	8192
	.globl	trap_stack_top
trap_stack_top:

	.section .user.data, "aw", @progbits
	.balign 4096
	.globl	user_stack, user_stack_top
user_stack:
	.space	8192
user_stack_top:
	.section .note.GNU-stack, "", @progbits
