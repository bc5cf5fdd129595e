/*
 * Unit tests of common/debug.c: breakpoints, watch points and single steps on the mock host, whose
 * hardware is played by the tests: they look at TF and at mappings, move rip, and trap.
 */
#include "mock-host.h"

enum { WATCHED = AT_DATA + 0x100 };

static struct debug_request request;

static void ask(struct vm *vm, u64 step)
{
	request.step = step;
	assert_true(debug_set(vm, &request));
}

static void add_point(u32 la, u32 len, u32 kind)
{
	request.point[request.count++] = (struct debug_point){la, len, kind};
}

static int setup(void **state)
{
	request = (struct debug_request){0};
	return vm_setup(state);
}
#define DEBUG_TEST(name) cmocka_unit_test_setup_teardown(name, setup, vm_teardown)

static void assert_stop(struct vm *vm, enum core_next next, enum debug_stop reason, u32 address)
{
	assert_int_equal(next, CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_DEBUG);
	assert_int_equal(vm->exit.debug.reason, reason);
	assert_int_equal(vm->exit.debug.address, address);
	assert_int_equal(vm->cpu.rflags & FLAG_TF, 0);
}

static void assert_runs(struct vm *vm, enum core_next next, u32 rip, bool stepping)
{
	assert_next(vm, next, rip);
	assert_int_equal(!!(vm->cpu.rflags & FLAG_TF), stepping);
}

/* The hardware, with TF set, has run one instruction and got to `rip`. */
static enum core_next step_to(struct vm *vm, u32 rip)
{
	assert_true(vm->cpu.rflags & FLAG_TF);
	vm->cpu.rip = rip;
	return trap_vector(vm, EXC_DB, 0);
}

static enum core_next fetch_fault(struct vm *vm, u32 rip)
{
	assert_false(mock_mapping(vm, rip) & HOST_EXEC);
	vm->cpu.rip = rip;
	return trap_pf(vm, rip, PF_FETCH | (mock_mapping(vm, rip) ? PF_PRESENT : 0));
}

/* ------------------------------------------------------------- steps ---- */

static void test_step(void **state)
{
	struct vm *vm = *state;

	ask(vm, 1);
	code(vm, 0x90);
	assert_runs(vm, core_kick(vm), AT_CODE, true);
	assert_stop(vm, step_to(vm, AT_CODE + 1), DEBUG_STOP_STEP, AT_CODE + 1);
	assert_runs(vm, core_resume(vm), AT_CODE + 1, true);
	assert_stop(vm, step_to(vm, AT_CODE + 2), DEBUG_STOP_STEP, AT_CODE + 2);
	ask(vm, 0);
	assert_runs(vm, core_resume(vm), AT_CODE + 2, false);
}

static void test_several_steps(void **state)
{
	struct vm *vm = *state;

	add_point(AT_CODE + 2, 1, DEBUG_EXEC);
	ask(vm, 3);
	core_kick(vm);
	assert_runs(vm, step_to(vm, AT_CODE + 1), AT_CODE + 1, true);
	assert_stop(vm, step_to(vm, AT_CODE + 2), DEBUG_STOP_BREAK, AT_CODE + 2);
	assert_int_equal(vm->exit.debug.steps, 2);
	core_resume(vm);
	assert_stop(vm, step_to(vm, AT_CODE + 3), DEBUG_STOP_STEP, AT_CODE + 3);
	assert_int_equal(vm->exit.debug.steps, 3);
}

/* A page that has to be mapped first, a signal: the instruction has not run. */
static void test_no_step_before_the_instruction(void **state)
{
	struct vm *vm = *state;

	ask(vm, 1);
	assert_runs(vm, core_kick(vm), AT_CODE, true);
	assert_runs(vm, trap_pf(vm, AT_DATA, PF_WRITE), AT_CODE, true);
	assert_runs(vm, core_kick(vm), AT_CODE, true);
	assert_stop(vm, step_to(vm, AT_CODE + 6), DEBUG_STOP_STEP, AT_CODE + 6);
}

