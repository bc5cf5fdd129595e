/*
 * Unit tests of the emulated system instructions: flags, control and debug registers, descriptor
 * tables, MSRs, and what the fetch does at its edges. Port I/O, far transfers and memory operands
 * have files of their own.
 */
#include "mock-host.h"

#define MOV_TO_CR(n)   0x0f, 0x22, 0xc0 | (n) << 3 /* mov %eax, %crn */
#define MOV_FROM_CR(n) 0x0f, 0x20, 0xc0 | (n) << 3
#define MOV_TO_DR(n)   0x0f, 0x23, 0xc0 | (n) << 3
#define MOV_FROM_DR(n) 0x0f, 0x21, 0xc0 | (n) << 3

/* One instruction after the other would move rip: start at the same place each time. */
#define at_start(vm, ...)            \
	({                           \
		vm_kernel(vm);       \
		gp(vm, __VA_ARGS__); \
	})
#define assert_gp0(vm, ...)                                             \
	do {                                                            \
		u32 rip_ = (vm)->cpu.rip;                               \
		assert_fault(vm, gp(vm, __VA_ARGS__), EXC_GP, 0, rip_); \
	} while (0)
#define assert_user_gp0(vm, ...)             \
	do {                                 \
		vm_user(vm);                 \
		assert_gp0(vm, __VA_ARGS__); \
	} while (0)

static void test_cli_sti(void **state)
{
	struct vm *vm = *state;

	assert_next(vm, gp(vm, 0xfb), AT_CODE + 1);
	assert_int_equal(vm_if(vm), FLAG_IF);
	assert_next(vm, gp(vm, 0xfa), AT_CODE + 2);
	assert_int_equal(vm_if(vm), 0);
	assert_user_gp0(vm, 0xfa);
	assert_user_gp0(vm, 0xfb);
	vm_user(vm);
	vm->cpu.iopl = 3;
	assert_next(vm, gp(vm, 0xfb), AT_USER_CODE + 1);
	assert_int_equal(vm_if(vm), FLAG_IF);
}

static void test_user_may_not(void **state)
{
	struct vm *vm = *state;

	assert_user_gp0(vm, 0xf4); /* hlt */
	assert_user_gp0(vm, MOV_TO_CR(3));
	assert_user_gp0(vm, MOV_FROM_CR(0));
	assert_user_gp0(vm, MOV_TO_DR(7));
	assert_user_gp0(vm, MOV_FROM_DR(7));
	assert_user_gp0(vm, 0x0f, 0x06);		       /* clts */
	assert_user_gp0(vm, 0x0f, 0x01, 0xf0);		       /* lmsw %ax */
	assert_user_gp0(vm, 0x0f, 0x01, 0x15, IMM32(AT_DATA)); /* lgdt */
	assert_user_gp0(vm, 0x0f, 0x01, 0x1d, IMM32(AT_DATA)); /* lidt */
	assert_user_gp0(vm, 0x0f, 0x01, 0x3d, IMM32(AT_DATA)); /* invlpg */
	assert_user_gp0(vm, 0x0f, 0x08);		       /* invd */
	assert_user_gp0(vm, 0x0f, 0x09);		       /* wbinvd */
	assert_user_gp0(vm, 0x0f, 0x30);		       /* wrmsr */
	vm->cpu.gpr[GPR_CX] = 0x10;
	assert_user_gp0(vm, 0x0f, 0x32); /* rdmsr */
}

/* ----------------------------------------------------------------- CR ---- */

static enum core_next set_cr(struct vm *vm, unsigned n, u32 value)
{
	vm->cpu.gpr[GPR_AX] = value;
	return at_start(vm, MOV_TO_CR(n));
}

