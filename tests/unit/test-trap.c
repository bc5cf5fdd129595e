/*
 * Unit tests of common/trap.c: what each trap means, when interrupts are delivered, hlt, the
 * timer, and how runs end.
 */
#include "mock-host.h"

#define STI_MACRO 0x36, 0xc7, 0x05, IMM32(PLEX86_PV_PAGE), IMM32(0x200)
#define CLI_MACRO 0x36, 0xc7, 0x05, IMM32(PLEX86_PV_PAGE), IMM32(0)
enum { MACRO_LENGTH = 11 };

static u32 pv_mapping(struct vm *vm)
{
	return mock_of(vm)->page[PLEX86_PV_PAGE >> 12];
}

static void map_pv(struct vm *vm)
{
	assert_next(vm, trap_pf(vm, PLEX86_PV_PAGE, PF_WRITE), vm->cpu.rip);
	assert_true(pv_mapping(vm) & HOST_WRITE);
}

/* -------------------------------------------------------- interrupts ---- */

static void test_interrupt(void **state)
{
	struct vm *vm = *state;

	pic_ready(vm);
	vm_set_if(vm, FLAG_IF);
	raise_irq(vm);
	assert_true(delivered(vm, core_kick(vm), IRQ_VECTOR).flags & FLAG_IF);
	assert_int_equal(vm_if(vm), 0);
	assert_next(vm, core_kick(vm), HANDLER(IRQ_VECTOR)); /* once */
}

static void test_line_that_falls_again(void **state)
{
	struct vm *vm = *state;

	pic_ready(vm);
	pic_write(&vm->pic, 0x4d0, 1 << IRQ); /* level-triggered */
	raise_irq(vm);
	core_kick(vm);
	vm->irq_lines = 0;
	vm_set_if(vm, FLAG_IF);
	assert_next(vm, core_kick(vm), AT_CODE);
	assert_false(vm_shadow(vm)->pv_readonly);
}

/* Pending with IF=0: the store that sets IF must trap. */
static void test_pending_protects_the_pv_page(void **state)
{
	struct vm *vm = *state;

	pic_ready(vm);
	map_pv(vm);
	raise_irq(vm);
	assert_next(vm, core_kick(vm), AT_CODE);
	assert_int_equal(pv_mapping(vm) & HOST_WRITE, 0);
	code(vm, STI_MACRO, 0x90);
	assert_fault(vm, trap_pf(vm, PLEX86_PV_PAGE, PF_PRESENT | PF_WRITE), IRQ_VECTOR, 0,
		     AT_CODE + MACRO_LENGTH);
	assert_true(pv_mapping(vm) & HOST_WRITE);
}

static void test_pending_in_popf(void **state)
{
	struct vm *vm = *state;

	pic_ready(vm);
	map_pv(vm);
	raise_irq(vm);
	core_kick(vm);
	vm->cpu.gpr[GPR_AX] = 0x200;
	code(vm, 0x36, 0xa3, IMM32(PLEX86_PV_PAGE)); /* mov %eax, the IF dword */
	assert_fault(vm, trap_pf(vm, PLEX86_PV_PAGE, PF_PRESENT | PF_WRITE), IRQ_VECTOR, 0,
		     AT_CODE + 6);
}

static void test_priority_and_nesting(void **state)
{
	struct vm *vm = *state;

	pic_ready(vm);
	put_gate(vm, 0x21, KCS, HANDLER(0x21), D_TRAP32); /* leaves IF: the next comes at once */
	vm_set_if(vm, FLAG_IF);
	vm->irq_lines = 1 << 1;
	delivered(vm, core_kick(vm), 0x21);
	vm->irq_lines |= 1 << 0 | 1 << IRQ;
	assert_int_equal(delivered(vm, core_kick(vm), 0x20).eip, HANDLER(0x21));
}

/* Automatic EOI and a level that stays: there is always another one to deliver. */
static void endless_interrupt(struct vm *vm)
{
	pic_ready(vm);
	pic_write(&vm->pic, 0x20, 0x11);
	pic_write(&vm->pic, 0x21, 0x20);
	pic_write(&vm->pic, 0x21, 0x04);
	pic_write(&vm->pic, 0x21, 0x03);
	pic_write(&vm->pic, 0x4d0, 1 << IRQ);
	put_gate(vm, IRQ_VECTOR, KCS, HANDLER(IRQ_VECTOR), D_TRAP32);
	vm_set_if(vm, FLAG_IF);
	raise_irq(vm);
}

