/*
 * Unit tests of common/reflect.c: delivery of exceptions and interrupts (SDM vol. 3, chapter 6).
 */
#include "mock-host.h"

#include <string.h>

#define ALL_FLAGS \
	(FLAG_CF | FLAG_ZF | FLAG_TF | FLAG_DF | FLAG_NT | FLAG_RF | FLAG_AC | FLAG_ID | FLAG_ONE)

static void fault(struct vm *vm, u8 vector, u32 error)
{
	assert_true(reflect(vm, vector, EVENT_FAULT, true, error));
}

/* ------------------------------------------------------------ frames ---- */

static void test_same_level_frame(void **state)
{
	struct vm *vm = *state;
	u32 sp = AT_KSTACK;

	vm->cpu.rflags = ALL_FLAGS;
	vm->cpu.iopl = 2;
	vm_set_if(vm, FLAG_IF);
	memset(vm->ram + sp - 32, 0xee, 64);
	fault(vm, EXC_GP, 0x1234);
	assert_int_equal(vm->cpu.gpr[GPR_SP], sp - 16);
	assert_int_equal(peek32(vm, sp - 4), ALL_FLAGS | FLAG_IF | 2 << 12);
	assert_int_equal(peek32(vm, sp - 8), KCS);
	assert_int_equal(peek32(vm, sp - 12), AT_CODE);
	assert_int_equal(peek32(vm, sp - 16), 0x1234);
	assert_int_equal(peek32(vm, sp - 20), 0xeeeeeeee);
	assert_int_equal(peek32(vm, sp), 0xeeeeeeee);
	assert_int_equal(vm->cpu.rip, HANDLER(EXC_GP));
	assert_int_equal(vm->cpu.seg[SEG_CS].selector, KCS);
}

static void test_inner_level_frame(void **state)
{
	struct vm *vm = *state;
	u32 sp = AT_TSS_STACK;

	vm_user(vm);
	vm->cpu.rflags = FLAG_ONE | FLAG_CF;
	vm_set_if(vm, FLAG_IF);
	fault(vm, EXC_PF, 5);
	assert_int_equal(vm->cpu.gpr[GPR_SP], sp - 24);
	assert_int_equal(peek32(vm, sp - 4), UDS);
	assert_int_equal(peek32(vm, sp - 8), AT_USER_STACK);
	assert_int_equal(peek32(vm, sp - 12), FLAG_ONE | FLAG_CF | FLAG_IF);
	assert_int_equal(peek32(vm, sp - 16), UCS);
	assert_int_equal(peek32(vm, sp - 20), AT_USER_CODE);
	assert_int_equal(peek32(vm, sp - 24), 5);
	assert_int_equal(vm_cpl(vm), 0);
	assert_int_equal(vm->cpu.seg[SEG_SS].selector, KDS);
	assert_int_equal(vm->cpu.seg[SEG_CS].selector, KCS);
	/* Data segments stay as the user left them. */
	assert_int_equal(vm->cpu.seg[SEG_DS].selector, UDS);
}

static void test_no_error_code(void **state)
{
	struct vm *vm = *state;

	assert_true(reflect(vm, EXC_UD, EVENT_FAULT, false, 0));
	assert_int_equal(vm->cpu.gpr[GPR_SP], AT_KSTACK - 12);
	assert_int_equal(peek32(vm, AT_KSTACK - 12), AT_CODE);
}

static void test_16_bit_gate(void **state)
{
	struct vm *vm = *state;
	u32 sp = AT_TSS_STACK;

	vm_user(vm);
	put_gate(vm, EXC_GP, KCS, 0xabcd1234, D_INT16);
	vm->cpu.gpr[GPR_SP] = 0x5554000;
	fault(vm, EXC_GP, 0x18);
	assert_int_equal(vm->cpu.rip, 0x1234);
	assert_int_equal(vm->cpu.gpr[GPR_SP], sp - 12);
	assert_int_equal(peek16(vm, sp - 2), UDS);
	assert_int_equal(peek16(vm, sp - 4), 0x4000);
	assert_int_equal(peek16(vm, sp - 8), UCS);
	assert_int_equal(peek16(vm, sp - 10), AT_USER_CODE & 0xffff);
	assert_int_equal(peek16(vm, sp - 12), 0x18);
}

static void test_16_bit_stack(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, SPARE, descriptor(0x20000, 0xffff, D_DATA, 0));
	assert_true(seg_load(vm, SEG_SS, SPARE));
	vm->cpu.gpr[GPR_SP] = 0xabc01000;
	fault(vm, EXC_GP, 7);
	assert_int_equal(vm->cpu.gpr[GPR_SP], 0xabc00ff0);
	assert_int_equal(peek32(vm, 0x20ff0), 7);
}

