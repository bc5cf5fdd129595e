/*
 * Unit tests of transfers between segments and levels where two things are wrong at once, or the
 * stack is an odd one: which fault comes first (SDM vol. 2, the operation sections), what has been
 * changed by then. What each check is for by itself is in test-far.c, test-reflect.c and
 * test-segment.c.
 */
#include "mock-host.h"

enum { CS1 = SPARE | 1, DS1 = SPARE2 | 1, GATE = 0x58, STACK16 = 0x60, TSS16 = 0x68 };

/* Stores in front of `la` fault. */
static void no_page_before(struct vm *vm, u32 la)
{
	vm_paging(vm, UPAGE);
	*pte_of(vm, la - 4) &= ~PTE_P;
}

static void put_level1(struct vm *vm)
{
	put_descriptor(vm, CS1, descriptor(0, 0xfffff, D_CODE | 0x20, D_FLAT));
	put_descriptor(vm, DS1, descriptor(0, 0xfffff, D_DATA | 0x20, D_FLAT));
}

/* Levels 1 and 2 may not keep the kernel's segments either. */
static void test_return_to_level_1_drops_segments(void **state)
{
	struct vm *vm = *state;
	const u32 frame[] = {0x1234, CS1, 0x5678, DS1};

	put_level1(vm);
	assert_true(seg_load(vm, SEG_ES, UDS));
	poke(vm, AT_KSTACK - sizeof(frame), frame, sizeof(frame));
	vm->cpu.gpr[GPR_SP] = AT_KSTACK - sizeof(frame);
	assert_next(vm, gp(vm, 0xcb), 0x1234);
	assert_int_equal(vm_cpl(vm), 1);
	assert_int_equal(vm->cpu.seg[SEG_DS].selector, 0);
	assert_int_equal(vm->cpu.seg[SEG_ES].selector, UDS);
}

static void kernel_stack_limit(struct vm *vm, u32 limit)
{
	vm->cpu.seg[SEG_SS].limit = limit;
	vm->cpu.seg[SEG_SS].attr &= ~SEG_G;
}

/* #SS comes before the page fault of what lies within the limit. */
static void test_stack_limit_before_its_pages(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, UPAGE);
	*pte_of(vm, AT_DATA) &= ~PTE_P;
	/* iret: the frame's last dword is beyond the limit. #SS finds room for its own frame below,
	 * but no page, and so becomes a page fault in the end: look at what is raised. */
	kernel_stack_limit(vm, AT_DATA + 7);
	vm->cpu.gpr[GPR_SP] = AT_DATA;
	code(vm, 0xcf);
	assert_int_equal(emulate(vm, &(struct trap){.vector = EXC_GP}), EMU_FAULT);
	assert_int_equal(vm->exc.vector, EXC_SS);
	kernel_stack_limit(vm, AT_DATA + 3);
	code(vm, 0xcb);
	assert_int_equal(emulate(vm, &(struct trap){.vector = EXC_GP}), EMU_FAULT);
	assert_int_equal(vm->exc.vector, EXC_SS);
}

/* pop takes a dword, of which the selector is but a half. */
static void test_pop_takes_all_of_its_operand(void **state)
{
	struct vm *vm = *state;

	poke32(vm, AT_KSTACK - 16, KDS);
	vm->cpu.gpr[GPR_SP] = AT_KSTACK - 16;
	kernel_stack_limit(vm, AT_KSTACK - 14);
	assert_fault(vm, gp(vm, 0x07), EXC_SS, 0, AT_CODE);
	vm_kernel(vm);
	vm->cpu.gpr[GPR_SP] = AT_KSTACK - 16;
	kernel_stack_limit(vm, AT_KSTACK - 14);
	assert_next(vm, gp(vm, 0x66, 0x07), AT_CODE + 2);
}

/* A handler beyond its segment's limit is found before anything is pushed. */
static void test_handler_limit_before_pushes(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, SPARE, descriptor(0, 0xfff, D_CODE, D_32));
	put_gate(vm, 0x20, SPARE, 0x1000, D_INT32);
	poke32(vm, AT_KSTACK - 4, 0x55555555);
	assert_true(reflect(vm, 0x20, EVENT_EXTERNAL, false, 0));
	assert_fault(vm, CORE_RESUME, EXC_GP, 1, AT_CODE);
	/* And so is a page that they would have needed: it is #GP, then #PF, then a double fault's
	 * #PF that ends it; with the page first, it would be #PF at once, and CR2 the same. */
	vm_kernel(vm);
	no_page_before(vm, AT_KSTACK);
	put_gate(vm, EXC_GP, SPARE, 0x1000, D_INT32);
	put_gate(vm, EXC_DF, SPARE, 0x1000, D_INT32);
	vm->cpu.cr2 = 0;
	assert_true(reflect(vm, 0x20, EVENT_EXTERNAL, false, 0));
	assert_true(vm->cpu.shutdown);
	assert_int_equal(vm->cpu.cr2, 0);
}

