/*
 * Unit tests of common/stubs.c: when the fast stubs are put in, what is filled into them, and how
 * each state of an interrupted stub is undone. That the states belong to the right instructions is
 * tests/stubs/interrupt-stubs' to prove, on the real code.
 */
#include "stubs-bench.h"
#include "../../common/vcpu-check.h"

static void test_fast_stubs_where_tables_suit(void **state)
{
	struct vm *vm = *state;

	suit(vm);
	assert_int_equal(pv_page(vm)->stub_iret[0], 0xf4);
	stubs_refresh(vm);
	assert_true(fast(vm));
	assert_true(vm->stubs.enabled);
	assert_int_not_equal(pv_page(vm)->stub_iret[0], 0xf4);
	assert_int_equal(*stub_dword(vm, STUB_HANDLER), HANDLER(0x80));
	assert_int_equal(*stub_dword(vm, STUB_CS), PLEX86_USER_CS);
	assert_int_equal(vm->stubs.esp0, AT_TSS + 4);
	assert_int_equal(vm->stubs.tls, AT_GDT + 12 * 8);
	assert_int_equal(vm->stubs.kernel_cs.selector, KCS);
}

static void test_handler_that_moves(void **state)
{
	struct vm *vm = *state;

	suit(vm);
	stubs_refresh(vm);
	put_gate(vm, 0x80, KCS, 0x12345, D_INT32 | D_DPL3);
	stubs_refresh(vm);
	assert_int_equal(*stub_dword(vm, STUB_HANDLER), 0x12345);
}

/* Linux: SS1 is not for ring 1, and ESP1 the task's stack. */
static void test_stack_of_the_task(void **state)
{
	struct vm *vm = *state;

	suit(vm);
	poke16(vm, AT_TSS + 16, KDS);
	stubs_refresh(vm);
	assert_int_equal(vm->stubs.esp0, AT_TSS + 4);
	poke16(vm, AT_TSS + 16, KCS);
	stubs_refresh(vm);
	assert_true(fast(vm));
	assert_int_equal(vm->stubs.esp0, AT_TSS + 12);
}

/* Each of these must leave, or bring back, the trapping stubs. */
static void no_fast_paths(struct vm *vm)
{
	vm->fast_paths = false;
}
static void no_abi(struct vm *vm)
{
	vm->abi = false;
}
static void trap_gate(struct vm *vm)
{
	put_gate(vm, 0x80, KCS, HANDLER(0x80), D_TRAP32 | D_DPL3);
}
static void gate_of_dpl0(struct vm *vm)
{
	put_gate(vm, 0x80, KCS, HANDLER(0x80), D_INT32);
}
static void gate_absent(struct vm *vm)
{
	put_gate(vm, 0x80, KCS, HANDLER(0x80), (D_INT32 | D_DPL3) & ~D_ABSENT);
}
static void gate_to_data(struct vm *vm)
{
	put_gate(vm, 0x80, KDS, HANDLER(0x80), D_INT32 | D_DPL3);
}
static void no_tss(struct vm *vm)
{
	vm->cpu.tr = (struct segment){0};
}
static void ss0_null(struct vm *vm)
{
	poke16(vm, AT_TSS + 8, 0);
}
static void short_gdt(struct vm *vm)
{
	vm->cpu.gdtr.limit = 14 * 8 + 6;
}
static void with_ldt(struct vm *vm)
{
	vm->cpu.ldtr.selector = LDT;
}

static void test_trapping_stubs_where_they_do_not(void **state)
{
	static void (*const spoil[])(struct vm *) = {
		no_fast_paths, no_abi, trap_gate, gate_of_dpl0, gate_absent, gate_to_data,
		short_idt,     no_tss, ss0_null,  short_gdt,	with_ldt};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(spoil); i++) {
		struct vm *vm = vm_create(VM_RAM);

		suit(vm);
		stubs_refresh(vm);
		assert_true(fast(vm));
		spoil[i](vm);
		stubs_refresh(vm);
		if (fast(vm))
			fail_msg("fast stubs in spite of case %u", i);
		assert_int_equal(pv_page(vm)->stub_iret[0], 0xf4);
		assert_int_equal(pv_page(vm)->stub_int80[0], 0xf4);
		vm_free(vm);
	}
}

static void test_supervisor_pages_make_the_way_out_slow(void **state)
{
	struct vm *vm = *state;
	u32 error;

	suit(vm);
	vm_paging(vm, PTE_P | PTE_W); /* supervisor pages below 3 GiB */
	assert_int_equal(*stub_dword(vm, STUB_SLOW), 0);
	assert_int_equal(shadow_fault(vm, AT_DATA, false, false, false, &error), SHADOW_FILLED);
	assert_int_not_equal(*stub_dword(vm, STUB_SLOW), 0);
	*pte_of(vm, AT_DATA) = 0;
	shadow_flush(vm);
	assert_int_equal(*stub_dword(vm, STUB_SLOW), 0);
}

