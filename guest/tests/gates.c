/*
 * Test guest: interrupt and trap gates, software interrupts, and the stack switch.
 *
 * What the gate decides: IF (interrupt gates clear it), DPL against CPL for int n (error code
 * n * 8 + 2), presence, the handler's code segment (SDM vol. 3, 6.12 and 6.13). The EXT bit is left
 * out: QEMU 7.2 never sets it.
 */
#include "guest.h"

#define VEC_INT	  0x50
#define VEC_TRAP  0x51
#define VEC_NP	  0x52
#define VEC_CONF  0x53
#define VEC_DATA  0x54
#define VEC_NULL  0x55
#define VEC_USER  0x56
#define VEC_LIMIT 0x57
#define VEC_CSNP  0x58

#define KERNEL_INT(v) CODE(k_##v, "", "int $" #v)
#define USER_INT(v)   UCODE(u_##v, "", "int $" #v)
KERNEL_INT(0x50);
KERNEL_INT(0x51);
KERNEL_INT(0x52);
KERNEL_INT(0x53);
KERNEL_INT(0x54);
KERNEL_INT(0x55);
KERNEL_INT(0x56);
KERNEL_INT(0x58);
KERNEL_INT(0xff);
USER_INT(0x50);
USER_INT(0x51);
USER_INT(0x52);
USER_INT(0x54);
USER_INT(0x56);
USER_INT(0xff);
UCODE(user_handler, "", "int $0x30");
UCODE(u_int3, "", ".byte 0xcd, 3");
UCODE(u_flags, "stc; std", "int $0x50");

static const struct snippet kernel[] = {
	SNIPPET(k_0x50), SNIPPET(k_0x51), SNIPPET(k_0x52), SNIPPET(k_0x53), SNIPPET(k_0x54),
	SNIPPET(k_0x55), SNIPPET(k_0x56), SNIPPET(k_0x58), SNIPPET(k_0xff),
};
static const struct snippet user[] = {
	SNIPPET(u_0x50), SNIPPET(u_0x51), SNIPPET(u_0x52), SNIPPET(u_0x54),
	SNIPPET(u_0x56), SNIPPET(u_0xff), SNIPPET(u_int3), SNIPPET(u_flags),
};

static bool if_in_handler;
static u32 stack_in_handler;

static void look(struct regs *r)
{
	if_in_handler = flags_get() & FLAG_IF;
	stack_in_handler = (u32)r;
	r->eax++;
}

static void show(const struct snippet *s, u32 vector)
{
	if (vector == NO_TRAP)
		print("%s: returned, IF in handler %u\n", s->name, if_in_handler);
	else
		print_result(s, vector);
}

static void set_gates(u8 dpl)
{
	set_gate(VEC_INT, ACC_P | ACC_DPL(dpl) | ACC_INTGATE);
	set_gate(VEC_TRAP, ACC_P | ACC_DPL(dpl) | ACC_TRAPGATE);
	set_gate(VEC_NP, ACC_DPL(dpl) | ACC_INTGATE);
	idt[VEC_CONF] =
		gate(ACC_P | ACC_DPL(dpl) | ACC_INTGATE, TEST_SEL(0), trap_stub(VEC_CONF), 0);
	idt[VEC_DATA] = gate(ACC_P | ACC_DPL(dpl) | ACC_INTGATE, SEL_KDATA, trap_stub(VEC_DATA), 0);
	idt[VEC_NULL] = gate(ACC_P | ACC_DPL(dpl) | ACC_INTGATE, 0, trap_stub(VEC_NULL), 0);
	/* A handler less privileged than the interrupted code. */
	idt[VEC_USER] = gate(ACC_P | ACC_DPL(dpl) | ACC_INTGATE, SEL_UCODE, (u32)user_handler, 0);
	idt[VEC_CSNP] =
		gate(ACC_P | ACC_DPL(dpl) | ACC_INTGATE, TEST_SEL(1), trap_stub(VEC_CSNP), 0);
	idt[0xff] = gate(ACC_P | ACC_DPL(dpl) | ACC_INTGATE, GDT_SIZE * 8, 0, 0);
}

static void run_all(const char *title)
{
	print("%s\n", title);
	try_snippets(kernel, ARRAY_SIZE(kernel));
	run_user_snippets(user, ARRAY_SIZE(user));
}