static void test_flags_in_the_handler(void **state)
{
	struct vm *vm = *state;

	put_gate(vm, EXC_UD, KCS, HANDLER(EXC_UD), D_TRAP32);
	vm_set_if(vm, FLAG_IF);
	vm->cpu.rflags = ALL_FLAGS;
	assert_true(reflect(vm, EXC_UD, EVENT_FAULT, false, 0));
	assert_int_equal(vm->cpu.rflags & (FLAG_TF | FLAG_NT | FLAG_RF), 0);
	assert_int_equal(vm->cpu.rflags & (FLAG_AC | FLAG_DF | FLAG_CF | FLAG_ID),
			 FLAG_DF | FLAG_CF | FLAG_ID); /* AC: see reflect.c */
	assert_int_equal(vm_if(vm), FLAG_IF);	       /* a trap gate leaves it */
	fault(vm, EXC_GP, 0);
	assert_int_equal(vm_if(vm), 0);
}

static void test_conforming_handler_keeps_cpl(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, SPARE, descriptor(0, 0xfffff, D_CODE_CONF, D_FLAT));
	put_gate(vm, EXC_UD, SPARE, HANDLER(EXC_UD), D_INT32);
	vm_user(vm);
	vm->cpu.rflags |= FLAG_AC;
	assert_true(reflect(vm, EXC_UD, EVENT_FAULT, false, 0));
	assert_int_equal(vm_cpl(vm), 3);
	assert_int_equal(vm->cpu.seg[SEG_CS].selector, SPARE | 3);
	assert_int_equal(vm->cpu.gpr[GPR_SP], AT_USER_STACK - 12);
	assert_true(vm->cpu.rflags & FLAG_AC);
}

static void test_wakes_from_halt(void **state)
{
	struct vm *vm = *state;

	vm->cpu.halted = true;
	assert_true(reflect(vm, 0x20, EVENT_EXTERNAL, false, 0));
	assert_false(vm->cpu.halted);
}

/* ------------------------------------------------- checks and error codes ---- */

/* Delivery of `vector` fails: `second` is delivered instead, with this error code. */
static void assert_second(struct vm *vm, u8 vector, enum event_kind kind, u8 second, u32 error)
{
	u32 rip = vm->cpu.rip;
	struct frame f;

	if (kind == EVENT_SOFT)
		assert_true(reflect_soft(vm, vector, 2));
	else
		assert_true(reflect(vm, vector, kind, false, 0));
	assert_false(vm->cpu.shutdown);
	f = delivered(vm, CORE_RESUME, second);
	assert_int_equal(f.error, error);
	assert_int_equal(f.eip, rip); /* for soft interrupts: the instruction itself */
	if (vm_cpl(vm) == 0)
		vm_kernel(vm);
}

static void assert_gate_refused(struct vm *vm, u8 second, u32 soft_error)
{
	assert_second(vm, 0x40, EVENT_SOFT, second, soft_error);
	assert_second(vm, 0x40, EVENT_EXTERNAL, second, soft_error | 1);
}

static void test_gate_checks(void **state)
{
	static const u8 wrong[] = {0x80, 0x81, 0x82, 0x83, 0x84, 0x88, 0x89,
				   0x8a, 0x8b, 0x8c, 0x8d, 0x9e, 0x9f, 0x96};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		put_gate(vm, 0x40, KCS, HANDLER(0x40), wrong[i]);
		assert_gate_refused(vm, EXC_GP, 0x40 * 8 + 2);
	}
	put_gate(vm, 0x40, KCS, HANDLER(0x40), D_INT32 & ~D_ABSENT);
	assert_gate_refused(vm, EXC_NP, 0x40 * 8 + 2);
	vm->cpu.idtr.limit = 0x40 * 8 + 6;
	assert_gate_refused(vm, EXC_GP, 0x40 * 8 + 2);
	vm->cpu.idtr.limit++;
	put_gate(vm, 0x40, KCS, HANDLER(0x40), D_INT32);
	assert_true(reflect_soft(vm, 0x40, 2));
	delivered(vm, CORE_RESUME, 0x40);
}