static void test_cr0(void **state)
{
	struct vm *vm = *state;
	const u32 value = CR0_PE | CR0_WP | CR0_NE | CR0_AM | CR0_MP;

	assert_next(vm, set_cr(vm, 0, value), AT_CODE + 3);
	vm->cpu.gpr[GPR_AX] = 0;
	assert_next(vm, gp(vm, MOV_FROM_CR(0)), AT_CODE + 6);
	assert_int_equal(vm->cpu.gpr[GPR_AX], value | CR0_ET);
	assert_fault(vm, set_cr(vm, 0, CR0_PE | CR0_NW), EXC_GP, 0, AT_CODE);
	assert_fault(vm, set_cr(vm, 0, CR0_PG), EXC_GP, 0, AT_CODE);
	assert_int_equal(vm->cpu.cr0, value | CR0_ET);
	assert_next(vm, set_cr(vm, 0, CR0_PE | CR0_NW | CR0_CD), AT_CODE + 3);
	assert_stopped(vm, set_cr(vm, 0, 0), FAULT_MODE);
}

static void test_cr0_reserved_bits_stay_clear(void **state)
{
	struct vm *vm = *state;

	assert_next(vm, set_cr(vm, 0, CR0_PE | 0x1ffaffc0), AT_CODE + 3);
	assert_int_equal(vm->cpu.cr0, CR0_PE | CR0_ET);
}

static void test_cr2_cr3_cr4(void **state)
{
	struct vm *vm = *state;

	assert_next(vm, set_cr(vm, 2, 0x12345678), AT_CODE + 3);
	assert_int_equal(pv_page(vm)->cr2, 0x12345678);
	assert_next(vm, at_start(vm, 0x0f, 0x20, 0xd1), AT_CODE + 3); /* mov %cr2, %ecx */
	assert_int_equal(vm->cpu.gpr[GPR_CX], 0x12345678);
	assert_next(vm, set_cr(vm, 3, 0x5018), AT_CODE + 3);
	assert_int_equal(vm->cpu.cr3, 0x5018);
	assert_next(vm, at_start(vm, MOV_FROM_CR(3)), AT_CODE + 3);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x5018);
	assert_next(vm, set_cr(vm, 4, CR4_PSE | CR4_PGE | CR4_TSD | CR4_OSFXSR), AT_CODE + 3);
	assert_next(vm, at_start(vm, MOV_FROM_CR(4)), AT_CODE + 3);
	assert_int_equal(vm->cpu.gpr[GPR_AX], CR4_PSE | CR4_PGE | CR4_TSD | CR4_OSFXSR);
	/* What CPUID does not announce is reserved. */
	for (unsigned bit = 0; bit < 32; bit++) {
		u32 known = CR4_TSD | CR4_DE | CR4_PSE | CR4_PAE | CR4_PGE | CR4_PCE | CR4_OSFXSR |
			    CR4_OSXMMEXCPT;

		if (known >> bit & 1)
			assert_next(vm, set_cr(vm, 4, 1u << bit), AT_CODE + 3);
		else
			assert_fault(vm, set_cr(vm, 4, 1u << bit), EXC_GP, 0, AT_CODE);
	}
}

/* Which changes make the shadow forget a global page that the tables no longer have? */
static bool flushes(struct vm *vm, unsigned cr, u32 value)
{
	u32 error, *pte = (u32 *)(vm->ram + AT_PT) + (AT_DATA >> 12);
	const u32 entry = *pte;
	bool mapped;

	assert_int_equal(shadow_fault(vm, AT_DATA, true, false, false, &error), SHADOW_FILLED);
	*pte = 0;
	assert_next(vm, set_cr(vm, cr, value), AT_CODE + 3);
	mapped = mock_of(vm)->page[AT_DATA >> 12];
	*pte = entry;
	return !mapped;
}

static void test_what_flushes_the_shadow(void **state)
{
	struct vm *vm = *state;
	const u32 cr0 = CR0_PE | CR0_PG | CR0_WP | CR0_ET;

	vm_paging(vm, PTE_P | PTE_W | PTE_G);
	assert_false(flushes(vm, 0, cr0 | CR0_TS));
	assert_true(flushes(vm, 0, cr0 & ~CR0_WP));
	assert_true(flushes(vm, 0, cr0));
	assert_false(flushes(vm, 4, CR4_PSE | CR4_PGE | CR4_DE));
	assert_true(flushes(vm, 4, CR4_PSE));
	assert_true(flushes(vm, 4, CR4_PSE | CR4_PGE));
	assert_true(flushes(vm, 4, CR4_PGE));
	assert_false(flushes(vm, 3, AT_PD));
	assert_true(flushes(vm, 0, CR0_PE));
}

