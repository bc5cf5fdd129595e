/*
 * Unit tests of common/stubs.c: the gate into the monitor, and what its stub stands for.
 */
#include "stubs-bench.h"

/* ---- the gate ---- */

static void test_gate_needs_a_host_that_has_one(void **state)
{
	struct vm *vm = *state;
	const u8 ret = 0xc3, far_jump = 0xea;

	for (unsigned has = 0; has < 8; has++) {
		suit(vm);
		vm->gate = has & 1 ? MONITOR : 0;
		vm->abi = has & 2;
		vm->fast_paths = has & 4;
		stubs_reset(vm);
		assert_int_equal(pv_page(vm)->stub_trap[0], has == 7 ? far_jump : ret);
	}
	/* It stays whatever becomes of the others, and leads to the monitor. */
	stubs_refresh(vm);
	assert_true(fast(vm));
	assert_int_equal(pv_page(vm)->stub_trap[0], far_jump);
	assert_memory_equal(stub_dword(vm, STUB_GATE), &(u64){MONITOR}, 8);
	assert_memory_equal(pv_page(vm)->stub_trap + 1, &(u32){STUB_PAGE_TRAP + 7}, 4);
	assert_memory_equal(pv_page(vm)->stub_trap + 5, &(u16){0x33}, 2);
	short_idt(vm);
	stubs_refresh(vm);
	assert_false(fast(vm));
	assert_int_equal(pv_page(vm)->stub_trap[0], far_jump);
}

/* The kernel has called the stub; the instruction it has called it for is at `at`. */
static void call_trap(struct vm *vm, u32 at, const void *insn, unsigned length)
{
	user_frame(vm);
	poke(vm, at, insn, length);
	poke32(vm, FRAME - 4, at);
	vm->cpu.rip = STUB_PAGE_TRAP;
	vm->cpu.gpr[GPR_SP] = FRAME - 4;
}

static void test_undo_the_call_for_an_instruction(void **state)
{
	struct vm *vm = *state;

	call_trap(vm, SITE, "\xf4", 1);
	assert_int_equal(stubs_leave(vm), STUB_EXIT_DONE);
	assert_int_equal(vm->cpu.rip, SITE);
	assert_int_equal(vm->cpu.gpr[GPR_SP], FRAME);
	assert_int_equal(vm_cpl(vm), 0);
}

static void test_instruction_behind_the_gate(void **state)
{
	struct vm *vm = *state;

	call_trap(vm, SITE, "\x0f\x22\xd0", 3); /* mov %eax, %cr2 */
	assert_next(vm, core_gate(vm), SITE + 3);
	assert_int_equal(vm->cpu.gpr[GPR_SP], FRAME);
	assert_int_equal(vm->cpu.cr2, OLD_AX);
	assert_int_equal(vm->stats.count[EV_GATE], 1);
	assert_int_equal(vm->stats.count[EV_TRAP], 0);
	/* One that would not trap has no business there: it is taken for one that did. */
	call_trap(vm, SITE, "\x90", 1);
	assert_next(vm, core_gate(vm), HANDLER(EXC_GP));
}

/* The iret's stub gives up: through the gate, or by a hlt. */
static void test_iret_through_the_gate(void **state)
{
	extern const u8 stubs_template[], stubs_slow[];
	const u8 *slow;
	struct vm *vm = *state;

	for (unsigned i = 0; i < 2; i++) {
		vm->gate = i ? MONITOR : 0;
		stubs_reset(vm);
		user_frame(vm);
		slow = pv_page(vm)->stub_iret + (stubs_slow - stubs_template);
		assert_int_equal(*slow, i ? 0xea : 0xf4);
		stubs_reset(vm);
	}
	vm->cpu.rip = STUB_PAGE_IRET;
	assert_next(vm, core_gate(vm), USER_EIP);
	assert_int_equal(vm_cpl(vm), 3);
	assert_int_equal(vm->cpu.gpr[GPR_SP], USER_ESP);
	assert_int_equal(vm->stats.count[EV_GATE], 1);
}

static void test_gate_is_not_for_user_code(void **state)
{
	struct vm *vm = *state;

	call_trap(vm, SITE, "\x0f\x22\xd0", 3);
	vm_abi_user(vm);
	vm->cpu.gpr[GPR_SP] = FRAME - 4;
	assert_next(vm, core_gate(vm), HANDLER(EXC_GP));
	assert_int_equal(vm->cpu.cr2, 0);
	assert_int_equal(vm_cpl(vm), 0);
}

/* An interrupt between sti and hlt must not be followed by the hlt, wherever it comes. */
static void test_sti_hlt_with_the_call(void **state)
{
	static const u8 code[] = {0x36, 0xc7, 0x05, 0x00, 0xf0, 0xff, 0xff, 0x00, 0x02, 0x00, 0x00};
	const u32 call = SITE + sizeof(code), hlt = call + 5;
	const u32 at[] = {call, STUB_PAGE_TRAP, hlt}, displacement = STUB_PAGE_TRAP - hlt;
	struct vm *vm = *state;

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(at); i++) {
		bool sti = i < ARRAY_SIZE(at); /* without, the hlt is still to come */
		u32 rip = at[i % ARRAY_SIZE(at)], back;

		call_trap(vm, hlt, "\xf4", 1);
		poke(vm, SITE, code, sizeof(code));
		if (!sti)
			poke32(vm, SITE + 7, 0);
		poke(vm, call, "\xe8", 1);
		poke32(vm, call + 1, displacement);
		if (rip != STUB_PAGE_TRAP)
			vm->cpu.gpr[GPR_SP] = FRAME;
		vm->cpu.rip = rip;
		back = sti ? hlt + 1 : rip == call ? call : hlt;
		vm_set_if(vm, FLAG_IF);
		pic_ready(vm);
		vm->irq_lines = vm->irq_seen = 0;
		pic_set_line(&vm->pic, IRQ, false);
		raise_irq(vm);
		assert_int_equal(delivered(vm, core_kick(vm), IRQ_VECTOR).eip, back);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_gate_needs_a_host_that_has_one),
		VM_TEST(test_undo_the_call_for_an_instruction),
		VM_TEST(test_instruction_behind_the_gate),
		VM_TEST(test_iret_through_the_gate),
		VM_TEST(test_gate_is_not_for_user_code),
		VM_TEST(test_sti_hlt_with_the_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
