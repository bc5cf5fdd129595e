/*
 * Unit tests of common/emulate-far.c: iret, int n, far jumps, calls and returns, call gates (SDM
 * vol. 2, their operation sections).
 */
#include "mock-host.h"

enum { CONF = SPARE, GATE = SPARE2, AT_GATE = 0x12340 };

/* ---------------------------------------------------------------- iret ---- */

/* Push what iret takes, the stack pointer at the top of the kernel's stack. */
static void iret_frame(struct vm *vm, u32 eip, u16 cs, u32 flags, u32 esp, u16 ss)
{
	const u32 frame[5] = {eip, cs, flags, esp, ss};

	vm->cpu.gpr[GPR_SP] = AT_KSTACK - sizeof(frame);
	poke(vm, vm->cpu.gpr[GPR_SP], frame, sizeof(frame));
}

static void test_iret_to_user(void **state)
{
	struct vm *vm = *state;

	assert_true(seg_load(vm, SEG_ES, UDS));
	iret_frame(vm, 0x1234, UCS, FLAG_ONE | FLAG_CF | FLAG_IF | 3 << 12, 0x5678, UDS);
	assert_next(vm, gp(vm, 0xcf), 0x1234);
	assert_int_equal(vm_cpl(vm), 3);
	assert_int_equal(vm->cpu.gpr[GPR_SP], 0x5678);
	assert_int_equal(vm->cpu.seg[SEG_CS].selector, UCS);
	assert_int_equal(vm->cpu.seg[SEG_SS].selector, UDS);
	assert_int_equal(vm->cpu.seg[SEG_DS].selector, 0); /* the kernel's: taken away */
	assert_int_equal(vm->cpu.seg[SEG_ES].selector, UDS);
	assert_int_equal(vm_flags(vm), FLAG_ONE | FLAG_CF | FLAG_IF | 3 << 12);
}

static void test_iret_same_level(void **state)
{
	struct vm *vm = *state;

	iret_frame(vm, 0x1234, KCS, FLAG_DF | FLAG_AC | FLAG_ID, 0, 0);
	vm_set_if(vm, FLAG_IF);
	vm->cpu.rflags |= FLAG_CF;
	assert_next(vm, gp(vm, 0xcf), 0x1234);
	assert_int_equal(vm->cpu.gpr[GPR_SP], AT_KSTACK - 8);
	assert_int_equal(vm_flags(vm), FLAG_ONE | FLAG_DF | FLAG_AC | FLAG_ID);
	assert_int_equal(vm->cpu.seg[SEG_DS].selector, KDS);
}

static void test_iret_16_bit(void **state)
{
	struct vm *vm = *state;
	const u16 frame[3] = {0x1234, KCS, FLAG_CF};

	poke(vm, AT_KSTACK - 6, frame, sizeof(frame));
	vm->cpu.gpr[GPR_SP] = AT_KSTACK - 6;
	vm->cpu.rflags |= FLAG_ID | FLAG_ZF;
	assert_next(vm, gp(vm, 0x66, 0xcf), 0x1234);
	assert_int_equal(vm->cpu.gpr[GPR_SP], AT_KSTACK);
	assert_int_equal(vm_flags(vm), FLAG_ONE | FLAG_CF | FLAG_ID); /* the upper half stays */
}

/* What user code changes by its own iret: neither IOPL nor, without it, IF. */
static void test_iret_of_user_code(void **state)
{
	struct vm *vm = *state;

	for (unsigned iopl = 0; iopl < 4; iopl += 3) {
		vm_user(vm);
		vm->cpu.iopl = iopl;
		vm_set_if(vm, 0);
		iret_frame(vm, 0x1234, UCS, FLAG_IF | 1 << 12 | FLAG_OF, 0, 0);
		assert_next(vm, gp(vm, 0xcf), 0x1234);
		assert_int_equal(vm->cpu.iopl, iopl);
		assert_int_equal(vm_if(vm), iopl == 3 ? FLAG_IF : 0);
		assert_true(vm->cpu.rflags & FLAG_OF);
	}
	vm_user(vm); /* not inwards */
	iret_frame(vm, 0x1234, KCS, 0, 0, 0);
	assert_fault(vm, gp(vm, 0xcf), EXC_GP, KCS, AT_USER_CODE);
}