static void test_step_of_the_emulated(void **state)
{
	struct vm *vm = *state;

	ask(vm, 1);
	core_kick(vm);
	assert_stop(vm, gp(vm, 0x0f, 0x20, 0xd8), DEBUG_STOP_STEP, AT_CODE + 3);
	core_resume(vm);
	/* An exit in the middle of one. */
	vm->cpu.gpr[GPR_DX] = 0x500;
	assert_int_equal(gp(vm, 0xec), CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_IO);
	vm->exit.io.value = 0x42;
	assert_stop(vm, core_resume(vm), DEBUG_STOP_STEP, AT_CODE + 4);
	assert_int_equal(vm->cpu.gpr[GPR_AX] & 0xff, 0x42);
}

static void test_step_into_handlers(void **state)
{
	struct vm *vm = *state;
	u32 sp;

	ask(vm, 1);
	core_kick(vm);
	assert_stop(vm, trap_vector(vm, EXC_UD, 0), DEBUG_STOP_STEP, HANDLER(EXC_UD));
	sp = (u32)vm->cpu.gpr[GPR_SP];
	assert_int_equal(peek32(vm, sp), AT_CODE);
	assert_int_equal(peek32(vm, sp + 8) & FLAG_TF, 0); /* ours is not the guest's to see */
}

static void test_step_of_int80(void **state)
{
	struct vm *vm = *state;

	put_gate(vm, 0x80, KCS, HANDLER(0x80), D_TRAP32 | D_DPL3);
	vm_user(vm);
	ask(vm, 1);
	core_kick(vm);
	vm->cpu.rip = AT_USER_CODE + 2;
	assert_stop(vm, core_int80(vm), DEBUG_STOP_STEP, HANDLER(0x80));
	assert_int_equal(peek32(vm, (u32)vm->cpu.gpr[GPR_SP] + 8) & FLAG_TF, 0);
}

static void test_interrupts_wait(void **state)
{
	struct vm *vm = *state;

	pic_ready(vm);
	vm_set_if(vm, FLAG_IF);
	ask(vm, 1);
	raise_irq(vm);
	assert_runs(vm, core_kick(vm), AT_CODE, true);
	assert_stop(vm, step_to(vm, AT_CODE + 1), DEBUG_STOP_STEP, AT_CODE + 1);
	ask(vm, 0);
	delivered(vm, core_resume(vm), IRQ_VECTOR);
}

static void test_but_not_for_who_is_halted(void **state)
{
	struct vm *vm = *state;

	pic_ready(vm);
	vm_set_if(vm, FLAG_IF);
	ask(vm, 1);
	core_kick(vm);
	assert_int_equal(gp(vm, 0xf4), CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_IDLE);
	raise_irq(vm);
	assert_stop(vm, core_kick(vm), DEBUG_STOP_STEP, HANDLER(IRQ_VECTOR));
}

/* ------------------------------------------------------- the guest's TF ---- */

static void test_guest_steps_as_well(void **state)
{
	struct vm *vm = *state;
	u32 sp;

	vm->cpu.rflags |= FLAG_TF;
	ask(vm, 1);
	core_kick(vm);
	assert_stop(vm, step_to(vm, AT_CODE + 1), DEBUG_STOP_STEP, HANDLER(EXC_DB));
	sp = (u32)vm->cpu.gpr[GPR_SP];
	assert_int_equal(peek32(vm, sp), AT_CODE + 1);
	assert_true(peek32(vm, sp + 8) & FLAG_TF);
}

static void test_pushf_does_not_show_ours(void **state)
{
	struct vm *vm = *state;

	ask(vm, 1);
	code(vm, 0x66, 0x9c);
	core_kick(vm);
	vm->cpu.gpr[GPR_SP] -= 2;
	poke16(vm, vm->cpu.gpr[GPR_SP], 0x302);
	assert_stop(vm, step_to(vm, AT_CODE + 2), DEBUG_STOP_STEP, AT_CODE + 2);
	assert_int_equal(peek16(vm, vm->cpu.gpr[GPR_SP]), 0x202);
}