static void test_no_other_control_registers(void **state)
{
	struct vm *vm = *state;

	for (unsigned n = 1; n < 8; n++) {
		if (n >= 2 && n <= 4)
			continue;
		vm_kernel(vm);
		code(vm, MOV_TO_CR(n));
		delivered(vm, trap_vector(vm, EXC_UD, 0), EXC_UD);
	}
}

static void test_clts_lmsw_smsw(void **state)
{
	struct vm *vm = *state;

	vm->cpu.cr0 |= CR0_TS;
	assert_next(vm, at_start(vm, 0x0f, 0x06), AT_CODE + 2);
	assert_false(vm->cpu.cr0 & CR0_TS);
	vm->cpu.gpr[GPR_AX] = 0xfffffffe; /* PE cannot be cleared; the rest is not lmsw's */
	assert_next(vm, at_start(vm, 0x0f, 0x01, 0xf0), AT_CODE + 3);
	assert_int_equal(vm->cpu.cr0, CR0_PE | CR0_ET | CR0_MP | CR0_EM | CR0_TS);
	poke32(vm, AT_DATA, 0);
	assert_next(vm, at_start(vm, 0x0f, 0x01, 0x35, IMM32(AT_DATA)), AT_CODE + 7);
	assert_int_equal(vm->cpu.cr0, CR0_PE | CR0_ET);
	vm->cpu.cr0 |= CR0_WP | CR0_TS;
	poke32(vm, AT_DATA, 0xeeeeeeee);
	assert_next(vm, at_start(vm, 0x0f, 0x01, 0x25, IMM32(AT_DATA)), AT_CODE + 7);
	assert_int_equal(peek32(vm, AT_DATA), 0xeeee0019);
	assert_next(vm, at_start(vm, 0x0f, 0x01, 0xe1), AT_CODE + 3); /* smsw %ecx */
	assert_int_equal(vm->cpu.gpr[GPR_CX], vm->cpu.cr0);
	vm->cpu.gpr[GPR_CX] = 0xaaaaaaaa;
	assert_next(vm, at_start(vm, 0x66, 0x0f, 0x01, 0xe1), AT_CODE + 4);
	assert_int_equal(vm->cpu.gpr[GPR_CX], 0xaaaa0019);
}

static void test_debug_registers(void **state)
{
	struct vm *vm = *state;

	for (unsigned n = 0; n < 4; n++) {
		vm->cpu.gpr[GPR_AX] = 0x1000 + n;
		assert_next(vm, at_start(vm, 0x0f, 0x23, 0xc0 | n << 3), AT_CODE + 3);
		assert_int_equal(vm->cpu.dr[n], 0x1000 + n);
	}
	vm->cpu.gpr[GPR_AX] = 0;
	assert_next(vm, at_start(vm, MOV_TO_DR(6)), AT_CODE + 3);
	assert_next(vm, at_start(vm, MOV_TO_DR(7)), AT_CODE + 3);
	assert_next(vm, at_start(vm, MOV_FROM_DR(4)), AT_CODE + 3); /* DR6 by its old name */
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0xffff0ff0);
	assert_next(vm, at_start(vm, MOV_FROM_DR(5)), AT_CODE + 3);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x400);
	vm->cpu.gpr[GPR_AX] = 0xffffffff;
	assert_next(vm, at_start(vm, MOV_TO_DR(6)), AT_CODE + 3);
	assert_int_equal(vm->cpu.dr[6], 0xffffefff);
	vm->cpu.cr4 |= CR4_DE;
	vm_kernel(vm);
	delivered(vm, gp(vm, MOV_FROM_DR(4)), EXC_UD);
}

/* ------------------------------------------------------------- tables ---- */