static void assert_iret_refused(struct vm *vm, u16 cs, u16 ss, u8 vector, u32 error)
{
	vm_kernel(vm);
	iret_frame(vm, 0x1234, cs, FLAG_IF, 0x5678, ss);
	assert_fault(vm, gp(vm, 0xcf), vector, error, AT_CODE);
	assert_int_equal(vm_cpl(vm), 0);
	assert_int_equal(vm->cpu.gpr[GPR_SP], AT_KSTACK - 20 - 16);
}

static void test_iret_checks(void **state)
{
	struct vm *vm = *state;

	assert_iret_refused(vm, 0, UDS, EXC_GP, 0);
	assert_iret_refused(vm, 3, UDS, EXC_GP, 0);
	assert_iret_refused(vm, GDT_LIMIT + 1, UDS, EXC_GP, GDT_LIMIT + 1);
	assert_iret_refused(vm, UDS, UDS, EXC_GP, UDS & ~3);
	assert_iret_refused(vm, TSS, UDS, EXC_GP, TSS);
	assert_iret_refused(vm, UCS & ~3, UDS, EXC_GP, UCS & ~3); /* DPL 3, RPL 0 */
	assert_iret_refused(vm, KCS | 3, UDS, EXC_GP, KCS);
	assert_iret_refused(vm, UCS, 0, EXC_GP, 0);
	assert_iret_refused(vm, UCS, GDT_LIMIT + 4, EXC_GP, (GDT_LIMIT + 4) & ~3);
	assert_iret_refused(vm, UCS, UDS & ~3, EXC_GP, UDS & ~3);
	assert_iret_refused(vm, UCS, KDS | 3, EXC_GP, KDS);
	assert_iret_refused(vm, UCS, UCS, EXC_GP, UCS & ~3);
	put_descriptor(vm, SPARE, descriptor(0, 0xfffff, (D_CODE | D_DPL3) & ~D_ABSENT, D_FLAT));
	assert_iret_refused(vm, SPARE | 3, UDS, EXC_NP, SPARE);
	put_descriptor(vm, SPARE, descriptor(0, 0xfffff, (D_DATA | D_DPL3) & ~D_ABSENT, D_FLAT));
	assert_iret_refused(vm, UCS, SPARE | 3, EXC_SS, SPARE);
	put_descriptor(vm, SPARE, descriptor(0, 0x1233, D_CODE | D_DPL3, D_32));
	assert_iret_refused(vm, SPARE | 3, UDS, EXC_GP, 0); /* EIP beyond the limit */
	put_descriptor(vm, SPARE, descriptor(0, 0x1234, D_CODE | D_DPL3, D_32));
	vm_kernel(vm);
	iret_frame(vm, 0x1234, SPARE | 3, 0, 0, UDS);
	assert_next(vm, gp(vm, 0xcf), 0x1234);
}

static void test_iret_to_conforming_code(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, CONF, descriptor(0, 0xfffff, D_CODE_CONF, D_FLAT));
	iret_frame(vm, 0x1234, CONF | 3, 0, 0x5678, UDS);
	assert_next(vm, gp(vm, 0xcf), 0x1234);
	assert_int_equal(vm_cpl(vm), 3);
	put_descriptor(vm, CONF, descriptor(0, 0xfffff, D_CODE_CONF | D_DPL3, D_FLAT));
	assert_iret_refused(vm, CONF, UDS, EXC_GP, CONF);
}

static void test_iret_stack_fault(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W);
	iret_frame(vm, 0x1234, UCS, 0, 0x5678, UDS);
	vm->cpu.gpr[GPR_SP] = 0x1fff4; /* EIP, CS, flags; then an absent page */
	poke32(vm, 0x1fff8, UCS);
	poke32(vm, 0x1fffc, 0);
	*pte_of(vm, 0x20000) = 0;
	assert_fault(vm, gp(vm, 0xcf), EXC_PF, 0, AT_CODE);
	assert_int_equal(vm->cpu.cr2, 0x20000);
}