static void test_pushf_shows_the_guests(void **state)
{
	struct vm *vm = *state;

	vm->cpu.rflags |= FLAG_TF;
	ask(vm, 1);
	code(vm, 0x9c);
	core_kick(vm);
	vm->cpu.gpr[GPR_SP] -= 4;
	poke32(vm, vm->cpu.gpr[GPR_SP], 0x302);
	step_to(vm, AT_CODE + 1);
	assert_int_equal(peek32(vm, vm->cpu.gpr[GPR_SP] + 12), 0x302); /* behind the frame */
}

static void test_popf_loads_the_guests(void **state)
{
	struct vm *vm = *state;

	ask(vm, 1);
	code(vm, 0x9d, 0x90);
	core_kick(vm);
	vm->cpu.rflags |= FLAG_TF; /* as loaded */
	vm->cpu.rip = AT_CODE + 1;
	assert_int_equal(trap_vector(vm, EXC_DB, 0), CORE_EXIT);
	assert_int_equal(vm->exit.debug.reason, DEBUG_STOP_STEP);
	assert_int_equal(vm->cpu.rip, AT_CODE + 1); /* its own trap is behind the next one */
	assert_true(vm->cpu.rflags & FLAG_TF);
	core_resume(vm);
	assert_stop(vm, step_to(vm, AT_CODE + 2), DEBUG_STOP_STEP, HANDLER(EXC_DB));
}

static void test_popf_that_faults(void **state)
{
	struct vm *vm = *state;

	ask(vm, 1);
	code(vm, 0x9d);
	core_kick(vm);
	assert_runs(vm, trap_pf(vm, AT_DATA, 0), AT_CODE, true);
	ask(vm, 0);
	assert_runs(vm, core_kick(vm), AT_CODE, false);
}

static void test_int1_is_the_guests(void **state)
{
	struct vm *vm = *state;

	ask(vm, 1);
	code(vm, 0xf1);
	core_kick(vm);
	assert_stop(vm, step_to(vm, AT_CODE + 1), DEBUG_STOP_STEP, HANDLER(EXC_DB));
	/* Behind an instruction that ends like one it is not. */
	code(vm, 0x01, 0xf1);
	core_resume(vm);
	assert_stop(vm, step_to(vm, HANDLER(EXC_DB) + 2), DEBUG_STOP_STEP, HANDLER(EXC_DB) + 2);
}

/* -------------------------------------------------------- breakpoints ---- */

static void test_breakpoint(void **state)
{
	struct vm *vm = *state;
	const u32 at = AT_CODE + 0x20;

	add_point(at, 1, DEBUG_EXEC);
	ask(vm, 0);
	/* Into its page, which is stepped through. */
	assert_runs(vm, fetch_fault(vm, AT_CODE), AT_CODE, true);
	assert_true(mock_mapping(vm, AT_CODE) & HOST_EXEC);
	assert_runs(vm, step_to(vm, AT_CODE + 1), AT_CODE + 1, true);
	assert_stop(vm, step_to(vm, at), DEBUG_STOP_BREAK, at);
	/* And on: the same one does not stop again before it has run. */
	assert_runs(vm, core_resume(vm), at, true);
	assert_runs(vm, step_to(vm, at + 1), at + 1, true);
	/* Out of the page: at full speed. */
	assert_runs(vm, step_to(vm, AT_CODE + 0x5000), AT_CODE + 0x5000, false);
	assert_false(mock_mapping(vm, AT_CODE) & HOST_EXEC);
	assert_stop(vm, fetch_fault(vm, at), DEBUG_STOP_BREAK, at);
}

