/*
 * Test guest: loads of segment registers with every check, segments with a base, the LDT, far
 * transfers and call gates (SDM vol. 2, MOV, LDS, JMP, CALL, RET; vol. 3, chapter 5).
 *
 * Selectors from 0x80 on, and in the LDT from index 64 on, name nothing in a host: each load of
 * them is the monitor's to do. What a segment register holds is never read back by `mov`, and
 * limits and access rights are left to the guest `limits`: QEMU 7.2 (TCG) does not check them. It
 * also lets ltr load a null selector (SDM: #GP), so that is left out. A far return of
 * the kernel to 0x23 is left out too: the hardware, at CPL 3 already, does not trap it.
 */
#include "guest.h"

enum {
	D_DATA,
	D_DATA3,
	D_RO,
	D_RO3,
	D_XCODE,
	D_XCODE3,
	D_CODE,
	D_CODE3,
	D_CONF,
	D_CONF3,
	D_NP,
	D_NP3,
	D_NPCODE,
	D_TSS,
	D_BASE,
	D_BASE3,
	D_CODEBASE,
	D_SMALL,
	D_DOWN,
	D_XCONF,
	D_COUNT
};

static const struct {
	const char *name;
	u8 access;
} kinds[] = {
	[D_DATA] = {"data", ACC_P | ACC_DATA_W},
	[D_DATA3] = {"data dpl3", ACC_P | ACC_DPL(3) | ACC_DATA_W},
	[D_RO] = {"read-only", ACC_P | ACC_DATA},
	[D_RO3] = {"read-only dpl3", ACC_P | ACC_DPL(3) | ACC_DATA},
	[D_XCODE] = {"execute-only", ACC_P | ACC_CODE},
	[D_XCODE3] = {"execute-only dpl3", ACC_P | ACC_DPL(3) | ACC_CODE},
	[D_CODE] = {"code", ACC_P | ACC_CODE_R},
	[D_CODE3] = {"code dpl3", ACC_P | ACC_DPL(3) | ACC_CODE_R},
	[D_CONF] = {"conforming", ACC_P | ACC_CONF_R},
	[D_CONF3] = {"conforming dpl3", ACC_P | ACC_DPL(3) | ACC_CONF_R},
	[D_NP] = {"absent", ACC_DATA_W},
	[D_NP3] = {"absent dpl3", ACC_DPL(3) | ACC_DATA_W},
	[D_NPCODE] = {"absent code", ACC_CODE_R},
	[D_TSS] = {"tss", ACC_P | ACC_TSS},
	[D_DOWN] = {"expand-down", ACC_P | ACC_DOWN_W},
	[D_XCONF] = {"conforming execute-only", ACC_P | ACC_CODE | 4},
};

static u64 ldt[128];
#define LDT_FIRST  64
#define LDT_SEL(n) ((LDT_FIRST + (n)) * 8 | 4)

static void fill(u64 *table)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].access)
			table[i] = descriptor(0, 0xfffff, kinds[i].access, DESC_32 | DESC_4K);
}

/* ---- Loads ---- */
#define KERNEL_LOAD(reg)                                                       \
	void load_##reg(void *selector);                                       \
	asm(".text\nload_" #reg ":\n\tmovl 4(%esp), %eax\n\tmovl %eax, %" #reg \
	    "\n\tmovl $0x18, %eax\n\tmovl %eax, %ss\n\tret")
KERNEL_LOAD(ds);
KERNEL_LOAD(es);
KERNEL_LOAD(fs);
KERNEL_LOAD(gs);
KERNEL_LOAD(ss);
UCODE(u_ds, "", "movl %eax, %ds");
UCODE(u_es, "", "movl %eax, %es");
UCODE(u_fs, "", "movl %eax, %fs");
UCODE(u_gs, "", "movl %eax, %gs");
UCODE(u_ss, "", "movl %eax, %ss");

static const struct {
	const char *name;
	void (*kernel)(void *selector);
	void (*user)(void);
} regs[] = {
	{"ds", load_ds, u_ds}, {"es", load_es, u_es}, {"fs", load_fs, u_fs},
	{"gs", load_gs, u_gs}, {"ss", load_ss, u_ss},
};

static void print_load(u32 vector)
{
	if (vector == NO_TRAP || vector == VEC_DONE)
		print(" ok");
	else
		print(" %s(%04x)", vector == 12 ? "#SS" : vector == 11 ? "#NP" : "#GP", trap.error);
}