/* ---- leaving ---- */

/* The offset of the first instruction in `wanted`, from the entry of the iret stub. */
static u32 offset_of(struct vm *vm, u32 wanted)
{
	(void)vm;
	for (unsigned i = 0; &stubs_states[i] < stubs_states_end; i++)
		if (stubs_states[i].state == wanted)
			return stubs_states[i].offset;
	fail_msg("no instruction in state %u", wanted);
	return 0;
}

/* The iret's stub goes on behind the system call's: it has done nothing yet there. */
static void test_no_state_runs_on_into_another_stub(void **state)
{
	unsigned i = 0;

	(void)state;
	while (stubs_states[i].state != STUB_SYS_LAST)
		i++;
	assert_int_equal(stubs_states[i + 1].state, STUB_IRET_START);
	for (i = 1; &stubs_states[i] < stubs_states_end; i++)
		assert_true(stubs_states[i - 1].offset <= stubs_states[i].offset);
}

static void stand_in(struct vm *vm, u32 stub_state)
{
	vm->cpu.rip = STUB_PAGE_IRET + offset_of(vm, stub_state);
}

static void assert_at_iret(struct vm *vm)
{
	assert_int_equal(stubs_leave(vm), STUB_EXIT_IRET);
	assert_int_equal(vm->cpu.rip, SITE);
	assert_int_equal(vm->cpu.gpr[GPR_SP], FRAME);
	assert_int_equal(vm->cpu.gpr[GPR_AX], OLD_AX);
	assert_int_equal(vm_cpl(vm), 0);
	assert_int_equal(vm->cpu.seg[SEG_CS].selector, KCS);
	assert_int_equal(vm->cpu.seg[SEG_SS].selector, KDS);
	assert_int_equal(peek32(vm, FRAME + 4) & 3, peek32(vm, FRAME + 8) & 0x200 ? 3 : 0);
}

static void test_undo_return_to_user_code(void **state)
{
	static const struct {
		u32 state;
		s32 sp;
	} cases[] = {{STUB_IRET_START, 0},
		     {STUB_IRET_PUSHED, -4},
		     {STUB_IRET_POP1, 4},
		     {STUB_IRET_POP2, 8},
		     {STUB_IRET_POP3, 12}};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		user_frame(vm);
		stand_in(vm, cases[i].state);
		vm->cpu.gpr[GPR_SP] = FRAME + cases[i].sp;
		if (cases[i].sp < 0) {
			poke32(vm, FRAME - 4, OLD_AX);
			vm->cpu.gpr[GPR_AX] = 0xbad;
		}
		if (cases[i].state == STUB_IRET_POP3)
			pv_page(vm)->cpl = 3;
		assert_at_iret(vm);
	}
}

static void test_finish_return_to_user_code(void **state)
{
	struct vm *vm = *state;

	user_frame(vm);
	stand_in(vm, STUB_IRET_LAST);
	pv_page(vm)->cpl = 3;
	*stub_dword(vm, STUB_EIP) = USER_EIP;
	assert_int_equal(stubs_leave(vm), STUB_EXIT_DONE);
	assert_int_equal(vm->cpu.rip, USER_EIP);
	assert_int_equal(vm->cpu.hw_selector[SEG_CS], PLEX86_USER_CS);
	assert_int_equal(vm->cpu.hw_selector[SEG_SS], PLEX86_USER_DS);
}

static void test_undo_return_to_kernel_code(void **state)
{
	const u32 hardware_frame[] = {0x11000, HOST_FLAT_CS, 0x2};
	struct vm *vm = *state;

	for (u32 s = STUB_KERN_PUSHED; s <= STUB_KERN_LAST; s++) {
		user_frame(vm);
		poke(vm, FRAME, hardware_frame, sizeof(hardware_frame));
		stand_in(vm, s);
		if (s == STUB_KERN_PUSHED) {
			poke32(vm, FRAME - 4, OLD_AX);
			vm->cpu.gpr[GPR_AX] = 0xbad;
			vm->cpu.gpr[GPR_SP] = FRAME - 4;
		}
		assert_at_iret(vm);
		assert_int_equal(peek32(vm, FRAME + 4), KCS);
	}
}