static void test_table_registers(void **state)
{
	struct vm *vm = *state;

	poke16(vm, AT_DATA, 0x7ff);
	poke32(vm, AT_DATA + 2, 0xc0123456);
	assert_next(vm, at_start(vm, 0x0f, 0x01, 0x1d, IMM32(AT_DATA)), AT_CODE + 7);
	assert_int_equal(vm->cpu.idtr.limit, 0x7ff);
	assert_int_equal(vm->cpu.idtr.base, 0xc0123456);
	assert_next(vm, at_start(vm, 0x66, 0x0f, 0x01, 0x15, IMM32(AT_DATA)), AT_CODE + 8);
	assert_int_equal(vm->cpu.gdtr.base, 0x123456); /* 24 bits with an operand size of 16 */
	vm_teardown(state);
	vm_setup(state);
	vm = *state;
	poke32(vm, AT_DATA + 6, 0xeeeeeeee);
	assert_next(vm, gp(vm, 0x0f, 0x01, 0x05, IMM32(AT_DATA)), AT_CODE + 7); /* sgdt */
	assert_int_equal(peek16(vm, AT_DATA), GDT_LIMIT);
	assert_int_equal(peek32(vm, AT_DATA + 2), AT_GDT);
	assert_int_equal(peek32(vm, AT_DATA + 6), 0xeeeeeeee);
	assert_next(vm, gp(vm, 0x0f, 0x01, 0x0d, IMM32(AT_DATA)), AT_CODE + 14); /* sidt */
	assert_int_equal(peek32(vm, AT_DATA + 2), AT_IDT);
}

static void test_table_load_limit(void **state)
{
	struct vm *vm = *state;

	assert_true(seg_load(vm, SEG_DS, SMALL));
	assert_gp0(vm, 0x0f, 0x01, 0x15, IMM32(0xffb)); /* its last byte is beyond the limit */
	assert_int_equal(vm->cpu.gdtr.base, AT_GDT);
}

/* ---------------------------------------------------- MSRs, TSC, caches ---- */

static void test_msrs(void **state)
{
	struct vm *vm = *state;

	mock_of(vm)->tsc = 0x123456789abcdef0;
	vm->cpu.gpr[GPR_CX] = 0x10;
	assert_next(vm, at_start(vm, 0x0f, 0x32), AT_CODE + 2);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x9abcdef0);
	assert_int_equal(vm->cpu.gpr[GPR_DX], 0x12345678);
	vm->cpu.gpr[GPR_CX] = 0x1b; /* the APIC's base: not announced */
	assert_fault(vm, at_start(vm, 0x0f, 0x32), EXC_GP, 0, AT_CODE);
	assert_fault(vm, at_start(vm, 0x0f, 0x30), EXC_GP, 0, AT_CODE);
}

static void test_rdtsc(void **state)
{
	struct vm *vm = *state;

	mock_of(vm)->tsc = 7;
	vm_user(vm);
	assert_next(vm, gp(vm, 0x0f, 0x31), AT_USER_CODE + 2);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 7);
	vm->cpu.cr4 |= CR4_TSD;
	assert_user_gp0(vm, 0x0f, 0x31);
	assert_next(vm, at_start(vm, 0x0f, 0x31), AT_CODE + 2);
}

static void test_caches_and_cpuid(void **state)
{
	struct vm *vm = *state;

	vm->cpu.gpr[GPR_AX] = 0x40000000;
	assert_next(vm, at_start(vm, 0x0f, 0x08), AT_CODE + 2);
	assert_next(vm, at_start(vm, 0x0f, 0x09), AT_CODE + 2);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x40000000);
	vm->cpu.gpr[GPR_BX] = 0;
	assert_next(vm, at_start(vm, PLEX86_CPUID_BYTES), AT_CODE + 3);
	assert_int_equal(vm->cpu.gpr[GPR_BX], 0x78656c50); /* "Plex" */
	vm_user(vm);
	vm->cpu.gpr[GPR_BX] = 0;
	assert_next(vm, gp(vm, 0x0f, 0xa2), AT_USER_CODE + 2); /* where the host lets it fault */
	assert_int_equal(vm->cpu.gpr[GPR_BX], 0x78656c50);
}

static enum core_next xsetbv(struct vm *vm, u32 index, u32 value)
{
	vm->cpu.gpr[GPR_CX] = index;
	vm->cpu.gpr[GPR_AX] = value;
	vm->cpu.gpr[GPR_DX] = 0;
	return at_start(vm, 0x0f, 0x01, 0xd1);
}

