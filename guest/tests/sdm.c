/*
 * Test guest: details in which QEMU 7.2 (TCG) deviates from the SDM, each with its place there. The
 * oracle is a transcript kept beside the runner, written after the SDM.
 */
#include "guest.h"

/* ---- RF in the saved image: set by faults, clear after traps (vol. 3, 17.3.1.1) ---- */
CODE(k_ud, "", "ud2");
CODE(k_bp, "", "int3");
CODE(k_int, "", "int $0x50");
CODE(k_de, "xorl %ecx, %ecx; xorl %edx, %edx", "divl %ecx");
UCODE(u_ud, "", "ud2");
UCODE(u_pf, "", "movl 0x40000000, %eax");
UCODE(u_gp, "", RAW "hlt");
UCODE(u_int, "", "int $0x30");

static void resume_flag(void)
{
	static const struct snippet k[] = {SNIPPET(k_ud), SNIPPET(k_bp), SNIPPET(k_int),
					   SNIPPET(k_de)};
	static const struct snippet u[] = {SNIPPET(u_ud), SNIPPET(u_pf), SNIPPET(u_gp),
					   SNIPPET(u_int)};

	for (unsigned i = 0; i < ARRAY_SIZE(k); i++) {
		try(k[i].fn);
		print("RF %s: %u\n", k[i].name, !!(trap.eflags & FLAG_RF));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(u); i++) {
		run_user(u[i].fn);
		print("RF %s: %u\n", u[i].name, !!(trap.eflags & FLAG_RF));
	}
}

/* ---- EXT in error codes: set unless int n caused it (vol. 3, 6.13) ---- */
CODE(k_window, "sti", "nop; nop; cli");

static void external(void)
{
	set_gate(6, ACC_INTGATE);
	set_gate(0x50, ACC_INTGATE);
	try(k_ud);
	print("gate of #UD absent: %u(%x)\n", trap.vector, trap.error);
	try(k_int);
	print("gate of int 0x50 absent: %u(%x)\n", trap.vector, trap.error);
	run_user(u_ud);
	print("gate of #UD absent, user: %u(%x)\n", trap.vector, trap.error);
	set_gate(6, ACC_P | ACC_INTGATE);
	set_gate(0x50, ACC_P | ACC_INTGATE);
	/* An interrupt from outside. */
	set_gate(VEC_IRQ, ACC_INTGATE);
	pic_mask(0xfffe);
	pit_raise_irq0();
	try(k_window);
	print("gate of an interrupt absent: %u(%x)\n", trap.vector, trap.error);
	pic_mask(0xffff);
	pic_eoi(0);
	irq_off();
	set_gate(VEC_IRQ, ACC_P | ACC_INTGATE);
}

/* ---- #AC (vol. 3, 6.15): user code, CR0.AM and EFLAGS.AC ---- */
UCODE(u_misaligned, "movl $user_stack, %ebx", "movl 1(%ebx), %eax");
UCODE(u_aligned, "movl $user_stack, %ebx", "movl 4(%ebx), %eax");
UCODE(u_misaligned_word, "movl $user_stack, %ebx", "movw %ax, 3(%ebx)");
CODE(k_misaligned, "movl $user_stack, %ebx; pushl $0x40002; .byte 0x9d", "movl 1(%ebx), %eax");

static void alignment(void)
{
	static const struct snippet t[] = {SNIPPET(u_misaligned), SNIPPET(u_aligned),
					   SNIPPET(u_misaligned_word)};

	/* AC without AM is left out: CR0.AM is the host's, and set, so it would raise #AC. */
	for (unsigned am = 0; am < 2; am++)
		for (unsigned ac = 0; ac < 2; ac++) {
			if (ac > am)
				continue;
			cr0_set((cr0_get() & ~CR0_AM) | (am ? CR0_AM : 0));
			print("AM %u AC %u:", am, ac);
			for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
				struct user_state s = user_state(t[i].fn);

				s.eflags |= ac ? FLAG_AC : 0;
				run_user_state(&s);
				print(" %u", trap.vector);
				if (trap.vector == 17)
					print("(%x)%s", trap.error,
					      trap.eip == (u32)t[i].at ? "" : " elsewhere");
			}
			print("\n");
		}
	print("kernel: %s\n", try(k_misaligned) == NO_TRAP ? "no trap" : "trap");
	cr0_set(cr0_get() & ~CR0_AM);
}