static void test_endless_interrupt(void **state)
{
	struct vm *vm = *state;

	endless_interrupt(vm);
	assert_int_equal(delivered(vm, core_kick(vm), IRQ_VECTOR).eip, HANDLER(IRQ_VECTOR));
	assert_true(pic_pending(&vm->pic));
	/* Somebody must look again. */
	assert_true(vm_shadow(vm)->pv_readonly);
}

static void test_endless_interrupt_shuts_down(void **state)
{
	struct vm *vm = *state;

	endless_interrupt(vm);
	vm->cpu.idtr.limit = 0;
	assert_int_equal(core_kick(vm), CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_SHUTDOWN);
}

static void test_interrupt_of_user_code(void **state)
{
	struct vm *vm = *state;
	struct frame f;

	pic_ready(vm);
	vm_user(vm);
	vm_set_if(vm, FLAG_IF);
	raise_irq(vm);
	f = delivered(vm, core_kick(vm), IRQ_VECTOR);
	assert_int_equal(f.ss, UDS);
	assert_int_equal(f.esp, AT_USER_STACK);
	assert_int_equal(f.cs, UCS);
}

/* ---------------------------------------------------------- sti, hlt ---- */

static void test_hlt_waits(void **state)
{
	struct vm *vm = *state;

	pic_ready(vm);
	vm_set_if(vm, FLAG_IF);
	assert_int_equal(gp(vm, 0xf4), CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_IDLE);
	assert_int_equal(vm->exit.deadline, 0);
	assert_int_equal(core_resume(vm), CORE_EXIT); /* nothing has happened */
	assert_int_equal(vm->exit.kind, EXIT_IDLE);
	raise_irq(vm);
	assert_int_equal(delivered(vm, core_resume(vm), IRQ_VECTOR).eip, AT_CODE + 1);
	assert_false(vm->cpu.halted);
}

static void test_hlt_for_good(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(gp(vm, 0xf4), CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_HALTED);
}

/* Interrupted between sti and hlt, the guest must not go back to the hlt. */
static void test_sti_hlt(void **state)
{
	struct vm *vm = *state;

	pic_ready(vm);
	raise_irq(vm);
	vm_set_if(vm, FLAG_IF);
	code(vm, STI_MACRO, 0xf4);
	vm->cpu.rip = AT_CODE + MACRO_LENGTH;
	assert_fault(vm, core_kick(vm), IRQ_VECTOR, 0, AT_CODE + MACRO_LENGTH + 1);
}

static void test_sti_hlt_instructions(void **state)
{
	struct vm *vm = *state;

	pic_ready(vm);
	raise_irq(vm);
	assert_fault(vm, gp(vm, 0xfb, 0xf4), IRQ_VECTOR, 0, AT_CODE + 2);
}

/* Between sti and cli nothing is delivered, however long the interrupt has been pending. */
static void test_sti_cli(void **state)
{
	struct vm *vm = *state;

	pic_ready(vm);
	raise_irq(vm);
	assert_next(vm, gp(vm, 0xfb, CLI_MACRO), AT_CODE + 1);
	assert_true(vm_shadow(vm)->pv_readonly); /* the cli will trap */
	vm_set_if(vm, 0);
	vm->cpu.rip = AT_CODE + 0x100;
	assert_next(vm, gp(vm, 0xfb, 0xfa), AT_CODE + 0x101);
	assert_next(vm, trap_gp(vm), AT_CODE + 0x102);
	assert_int_equal(vm_if(vm), 0);
	/* Without the cli it is delivered. */
	vm->cpu.rip = AT_CODE + 0x200;
	assert_fault(vm, gp(vm, 0xfb, 0x90), IRQ_VECTOR, 0, AT_CODE + 0x201);
}

static void test_a_hlt_not_behind_sti(void **state)
{
	struct vm *vm = *state;

	pic_ready(vm);
	vm_set_if(vm, FLAG_IF);
	raise_irq(vm);
	code(vm, 0xf4);
	assert_fault(vm, core_kick(vm), IRQ_VECTOR, 0, AT_CODE);
}

/* Looking at the code around rip leaves no trace, whatever is mapped there. */
static void test_looking_around_keeps_cr2(void **state)
{
	struct vm *vm = *state;

	pic_ready(vm);
	vm_paging(vm, PTE_P | PTE_W);
	*pte_of(vm, AT_CODE - 1) = 0;
	vm->cpu.cr2 = pv_page(vm)->cr2 = 0x1234;
	vm_set_if(vm, FLAG_IF);
	code(vm, 0xf4);
	raise_irq(vm);
	delivered(vm, core_kick(vm), IRQ_VECTOR);
	assert_int_equal(vm->cpu.cr2, 0x1234);
	assert_int_equal(pv_page(vm)->cr2, 0x1234);
}

