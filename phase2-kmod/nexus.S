/*
 * The world switch: from the host's descriptor tables and CR3 to the monitor's, into the guest, and
 * back.
 *
 * Owns: what cannot be written in C. While we are away (between nexus_depart and nexus_arrive) C code
 * of the module runs on the monitor's tables: all that is above the low half is the host's own.
 * %r8 is the nexus (nexus.h); 32-bit code cannot see it. Interrupts are off. NMI and #MC are not:
 * away they are noted, and turn an entry into the guest back.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/nospec-branch.h>
#include <asm/smap.h>
#include "nexus.h"

	.text
/* void nexus_depart(void *nexus): from the host's descriptor tables to the monitor's. CR3 stays. */
	.balign 16
	.globl nexus_depart
nexus_depart:
	endbr64
	mov %rdi, %r8
	mov %cr3, %rax
	or NX_NOFLUSH(%r8), %rax
	mov %rax, NX_HOST_CR3(%r8)
	str NX_HOST_TR(%r8)
	sldt NX_HOST_LDT(%r8)
	mov %ds, NX_HOST_DS(%r8)
	mov %es, NX_HOST_ES(%r8)
	mov %fs, NX_HOST_FS(%r8)
	mov %gs, NX_HOST_GS(%r8)
	rdfsbase %rax
	mov %rax, NX_HOST_FSBASE(%r8)
	rdgsbase %rax
	mov %rax, NX_HOST_GSBASE(%r8)
	lidt NX_MON_IDTR(%r8)
	lgdt NX_MON_GDTR(%r8)
	andb $0xfd, (NX_GDT + NX_SEL_TSS + 5)(%r8)	/* not busy */
	mov $NX_SEL_TSS, %eax
	ltr %ax
	mov $NX_SEL_LDT, %eax
	lldt %ax
	movl $1, NX_AWAY(%r8)
	ANNOTATE_UNRET_SAFE
	ret
	int3

/* void nexus_arrive(void *nexus): the way back. */
	.balign 16
	.globl nexus_arrive
nexus_arrive:
	endbr64
	mov %rdi, %r8
	ANNOTATE_INTRA_FUNCTION_CALL
	call .Lhome
	ANNOTATE_UNRET_SAFE
	ret
	int3

/* Changes RAX alone. */
.Lhome:
	mov NX_HOST_CR3(%r8), %rax
	mov %rax, %cr3
	andb $0xfd, (NX_GDT + NX_HOST_TSS + 5)(%r8)
	movzwl NX_HOST_TR(%r8), %eax
	ltr %ax					/* by our GDT: the host's is read-only, and says busy */
	lgdt NX_HOST_GDTR(%r8)
	movzwl NX_HOST_LDT(%r8), %eax		/* before the others: they may be in it */
	lldt %ax
	mov NX_HOST_DS(%r8), %ds
	mov NX_HOST_ES(%r8), %es
	mov NX_HOST_FS(%r8), %fs
	mov NX_HOST_FSBASE(%r8), %rax
	wrfsbase %rax
	mov NX_HOST_GS(%r8), %gs
	mov NX_HOST_GSBASE(%r8), %rax
	wrgsbase %rax
	mov $NX_HOST_SS, %eax
	mov %eax, %ss
	movl $0, NX_AWAY(%r8)
	lidt NX_HOST_IDTR(%r8)
	ANNOTATE_UNRET_SAFE
	ret
	int3

/* void nexus_enter(void *nexus): run the guest until anything happens. We are away. */
	.balign 16
	.globl nexus_enter
nexus_enter:
	endbr64
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	mov %rdi, %r8
	mov %rsp, NX_HOST_RSP(%r8)
	mov NX_LOAD_CR3(%r8), %rax
	test %rax, %rax
	jz .Lentry_start
	mov %rax, %cr3
.Lentry_start:
	mov NX_DS(%r8), %ds
	mov NX_ES(%r8), %es
	mov NX_FS(%r8), %fs
	mov NX_GS(%r8), %gs
	mov NX_RAX(%r8), %eax
	mov NX_RCX(%r8), %ecx
	mov NX_RDX(%r8), %edx
	mov NX_RBX(%r8), %ebx
	mov NX_RBP(%r8), %ebp
	mov NX_RSI(%r8), %esi
	mov NX_RDI(%r8), %edi
	lea NX_RIP(%r8), %rsp
	iretq
.Lentry_end:

abort_entry:
	movq $NX_ABORTED, NX_VECTOR(%r8)
	jmp back

	.balign 16
trap:						/* %rsp = &vector */
	testb $3, 24(%rsp)
	jz trap_in_host_code
	lea -NX_VECTOR(%rsp), %r8
save:
	mov %rax, NX_RAX(%r8)
	mov %rcx, NX_RCX(%r8)
	mov %rdx, NX_RDX(%r8)
	mov %rbx, NX_RBX(%r8)
	mov %rbp, NX_RBP(%r8)
	mov %rsi, NX_RSI(%r8)
	mov %rdi, NX_RDI(%r8)
	mov %ds, NX_DS(%r8)
	mov %es, NX_ES(%r8)
	mov %fs, NX_FS(%r8)
	mov %gs, NX_GS(%r8)
	mov %cr2, %rax
	mov %rax, NX_CR2(%r8)
back:
	mov NX_HOST_GSBASE(%r8), %rax
	wrgsbase %rax
	mov NX_HOST_RSP(%r8), %rsp
	cld
	ASM_CLAC
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	ANNOTATE_UNRET_SAFE
	ret
	int3

