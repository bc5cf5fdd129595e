/*
 * Test guest: every exception a guest can cause, from the kernel and from user code, with its error
 * code, the saved EIP relative to the instruction, the saved selectors and flags.
 *
 * Left out because QEMU 7.2 (TCG) deviates from the SDM: #AC (vol. 3, 6.15; never raised), #XM
 * (never raised), the EXT bit of error codes (vol. 3, 6.13; never set), RF in the saved image.
 * #NM is left out as well: at hardware CPL 3 no FPU instruction traps for the guest's CR0.TS or EM.
 */
#include "guest.h"

/* Faults: saved EIP is the instruction. Traps: the one behind it. */
CODE(k_de, "xorl %edx, %edx; xorl %ecx, %ecx; movl $1, %eax", "divl %ecx");
CODE(k_de_over, "movl $1, %edx; movl $1, %ecx; xorl %eax, %eax", "divl %ecx");
CODE(k_bp, "", "int3");
CODE(k_of, "movb $0x7f, %al; addb $1, %al", "into");
CODE(k_no_of, "movb $1, %al; addb $1, %al", "into");
CODE(k_br, "movl $11, %eax", "boundl %eax, bounds");
CODE(k_no_br, "movl $7, %eax", "boundl %eax, bounds");
CODE(k_ud, "", "ud2");
CODE(k_ud_lock, "", ".byte 0xf0, 0x90");
CODE(k_ud_modrm, "", ".byte 0x8c, 0xf8");	       /* mov %seg7, %eax */
CODE(k_ud_cs, "movl $0x10, %eax", ".byte 0x8e, 0xc8"); /* mov %eax, %cs */
CODE(k_gp_null, "xorl %eax, %eax", "movl %eax, %ss");
CODE(k_gp_limit, "movl $0xfff8, %eax", "movl %eax, %es");
CODE(k_gp_system, "movl $0x08, %eax", "movl %eax, %es");
CODE(k_np, "movl $0x80, %eax", "movl %eax, %es");
CODE(k_ss, "movl $0x88, %eax", "movl %eax, %ss");
CODE(k_int_np, "", "int $0x51");
CODE(k_np_fs, "movl $0x80, %eax", "movl %eax, %fs");
CODE(k_long, "",
     ".byte 0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,0x2e,"
     "0x90"); /* 16 bytes */

UCODE(u_de, "xorl %edx, %edx; xorl %ecx, %ecx", "divl %ecx");
UCODE(u_bp, "", "int3");
UCODE(u_of, "movb $0x7f, %al; addb $1, %al", "into");
UCODE(u_br, "movl $-1, %eax", "boundl %eax, user_bounds");
UCODE(u_ud, "", "ud2");
UCODE(u_gp_null, "xorl %eax, %eax", "movl %eax, %ss");
UCODE(u_gp_dpl, "movl $0x18, %eax", "movl %eax, %es");
UCODE(u_gp_cs, "", "ljmp $0x10, $0");
UCODE(u_gp_hlt, "", RAW "hlt");
UCODE(u_gp_cli, "", RAW_CLI);
UCODE(u_gp_int, "", "int $0x50");
UCODE(u_np, "movl $0x83, %eax", "movl %eax, %ds");
UCODE(u_ss, "movl $0x8b, %eax", "movl %eax, %ss");
UCODE(u_pf_read, "", "movl 0x100000, %eax");
UCODE(u_pf_write, "", "movl %eax, 0x100000");
UCODE(u_pf_absent, "", "movl 0x40000000, %eax");
UCODE(u_done, "std", "int $0x30");

u32 bounds[2] = {5, 10};
USER_DATA u32 user_bounds[2] = {0, 10};

static const struct snippet kernel[] = {
	SNIPPET(k_de),	     SNIPPET(k_de_over),   SNIPPET(k_bp),    SNIPPET(k_of),
	SNIPPET(k_no_of),    SNIPPET(k_br),	   SNIPPET(k_no_br), SNIPPET(k_ud),
	SNIPPET(k_ud_lock),  SNIPPET(k_ud_modrm),  SNIPPET(k_ud_cs), SNIPPET(k_gp_null),
	SNIPPET(k_gp_limit), SNIPPET(k_gp_system), SNIPPET(k_np),    SNIPPET(k_ss),
	SNIPPET(k_int_np),   SNIPPET(k_np_fs),	   SNIPPET(k_long),
};

static const struct snippet user[] = {
	SNIPPET(u_de),	   SNIPPET(u_bp),      SNIPPET(u_of),	    SNIPPET(u_br),
	SNIPPET(u_ud),	   SNIPPET(u_gp_null), SNIPPET(u_gp_dpl),   SNIPPET(u_gp_cs),
	SNIPPET(u_gp_hlt), SNIPPET(u_gp_cli),  SNIPPET(u_gp_int),   SNIPPET(u_np),
	SNIPPET(u_ss),	   SNIPPET(u_pf_read), SNIPPET(u_pf_write), SNIPPET(u_pf_absent),
	SNIPPET(u_done),
};

static void run_kernel(void)
{
	try_snippets(kernel, ARRAY_SIZE(kernel));
	/* The gate decides about IF, the frame keeps the old one. */
	irq_on();
	print_result(&kernel[7], try(kernel[7].fn));
	irq_off();
}

static void run_user_side(void)
{
	run_user_snippets(user, ARRAY_SIZE(user));
	/* The same int3 and into through gates that user code may use. */
	set_gate(3, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	set_gate(4, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	print_result(&user[1], run_user(user[1].fn));
	print_result(&user[2], run_user(user[2].fn));
}

/* Handlers that return: faults restart, traps go on. */
static unsigned hits;
CODE(go_on, "xorl %eax, %eax; incl %eax", "int3; incl %eax; int $0x52; incl %eax; movl %eax, sum");
u32 sum;

static void count(struct regs *r)
{
	hits++;
	print("handler: vector %u, eax %u\n", r->vector, r->eax);
}

static void fix_divisor(struct regs *r)
{
	print("handler: #DE with ecx %u\n", r->ecx);
	r->ecx = 2;
}
CODE(restart, "xorl %edx, %edx; xorl %ecx, %ecx; movl $10, %eax", "divl %ecx; movl %eax, sum");

static void run_returning(void)
{
	trap_handlers[3] = count;
	trap_handlers[0x52] = count;
	go_on();
	print("after traps: %u, handlers ran %u times\n", sum, hits);
	trap_handlers[3] = NULL;
	trap_handlers[0] = fix_divisor;
	restart();
	print("after restart: %u\n", sum);
	trap_handlers[0] = NULL;
}

void guest_main(void)
{
	paging_init();
	gdt[GDT_TEST] = descriptor(0, 0xfffff, ACC_DPL(3) | ACC_DATA_W, DESC_32 | DESC_4K);
	gdt[GDT_TEST + 1] = descriptor(0, 0xfffff, ACC_DATA_W, DESC_32 | DESC_4K);
	idt[0x51] &= ~((u64)ACC_P << 40);
	print("exceptions from the kernel\n");
	run_kernel();
	print("exceptions from user code\n");
	gdt[GDT_TEST + 1] = descriptor(0, 0xfffff, ACC_DPL(3) | ACC_DATA_W, DESC_32 | DESC_4K);
	run_user_side();
	print("handlers that return\n");
	run_returning();
	guest_exit(0);
}