static void test_breakpoint_in_mapped_code(void **state)
{
	struct vm *vm = *state;

	trap_pf(vm, AT_CODE, PF_FETCH);
	assert_true(mock_mapping(vm, AT_CODE) & HOST_EXEC);
	add_point(AT_CODE + 0x20, 1, DEBUG_EXEC);
	ask(vm, 0);
	assert_false(mock_mapping(vm, AT_CODE) & HOST_EXEC);
	assert_true(mock_mapping(vm, AT_CODE) & HOST_READ);
	/* Neighbours are as before, and data in the page is no matter. */
	assert_true(mock_mapping(vm, AT_CODE + 0x1000) & HOST_EXEC);
	assert_runs(vm, trap_pf(vm, AT_CODE, PF_WRITE | PF_PRESENT), AT_CODE, false);
	request.count = 0;
	ask(vm, 0);
	assert_runs(vm, fetch_fault(vm, AT_CODE), AT_CODE, false);
	assert_true(mock_mapping(vm, AT_CODE) & HOST_EXEC);
}

static void test_breakpoint_at_the_next_instruction(void **state)
{
	struct vm *vm = *state;

	add_point(AT_CODE + 3, 1, DEBUG_EXEC);
	ask(vm, 0);
	core_kick(vm);
	/* Behind an emulated instruction of another page's. */
	assert_stop(vm, gp(vm, 0x0f, 0x20, 0xd8), DEBUG_STOP_BREAK, AT_CODE + 3);
}

/* From a stop without another trap, which is how a function that was called returns. */
static void test_breakpoint_after_a_stop(void **state)
{
	struct vm *vm = *state;
	const u32 at = AT_CODE + 0x5000;

	ask(vm, 1);
	core_kick(vm);
	assert_stop(vm, step_to(vm, AT_CODE + 1), DEBUG_STOP_STEP, AT_CODE + 1);
	add_point(at, 1, DEBUG_EXEC);
	ask(vm, 0);
	assert_runs(vm, core_resume(vm), AT_CODE + 1, false);
	assert_stop(vm, fetch_fault(vm, at), DEBUG_STOP_BREAK, at);
}

static void test_breakpoint_in_a_handler(void **state)
{
	struct vm *vm = *state;

	add_point(HANDLER(EXC_UD), 1, DEBUG_EXEC);
	ask(vm, 0);
	assert_stop(vm, trap_vector(vm, EXC_UD, 0), DEBUG_STOP_BREAK, HANDLER(EXC_UD));
}

static void test_interrupted_before_it_ran(void **state)
{
	struct vm *vm = *state;

	pic_ready(vm);
	add_point(AT_CODE, 1, DEBUG_EXEC);
	ask(vm, 0);
	assert_stop(vm, core_kick(vm), DEBUG_STOP_BREAK, AT_CODE);
	raise_irq(vm);
	vm_set_if(vm, FLAG_IF);
	assert_int_equal(core_resume(vm), CORE_RESUME);
	assert_int_equal(vm->cpu.rip, HANDLER(IRQ_VECTOR));
	vm->cpu.rip = AT_CODE; /* and back */
	assert_stop(vm, core_kick(vm), DEBUG_STOP_BREAK, AT_CODE);
}

static void test_all_address_spaces(void **state)
{
	struct vm *vm = *state;
	const u32 other = 0x80000;

	vm_spaces(vm, 2);
	vm_paging(vm, KPAGE | PTE_A | PTE_D);
	*pde_of(vm, 0) |= PTE_A;
	poke32(vm, other, peek32(vm, AT_PD));
	trap_pf(vm, AT_CODE, PF_FETCH);
	vm->cpu.cr3 = other;
	assert_true(shadow_load_cr3(vm));
	add_point(AT_CODE + 0x20, 1, DEBUG_EXEC);
	ask(vm, 0);
	vm->cpu.cr3 = AT_PD; /* asleep when the breakpoint came */
	assert_true(shadow_load_cr3(vm));
	assert_true(mock_mapping(vm, AT_CODE));
	assert_false(mock_mapping(vm, AT_CODE) & HOST_EXEC);
}

/* ------------------------------------------------------- watch points ---- */

static enum core_next access(struct vm *vm, u32 la, bool write)
{
	return trap_pf(vm, la, (write ? PF_WRITE : 0) | (mock_mapping(vm, la) ? PF_PRESENT : 0));
}