static void test_undo_system_call(void **state)
{
	struct vm *vm = *state;

	for (u32 s = STUB_SYS_START; s <= STUB_SYS_FLAGS; s++) {
		user_frame(vm);
		stand_in(vm, s);
		pv_page(vm)->cpl = s == STUB_SYS_FLAGS ? 0 : 3;
		*stub_dword(vm, STUB_EIP) = USER_EIP;
		*stub_dword(vm, STUB_ESP) = USER_ESP;
		switch (s) {
		case STUB_SYS_START:
			*stub_dword(vm, STUB_EIP) = 0;
			poke32(vm, USER_ESP - 8, USER_EIP);
			vm->cpu.gpr[GPR_SP] = USER_ESP - 8;
			break;
		case STUB_SYS_POPPED:
			vm->cpu.gpr[GPR_SP] = USER_ESP - 4;
			break;
		case STUB_SYS_USER_SP:
			vm->cpu.gpr[GPR_SP] = USER_ESP;
			break;
		case STUB_SYS_FLAGS:
			poke32(vm, FRAME + 8, 0x246);
			vm->cpu.rflags = 0x3;
			break;
		}
		assert_int_equal(stubs_leave(vm), STUB_EXIT_SYSCALL);
		assert_int_equal(vm->cpu.rip, USER_EIP);
		assert_int_equal(vm->cpu.gpr[GPR_SP], USER_ESP);
		assert_int_equal(vm_cpl(vm), 3);
		assert_int_equal(vm->cpu.seg[SEG_CS].selector, PLEX86_USER_CS);
		assert_int_equal(vm->cpu.seg[SEG_SS].selector, PLEX86_USER_DS);
		if (s == STUB_SYS_FLAGS)
			assert_int_equal(vm->cpu.rflags, 0x246);
	}
}

/* Code that jumps there itself has put there what it likes: nothing that flags cannot be comes of
 * it. */
static void test_undo_system_call_with_forged_flags(void **state)
{
	static const u32 image[] = {0, 0xffffffff};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(image); i++) {
		user_frame(vm);
		stand_in(vm, STUB_SYS_FLAGS);
		pv_page(vm)->cpl = 0;
		*stub_dword(vm, STUB_EIP) = USER_EIP;
		*stub_dword(vm, STUB_ESP) = USER_ESP;
		poke32(vm, FRAME + 8, image[i]);
		assert_int_equal(stubs_leave(vm), STUB_EXIT_SYSCALL);
		assert_true(vcpu_valid(&vm->cpu));
		assert_false(vm->cpu.rflags & (FLAG_VM | FLAG_IOPL));
	}
}

/* Nothing is delivered within a stub: a kick finishes the iret, from wherever it is. */
static void test_kick_in_the_way_out(void **state)
{
	static const u32 states[] = {STUB_IRET_START, STUB_IRET_LAST};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
		user_frame(vm);
		stand_in(vm, states[i]);
		*stub_dword(vm, STUB_EIP) = USER_EIP;
		pv_page(vm)->cpl = states[i] == STUB_IRET_LAST ? 3 : 0;
		assert_next(vm, core_kick(vm), USER_EIP);
		assert_int_equal(vm_cpl(vm), 3);
		assert_int_equal(vm->cpu.hw_selector[SEG_CS], PLEX86_USER_CS);
	}
}

static void test_finish_system_call(void **state)
{
	struct vm *vm = *state;

	user_frame(vm);
	stand_in(vm, STUB_SYS_LAST);
	assert_int_equal(stubs_leave(vm), STUB_EXIT_DONE);
	assert_int_equal(vm->cpu.rip, HANDLER(0x80));
	assert_int_equal(vm->cpu.seg[SEG_CS].selector, KCS);
}

static void test_user_code_in_the_way_out_is_a_fault_of_its_own(void **state)
{
	static const u32 states[] = {STUB_IRET_START, STUB_IRET_PUSHED, STUB_KERN_LAST,
				     STUB_SYS_LAST};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
		user_frame(vm);
		stand_in(vm, states[i]);
		pv_page(vm)->cpl = 3;
		assert_int_equal(stubs_leave(vm), STUB_EXIT_FOREIGN);
		assert_int_equal(vm_cpl(vm), 3);
	}
}