static void test_call_checks_limit_before_pushes(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, SPARE, descriptor(0, 0xfff, D_CODE, D_32));
	/* Without a change of level the stack's limit is looked at first. */
	kernel_stack_limit(vm, AT_KSTACK - 5);
	code(vm, 0x9a, IMM32(0x1000), IMM16(SPARE));
	assert_int_equal(emulate(vm, &(struct trap){.vector = EXC_GP}), EMU_FAULT);
	assert_int_equal(vm->exc.vector, EXC_SS);
	/* With one, parameters are read after that: they are not there. */
	poke(vm, AT_GDT + GATE, &(u64){gate_descriptor(SPARE, 0x1000, D_CALL32 | D_DPL3, 2)}, 8);
	vm_user(vm);
	vm->cpu.seg[SEG_SS].limit = AT_USER_STACK - 1;
	assert_fault(vm, gp(vm, 0x9a, IMM32(0), IMM16(GATE)), EXC_GP, 0, AT_USER_CODE);
}

/* All of ESP comes from the TSS, whichever way the level is entered. */
static void test_call_to_16_bit_stack(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, STACK16, descriptor(0x10000, 0xffff, D_DATA, 0));
	poke32(vm, AT_TSS + 4, 0xabcd8000);
	poke16(vm, AT_TSS + 8, STACK16);
	poke(vm, AT_GDT + GATE, &(u64){gate_descriptor(KCS, 0x1234, D_CALL32 | D_DPL3, 0)}, 8);
	vm_user(vm);
	assert_next(vm, gp(vm, 0x9a, IMM32(0), IMM16(GATE)), 0x1234);
	assert_int_equal(vm->cpu.gpr[GPR_SP], 0xabcd8000 - 16);
}

/* SP wraps around between two pushes; each of them is within the limit. */
static void test_push_wraps_around(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, STACK16, descriptor(0x60000, 0xffff, D_DATA, 0));
	assert_true(seg_load(vm, SEG_SS, STACK16));
	vm->cpu.gpr[GPR_SP] = 0x12340008;
	assert_true(reflect(vm, 0x20, EVENT_EXTERNAL, false, 0));
	assert_int_equal(vm->cpu.rip, HANDLER(0x20));
	assert_int_equal(vm->cpu.gpr[GPR_SP], 0x1234fffc);
	assert_int_equal(peek32(vm, 0x60000), KCS);
	assert_int_equal(peek32(vm, 0x6fffc), AT_CODE);
}

/* ---------------------------------------------------------------- tasks ---- */

static void load_tss16(struct vm *vm)
{
	put_descriptor(vm, TSS16, descriptor(AT_DATA, 0x2b, 0x81, 0));
	vm->cpu.gpr[GPR_AX] = TSS16;
	assert_next(vm, gp(vm, 0x0f, 0x00, 0xd8), AT_CODE + 3); /* ltr %ax */
	assert_int_equal(get_descriptor(vm, TSS16) >> 40 & 0xff, 0x83);
}

static void test_stack_from_16_bit_tss(void **state)
{
	struct vm *vm = *state;

	load_tss16(vm);
	poke16(vm, AT_DATA + 2, 0x9000);
	poke16(vm, AT_DATA + 4, KDS);
	vm_user(vm);
	assert_true(reflect(vm, 0x20, EVENT_EXTERNAL, false, 0));
	assert_int_equal(vm->cpu.rip, HANDLER(0x20));
	assert_int_equal(vm->cpu.gpr[GPR_SP], 0x9000 - 20);
}

static void test_no_bitmap_in_16_bit_tss(void **state)
{
	struct vm *vm = *state;

	load_tss16(vm);
	vm->cpu.tr.limit = 0xff; /* what follows is 0, and would allow all of it */
	poke16(vm, AT_DATA + 2, 0x9000);
	poke16(vm, AT_DATA + 4, KDS);
	vm_user(vm);
	assert_fault(vm, gp(vm, 0xe4, 0x61), EXC_GP, 0, AT_USER_CODE); /* in $0x61, %al */
}

/* The task that iret returns to: any busy TSS, which must be present. */
static void test_nested_return_checks(void **state)
{
	struct vm *vm = *state;

	poke16(vm, AT_TSS, SPARE);
	put_descriptor(vm, SPARE, descriptor(AT_DATA, 0x67, 0x0b, 0));
	vm->cpu.rflags |= FLAG_NT;
	assert_fault(vm, gp(vm, 0xcf), EXC_NP, SPARE, AT_CODE);
	vm_kernel(vm);
	put_descriptor(vm, SPARE, descriptor(AT_DATA, 0x2b, 0x83, 0));
	vm->cpu.rflags |= FLAG_NT;
	assert_stopped(vm, gp(vm, 0xcf), FAULT_TASK);
}