static void test_iret_modes_not_supported(void **state)
{
	struct vm *vm = *state;

	iret_frame(vm, 0x1234, UCS, FLAG_VM, 0, UDS);
	assert_stopped(vm, gp(vm, 0xcf), FAULT_MODE);
	vm_kernel(vm);
	vm->cpu.rflags |= FLAG_NT; /* the link names no busy TSS */
	poke16(vm, AT_TSS, KDS);
	assert_fault(vm, gp(vm, 0xcf), EXC_TS, KDS, AT_CODE);
	vm_kernel(vm);
	vm->cpu.rflags |= FLAG_NT;
	poke16(vm, AT_TSS, TSS);
	assert_stopped(vm, gp(vm, 0xcf), FAULT_TASK);
}

/* TF takes effect behind the next instruction. */
static void test_iret_sets_tf(void **state)
{
	struct vm *vm = *state;

	iret_frame(vm, 0x1234, KCS, FLAG_TF, 0, 0);
	assert_next(vm, gp(vm, 0xcf), 0x1234);
	assert_true(vm->cpu.rflags & FLAG_TF);
}

static void test_iret_stub(void **state)
{
	struct vm *vm = *state;

	vm->abi = true;
	pv_page(vm)->iret_site = AT_CODE + 0x40;
	iret_frame(vm, 0x1234, KCS, FLAG_IF, 0, 0);
	vm->cpu.rip = PLEX86_PV_PAGE + PLEX86_PV_STUB_IRET;
	assert_next(vm, trap_gp(vm), 0x1234);
	assert_int_equal(vm_if(vm), FLAG_IF);
	vm_kernel(vm); /* its fault is the site's */
	iret_frame(vm, 0x1234, TSS, 0, 0, 0);
	vm->cpu.rip = PLEX86_PV_PAGE + PLEX86_PV_STUB_IRET;
	assert_fault(vm, trap_gp(vm), EXC_GP, TSS, AT_CODE + 0x40);
}

static void test_iret_refreshes_tls(void **state)
{
	struct vm *vm = *state;
	u64 desc = descriptor(0xb7000000, 0xfffff, 0xf3, D_FLAT);

	put_descriptor(vm, TLS0, desc);
	iret_frame(vm, 0x1234, UCS, 0, 0x5678, UDS);
	assert_next(vm, gp(vm, 0xcf), 0x1234);
	assert_int_equal(mock_of(vm)->segment[HOST_SLOT_TLS0], desc);
}

static void test_iret_hides_the_kernel(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W);
	assert_next(vm, trap_pf(vm, AT_DATA, PF_WRITE), AT_CODE);
	iret_frame(vm, 0x1234, UCS, 0, 0x5678, UDS);
	assert_next(vm, gp(vm, 0xcf), 0x1234);
	assert_int_equal(mock_of(vm)->mapped, 0);
}

/* ----------------------------------------------------------------- int ---- */

static void test_int(void **state)
{
	struct vm *vm = *state;

	put_gate(vm, 0x80, KCS, HANDLER(0x80), D_TRAP32 | D_DPL3);
	vm_user(vm);
	assert_int_equal(delivered(vm, gp(vm, 0xcd, 0x80), 0x80).eip, AT_USER_CODE + 2);
	vm_user(vm);
	assert_fault(vm, gp(vm, 0xcd, 0x81), EXC_GP, 0x81 * 8 + 2, AT_USER_CODE);
	vm_kernel(vm);
	assert_int_equal(delivered(vm, gp(vm, 0xcc), EXC_BP).eip, AT_CODE + 1);
	vm_user(vm);
	assert_int_equal(delivered(vm, gp(vm, 0xf1), EXC_DB).eip, AT_USER_CODE + 1);
	vm_kernel(vm);
	assert_next(vm, gp(vm, 0xce), AT_CODE + 1); /* into without OF */
	vm->cpu.rflags |= FLAG_OF;
	assert_int_equal(delivered(vm, gp(vm, 0xce), EXC_OF).eip, AT_CODE + 2);
}