static void test_watch_writes(void **state)
{
	struct vm *vm = *state;

	access(vm, WATCHED, true);
	add_point(WATCHED, 4, DEBUG_WRITE);
	ask(vm, 0);
	assert_int_equal(mock_mapping(vm, WATCHED) & RWX, RX);
	code(vm, 0xc7, 0x05, IMM32(WATCHED), IMM32(7));
	assert_runs(vm, access(vm, WATCHED, true), AT_CODE, true);
	assert_true(mock_mapping(vm, WATCHED) & HOST_WRITE);
	poke32(vm, WATCHED, 7);
	assert_stop(vm, step_to(vm, AT_CODE + 10), DEBUG_STOP_WATCH, WATCHED);
	assert_int_equal(mock_mapping(vm, WATCHED) & RWX, RX);
	assert_runs(vm, core_resume(vm), AT_CODE + 10, false);
	/* The same value again, and another in the same page: not worth a stop. */
	assert_runs(vm, access(vm, WATCHED, true), AT_CODE + 10, true);
	assert_runs(vm, step_to(vm, AT_CODE), AT_CODE, false);
	assert_runs(vm, access(vm, WATCHED + 4, true), AT_CODE, true);
	poke32(vm, WATCHED + 4, 7);
	assert_runs(vm, step_to(vm, AT_CODE + 10), AT_CODE + 10, false);
}

static void test_watch_what_the_core_writes(void **state)
{
	struct vm *vm = *state;

	add_point(AT_KSTACK - 12, 4, DEBUG_WRITE);
	vm->cpu.gpr[GPR_SP] = AT_KSTACK;
	ask(vm, 0);
	assert_stop(vm, trap_vector(vm, EXC_UD, 0), DEBUG_STOP_WATCH, AT_KSTACK - 12);
	assert_int_equal(peek32(vm, AT_KSTACK - 12), AT_CODE);
}

static void test_watch_reads(void **state)
{
	struct vm *vm = *state;

	access(vm, WATCHED, true);
	add_point(WATCHED, 4, DEBUG_READ | DEBUG_WRITE);
	ask(vm, 0);
	assert_int_equal(mock_mapping(vm, WATCHED), 0);
	code(vm, 0xa1, IMM32(WATCHED - 2)); /* mov, 4 bytes */
	assert_runs(vm, access(vm, WATCHED - 2, false), AT_CODE, true);
	assert_stop(vm, step_to(vm, AT_CODE + 5), DEBUG_STOP_WATCH, WATCHED);
	assert_int_equal(mock_mapping(vm, WATCHED), 0);
	code(vm, 0xa1, IMM32(WATCHED - 4));
	assert_runs(vm, access(vm, WATCHED - 4, false), AT_CODE + 5, true);
	assert_runs(vm, step_to(vm, AT_CODE + 10), AT_CODE + 10, false);
	/* A neighbour's fault does not map it. */
	assert_runs(vm, access(vm, WATCHED - 0x1000, false), AT_CODE + 10, false);
	assert_int_equal(mock_mapping(vm, WATCHED), 0);
}

static void test_reads_alone(void **state)
{
	struct vm *vm = *state;

	add_point(WATCHED, 4, DEBUG_READ);
	ask(vm, 0);
	code(vm, 0xa3, IMM32(WATCHED));
	assert_runs(vm, access(vm, WATCHED, true), AT_CODE, true);
	poke32(vm, WATCHED, 1);
	assert_runs(vm, step_to(vm, AT_CODE + 5), AT_CODE + 5, false);
}