static void test_tss_in_ldt(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, 0x0c, descriptor(AT_DATA, 0x67, D_TSS, 0));
	assert_fault(vm, gp(vm, 0xea, IMM32(0), IMM16(0x0c)), EXC_GP, 0x0c, AT_CODE);
	vm_kernel(vm);
	put_descriptor(vm, 0x0c, gate_descriptor(SPARE, 0, D_TASK, 0));
	assert_stopped(vm, gp(vm, 0xea, IMM32(0), IMM16(0x0c)), FAULT_TASK);
}

/* ------------------------------------------------------------ RF and TF ---- */

static void iret_frame(struct vm *vm, u32 flags)
{
	const u32 frame[] = {0x1234, KCS, flags};

	vm->cpu.gpr[GPR_SP] = AT_KSTACK - sizeof(frame);
	poke(vm, AT_KSTACK - sizeof(frame), frame, sizeof(frame));
}

/* The image of a fault has it set, also of one that comes of a delivery (SDM vol. 3, 17.3.1.1). */
static void test_rf_of_faults(void **state)
{
	struct vm *vm = *state;

	vm_user(vm);
	assert_true(delivered(vm, gp(vm, 0xcd, 0x81), EXC_GP).flags & FLAG_RF);
	vm_kernel(vm);
	put_gate(vm, 0x20, KCS, HANDLER(0x20), D_INT32 & ~D_ABSENT);
	assert_true(reflect(vm, 0x20, EVENT_EXTERNAL, false, 0));
	assert_true(delivered(vm, CORE_RESUME, EXC_NP).flags & FLAG_RF);
	vm_kernel(vm); /* without a trap of the hardware's */
	vm->cpu.rflags &= ~(u64)FLAG_RF;
	raise_error(vm, EXC_GP, 0);
	assert_true(reflect_exception(vm));
	assert_true(delivered(vm, CORE_RESUME, EXC_GP).flags & FLAG_RF);
	vm_kernel(vm); /* int1 is no fault */
	vm->cpu.rflags |= FLAG_RF;
	assert_false(delivered(vm, gp(vm, 0xf1), EXC_DB).flags & FLAG_RF);
}

/* On the way to the kernel AC stays, but where that runs at CPL 3 and would be checked. */
static void test_ac_in_the_handler(void **state)
{
	struct vm *vm = *state;

	for (unsigned levels = 0; levels < 2; levels++) {
		vm->levels = levels;
		vm_user(vm);
		vm->cpu.rflags |= FLAG_AC;
		assert_true(reflect(vm, 0x20, EVENT_EXTERNAL, false, 0));
		assert_true(delivered(vm, CORE_RESUME, 0x20).flags & FLAG_AC);
		assert_int_equal(!!(vm->cpu.rflags & FLAG_AC), levels);
	}
}

/* It loads RF; one of 16 bits has none. */
static void test_iret_loads_rf(void **state)
{
	struct vm *vm = *state;
	const u16 frame16[] = {0x1234, KCS, 0};

	iret_frame(vm, FLAG_RF);
	assert_next(vm, gp(vm, 0xcf), 0x1234);
	assert_true(vm->cpu.rflags & FLAG_RF);
	vm_kernel(vm);
	iret_frame(vm, 0);
	assert_next(vm, gp(vm, 0xcf), 0x1234);
	assert_false(vm->cpu.rflags & FLAG_RF);
	vm_kernel(vm);
	poke(vm, AT_KSTACK - 6, frame16, sizeof(frame16));
	vm->cpu.gpr[GPR_SP] = AT_KSTACK - 6;
	vm->cpu.rflags |= FLAG_RF; /* the trap's */
	assert_next(vm, gp(vm, 0x66, 0xcf), 0x1234);
	assert_false(vm->cpu.rflags & FLAG_RF);
}

/* The step is that of the instruction which began with TF. */
static void test_step_over_iret_that_clears_tf(void **state)
{
	struct vm *vm = *state;
	struct frame f;

	iret_frame(vm, 0);
	vm->cpu.rflags |= FLAG_TF;
	f = delivered(vm, gp(vm, 0xcf), EXC_DB);
	assert_int_equal(f.eip, 0x1234);
	assert_false(f.flags & FLAG_TF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_return_to_level_1_drops_segments),
		VM_TEST(test_stack_limit_before_its_pages),
		VM_TEST(test_pop_takes_all_of_its_operand),
		VM_TEST(test_handler_limit_before_pushes),
		VM_TEST(test_call_checks_limit_before_pushes),
		VM_TEST(test_call_to_16_bit_stack),
		VM_TEST(test_push_wraps_around),
		VM_TEST(test_stack_from_16_bit_tss),
		VM_TEST(test_no_bitmap_in_16_bit_tss),
		VM_TEST(test_nested_return_checks),
		VM_TEST(test_tss_in_ldt),
		VM_TEST(test_rf_of_faults),
		VM_TEST(test_ac_in_the_handler),
		VM_TEST(test_iret_loads_rf),
		VM_TEST(test_step_over_iret_that_clears_tf),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