static void test_xsetbv(void **state)
{
	static const u32 good[] = {1, 3, 7, 0xe7}, bad[] = {0, 2, 5, 0x23, 0xe3, 0x67, 0x107};
	struct vm *vm = *state;

	mock_of(vm)->cpuid[0] = 0xffffffff;
	delivered(vm, xsetbv(vm, 0, 1), EXC_UD); /* CR4.OSXSAVE is clear */
	assert_next(vm, set_cr(vm, 4, CR4_OSXSAVE), AT_CODE + 3);
	for (unsigned i = 0; i < ARRAY_SIZE(good); i++) {
		assert_next(vm, xsetbv(vm, 0, good[i]), AT_CODE + 3);
		assert_int_equal(vm->cpu.xcr0, good[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++)
		assert_fault(vm, xsetbv(vm, 0, bad[i]), EXC_GP, 0, AT_CODE);
	assert_fault(vm, xsetbv(vm, 1, 1), EXC_GP, 0, AT_CODE);
	assert_int_equal(vm->cpu.xcr0, 0xe7);
	vm->cpu.gpr[GPR_CX] = 0;
	assert_user_gp0(vm, 0x0f, 0x01, 0xd1);
}

/* -------------------------------------------------- fetch and dispatch ---- */

static void test_guests_own_fault(void **state)
{
	struct vm *vm = *state;

	/* A plain load that the hardware refused: its error is passed on. */
	code(vm, 0x8b, 0x05, IMM32(AT_DATA));
	assert_fault(vm, trap_vector(vm, EXC_GP, 0), EXC_GP, 0, AT_CODE);
	vm_kernel(vm);
	code(vm, 0xff, 0x30);
	assert_fault(vm, trap_vector(vm, EXC_SS, 0), EXC_SS, 0, AT_CODE);
	vm_kernel(vm);
	code(vm, 0x0f, 0x0b);
	assert_fault(vm, trap_vector(vm, EXC_GP, 0x18), EXC_GP, 0x18, AT_CODE);
}

static void test_too_long_instruction(void **state)
{
	struct vm *vm = *state;

	for (unsigned i = 0; i < 15; i++)
		poke(vm, AT_CODE + i, (const u8[]){0x66}, 1);
	poke(vm, AT_CODE + 15, (const u8[]){0xf4}, 1);
	assert_fault(vm, trap_gp(vm), EXC_GP, 0, AT_CODE);
}

/* Bytes behind the instruction are nobody's business. */
static void test_fetch_next_to_an_absent_page(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W);
	*pte_of(vm, 0x11000) = 0;
	vm->cpu.cr2 = pv_page(vm)->cr2 = 0x1234;
	vm->cpu.rip = 0x10ffd;
	assert_next(vm, gp(vm, MOV_FROM_CR(2)), 0x11000);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x1234);
	assert_int_equal(pv_page(vm)->cr2, 0x1234);
}

static void test_instruction_straddles_absent_page(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W);
	vm->cpu.rip = 0x10ffe;
	code(vm, MOV_FROM_CR(2));
	*pte_of(vm, 0x11000) = 0;
	assert_fault(vm, trap_gp(vm), EXC_PF, 0, 0x10ffe);
	assert_int_equal(vm->cpu.cr2, 0x11000);
}

/* The same at the end of 4 GiB: that it begins anew is none of the exceptions raised before. */
static void test_instruction_straddles_4_gib(void **state)
{
	struct vm *vm = *state;

	vm->cpu.seg[SEG_CS].base = AT_CODE + 2; /* offset -2 is AT_CODE */
	vm->cpu.rip = 0xfffffffe;
	poke(vm, AT_CODE, (const u8[]){0x0f, 0x01}, 2); /* lgdt, so far */
	raise(vm, EXC_DE);
	assert_fault(vm, trap_gp(vm), EXC_GP, 0, 0xfffffffe);
}