/* -------------------------------------------------- far jumps and calls ---- */

static void test_ljmp(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, SPARE, descriptor(0, 0xffff, 0x9a, D_32));
	assert_next(vm, gp(vm, 0xea, IMM32(0x1234), IMM16(SPARE)), 0x1234);
	assert_int_equal(vm->cpu.seg[SEG_CS].selector, SPARE);
	assert_int_equal(vm->cpu.hw_selector[SEG_CS], HOST_LDT_SELECTOR(HOST_SLOT_SEG0 + SEG_CS));
	assert_int_equal(get_descriptor(vm, SPARE) >> 40 & 1, 1);
	vm_kernel(vm);
	poke32(vm, AT_DATA, 0x4321);
	poke16(vm, AT_DATA + 4, KCS);
	assert_next(vm, gp(vm, 0xff, 0x2d, IMM32(AT_DATA)), 0x4321);
	vm_kernel(vm);
	poke16(vm, AT_DATA + 2, KCS);
	assert_next(vm, gp(vm, 0x66, 0xff, 0x2d, IMM32(AT_DATA)), 0x4321);
}

static void test_lcall_and_lret(void **state)
{
	struct vm *vm = *state;

	assert_next(vm, gp(vm, 0x9a, IMM32(0x1234), IMM16(KCS)), 0x1234);
	assert_int_equal(vm->cpu.gpr[GPR_SP], AT_KSTACK - 8);
	assert_int_equal(peek32(vm, AT_KSTACK - 4), KCS);
	assert_int_equal(peek32(vm, AT_KSTACK - 8), AT_CODE + 7);
	assert_next(vm, gp(vm, 0xcb), AT_CODE + 7);
	assert_int_equal(vm->cpu.gpr[GPR_SP], AT_KSTACK);
	assert_next(vm, gp(vm, 0x66, 0x9a, IMM16(0x1234), IMM16(KCS)), 0x1234);
	assert_int_equal(vm->cpu.gpr[GPR_SP], AT_KSTACK - 4);
	poke16(vm, AT_KSTACK - 4, 0x4444);
	assert_next(vm, gp(vm, 0x66, 0xca, 0x10, 0x00), 0x4444);
	assert_int_equal(vm->cpu.gpr[GPR_SP], AT_KSTACK + 0x10);
}

static void test_lret_to_user(void **state)
{
	struct vm *vm = *state;
	/* EIP, CS, two parameters, ESP, SS */
	const u32 frame[] = {0x1234, UCS, 1, 2, 0x5678, UDS};

	poke(vm, AT_KSTACK - sizeof(frame), frame, sizeof(frame));
	vm->cpu.gpr[GPR_SP] = AT_KSTACK - sizeof(frame);
	assert_next(vm, gp(vm, 0xca, 8, 0), 0x1234);
	assert_int_equal(vm_cpl(vm), 3);
	assert_int_equal(vm->cpu.gpr[GPR_SP], 0x5678 + 8);
	assert_int_equal(vm->cpu.seg[SEG_DS].selector, 0);
}

static void assert_ljmp_refused(struct vm *vm, bool user, u16 selector, u8 vector, u32 error)
{
	user ? vm_user(vm) : vm_kernel(vm);
	assert_fault(vm, gp(vm, 0xea, IMM32(0x1234), IMM16(selector)), vector, error,
		     user ? AT_USER_CODE : AT_CODE);
}