/* From one guarded page to another, by code in a third. */
static void test_several_pages_of_one_instruction(void **state)
{
	struct vm *vm = *state;

	add_point(AT_CODE + 0x100, 1, DEBUG_EXEC);
	add_point(AT_DATA, 4, DEBUG_READ | DEBUG_WRITE);
	add_point(AT_DATA + 0x1000, 4, DEBUG_WRITE);
	ask(vm, 0);
	code(vm, 0xa5);
	assert_runs(vm, fetch_fault(vm, AT_CODE), AT_CODE, true);
	assert_runs(vm, access(vm, AT_DATA + 8, false), AT_CODE, true);
	assert_runs(vm, access(vm, AT_DATA + 0x1000, true), AT_CODE, true);
	assert_true(mock_mapping(vm, AT_CODE) & HOST_EXEC);
	assert_true(mock_mapping(vm, AT_DATA) & HOST_READ);
	poke32(vm, AT_DATA + 0x1000, 1);
	assert_stop(vm, step_to(vm, AT_CODE + 1), DEBUG_STOP_WATCH, AT_DATA + 0x1000);
	assert_int_equal(mock_mapping(vm, AT_DATA), 0);
	assert_false(mock_mapping(vm, AT_DATA + 0x1000) & HOST_WRITE);
}

/* ------------------------------------------------------------ requests ---- */

static void test_senseless_requests(void **state)
{
	static const struct debug_point bad[] = {
		{AT_DATA, 0, DEBUG_WRITE}, {AT_DATA, DEBUG_POINT_MAX + 1, DEBUG_WRITE},
		{AT_DATA, 4, DEBUG_EXEC},  {AT_DATA, 1, 0},
		{~0u, 2, DEBUG_WRITE},	   {AT_DATA, 1, 8},
	};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		request.count = 1;
		request.point[0] = bad[i];
		assert_false(debug_set(vm, &request));
	}
	request.count = DEBUG_POINTS + 1;
	assert_false(debug_set(vm, &request));
	assert_int_equal(vm->debug.request.count, 0);
}

static void test_registers(void **state)
{
	struct vm *vm = *state;
	struct debug_regs regs = {.rip = AT_CODE + 4, .rflags = ~0ull};
	const u64 was = vm->cpu.rflags;

	regs.gpr[GPR_DI] = 0x123456789ull;
	vm->cpu.halted = true;
	debug_set_regs(vm, &regs);
	assert_int_equal(vm->cpu.rip, AT_CODE + 4);
	assert_int_equal(vm->cpu.gpr[GPR_DI], 0x23456789);
	assert_false(vm->cpu.halted);
	assert_int_equal(vm->cpu.rflags & (FLAG_VM | FLAG_IOPL | FLAG_VIP),
			 was & (FLAG_VM | FLAG_IOPL | FLAG_VIP));
	assert_true(vm->cpu.rflags & FLAG_ZF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DEBUG_TEST(test_step),
		DEBUG_TEST(test_several_steps),
		DEBUG_TEST(test_no_step_before_the_instruction),
		DEBUG_TEST(test_step_of_the_emulated),
		DEBUG_TEST(test_step_into_handlers),
		DEBUG_TEST(test_step_of_int80),
		DEBUG_TEST(test_interrupts_wait),
		DEBUG_TEST(test_but_not_for_who_is_halted),
		DEBUG_TEST(test_guest_steps_as_well),
		DEBUG_TEST(test_pushf_does_not_show_ours),
		DEBUG_TEST(test_pushf_shows_the_guests),
		DEBUG_TEST(test_popf_loads_the_guests),
		DEBUG_TEST(test_popf_that_faults),
		DEBUG_TEST(test_int1_is_the_guests),
		DEBUG_TEST(test_breakpoint),
		DEBUG_TEST(test_breakpoint_in_mapped_code),
		DEBUG_TEST(test_breakpoint_at_the_next_instruction),
		DEBUG_TEST(test_breakpoint_after_a_stop),
		DEBUG_TEST(test_breakpoint_in_a_handler),
		DEBUG_TEST(test_interrupted_before_it_ran),
		DEBUG_TEST(test_all_address_spaces),
		DEBUG_TEST(test_watch_writes),
		DEBUG_TEST(test_watch_what_the_core_writes),
		DEBUG_TEST(test_watch_reads),
		DEBUG_TEST(test_reads_alone),
		DEBUG_TEST(test_several_pages_of_one_instruction),
		DEBUG_TEST(test_senseless_requests),
		DEBUG_TEST(test_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