/* Where the stubs trap their code is not there, and nobody can be in the middle of it. */
static void test_nobody_is_within_a_trapping_stub(void **state)
{
	struct vm *vm = *state;

	for (unsigned cpl = 0; cpl <= 3; cpl += 3)
		for (u32 offset = PLEX86_PV_STUB_IRET; offset < PLEX86_PV_STUB_TRAP; offset++) {
			const u32 entry = cpl ? PLEX86_PV_STUB_INT80 : PLEX86_PV_STUB_IRET;

			vm_abi_user(vm);
			stubs_reset(vm);
			pv_page(vm)->cpl = cpl;
			vm->cpu.rip = PLEX86_PV_PAGE + offset;
			assert_int_equal(stubs_intruded(vm), offset != entry);
			if (offset == entry)
				continue;
			assert_int_equal(stubs_leave(vm), STUB_EXIT_FOREIGN);
			assert_int_equal(vm_cpl(vm), cpl);
			assert_int_equal(vm->cpu.rip, PLEX86_PV_PAGE + offset);
		}
}

/* With a view for each level, user code in its own cannot have got into the kernel's business. */
static void test_user_view_within_fast_stubs(void **state)
{
	struct vm *vm = *state;

	vm->two_views = true;
	for (u32 s = STUB_IRET_START; s <= STUB_TRAP; s++) {
		user_frame(vm);
		stand_in(vm, s);
		pv_page(vm)->cpl = 3;
		vm->user_view = true;
		assert_int_equal(stubs_intruded(vm), s != STUB_IRET_LAST && s != STUB_SYS_START);
		vm->user_view = false;
		assert_int_equal(stubs_intruded(vm), s <= STUB_IRET_POP2 || s == STUB_KERN_PUSHED ||
							     s == STUB_KERN_LAST ||
							     s == STUB_SYS_LAST || s == STUB_TRAP);
	}
}

/* The system call's stub would read them for user code. */
static void test_two_views_and_supervisor_pages_below_3_gib(void **state)
{
	struct vm *vm = *state;

	for (unsigned views = 0; views < 2; views++)
		for (unsigned low = 0; low < 2; low++) {
			suit(vm);
			vm->two_views = views;
			vm_shadow(vm)->supervisor_low = low;
			stubs_refresh(vm);
			assert_int_equal(fast(vm), !(views && low));
		}
}

/* The return address is read with the rights of who has put it there. */
static void test_system_call_from_the_kernels_stack(void **state)
{
	struct vm *vm = *state;

	for (unsigned user = 0; user < 2; user++) {
		vm_abi_user(vm);
		vm_paging(vm, UPAGE);
		*pte_of(vm, FRAME) = FRAME / 4096 * 4096 | (user ? UPAGE : KPAGE);
		stubs_reset(vm);
		vm->cpu.rip = STUB_PAGE_INT80;
		vm->cpu.gpr[GPR_SP] = FRAME;
		poke32(vm, FRAME, 0x12345678);
		if (!user) {
			assert_int_equal(stubs_leave(vm), STUB_EXIT_FOREIGN);
			continue;
		}
		assert_int_equal(stubs_leave(vm), STUB_EXIT_SYSCALL);
		assert_int_equal(vm->cpu.rip, 0x12345678);
	}
}

static void test_kernel_seen_first_after_a_stub(void **state)
{
	const u16 hw[SEG_COUNT] = {[SEG_CS] = HOST_FLAT_CS, [SEG_SS] = HOST_FLAT_DS};
	struct vm *vm = *state;

	suit(vm);
	stubs_refresh(vm);
	vm_abi_user(vm);
	/* The stub has gone to the kernel by itself. */
	pv_page(vm)->cpl = 0;
	core_sync_selectors(vm, hw);
	assert_int_equal(vm->cpu.seg[SEG_CS].selector, KCS);
	assert_int_equal(vm->cpu.seg[SEG_SS].selector, KDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_fast_stubs_where_tables_suit),
		VM_TEST(test_handler_that_moves),
		VM_TEST(test_stack_of_the_task),
		VM_TEST(test_trapping_stubs_where_they_do_not),
		VM_TEST(test_supervisor_pages_make_the_way_out_slow),
		VM_TEST(test_no_state_runs_on_into_another_stub),
		VM_TEST(test_undo_return_to_user_code),
		VM_TEST(test_finish_return_to_user_code),
		VM_TEST(test_undo_return_to_kernel_code),
		VM_TEST(test_undo_system_call),
		VM_TEST(test_undo_system_call_with_forged_flags),
		VM_TEST(test_kick_in_the_way_out),
		VM_TEST(test_finish_system_call),
		VM_TEST(test_user_code_in_the_way_out_is_a_fault_of_its_own),
		VM_TEST(test_nobody_is_within_a_trapping_stub),
		VM_TEST(test_user_view_within_fast_stubs),
		VM_TEST(test_two_views_and_supervisor_pages_below_3_gib),
		VM_TEST(test_system_call_from_the_kernels_stack),
		VM_TEST(test_kernel_seen_first_after_a_stub),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