static void test_gate_dpl_counts_for_software_only(void **state)
{
	struct vm *vm = *state;

	put_gate(vm, 0x40, KCS, HANDLER(0x40), D_INT32 & ~D_ABSENT);
	vm_user(vm); /* DPL is checked before presence */
	assert_second(vm, 0x40, EVENT_SOFT, EXC_GP, 0x40 * 8 + 2);
	put_gate(vm, 0x40, KCS, HANDLER(0x40), D_INT32);
	vm_user(vm);
	assert_true(reflect(vm, 0x40, EVENT_EXTERNAL, false, 0));
	delivered(vm, CORE_RESUME, 0x40);
	vm_user(vm);
	put_gate(vm, 0x40, KCS, HANDLER(0x40), D_INT32 | D_DPL3);
	assert_true(reflect_soft(vm, 0x40, 2));
	assert_int_equal(delivered(vm, CORE_RESUME, 0x40).eip, AT_USER_CODE + 2);
}

static void test_handler_segment_checks(void **state)
{
	struct vm *vm = *state;

	put_gate(vm, 0x40, 3, HANDLER(0x40), D_INT32); /* null */
	assert_gate_refused(vm, EXC_GP, 0);
	put_gate(vm, 0x40, GDT_LIMIT + 1, HANDLER(0x40), D_INT32);
	assert_gate_refused(vm, EXC_GP, GDT_LIMIT + 1);
	put_gate(vm, 0x40, KDS, HANDLER(0x40), D_INT32);
	assert_gate_refused(vm, EXC_GP, KDS);
	put_gate(vm, 0x40, UCS, HANDLER(0x40), D_INT32); /* DPL 3 from CPL 0 */
	assert_gate_refused(vm, EXC_GP, UCS & ~3);
	put_descriptor(vm, SPARE, descriptor(0, 0xfffff, D_CODE & ~D_ABSENT, D_FLAT));
	put_gate(vm, 0x40, SPARE, HANDLER(0x40), D_INT32);
	assert_gate_refused(vm, EXC_NP, SPARE);
	put_descriptor(vm, SPARE, descriptor(0, HANDLER(0x40) - 1, D_CODE, D_32));
	assert_gate_refused(vm, EXC_GP, 0); /* EIP beyond the limit */
}

static void test_new_stack_checks(void **state)
{
	static const struct {
		u16 ss;
		u8 access; /* of SPARE */
		u8 second;
		u32 error;
	} cases[] = {
		{0, D_DATA, EXC_TS, 0},
		{GDT_LIMIT + 1, D_DATA, EXC_TS, GDT_LIMIT + 1},
		{KDS | 1, D_DATA, EXC_TS, KDS},
		{UDS & ~3, D_DATA, EXC_TS, UDS & ~3},
		{SPARE, D_DATA_RO, EXC_TS, SPARE},
		{SPARE, D_CODE, EXC_TS, SPARE},
		{SPARE, D_LDT, EXC_TS, SPARE},
		{SPARE, D_DATA & ~D_ABSENT, EXC_SS, SPARE},
	};
	struct vm *vm = *state;

	put_gate(vm, 0x40, KCS, HANDLER(0x40), D_INT32 | D_DPL3);
	/* The second exception finds a conforming handler, which needs no new stack. */
	put_descriptor(vm, SPARE2, descriptor(0, 0xfffff, D_CODE_CONF, D_FLAT));
	put_gate(vm, EXC_TS, SPARE2, HANDLER(EXC_TS), D_INT32);
	put_gate(vm, EXC_SS, SPARE2, HANDLER(EXC_SS), D_INT32);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		put_descriptor(vm, SPARE, descriptor(0, 0xfffff, cases[i].access, D_FLAT));
		poke16(vm, AT_TSS + 8, cases[i].ss);
		vm_user(vm);
		assert_second(vm, 0x40, EVENT_SOFT, cases[i].second, cases[i].error);
		vm_user(vm);
		assert_second(vm, 0x40, EVENT_EXTERNAL, cases[i].second, cases[i].error | 1);
	}
	/* No room on the new stack. */
	poke16(vm, AT_TSS + 8, SPARE);
	put_descriptor(vm, SPARE, descriptor(0, 0x100, D_DATA, D_32));
	poke32(vm, AT_TSS + 4, 0x110);
	vm_user(vm);
	assert_second(vm, 0x40, EVENT_SOFT, EXC_SS, SPARE);
	/* No room in the TSS. */
	vm->cpu.tr.limit = 8;
	vm_user(vm);
	assert_second(vm, 0x40, EVENT_SOFT, EXC_TS, TSS);
}