/* -------------------------------------------------------------- timer ---- */

static void start_timer(struct vm *vm)
{
	pic_ready(vm);
	pit_write(&vm->pit, 0x43, 0x34, host_now(vm));
	pit_write(&vm->pit, 0x40, 0xa9, host_now(vm)); /* 1193 clocks: a millisecond */
	vm->cpu.gpr[GPR_AX] = 0x04;
	assert_next(vm, gp(vm, 0xe6, 0x40), AT_CODE + 2);
}

static void test_timer(void **state)
{
	struct vm *vm = *state;
	u64 first;

	vm_set_if(vm, FLAG_IF);
	start_timer(vm);
	first = core_deadline(vm);
	assert_true(first > mock_of(vm)->now && first < mock_of(vm)->now + 2000000);
	assert_int_equal(mock_of(vm)->armed, first);
	mock_of(vm)->now = first - 1;
	assert_next(vm, core_kick(vm), AT_CODE + 2);
	mock_of(vm)->now = first;
	delivered(vm, core_kick(vm), 0x20);
	assert_true(core_deadline(vm) > first);
	assert_int_equal(mock_of(vm)->armed, core_deadline(vm));
}

static void test_late_ticks_coalesce(void **state)
{
	struct vm *vm = *state;

	vm_set_if(vm, FLAG_IF);
	start_timer(vm);
	mock_of(vm)->now += 50 * 1000 * 1000;
	delivered(vm, core_kick(vm), 0x20);
	pic_write(&vm->pic, 0x20, 0x20);
	vm_set_if(vm, FLAG_IF);
	assert_next(vm, core_kick(vm), HANDLER(0x20));
}

static void test_idle_names_its_deadline(void **state)
{
	struct vm *vm = *state;

	vm_set_if(vm, FLAG_IF);
	start_timer(vm);
	assert_int_equal(gp(vm, 0xf4), CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_IDLE);
	assert_int_equal(vm->exit.deadline, core_deadline(vm));
	mock_of(vm)->now = core_deadline(vm);
	delivered(vm, core_resume(vm), 0x20);
}

static void test_timer_is_armed_when_it_changes(void **state)
{
	struct vm *vm = *state;
	unsigned arms;

	start_timer(vm);
	arms = mock_of(vm)->arms;
	core_kick(vm);
	core_kick(vm);
	assert_int_equal(mock_of(vm)->arms, arms);
}

/* -------------------------------------------------------------- traps ---- */

static void test_exceptions_without_error_code(void **state)
{
	static const u8 vectors[] = {EXC_DE, EXC_BR, EXC_UD, EXC_NM, EXC_MF, EXC_XM};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(vectors); i++) {
		vm_kernel(vm);
		assert_fault(vm, trap_vector(vm, vectors[i], 0), vectors[i], 0, AT_CODE);
		assert_int_equal(vm->cpu.gpr[GPR_SP], AT_KSTACK - 12);
	}
}

static void test_page_fault_of_the_guest(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W);
	*pte_of(vm, AT_USER_CODE) |= PTE_U;
	vm_user(vm);
	assert_fault(vm, trap_pf(vm, AT_DATA + 0x123, PF_USER | PF_WRITE), EXC_PF,
		     PF_PRESENT | PF_USER | PF_WRITE, AT_USER_CODE);
	assert_int_equal(vm->cpu.cr2, AT_DATA + 0x123);
	/* The hardware calls the guest kernel a user; its fault is a supervisor's. */
	vm_kernel(vm);
	*pte_of(vm, AT_DATA) = 0;
	assert_fault(vm, trap_pf(vm, AT_DATA, PF_USER), EXC_PF, 0, AT_CODE);
}

static void test_page_fault_filled(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W);
	assert_next(vm, trap_pf(vm, AT_DATA, PF_USER), AT_CODE);
	assert_true(mock_of(vm)->page[AT_DATA >> 12]);
}

static void test_breakpoints(void **state)
{
	struct vm *vm = *state;

	put_gate(vm, EXC_BP, KCS, HANDLER(EXC_BP), D_INT32 | D_DPL3);
	vm_user(vm);
	code(vm, 0xcc);
	vm->cpu.rip++; /* the hardware reports it behind */
	assert_fault(vm, trap_vector(vm, EXC_BP, 0), EXC_BP, 0, AT_USER_CODE + 1);
	vm_user(vm);
	code(vm, 0xcd, 0x03);
	vm->cpu.rip += 2;
	assert_fault(vm, trap_vector(vm, EXC_BP, 0), EXC_BP, 0, AT_USER_CODE + 2);
	/* A gate that user code may not use: the fault is the instruction's. */
	vm_user(vm);
	code(vm, 0xce);
	vm->cpu.rip++;
	assert_fault(vm, trap_vector(vm, EXC_OF, 0), EXC_GP, EXC_OF * 8 + 2, AT_USER_CODE);
}

