/*
 * The world switch: from the host's CR3, descriptor tables and TSS to the monitor's, and back.
 *
 * Owns: every instruction that runs with the monitor's tables at CPL 0. No calls, no per-CPU data and
 * no host stack in there: only this section and the nexus's pages (nexus.h) are mapped. %r8 is the
 * nexus throughout; 32-bit code cannot see it.
 * Interrupts are off. NMI and #MC are not: on the way they are noted, and turn an entry back.
 */
#include <linux/linkage.h>
#include <asm/nospec-branch.h>
#include <asm/smap.h>
#include "nexus.h"

	.section .nexus, "ax"
	.balign 4096
	.globl nexus_start
nexus_start:

/* void nexus_switch(void *nexus): run the guest until anything happens */
	.globl nexus_switch
nexus_switch:
	endbr64
	push %rbp
	push %rbx
	push %r12
	push %r13
	push %r14
	push %r15
	pushfq
	mov %rdi, %r8
	mov %rsp, NX_HOST_RSP(%r8)
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
	mov NX_MON_CR3(%r8), %rdx
	lea NX_STACK_TOP(%r8), %rsp
.Lentry_start:
	lgdt NX_T_GDTR(%r8)			/* the host's IDT still works with this */
	lidt NX_MON_IDTR(%r8)
	andb $0xfd, (NX_T + NX_SEL_TSS + 5)(%r8)	/* not busy */
	mov $NX_SEL_TSS, %eax
	ltr %ax
	mov %rdx, %cr3
	lgdt NX_MON_GDTR(%r8)
	mov $NX_SEL_LDT, %eax
	lldt %ax
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
.Liretq:
	iretq
.Lentry_end:

abort_entry:
	movq $NX_ABORTED, NX_VECTOR(%r8)
	jmp leave

	.balign 16
trap:						/* %rsp = &vector */
	testb $3, 24(%rsp)
	jz trap_in_nexus
	lea -NX_VECTOR(%rsp), %r8
save:
	mov %rax, NX_RAX(%r8)
	mov %rcx, NX_RCX(%r8)
	mov %rdx, NX_RDX(%r8)
	mov %rbx, NX_RBX(%r8)
	mov %rbp, NX_RBP(%r8)
	mov %rsi, NX_RSI(%r8)
	mov %rdi, NX_RDI(%r8)
	cld
	ASM_CLAC
	mov %cr2, %rax
	mov %rax, NX_CR2(%r8)
	mov %ds, NX_DS(%r8)
	mov %es, NX_ES(%r8)
	mov %fs, NX_FS(%r8)
	mov %gs, NX_GS(%r8)
leave:
	lea NX_STACK_TOP(%r8), %rsp
	lgdt NX_T_GDTR(%r8)
	mov NX_HOST_CR3(%r8), %rax
	mov %rax, %cr3
	movzwl NX_HOST_TR(%r8), %eax
	andb $0xfd, (NX_T + 5)(%r8, %rax)
	ltr %ax
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
	mov NX_HOST_RSP(%r8), %rsp
	pushq $NX_HOST_CS
	lea 1f(%rip), %rax
	push %rax
	lretq
1:	lidt NX_HOST_IDTR(%r8)
	lgdt NX_HOST_GDTR(%r8)
	popfq
	pop %r15
	pop %r14
	pop %r13
	pop %r12
	pop %rbx
	pop %rbp
	ANNOTATE_UNRET_SAFE
	ret
	int3

/* A fault at CPL 0: a selector or iretq's frame was refused. %r8 is the nexus. What iretq's own frame
 * was pushed over, the registers' copies below it, is no longer needed: vm->cpu has them. */
trap_in_nexus:
	mov (%rsp), %rax
	mov %rax, NX_FAULT_VEC(%r8)
	mov 16(%rsp), %rax
	mov %rax, NX_FAULT_RIP(%r8)
	movq $NX_FAULTED, NX_VECTOR(%r8)
	jmp leave

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
1:	push %rax
	push %rcx
	sub $16, %rsp
	sidt (%rsp)
	mov 2(%rsp), %rax
	add $16, %rsp
	sub $NX_IDT, %rax
	incl \pending(%rax)
	lea .Lentry_start(%rip), %rcx
	cmp %rcx, 16(%rsp)
	jb 2f
	lea .Lentry_end(%rip), %rcx
	cmp %rcx, 16(%rsp)
	jae 2f
	mov %rax, %r8
	lea abort_entry(%rip), %rcx
	mov %rcx, 16(%rsp)
	movq $NX_SEL_CS, 24(%rsp)
	lea NX_STACK_TOP(%rax), %rcx
	mov %rcx, 40(%rsp)
	movq $0, 48(%rsp)
2:	pop %rcx
	pop %rax
	iretq
	.endm
	ist_stub nmi_stub, 2, NX_NMI_TOP, NX_PENDING_NMI
	ist_stub mc_stub, 18, NX_MC_TOP, NX_PENDING_MC

	.balign 16
df_stub:
	endbr64
	lea -(NX_DF_TOP - 48)(%rsp), %r8
	mov 8(%rsp), %rax
	mov %rax, NX_FAULT_RIP(%r8)
	movq $8, NX_FAULT_VEC(%r8)
	movq $NX_FAULTED, NX_VECTOR(%r8)
	jmp leave

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
	.balign 4096, 0xcc
	.globl nexus_end
nexus_end:

	.section .rodata
	.globl nexus_ist_stubs
nexus_ist_stubs:
	.quad df_stub, nmi_stub, mc_stub

/* void nexus_raise(u32 vector): take a host interrupt that came while the guest ran. The host's
 * tables are in force, interrupts off. */
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