static void test_present_stack_without_room(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, SPARE, descriptor(0, 0x20000, D_DATA, D_32));
	assert_true(seg_load(vm, SEG_SS, SPARE));
	vm->cpu.gpr[GPR_SP] = 0x20008;
	put_gate(vm, EXC_SS, KCS, HANDLER(EXC_SS), D_TASK);
	assert_false(reflect_soft(vm, 0x40, 2)); /* stops at the task gate of #SS */
	assert_int_equal(vm->exit.fault.reason, FAULT_TASK);
	assert_int_equal(vm->exc.vector, EXC_SS);
	assert_int_equal(vm->exc.error, 0);
}

static void test_task_gate_stops(void **state)
{
	struct vm *vm = *state;

	put_gate(vm, EXC_UD, SPARE, 0, D_TASK);
	assert_stopped(vm, trap_vector(vm, EXC_UD, 0), FAULT_TASK);
	assert_int_equal(vm->exit.fault.detail, SPARE);
}

static void test_accessed_bits_of_handler_segments(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, KCS, descriptor(0, 0xfffff, D_CODE & ~1, D_FLAT));
	put_descriptor(vm, KDS, descriptor(0, 0xfffff, D_DATA & ~1, D_FLAT));
	vm_user(vm);
	fault(vm, EXC_GP, 0);
	assert_int_equal(get_descriptor(vm, KCS) >> 40 & 1, 1);
	assert_int_equal(get_descriptor(vm, KDS) >> 40 & 1, 1);
}

/* ------------------------------------------------ double and triple faults ---- */

static bool contributory(u8 vector)
{
	return vector == EXC_DE || vector == EXC_TS || vector == EXC_NP || vector == EXC_SS ||
	       vector == EXC_GP;
}

/* Make delivery of `vector` raise `second`. */
static void break_gate(struct vm *vm, u8 vector, u8 second)
{
	switch (second) {
	case EXC_GP:
		put_gate(vm, vector, 0, HANDLER(vector), D_INT32);
		break;
	case EXC_NP:
		put_gate(vm, vector, KCS, HANDLER(vector), D_INT32 & ~D_ABSENT);
		break;
	case EXC_PF: /* the descriptor of its code segment lies on an absent page */
		put_gate(vm, vector, 0x1008, HANDLER(vector), D_INT32);
		break;
	}
}

/* SDM vol. 3, table 6-5, for every exception and the second ones that a gate can raise. */
static void test_double_fault_table(void **state)
{
	static const u8 seconds[] = {EXC_GP, EXC_NP, EXC_PF};
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W | PTE_U);
	vm->cpu.gdtr.limit = 0x1fff;
	*pte_of(vm, AT_GDT + 0x1000) = 0;
	for (unsigned first = 0; first < 20; first++)
		for (unsigned i = 0; i < ARRAY_SIZE(seconds); i++) {
			u8 second = seconds[i];
			bool pf = first == EXC_PF, df;

			if (first == second || first == EXC_DF)
				continue; /* see below */
			vm_kernel(vm);
			break_gate(vm, first, second);
			df = (contributory(first) && contributory(second)) ||
			     (pf && contributory(second));
			assert_true(reflect(vm, first, EVENT_FAULT, false, 0));
			assert_int_equal(vm->cpu.rip, HANDLER(df ? EXC_DF : second));
			if (df)
				assert_int_equal(peek32(vm, vm->cpu.gpr[GPR_SP]), 0);
			put_gate(vm, first, KCS, HANDLER(first), D_INT32);
		}
}

static void test_same_exception_twice(void **state)
{
	static const u8 vectors[] = {EXC_GP, EXC_NP, EXC_PF};
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W | PTE_U);
	vm->cpu.gdtr.limit = 0x1fff;
	*pte_of(vm, AT_GDT + 0x1000) = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++) {
		vm_kernel(vm);
		break_gate(vm, vectors[i], vectors[i]);
		fault(vm, vectors[i], 0);
		assert_fault(vm, CORE_RESUME, EXC_DF, 0, AT_CODE);
	}
}

/* An interrupt is benign, whatever its vector: a fault in its delivery is an ordinary one. */
static void test_interrupts_are_benign(void **state)
{
	struct vm *vm = *state;

	break_gate(vm, 13, EXC_NP);
	assert_second(vm, 13, EVENT_EXTERNAL, EXC_NP, 13 * 8 + 3);
	assert_second(vm, 13, EVENT_SOFT, EXC_NP, 13 * 8 + 2);
	/* But the fault's own delivery may fail in turn. */
	break_gate(vm, EXC_NP, EXC_GP);
	assert_second(vm, 13, EVENT_EXTERNAL, EXC_DF, 0);
}