static void test_debug_trap(void **state)
{
	struct vm *vm = *state;

	code(vm, 0xf1);
	vm->cpu.rip++;
	assert_fault(vm, trap_vector(vm, EXC_DB, 0), EXC_DB, 0, AT_CODE + 1);
	assert_false(vm->cpu.dr[6] & 0x4000);
	vm->cpu.rflags |= FLAG_TF;
	vm->cpu.rip = AT_CODE;
	delivered(vm, trap_vector(vm, EXC_DB, 0), EXC_DB);
	assert_true(vm->cpu.dr[6] & 0x4000);
}

static void test_alignment(void **state)
{
	struct vm *vm = *state;

	vm->cpu.rflags |= FLAG_AC; /* the kernel is not checked */
	assert_next(vm, trap_vector(vm, EXC_AC, 0), AT_CODE);
	assert_false(vm->cpu.rflags & FLAG_AC);
	vm_user(vm);
	vm->cpu.cr0 |= CR0_AM;
	vm->cpu.rflags |= FLAG_AC;
	assert_fault(vm, trap_vector(vm, EXC_AC, 0), EXC_AC, 0, AT_USER_CODE);
	vm_user(vm);
	vm->cpu.cr0 &= ~(u64)CR0_AM; /* the host's CR0.AM is always set */
	vm->cpu.rflags |= FLAG_AC;
	assert_next(vm, trap_vector(vm, EXC_AC, 0), AT_USER_CODE);
}

static void test_unknown_trap_stops(void **state)
{
	struct vm *vm = *state;

	assert_stopped(vm, trap_vector(vm, EXC_MC, 0), FAULT_INSN);
	assert_int_equal(vm->exit.fault.detail, EXC_MC);
}

static void test_int80(void **state)
{
	struct vm *vm = *state;

	put_gate(vm, 0x80, KCS, HANDLER(0x80), D_TRAP32 | D_DPL3);
	vm_user(vm);
	vm_set_if(vm, FLAG_IF);
	vm->cpu.rip += 2;
	assert_int_equal(delivered(vm, core_int80(vm), 0x80).eip, AT_USER_CODE + 2);
	assert_int_equal(vm_if(vm), FLAG_IF);
	vm_user(vm);
	put_gate(vm, 0x80, KCS, HANDLER(0x80), D_INT32);
	vm->cpu.rip += 2;
	assert_fault(vm, core_int80(vm), EXC_GP, 0x80 * 8 + 2, AT_USER_CODE);
}

/* A stale answer must not finish an instruction that a trap has overtaken. */
static void test_trap_forgets_the_pending_access(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(gp(vm, 0xe4, 0xf4), CORE_EXIT);
	vm_kernel(vm);
	vm->cpu.gpr[GPR_AX] = 0x55;
	delivered(vm, trap_vector(vm, EXC_UD, 0), EXC_UD);
	vm->exit.io.value = 0x77;
	assert_next(vm, core_resume(vm), HANDLER(EXC_UD));
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x55);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_interrupt),
		VM_TEST(test_line_that_falls_again),
		VM_TEST(test_pending_protects_the_pv_page),
		VM_TEST(test_pending_in_popf),
		VM_TEST(test_priority_and_nesting),
		VM_TEST(test_endless_interrupt),
		VM_TEST(test_endless_interrupt_shuts_down),
		VM_TEST(test_interrupt_of_user_code),
		VM_TEST(test_hlt_waits),
		VM_TEST(test_hlt_for_good),
		VM_TEST(test_sti_hlt),
		VM_TEST(test_sti_hlt_instructions),
		VM_TEST(test_sti_cli),
		VM_TEST(test_a_hlt_not_behind_sti),
		VM_TEST(test_looking_around_keeps_cr2),
		VM_TEST(test_timer),
		VM_TEST(test_late_ticks_coalesce),
		VM_TEST(test_idle_names_its_deadline),
		VM_TEST(test_timer_is_armed_when_it_changes),
		VM_TEST(test_exceptions_without_error_code),
		VM_TEST(test_page_fault_of_the_guest),
		VM_TEST(test_page_fault_filled),
		VM_TEST(test_breakpoints),
		VM_TEST(test_debug_trap),
		VM_TEST(test_alignment),
		VM_TEST(test_unknown_trap_stops),
		VM_TEST(test_int80),
		VM_TEST(test_trap_forgets_the_pending_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