/* IF by gate type, for handlers that return; the flags of the interrupted code come back. */
static void run_returning(void)
{
	trap_handlers[VEC_INT] = trap_handlers[VEC_TRAP] = trap_handlers[VEC_CONF] = look;
	for (unsigned on = 0; on < 2; on++) {
		print("kernel with IF=%u\n", on);
		for (unsigned i = 0; i < 4; i++) {
			if (i == 2)
				continue; /* not present */
			if (on)
				irq_on();
			show(&kernel[i], try(kernel[i].fn));
			check(!!(flags_get() & FLAG_IF) == on, "IF is as before");
			irq_off();
		}
	}
	print("user code\n");
	for (unsigned i = 0; i < 2; i++) {
		run_user(user[i].fn);
		print_trap(user[i].name, user[i].at);
		print("IF in handler %u\n", if_in_handler);
		check(stack_in_handler == (u32)trap_stack_top - sizeof(struct regs),
		      "the handler's stack is TSS.esp0");
	}
	trap_handlers[VEC_INT] = trap_handlers[VEC_TRAP] = trap_handlers[VEC_CONF] = NULL;
}

/* A handler of CPL 3, on the stack in use: takes the error code, repairs ss0, goes to the kernel.
 */
UCODE(ts_handler, "popl %eax", "movw $0x18, tss + 8");

/*
 * ss0 is checked when the stack is switched: #TS with the selector.
 * (A stack segment that is not present is left out: QEMU 7.2 raises #TS, the SDM wants #SS.)
 * It comes at CPL 3, and a handler of CPL 0 would meet the same ss0; so the gate of #TS leads to
 * user code, which may write the TSS.
 */
static void run_bad_stacks(void)
{
	static const struct {
		const char *what;
		u16 ss0;
	} bad[] = {
		{"null", 0},
		{"user data", SEL_UDATA},
		{"RPL 3", SEL_KDATA | 3},
		{"DPL 3, RPL 0", SEL_UDATA & ~3},
		{"code", SEL_KCODE},
		{"read-only", TEST_SEL(2)},
		{"TSS", SEL_TSS},
		{"beyond the GDT", GDT_SIZE * 8},
	};

	*pte_of((u32)&tss) |= PTE_U;
	tlb_flush();
	idt[10] = gate(ACC_P | ACC_INTGATE, SEL_UCODE, (u32)ts_handler, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		tss.ss0 = bad[i].ss0;
		run_user(u_0x50);
		print("ss0 %s: #TS(%04x), then vector %02x\n", bad[i].what, trap.eax, trap.vector);
	}
	set_gate(10, ACC_P | ACC_INTGATE);
	*pte_of((u32)&tss) &= ~PTE_U;
	tlb_flush();
}

static void run_stack_switch(void)
{
	static u32 other_stack[512];
	u32 top = (u32)(other_stack + ARRAY_SIZE(other_stack));

	print("stack switch\n");
	trap_handlers[VEC_INT] = look;
	tss.esp0 = top;
	run_user(u_0x50);
	check(stack_in_handler == top - sizeof(struct regs), "a new esp0 counts at once");
	tss.esp0 = (u32)trap_stack_top;
	run_user(u_0x50);
	check(stack_in_handler == (u32)trap_stack_top - sizeof(struct regs), "and so does the old");
	trap_handlers[VEC_INT] = NULL;
	run_bad_stacks();
}

static void run_idt_limit(void)
{
	print("IDT limit\n");
	set_idt_limit(VEC_LIMIT * 8 - 1);
	print_result(&user[0], run_user(user[0].fn));
	print_result(&kernel[7], try(kernel[7].fn));
	print_result(&kernel[8], try(kernel[8].fn));
	set_idt_limit(sizeof(idt) - 1);
	print_result(&kernel[7], try(kernel[7].fn));
}

void guest_main(void)
{
	paging_init();
	gdt[GDT_TEST] = descriptor(0, 0xfffff, ACC_P | ACC_CONF_R, DESC_32 | DESC_4K);
	gdt[GDT_TEST + 1] = descriptor(0, 0xfffff, ACC_CODE_R, DESC_32 | DESC_4K);
	gdt[GDT_TEST + 2] = descriptor(0, 0xfffff, ACC_P | ACC_DATA, DESC_32 | DESC_4K);
	set_gates(0);
	run_all("gates of DPL 0");
	set_gates(3);
	run_all("gates of DPL 3");
	run_returning();
	run_stack_switch();
	run_idt_limit();
	guest_exit(0);
}