static void test_far_target_checks(void **state)
{
	struct vm *vm = *state;

	assert_ljmp_refused(vm, false, 0, EXC_GP, 0);
	assert_ljmp_refused(vm, false, GDT_LIMIT + 1, EXC_GP, GDT_LIMIT + 1);
	assert_ljmp_refused(vm, false, KDS, EXC_GP, KDS);
	assert_ljmp_refused(vm, false, LDT, EXC_GP, LDT);
	assert_ljmp_refused(vm, false, KCS | 1, EXC_GP, KCS); /* RPL > CPL */
	assert_ljmp_refused(vm, false, UCS, EXC_GP, UCS & ~3);
	assert_ljmp_refused(vm, true, KCS, EXC_GP, KCS);
	put_descriptor(vm, SPARE, descriptor(0, 0x1233, D_CODE, D_32));
	assert_ljmp_refused(vm, false, SPARE, EXC_GP, 0);
	put_descriptor(vm, SPARE, descriptor(0, 0xffff, D_CODE & ~D_ABSENT, D_32));
	assert_ljmp_refused(vm, false, SPARE, EXC_NP, SPARE);
	put_descriptor(vm, SPARE, descriptor(0, 0x67, D_TSS, 0));
	assert_ljmp_refused(vm, true, SPARE, EXC_GP, SPARE);
	assert_ljmp_refused(vm, false, SPARE | 3, EXC_GP, SPARE);
	vm_kernel(vm);
	assert_stopped(vm, gp(vm, 0xea, IMM32(0), IMM16(SPARE)), FAULT_TASK);
	put_descriptor(vm, SPARE, gate_descriptor(TSS, 0, D_TASK, 0));
	assert_ljmp_refused(vm, true, SPARE, EXC_GP, SPARE);
	put_descriptor(vm, SPARE, gate_descriptor(TSS, 0, (D_TASK & ~D_ABSENT) | D_DPL3, 0));
	assert_ljmp_refused(vm, true, SPARE | 3, EXC_NP, SPARE);
	/* Conforming code runs at any lesser privilege, and at that of its caller. */
	put_descriptor(vm, CONF, descriptor(0, 0xfffff, D_CODE_CONF, D_FLAT));
	vm_user(vm);
	assert_next(vm, gp(vm, 0xea, IMM32(0x1234), IMM16(CONF)), 0x1234);
	assert_int_equal(vm->cpu.seg[SEG_CS].selector, CONF | 3);
	put_descriptor(vm, CONF, descriptor(0, 0xfffff, D_CODE_CONF | D_DPL3, D_FLAT));
	assert_ljmp_refused(vm, false, CONF, EXC_GP, CONF);
}

/* ----------------------------------------------------------- call gates ---- */

static void call_gate(struct vm *vm, u16 target, u8 access, u8 params)
{
	put_descriptor(vm, GATE, gate_descriptor(target, AT_GATE, access, params));
}

static void test_call_gate_to_inner_level(void **state)
{
	struct vm *vm = *state;
	const u32 params[3] = {0x11, 0x22, 0x33};
	u32 sp = AT_TSS_STACK;

	call_gate(vm, KCS, D_CALL32 | D_DPL3, 3);
	vm_user(vm);
	poke(vm, AT_USER_STACK, params, sizeof(params));
	assert_next(vm, gp(vm, 0x9a, IMM32(0xdead), IMM16(GATE | 3)), AT_GATE);
	assert_int_equal(vm_cpl(vm), 0);
	assert_int_equal(vm->cpu.seg[SEG_CS].selector, KCS);
	assert_int_equal(vm->cpu.seg[SEG_SS].selector, KDS);
	assert_int_equal(vm->cpu.gpr[GPR_SP], sp - 28);
	assert_int_equal(peek32(vm, sp - 4), UDS);
	assert_int_equal(peek32(vm, sp - 8), AT_USER_STACK);
	assert_memory_equal(vm->ram + sp - 20, params, sizeof(params));
	assert_int_equal(peek32(vm, sp - 24), UCS);
	assert_int_equal(peek32(vm, sp - 28), AT_USER_CODE + 7);
	/* And back, dropping the parameters from both stacks. */
	assert_next(vm, gp(vm, 0xca, 12, 0), AT_USER_CODE + 7);
	assert_int_equal(vm->cpu.gpr[GPR_SP], AT_USER_STACK + 12);
}