static void test_instruction_straddles_limit(void **state)
{
	struct vm *vm = *state;

	code(vm, MOV_FROM_CR(2));
	vm->cpu.seg[SEG_CS].limit = AT_CODE + 1;
	/* The handler's segment has its full limit. */
	assert_fault(vm, trap_gp(vm), EXC_GP, 0, AT_CODE);
	vm_kernel(vm);
	vm->cpu.seg[SEG_CS].limit = AT_CODE + 2;
	assert_next(vm, trap_gp(vm), AT_CODE + 3);
}

/* -------------------------------------------------------- single step ---- */

static void test_single_step(void **state)
{
	struct vm *vm = *state;
	struct frame f;

	vm->cpu.rflags |= FLAG_TF | FLAG_RF;
	f = delivered(vm, gp(vm, 0x0f, 0x06), EXC_DB); /* clts */
	assert_int_equal(f.eip, AT_CODE + 2);
	assert_int_equal(f.flags & (FLAG_TF | FLAG_RF), FLAG_TF);
	assert_true(vm->cpu.dr[6] & 0x4000);
	assert_false(vm->cpu.rflags & FLAG_TF);
}

static void test_single_step_of_int(void **state)
{
	struct vm *vm = *state;

	vm->cpu.rflags |= FLAG_TF; /* the handler starts with it clear: no step is reported */
	assert_int_equal(delivered(vm, gp(vm, 0xcd, 0x40), 0x40).eip, AT_CODE + 2);
}

static void test_single_step_of_a_fault(void **state)
{
	struct vm *vm = *state;

	vm->cpu.rflags |= FLAG_TF;
	assert_true(delivered(vm, gp(vm, 0x0f, 0x30), EXC_GP).flags & FLAG_TF);
	assert_false(vm->cpu.dr[6] & 0x4000);
}

static void test_single_step_after_the_vmms_answer(void **state)
{
	struct vm *vm = *state;

	vm->cpu.rflags |= FLAG_TF;
	assert_int_equal(gp(vm, 0xe4, 0xf4), CORE_EXIT);
	assert_int_equal(delivered(vm, core_resume(vm), EXC_DB).eip, AT_CODE + 2);
}

/* mov and pop to SS hold the step back by one instruction (SDM vol. 3, 6.8.3). */
static void test_single_step_of_mov_to_ss(void **state)
{
	struct vm *vm = *state;

	vm->cpu.rflags |= FLAG_TF;
	vm->cpu.gpr[GPR_AX] = KDS;
	assert_next(vm, gp(vm, 0x8e, 0xd0), AT_CODE + 2);
	poke32(vm, AT_KSTACK, KDS);
	assert_next(vm, gp(vm, 0x17), AT_CODE + 3);
	poke16(vm, AT_DATA + 4, KDS); /* but lss does not */
	poke32(vm, AT_DATA, AT_KSTACK);
	assert_int_equal(delivered(vm, gp(vm, 0x0f, 0xb2, 0x25, IMM32(AT_DATA)), EXC_DB).eip,
			 AT_CODE + 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_cli_sti),
		VM_TEST(test_user_may_not),
		VM_TEST(test_cr0),
		VM_TEST(test_cr0_reserved_bits_stay_clear),
		VM_TEST(test_cr2_cr3_cr4),
		VM_TEST(test_what_flushes_the_shadow),
		VM_TEST(test_no_other_control_registers),
		VM_TEST(test_clts_lmsw_smsw),
		VM_TEST(test_debug_registers),
		VM_TEST(test_table_registers),
		VM_TEST(test_table_load_limit),
		VM_TEST(test_msrs),
		VM_TEST(test_rdtsc),
		VM_TEST(test_caches_and_cpuid),
		VM_TEST(test_xsetbv),
		VM_TEST(test_guests_own_fault),
		VM_TEST(test_too_long_instruction),
		VM_TEST(test_fetch_next_to_an_absent_page),
		VM_TEST(test_instruction_straddles_absent_page),
		VM_TEST(test_instruction_straddles_limit),
		VM_TEST(test_instruction_straddles_4_gib),
		VM_TEST(test_single_step),
		VM_TEST(test_single_step_of_int),
		VM_TEST(test_single_step_of_a_fault),
		VM_TEST(test_single_step_after_the_vmms_answer),
		VM_TEST(test_single_step_of_mov_to_ss),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
