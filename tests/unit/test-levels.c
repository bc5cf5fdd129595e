/*
 * Unit tests of the core under an engine whose CPU has the guest's privilege levels and modes
 * itself (vm->levels): what is delivered in real mode and vm86, what the PV page is not, and what
 * comes in.
 */
#include "mock-host.h"

#include <string.h>

#define REAL_CS 0x1000 /* at AT_CODE */
#define REAL_SS 0x2000
#define REAL_SP 0x100

static struct vm *levels(void **state)
{
	struct vm *vm = *state;

	vm->levels = vm->two_views = true;
	return vm;
}

static void set_real(struct segment *s, u16 selector)
{
	*s = (struct segment){.selector = selector,
			      .base = (u32)selector << 4,
			      .limit = 0xffff,
			      .attr = SEG_P | SEG_S | SEG_TYPE_WRITE | SEG_TYPE_ACCESSED};
}

static struct vm *real_mode(void **state)
{
	struct vm *vm = levels(state);

	vm->cpu.cr0 &= ~(u64)CR0_PE;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		set_real(&vm->cpu.seg[i], i == SEG_CS ? REAL_CS : REAL_SS);
	vm->cpu.rip = 0x20;
	vm->cpu.gpr[GPR_SP] = 0xabcd0000 | REAL_SP;
	vm->cpu.idtr = (struct table_register){.limit = 0x3ff};
	return vm;
}

static void test_real_mode(void **state)
{
	struct vm *vm = real_mode(state);
	const u32 at = (REAL_SS << 4) + REAL_SP;

	poke16(vm, 8 * 4, 0x1234);
	poke16(vm, 8 * 4 + 2, 0x3000);
	vm->cpu.rflags = FLAG_ONE | FLAG_CF | FLAG_TF | FLAG_AC;
	vm_set_if(vm, FLAG_IF);
	assert_true(reflect(vm, 8, EVENT_EXTERNAL, false, 0));
	assert_int_equal(vm->cpu.gpr[GPR_SP], 0xabcd0000 | (REAL_SP - 6));
	assert_int_equal(peek16(vm, at - 2), FLAG_ONE | FLAG_CF | FLAG_TF | FLAG_IF);
	assert_int_equal(peek16(vm, at - 4), REAL_CS);
	assert_int_equal(peek16(vm, at - 6), 0x20);
	assert_int_equal(vm->cpu.rip, 0x1234);
	assert_int_equal(vm->cpu.seg[SEG_CS].selector, 0x3000);
	assert_int_equal(vm->cpu.seg[SEG_CS].base, 0x30000);
	assert_int_equal(vm->cpu.rflags & (FLAG_TF | FLAG_AC), 0);
	assert_int_equal(vm_if(vm), 0);
}

/* No error code is pushed, and the table may be elsewhere; beyond its end there is nothing. */
static void test_real_mode_table(void **state)
{
	struct vm *vm = real_mode(state);

	vm->cpu.idtr = (struct table_register){.base = AT_DATA, .limit = 14 * 4 - 1};
	poke16(vm, AT_DATA + 13 * 4, 0x77);
	poke16(vm, AT_DATA + 13 * 4 + 2, 0);
	assert_true(reflect(vm, EXC_GP, EVENT_FAULT, true, 0x1234));
	assert_int_equal(vm->cpu.rip, 0x77);
	assert_int_equal((u16)vm->cpu.gpr[GPR_SP], REAL_SP - 6);
	assert_false(vm->cpu.shutdown);
	/* 14 is not there: #GP, which is. With neither: the end. */
	assert_true(reflect(vm, 14, EVENT_EXTERNAL, false, 0));
	assert_int_equal(vm->cpu.rip, 0x77);
	vm->cpu.idtr.limit = 3;
	assert_true(reflect(vm, 14, EVENT_EXTERNAL, false, 0));
	assert_true(vm->cpu.shutdown);
}

static struct vm *vm86(void **state)
{
	struct vm *vm = levels(state);

	vm_user(vm);
	for (unsigned i = 0; i < SEG_COUNT; i++)
		set_real(&vm->cpu.seg[i], 0x3000 + i);
	vm->cpu.rflags = FLAG_ONE | FLAG_VM;
	vm->cpu.rip = 0x44;
	vm->cpu.gpr[GPR_SP] = 0x555;
	return vm;
}

static void test_vm86(void **state)
{
	static const enum seg_reg pushed[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES, SEG_SS};
	struct vm *vm = vm86(state);
	const u32 sp = AT_TSS_STACK;

	assert_true(reflect(vm, EXC_GP, EVENT_FAULT, true, 0));
	assert_int_equal(vm->cpu.gpr[GPR_SP], sp - 40);
	for (unsigned i = 0; i < ARRAY_SIZE(pushed); i++)
		assert_int_equal(peek32(vm, sp - 4 * (i + 1)), 0x3000 + pushed[i]);
	assert_int_equal(peek32(vm, sp - 24), 0x555);
	assert_int_equal(peek32(vm, sp - 28), FLAG_ONE | FLAG_VM);
	assert_int_equal(peek32(vm, sp - 32), 0x3000 + SEG_CS);
	assert_int_equal(peek32(vm, sp - 36), 0x44);
	assert_int_equal(vm->cpu.rflags & FLAG_VM, 0);
	assert_int_equal(vm_cpl(vm), 0);
	assert_int_equal(vm->cpu.seg[SEG_CS].selector, KCS);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(vm->cpu.seg[pushed[i]].selector, 0);
}