static void test_call_gate_16_bit(void **state)
{
	struct vm *vm = *state;
	const u16 params[2] = {0x11, 0x22};
	u32 sp = AT_TSS_STACK;

	call_gate(vm, KCS, D_CALL16 | D_DPL3, 2);
	vm_user(vm);
	poke(vm, AT_USER_STACK, params, sizeof(params));
	assert_next(vm, gp(vm, 0x9a, IMM32(0), IMM16(GATE)), AT_GATE & 0xffff);
	assert_int_equal(vm->cpu.gpr[GPR_SP], sp - 12);
	assert_memory_equal(vm->ram + sp - 8, params, sizeof(params));
	assert_int_equal(peek16(vm, sp - 12), (AT_USER_CODE + 7) & 0xffff);
}

static void test_call_gate_same_level(void **state)
{
	struct vm *vm = *state;

	call_gate(vm, KCS, D_CALL32, 5);
	assert_next(vm, gp(vm, 0x9a, IMM32(0), IMM16(GATE)), AT_GATE);
	assert_int_equal(vm->cpu.gpr[GPR_SP], AT_KSTACK - 8);
	vm_kernel(vm);
	assert_next(vm, gp(vm, 0xea, IMM32(0), IMM16(GATE)), AT_GATE);
	assert_int_equal(vm->cpu.gpr[GPR_SP], AT_KSTACK);
}

static void test_call_gate_checks(void **state)
{
	struct vm *vm = *state;

	call_gate(vm, KCS, D_CALL32, 0); /* DPL 0 */
	assert_ljmp_refused(vm, true, GATE, EXC_GP, GATE);
	assert_ljmp_refused(vm, false, GATE | 1, EXC_GP, GATE);
	call_gate(vm, KCS, (D_CALL32 | D_DPL3) & ~D_ABSENT, 0);
	assert_ljmp_refused(vm, true, GATE, EXC_NP, GATE);
	call_gate(vm, 3, D_CALL32 | D_DPL3, 0);
	assert_ljmp_refused(vm, true, GATE, EXC_GP, 0);
	call_gate(vm, GDT_LIMIT + 1, D_CALL32 | D_DPL3, 0);
	assert_ljmp_refused(vm, true, GATE, EXC_GP, GDT_LIMIT + 1);
	call_gate(vm, KDS, D_CALL32 | D_DPL3, 0);
	assert_ljmp_refused(vm, true, GATE, EXC_GP, KDS);
	call_gate(vm, UCS, D_CALL32, 0); /* outwards */
	assert_ljmp_refused(vm, false, GATE, EXC_GP, UCS & ~3);
	call_gate(vm, KCS, D_CALL32 | D_DPL3, 0); /* a jump cannot change the level */
	assert_ljmp_refused(vm, true, GATE, EXC_GP, KCS);
	put_descriptor(vm, SPARE, descriptor(0, 0xfffff, D_CODE & ~D_ABSENT, D_FLAT));
	call_gate(vm, SPARE, D_CALL32, 0);
	assert_ljmp_refused(vm, false, GATE, EXC_NP, SPARE);
	put_descriptor(vm, SPARE, descriptor(0, AT_GATE - 1, D_CODE, D_32));
	vm_user(vm);
	call_gate(vm, SPARE, D_CALL32 | D_DPL3, 0);
	assert_fault(vm, gp(vm, 0x9a, IMM32(0), IMM16(GATE)), EXC_GP, 0, AT_USER_CODE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_iret_to_user),
		VM_TEST(test_iret_same_level),
		VM_TEST(test_iret_16_bit),
		VM_TEST(test_iret_of_user_code),
		VM_TEST(test_iret_checks),
		VM_TEST(test_iret_to_conforming_code),
		VM_TEST(test_iret_stack_fault),
		VM_TEST(test_iret_modes_not_supported),
		VM_TEST(test_iret_sets_tf),
		VM_TEST(test_iret_stub),
		VM_TEST(test_iret_refreshes_tls),
		VM_TEST(test_iret_hides_the_kernel),
		VM_TEST(test_int),
		VM_TEST(test_ljmp),
		VM_TEST(test_lcall_and_lret),
		VM_TEST(test_lret_to_user),
		VM_TEST(test_far_target_checks),
		VM_TEST(test_call_gate_to_inner_level),
		VM_TEST(test_call_gate_16_bit),
		VM_TEST(test_call_gate_same_level),
		VM_TEST(test_call_gate_checks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