/* ---- Read-modify-write faults are writes (vol. 3, 4.7) ---- */
CODE(k_rmw, "", "incl 0x40000000");
UCODE(u_rmw, "", "lock orl $0, 0x40000000");

static void modify(void)
{
	try(k_rmw);
	print("incl: %u(%x)\n", trap.vector, trap.error);
	run_user(u_rmw);
	print("lock orl: %u(%x)\n", trap.vector, trap.error);
}

/* ---- Checks of system instructions ---- */
CODE(ltr_null, "xorl %eax, %eax", "ltr %ax");
CODE(rdmsr_unknown, "movl $0x12345678, %ecx", "rdmsr");
CODE(wrmsr_unknown, "movl $0x12345678, %ecx; xorl %eax, %eax; xorl %edx, %edx", "wrmsr");
CODE(cr0_nw, "movl %cr0, %eax; andl $~0x40000000, %eax; orl $0x20000000, %eax",
     "movl %eax, %cr0");					    /* NW without CD */
CODE(cr0_pe, "movl %cr0, %eax; andl $~1, %eax", "movl %eax, %cr0"); /* PG without PE */
CODE(cr4_reserved, "movl %cr4, %eax; orl $0x80000000, %eax", "movl %eax, %cr4");

static void system(void)
{
	static const struct snippet t[] = {SNIPPET(ltr_null),	   SNIPPET(rdmsr_unknown),
					   SNIPPET(wrmsr_unknown), SNIPPET(cr0_nw),
					   SNIPPET(cr0_pe),	   SNIPPET(cr4_reserved)};

	try_snippets(t, ARRAY_SIZE(t));
}

/* ---- x87 and SSE exceptions (vol. 1, 8.6 and 11.5) ---- */
CODE(k_mf, "fninit; pushl $0x37b; fldcw (%esp); addl $4, %esp; fldz; fld1; fdiv %st(1), %st",
     "fld1");
CODE(k_mf_store, "fninit; pushl $0x37b; fldcw (%esp); addl $4, %esp; fldz; fld1; fdiv %st(1), %st",
     "fstpl numbers");
CODE(k_xm, "ldmxcsr numbers; movss numbers + 4, %xmm0; xorps %xmm1, %xmm1", "divss %xmm1, %xmm0");
CODE(k_mxcsr, "", "ldmxcsr numbers + 8");
UCODE(u_xm,
      "pushl $0x1d80; ldmxcsr (%esp); popl %eax; pushl $0x3f800000; movss (%esp), %xmm0; "
      "popl %eax; xorps %xmm1, %xmm1",
      "divss %xmm1, %xmm0");
u32 numbers[4] = {0x1d80, 0x3f800000, 0x10000, 0}; /* MXCSR with ZM clear; 1.0; a reserved bit */

static void floating(void)
{
	static const struct snippet t[] = {SNIPPET(k_mf), SNIPPET(k_mf_store), SNIPPET(k_xm),
					   SNIPPET(k_mxcsr)};

	cr0_set((cr0_get() & ~(CR0_EM | CR0_TS)) | CR0_MP | CR0_NE);
	cr4_set(cr4_get() | CR4_OSFXSR | 0x400);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		print_result(&t[i], try(t[i].fn));
		asm volatile("fnclex; fninit");
	}
	run_user(u_xm);
	print_trap("u_xm", u_xm_at);
}

void guest_main(void)
{
	paging_init();
	resume_flag();
	external();
	alignment();
	modify();
	system();
	floating();
	guest_exit(0);
}