/* Only a handler at CPL 0 may be entered from there. */
static void test_vm86_gate(void **state)
{
	struct vm *vm = vm86(state);

	put_gate(vm, 0x21, UCS, HANDLER(0x21), D_INT32);
	assert_true(reflect(vm, 0x21, EVENT_EXTERNAL, false, 0));
	assert_int_equal(vm->cpu.rip, HANDLER(EXC_GP));
	assert_int_equal(peek32(vm, (u32)vm->cpu.gpr[GPR_SP]), (UCS & ~3) | 1);
}

/* Ports are the bitmap's to allow, whatever IOPL says. */
static void test_vm86_ports(void **state)
{
	struct vm *vm = vm86(state);

	vm->cpu.iopl = 3;
	poke16(vm, AT_TSS + 0x66, 0x68);
	vm->cpu.seg[SEG_CS].base = AT_USER_CODE;
	assert_fault(vm, gp(vm, 0xe4, 0x20), EXC_GP, 0, 0x44);
}

/* Its linear address is an address like any other. */
static void test_no_pv_page(void **state)
{
	struct vm *vm = levels(state);
	u32 value = 0;

	vm_paging(vm, KPAGE);
	assert_false(mem_read(vm, PLEX86_PV_PAGE, &value, sizeof(value), false));
	assert_int_equal(vm->exc.vector, EXC_PF);
	/* And mapped like any other. */
	*pde_of(vm, PLEX86_PV_PAGE) = AT_PT | KPAGE;
	*pte_of(vm, PLEX86_PV_PAGE) = AT_DATA | KPAGE;
	poke32(vm, AT_DATA + 8, 0x1234);
	assert_true(mem_read(vm, PLEX86_PV_PAGE + 8, &value, sizeof(value), false));
	assert_int_equal(value, 0x1234);
	assert_int_equal(
		core_access(vm, &(struct trap){.vector = EXC_PF, .address = PLEX86_PV_PAGE}),
		CORE_RESUME);
	assert_int_equal(MOCK_GPA(mock_mapping(vm, PLEX86_PV_PAGE)), AT_DATA);
	/* It goes with the rest. */
	vm->cpu.cr4 = 0;
	shadow_flush(vm);
	*pte_of(vm, PLEX86_PV_PAGE) = 0;
	assert_true(shadow_load_cr3(vm));
	assert_int_equal(mock_mapping(vm, PLEX86_PV_PAGE), 0);
}

/* The rights that count are those of the access, not of the CPL. */
static void test_access(void **state)
{
	struct vm *vm = levels(state);
	const struct trap kernel = {.vector = EXC_PF, .address = AT_DATA};
	const struct trap user = {.vector = EXC_PF, .error = PF_USER, .address = AT_DATA};

	vm_paging(vm, KPAGE);
	vm_user(vm);
	assert_int_equal(core_access(vm, &kernel), CORE_RESUME);
	assert_int_equal(MOCK_GPA(mock_mapping(vm, AT_DATA)), AT_DATA);
	assert_int_equal(vm->cpu.rip, AT_USER_CODE);
	assert_fault(vm, core_access(vm, &user), EXC_PF, PF_USER | PF_PRESENT, AT_USER_CODE);
}

static void test_exceptions(void **state)
{
	struct vm *vm = levels(state);
	const struct trap missing = {.vector = EXC_NP, .error = 0x58};

	assert_fault(vm, core_exception(vm, &missing, true), EXC_NP, 0x58, AT_CODE);
}

/* What the core writes where there are translations is told; elsewhere, and reads, are not. */
static void test_translated_pages(void **state)
{
	struct vm *vm = levels(state);
	u8 *held = calloc(VM_RAM / PAGE_SIZE_4K, 1);
	u32 value = 0;

	vm->translated = held;
	held[AT_DATA / PAGE_SIZE_4K] = 1;
	assert_true(mem_read(vm, AT_DATA, &value, sizeof(value), false));
	assert_true(mem_write(vm, AT_DATA + PAGE_SIZE_4K, &value, sizeof(value), false));
	assert_false(vm->code_written);
	assert_true(mem_write(vm, AT_DATA - 2, &value, sizeof(value), false));
	assert_true(vm->code_written);
	vm->translated = NULL;
	free(held);
}

static void test_leaving_protected_mode(void **state)
{
	struct vm *vm = levels(state);

	vm->cpu.gpr[GPR_AX] = CR0_ET;
	assert_next(vm, gp(vm, 0x0f, 0x22, 0xc0), AT_CODE + 3);
	assert_int_equal(vm->cpu.cr0 & CR0_PE, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_real_mode),
		VM_TEST(test_real_mode_table),
		VM_TEST(test_vm86),
		VM_TEST(test_vm86_gate),
		VM_TEST(test_vm86_ports),
		VM_TEST(test_no_pv_page),
		VM_TEST(test_access),
		VM_TEST(test_exceptions),
		VM_TEST(test_translated_pages),
		VM_TEST(test_leaving_protected_mode),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