static void test_triple_fault(void **state)
{
	struct vm *vm = *state;

	vm->cpu.idtr.limit = 0;
	assert_int_equal(trap_vector(vm, EXC_UD, 0), CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_SHUTDOWN);
	assert_true(vm->cpu.shutdown);
	assert_int_equal(vm->cpu.rip, AT_CODE);
	assert_int_equal(core_kick(vm), CORE_EXIT); /* for good */
	assert_int_equal(vm->exit.kind, EXIT_SHUTDOWN);
}

/* A vector of 8 that is an interrupt is not a double fault in progress. */
static void test_interrupt_8_is_no_double_fault(void **state)
{
	struct vm *vm = *state;

	break_gate(vm, EXC_DF, EXC_NP);
	assert_second(vm, EXC_DF, EVENT_SOFT, EXC_NP, 8 * 8 + 2);
}

/* ------------------------------------------------------- CR2 of pushes ---- */

static void test_fault_of_a_push(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W | PTE_U);
	/* A conforming handler keeps the user's stack, of which the lower page is missing. */
	put_descriptor(vm, SPARE2, descriptor(0, 0xfffff, D_CODE_CONF, D_FLAT));
	put_gate(vm, 0x40, SPARE2, HANDLER(0x40), D_INT32 | D_DPL3);
	*pte_of(vm, 0x40000) = 0;
	vm_user(vm);
	vm->cpu.gpr[GPR_SP] = 0x41004; /* one push fits */
	assert_true(reflect_soft(vm, 0x40, 2));
	assert_fault(vm, CORE_RESUME, EXC_PF, PF_USER | PF_WRITE, AT_USER_CODE);
	assert_int_equal(vm->cpu.cr2, 0x40ffc);
	assert_int_equal(pv_page(vm)->cr2, 0x40ffc);
	assert_int_equal(peek32(vm, 0x41000), 0); /* all or nothing */
}

static void test_push_straddling_pages(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W);
	poke32(vm, AT_TSS + 4, 0x23002);
	*pte_of(vm, 0x23000) = 0;
	vm_user(vm);
	*pte_of(vm, AT_USER_CODE) |= PTE_U;
	put_gate(vm, 0x40, KCS, HANDLER(0x40), D_INT32 | D_DPL3);
	assert_true(reflect_soft(vm, 0x40, 2));
	/* The page fault needs the same stack: a double fault, and that as well: shutdown. */
	assert_true(vm->cpu.shutdown);
	assert_int_equal(vm->cpu.cr2, 0x23000);
}

static void test_stack_accesses_of_inner_levels_are_the_supervisors(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W); /* nothing is the user's */
	vm_user(vm);
	fault(vm, EXC_PF, 5);
	assert_int_equal(vm->cpu.rip, HANDLER(EXC_PF));
	assert_true(*pte_of(vm, AT_TSS_STACK - 1) & PTE_D);
}

/* RF in the image is for faults, whose instruction is to be restarted (SDM vol. 3, 17.3.1.1). */
static void test_rf_of_software_interrupts(void **state)
{
	struct vm *vm = *state;

	vm->cpu.rflags |= FLAG_RF; /* as the trapped int n left it */
	assert_false(delivered(vm, gp(vm, 0xcd, 0x40), 0x40).flags & FLAG_RF);
	vm_kernel(vm);
	vm->cpu.rflags |= FLAG_RF;
	assert_true(delivered(vm, gp(vm, 0x0f, 0x30), EXC_GP).flags & FLAG_RF); /* wrmsr */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_same_level_frame),
		VM_TEST(test_inner_level_frame),
		VM_TEST(test_no_error_code),
		VM_TEST(test_16_bit_gate),
		VM_TEST(test_16_bit_stack),
		VM_TEST(test_flags_in_the_handler),
		VM_TEST(test_conforming_handler_keeps_cpl),
		VM_TEST(test_wakes_from_halt),
		VM_TEST(test_gate_checks),
		VM_TEST(test_gate_dpl_counts_for_software_only),
		VM_TEST(test_handler_segment_checks),
		VM_TEST(test_new_stack_checks),
		VM_TEST(test_present_stack_without_room),
		VM_TEST(test_task_gate_stops),
		VM_TEST(test_accessed_bits_of_handler_segments),
		VM_TEST(test_double_fault_table),
		VM_TEST(test_same_exception_twice),
		VM_TEST(test_interrupts_are_benign),
		VM_TEST(test_triple_fault),
		VM_TEST(test_interrupt_8_is_no_double_fault),
		VM_TEST(test_fault_of_a_push),
		VM_TEST(test_push_straddling_pages),
		VM_TEST(test_stack_accesses_of_inner_levels_are_the_supervisors),
		VM_TEST(test_rf_of_software_interrupts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