/* A fault at CPL 0, by what is on the stack: vector, error, RIP, CS, ...
 * On the way into the guest: a selector or iretq's frame was refused. %r8 is the nexus. What iretq's
 * own frame was pushed over, the registers' copies below it, is no longer needed: vm->cpu has them.
 * Elsewhere: C code of ours, a WARN or a page the monitor's tables lack. Go home first; there the same
 * instruction takes the same fault, and the host deals with it. */
trap_in_host_code:
	push %rax
	lea .Lentry_start(%rip), %rax
	cmp %rax, 24(%rsp)
	jb 1f
	lea .Lentry_end(%rip), %rax
	cmp %rax, 24(%rsp)
	jae 1f
	mov 8(%rsp), %rax
	mov %rax, NX_FAULT_VEC(%r8)
	mov 24(%rsp), %rax
	mov %rax, NX_FAULT_RIP(%r8)
	movq $NX_FAULTED, NX_VECTOR(%r8)
	jmp back
1:	push %r8
	cmpq $3, 16(%rsp)
	jne 2f
	decq 32(%rsp)				/* int3 reports the address behind it */
2:	sub $16, %rsp
	sidt (%rsp)
	mov 2(%rsp), %r8
	add $16, %rsp
	sub $NX_IDT, %r8
	ANNOTATE_INTRA_FUNCTION_CALL
	call .Lhome
	pop %r8
	pop %rax
	add $16, %rsp
	iretq

/* A trap with a stack of its own: from the guest like any other; else noted in \pending. */
	.macro ist_stub name, vector, top, pending
	.balign 16
\name:
	endbr64
	testb $3, 8(%rsp)
	jz 1f
	lea -(\top - 40)(%rsp), %r8
	popq NX_RIP(%r8)
	popq NX_CS(%r8)
	popq NX_RFLAGS(%r8)
	popq NX_RSP(%r8)
	popq NX_SS(%r8)
	movq $\vector, NX_VECTOR(%r8)
	movq $0, NX_ERROR(%r8)
	jmp save
/* With the host's TSS still, or again, in force this is its NMI stack. Its handler keeps a flag in the
 * second word below the frame, 1 for "busy"; what sidt leaves there has 0xffff at that place. */
1:	push %rax
	sub $16, %rsp
	sidt (%rsp)
	mov 2(%rsp), %rax
	push %rcx
	sub $NX_IDT, %rax
	incl \pending(%rax)
	lea .Lentry_start(%rip), %rcx
	cmp %rcx, 32(%rsp)
	jb 2f
	lea .Lentry_end(%rip), %rcx
	cmp %rcx, 32(%rsp)
	jae 2f
	mov %rax, %r8
	lea abort_entry(%rip), %rcx
	mov %rcx, 32(%rsp)
	mov NX_HOST_RSP(%rax), %rcx
	mov %rcx, 56(%rsp)
2:	pop %rcx
	add $16, %rsp
	pop %rax
	iretq
	.endm
	ist_stub nmi_stub, 2, NX_NMI_TOP, NX_PENDING_NMI
	ist_stub mc_stub, 18, NX_MC_TOP, NX_PENDING_MC

/* The stack was not to be used, so this is a bug: as above, for the host to report. */
	.balign 16
df_stub:
	endbr64
	lea -(NX_DF_TOP - 48)(%rsp), %r8
	ANNOTATE_INTRA_FUNCTION_CALL
	call .Lhome
	add $8, %rsp
	iretq

/* int $0x80: the stubs' way from one view to the other, else like any other trap. */
	.balign 16
int80_stub:					/* %rsp = &RIP */
	endbr64
	lea -NX_RIP(%rsp), %r8
	cmpw $NX_FLAT_CS, NX_CS(%r8)
	jne 3f
	mov NX_RIP(%r8), %r9
	cmp NX_TO_USER(%r8), %r9d
	je 1f
	cmp NX_TO_KERNEL(%r8), %r9d
	jne 3f
	cmpl $NX_USER_TOP, NX_RSP(%r8)
	ja 3f
	mov NX_CR3_KERNEL(%r8), %r9
	xor %r10d, %r10d			/* VIEW_KERNEL */
	jmp 2f
1:	mov NX_CR3_USER(%r8), %r9
	mov $1, %r10d				/* VIEW_USER */
2:	test %r9, %r9
	jz 3f
	mov %r9, %cr3
	mov %r10d, NX_VIEW(%r8)
	iretq
3:	push $0
	push $-0x80
	jmp trap

	.balign 16
	.globl nexus_stubs
nexus_stubs:
	vector = 0
	.rept 256
	.balign 16
	endbr64
	.if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || \
	      vector == 29 || vector == 30)
	push $0
	.endif
	.if vector < 128
	push $vector
	.else
	push $(vector - 256)			/* sign-extended: nexus.c takes the low byte */
	.endif
	jmp trap
	vector = vector + 1
	.endr

	.section .rodata
	.globl nexus_ist_stubs, nexus_int80_stub
nexus_ist_stubs:
	.quad df_stub, nmi_stub, mc_stub
nexus_int80_stub:
	.quad int80_stub

/* void nexus_raise(u32 vector): take a host interrupt that came while the guest ran. We are home,
 * interrupts off. */
	.text
	.balign 16
int_table:
	vector = 0
	.rept 256
	.balign 16
	endbr64
	int $vector
	jmp 1f
	vector = vector + 1
	.endr
1:	ANNOTATE_UNRET_SAFE
	ret
	int3
	.globl nexus_raise
nexus_raise:
	endbr64
	mov %edi, %edi
	shl $4, %rdi
	lea int_table(%rip), %rax
	add %rdi, %rax
	JMP_NOSPEC rax