static void load_everywhere(const char *name, u32 selector)
{
	print("%s %04x kernel:", name, selector);
	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++)
		print_load(try_call(regs[i].kernel, (void *)selector));
	print(" user:");
	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++) {
		struct user_state s = user_state(regs[i].user);

		s.eax = selector;
		print_load(run_user_state(&s));
		if (trap.vector == VEC_DONE && regs[i].user == u_ss)
			print(" ss=%04x", trap.ss & 0xffff);
	}
	print("\n");
}

static void loads(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].access)
			for (unsigned rpl = 0; rpl < 4; rpl += 3)
				load_everywhere(kinds[i].name, TEST_SEL(i) | rpl);
	load_everywhere("null", 0);
	load_everywhere("null", 3);
	load_everywhere("beyond", GDT_SIZE * 8);
	load_everywhere("beyond", 0xfffb);
	load_everywhere("kernel data", SEL_KDATA);
	load_everywhere("no ldt", LDT_SEL(D_DATA3) | 3);
	/* The last entry must lie wholly within the limit. */
	load_gdt(TEST_SEL(D_DATA3) + 7);
	load_everywhere("last entry", TEST_SEL(D_DATA3) | 3);
	load_gdt(TEST_SEL(D_DATA3) + 6);
	load_everywhere("one byte short", TEST_SEL(D_DATA3) | 3);
	load_gdt(GDT_SIZE * 8 - 1);
}

static void accessed_bits(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i].access && kinds[i].access & ACC_DATA)
			print("%s: accessed %u\n", kinds[i].name,
			      (u32)(gdt[GDT_TEST + i] >> 40) & 1);
}

/* ---- pop, lds and friends ---- */
CODE(pop_ds, "pushl $0x88", "popl %ds");
CODE(pop_es_np, "pushl $0xd0", "popl %es; ret");
CODE(pop_fs, "pushl $0x8b", "popl %fs");
CODE(pop_gs_np, "pushl $0xd3", "popl %gs; ret");
CODE(pop_ss, "pushl $0x80", "popl %ss; movl $0x18, %eax; movl %eax, %ss");
CODE(pop_ss_bad, "pushl $0x88", "popl %ss");
struct far_pointer {
	u32 offset;
	u16 selector;
} __attribute__((packed));
struct far_pointer far_data3 = {0x12345678, TEST_SEL(D_DATA3)};
struct far_pointer far_np = {1, TEST_SEL(D_NP)};
struct far_pointer far_stack = {0, TEST_SEL(D_DATA)};
u32 far_result;
CODE(k_lds, "", "ldsl far_data3, %ecx; movl %ecx, %ss:far_result");
CODE(k_les, "", "lesl far_data3, %ecx; movl %ecx, %ss:far_result");
CODE(k_lfs, "", "lfsl far_data3, %ecx; movl %ecx, %ss:far_result");
CODE(k_lgs, "", "lgsl far_data3, %ecx; movl %ecx, %ss:far_result");
CODE(k_lss, "movl %esp, far_stack", "lss far_stack, %esp; movl $0x18, %eax; movl %eax, %ss");
CODE(k_lds_np, "movl $77, %ecx", "ldsl far_np, %ecx");
CODE(k_lss_bad, "", "lss far_data3, %esp");
CODE(k_les_reg, "", ".byte 0xc4, 0xc1"); /* les with a register: not defined */
static void pops(void)
{
	static const struct snippet t[] = {SNIPPET(pop_ds), SNIPPET(pop_es_np),
					   SNIPPET(pop_fs), SNIPPET(pop_gs_np),
					   SNIPPET(pop_ss), SNIPPET(pop_ss_bad)};
	static const struct snippet far[] = {SNIPPET(k_lds),	SNIPPET(k_les), SNIPPET(k_lfs),
					     SNIPPET(k_lgs),	SNIPPET(k_lss), SNIPPET(k_lds_np),
					     SNIPPET(k_lss_bad)};

	try_snippets(t, ARRAY_SIZE(t));
	for (unsigned i = 0; i < ARRAY_SIZE(far); i++) {
		far_result = 0;
		print_result(&far[i], try(far[i].fn));
		print("  loaded %08x, ecx %u\n", far_result, trap.vector == 11 ? trap.ecx : 0);
	}
}

/* ---- Segments with a base ---- */
static u32 data[16] = {0x11111111, 0x22222222, 0x33333333, 0x44444444};
USER_DATA u32 user_data[16] = {0xaaaaaaaa, 0xbbbbbbbb, 0xcccccccc, 0xdddddddd};
CODE(k_base, "movl $0xf0, %eax; movl %eax, %fs; xorl %eax, %eax; movl $8, %ebx",
     "movl %fs:4, %eax; movl %fs:(%ebx), %ecx; movl $0x55, %fs:12; int $0x50; "
     "movl %fs:0, %edx; int3");
UCODE(u_base, "movl $0xfb, %eax; movl %eax, %gs; movl $8, %ebx",
      "movl %gs:4, %eax; movl %gs:(%ebx), %ecx; movl $0x66, %gs:12; int $0x50; movl %gs:0, %edx");
UCODE(u_base_ds, "movl $0xfb, %eax; movl %eax, %ds; movl %eax, %es; xorl %edi, %edi; movl $4, %esi",
      "movsl; movsl; movl $4, %esi; lodsl; movl %eax, %ecx; movl 0, %edx; movl $99, 0");

static void nothing(struct regs *r)
{
	r->esi = 0;
}

static void bases(void)
{
	gdt[GDT_TEST + D_BASE] =
		descriptor((u32)data, sizeof(data) - 1, ACC_P | ACC_DATA_W, DESC_32);
	gdt[GDT_TEST + D_BASE3] = descriptor((u32)user_data, sizeof(user_data) - 1,
					     ACC_P | ACC_DPL(3) | ACC_DATA_W, DESC_32);
	set_gate(0x50, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	trap_handlers[0x50] = nothing;
	try(k_base);
	print("kernel: %08x %08x %08x, stored %02x\n", trap.edx, trap.eax, trap.ecx, data[3]);
	run_user(u_base);
	print("user: %08x %08x %08x, stored %02x\n", trap.edx, trap.eax, trap.ecx, user_data[3]);
	run_user(u_base_ds);
	print("user ds, es: %08x %08x, now %08x %08x\n", trap.edx, trap.ecx, user_data[0],
	      user_data[1]);
	/* The hidden part stays until the next load, whatever the table says. */
	trap_handlers[0x50] = NULL;
}

/* ---- The LDT ---- */
#define SEL_LDT_SEG TEST_SEL(D_COUNT)
CODE(lldt_data, "movl $0x80, %eax", "lldt %ax");
CODE(lldt_np, "movl $0x128, %eax", "lldt %ax");
CODE(lldt_ldt, "movl $0x204, %eax", "lldt %ax");
CODE(lldt_beyond, "movl $0x200, %eax", "lldt %ax");
CODE(ltr_data, "movl $0x80, %eax", "ltr %ax");
CODE(ltr_np, "movl $0x130, %eax", "ltr %ax");
CODE(ltr_busy, "movl $0x138, %eax", "ltr %ax");
UCODE(u_lldt, "xorl %eax, %eax", "lldt %ax");
UCODE(u_ltr, "movl $0x08, %eax", "ltr %ax");
UCODE(u_in_ldt, "movl %eax, %ds; movl %eax, %es", "int $0x30");

static void local_table(void)
{
	static const struct snippet t[] = {
		SNIPPET(lldt_data), SNIPPET(lldt_np), SNIPPET(lldt_ldt), SNIPPET(lldt_beyond),
		SNIPPET(ltr_data),  SNIPPET(ltr_np),  SNIPPET(ltr_busy)};
	static const struct snippet u[] = {SNIPPET(u_lldt), SNIPPET(u_ltr)};
	struct user_state s = user_state(u_in_ldt);

	gdt[GDT_TEST + D_COUNT] = descriptor((u32)ldt, sizeof(ldt) - 1, ACC_P | ACC_LDT, 0);
	gdt[GDT_TEST + D_COUNT + 1] = descriptor((u32)ldt, sizeof(ldt) - 1, ACC_LDT, 0);
	gdt[GDT_TEST + D_COUNT + 2] = descriptor((u32)&tss, 103, ACC_TSS, 0);
	gdt[GDT_TEST + D_COUNT + 3] = descriptor((u32)&tss, 103, ACC_P | ACC_TSS_BUSY, 0);
	try_snippets(t, ARRAY_SIZE(t));
	run_user_snippets(u, ARRAY_SIZE(u));
	fill(ldt + LDT_FIRST);
	asm volatile("lldt %w0" : : "r"(SEL_LDT_SEG));
	load_everywhere("ldt data", LDT_SEL(D_DATA));
	load_everywhere("ldt data dpl3", LDT_SEL(D_DATA3) | 3);
	load_everywhere("ldt absent", LDT_SEL(D_NP3) | 3);
	load_everywhere("ldt empty", LDT_SEL(D_COUNT) | 3);
	load_everywhere("beyond the ldt", 128 * 8 | 7);
	s.cs = LDT_SEL(D_CODE3) | 3;
	s.ss = LDT_SEL(D_DATA3) | 3;
	s.eax = LDT_SEL(D_DATA3) | 3;
	run_user_state(&s);
	print("user code in the ldt: vector %02x cs=%04x ss=%04x\n", trap.vector, trap.cs & 0xffff,
	      trap.ss & 0xffff);
	asm volatile("lldt %w0" : : "r"(0));
	load_everywhere("ldt gone", LDT_SEL(D_DATA3) | 3);
}

/* ---- Far transfers ---- */
#define CODE_BASE 0x1000
CODE(jmp_code, "ljmp $0xb0, $1f; 1:", "int3");
CODE(jmp_conf, "ljmp $0xc0, $1f; 1:", "int3");
CODE(jmp_base, "ljmp $0x100, $(1f - 0x1000); 1:", "int3");
CODE(jmp_data, "", "ljmp $0x80, $0");
CODE(jmp_null, "", "ljmp $0, $0");
CODE(jmp_beyond, "", "ljmp $0x200, $0");
CODE(jmp_absent, "", "ljmp $0xe0, $0");
CODE(jmp_dpl3, "", "ljmp $0xb8, $0");
CODE(jmp_rpl3, "", "ljmp $0xb3, $0");
CODE(jmp_conf3, "", "ljmp $0xc8, $0");
CODE(jmp_small, "", "ljmp $0x108, $0x100");
CODE(call_code, "lcall $0xb0, $far_callee", "int3");
CODE(call_base, "lcall $0x100, $(far_callee - 0x1000)", "int3");
CODE(call_back, "lcall $0x10, $far_callee", "int3");
CODE(call_mem, "lcall *far_code", "int3");
CODE(ret_inner_code, "pushl $0xb0; pushl $1f; lret; 1:", "int3");
CODE(ret_null, "pushl $0; pushl $0", "lret");
CODE(ret_data, "pushl $0x80; pushl $0", "lret");
CODE(ret_absent, "pushl $0xe0; pushl $0", "lret");
CODE(ret_outer, "pushl $0x2b; pushl $user_stack_top - 64; pushl $0xbb; pushl $u_ret_here", "lret");
CODE(ret_outer_ss, "pushl $0x28; pushl $0; pushl $0xbb; pushl $u_ret_here", "lret");
UCODE(u_ret_here, "", "int $0x30");
UCODE(u_jmp, "ljmp $0xbb, $1f; 1:", "int $0x30");
UCODE(u_jmp_conf, "ljmp $0xc3, $1f; 1:", "int $0x30");
UCODE(u_jmp_inner, "", "ljmp $0xb0, $0");
UCODE(u_ret_inner, "pushl $0xb0; pushl $0", "lret");
void far_callee(void);
asm(".text\nfar_callee:\n\tmovl (%esp), %eax\n\tmovl 4(%esp), %ecx\n\tlret");
struct far_pointer far_code = {0, TEST_SEL(D_CODE)};

static void transfers(void)
{
	static const struct snippet t[] = {
		SNIPPET(jmp_code),  SNIPPET(jmp_conf),	     SNIPPET(jmp_data),
		SNIPPET(jmp_null),  SNIPPET(jmp_beyond),     SNIPPET(jmp_absent),
		SNIPPET(jmp_dpl3),  SNIPPET(jmp_rpl3),	     SNIPPET(jmp_conf3),
		SNIPPET(jmp_small), SNIPPET(ret_inner_code), SNIPPET(ret_null),
		SNIPPET(ret_data),  SNIPPET(ret_absent),     SNIPPET(ret_outer_ss)};
	static const struct snippet c[] = {SNIPPET(call_code), SNIPPET(call_base),
					   SNIPPET(call_back), SNIPPET(call_mem)};
	static const struct snippet u[] = {SNIPPET(u_jmp), SNIPPET(u_jmp_conf),
					   SNIPPET(u_jmp_inner), SNIPPET(u_ret_inner)};

	far_code.offset = (u32)far_callee;
	gdt[GDT_TEST + D_CODEBASE] =
		descriptor(CODE_BASE, 0xfffff, ACC_P | ACC_CODE_R, DESC_32 | DESC_4K);
	gdt[GDT_TEST + D_SMALL] = descriptor(0, 0xff, ACC_P | ACC_CODE_R, DESC_32);
	try_snippets(t, ARRAY_SIZE(t));
	try(jmp_base);
	print_trap("jmp_base", (void *)((u32)jmp_base_at - CODE_BASE));
	for (unsigned i = 0; i < ARRAY_SIZE(c); i++) {
		print_result(&c[i], try(c[i].fn));
		print("  callee saw cs=%04x, eip right %u\n", trap.ecx & 0xffff,
		      trap.eax == (u32)c[i].at);
	}
	print_result(&(struct snippet)SNIPPET(u_ret_here), try(ret_outer));
	run_user_snippets(u, ARRAY_SIZE(u));
}

/* ---- Call gates ---- */
#define SEL_GATE0   TEST_SEL(D_COUNT + 4)
#define SEL_GATE3   TEST_SEL(D_COUNT + 5)
#define SEL_GATE_NP TEST_SEL(D_COUNT + 6)
#define SEL_GATE_P2 TEST_SEL(D_COUNT + 7)
CODE(gate_same, "lcall $0x140, $0x1234", "int3");
CODE(gate_np, "", "lcall $0x153, $0");
UCODE(u_gate_dpl, "", "lcall $0x140, $0");
UCODE(u_gate_np, "", "lcall $0x153, $0");
UCODE(u_gate, "lcall $0x14b, $0", "int $0x30");
UCODE(u_gate_params,
      "movl %esp, %ebp; pushl $0x1111; pushl $0x2222; lcall $0x15b, $0; subl %esp, %ebp",
      "int $0x30");
u32 gate_frame[6];
void gate_callee(void);
asm(".text\ngate_callee:\n\tmovl 4(%esp), %ecx\n\tlret");
void gate_callee_params(void);
asm(".text\ngate_callee_params:\n"
    "\tmovl 4(%esp), %eax\n\tmovl %eax, %ss:gate_frame\n"
    "\tmovl 8(%esp), %eax\n\tmovl %eax, %ss:gate_frame + 4\n"
    "\tmovl 12(%esp), %eax\n\tmovl %eax, %ss:gate_frame + 8\n"
    "\tmovl 20(%esp), %eax\n\tmovl %eax, %ss:gate_frame + 12\n"
    "\tmovl %esp, %eax\n\tsubl $trap_stack_top, %eax\n\tmovl %eax, %ss:gate_frame + 16\n"
    "\tlret $8");

static void call_gates(void)
{
	static const struct snippet u[] = {SNIPPET(u_gate_dpl), SNIPPET(u_gate_np), SNIPPET(u_gate),
					   SNIPPET(u_gate_params)};

	gdt[SEL_GATE0 / 8] = gate(ACC_P | ACC_CALLGATE, SEL_KCODE, (u32)gate_callee, 0);
	gdt[SEL_GATE3 / 8] =
		gate(ACC_P | ACC_DPL(3) | ACC_CALLGATE, SEL_KCODE, (u32)gate_callee, 0);
	gdt[SEL_GATE_NP / 8] = gate(ACC_DPL(3) | ACC_CALLGATE, SEL_KCODE, (u32)gate_callee, 0);
	gdt[SEL_GATE_P2 / 8] =
		gate(ACC_P | ACC_DPL(3) | ACC_CALLGATE, SEL_KCODE, (u32)gate_callee_params, 2);
	print_result(&(struct snippet)SNIPPET(gate_same), try(gate_same));
	print("  callee saw cs=%04x\n", trap.ecx & 0xffff);
	print_result(&(struct snippet)SNIPPET(gate_np), try(gate_np));
	/* From a code segment that no host knows, for the way back (see above). */
	for (unsigned i = 0; i < ARRAY_SIZE(u); i++) {
		struct user_state state = user_state(u[i].fn);

		state.cs = TEST_SEL(D_CODE3) | 3;
		print_result(&u[i], run_user_state(&state));
	}
	print("  frame: cs=%04x params %04x %04x ss=%04x, esp0-%u, user esp moved by %u\n",
	      gate_frame[0] & 0xffff, gate_frame[1], gate_frame[2], gate_frame[3] & 0xffff,
	      -gate_frame[4], trap.ebp);
}

void guest_main(void)
{
	paging_init();
	fill(gdt + GDT_TEST);
	print("loads: ds es fs gs ss\n");
	loads();
	accessed_bits();
	print("pop and far pointers\n");
	pops();
	print("bases\n");
	bases();
	print("ldt and task register\n");
	local_table();
	print("far transfers\n");
	transfers();
	print("call gates\n");
	call_gates();
	guest_exit(0);
}
