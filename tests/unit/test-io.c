/*
 * Unit tests of common/emulate-io.c: in, out, ins, outs; the permission checks; what goes to the
 * VMM and how the instruction ends after its answer.
 */
#include "mock-host.h"

#define PORT 0x3f8 /* not the core's */

static void assert_io_exit(struct vm *vm, enum core_next next, u16 port, u8 size, bool write,
			   u32 value)
{
	assert_int_equal(next, CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_IO);
	assert_int_equal(vm->exit.io.port, port);
	assert_int_equal(vm->exit.io.size, size);
	assert_int_equal(vm->exit.io.write, write);
	if (write)
		assert_int_equal(vm->exit.io.value, value);
}

static enum core_next answer(struct vm *vm, u32 value)
{
	vm->exit.io.value = value;
	return core_resume(vm);
}

static void test_in(void **state)
{
	struct vm *vm = *state;

	vm->cpu.gpr[GPR_AX] = 0xaabbccdd;
	vm->cpu.gpr[GPR_DX] = 0xffff0000 | PORT;
	assert_io_exit(vm, gp(vm, 0xec), PORT, 1, false, 0);
	assert_int_equal(vm->cpu.rip, AT_CODE);
	assert_next(vm, answer(vm, 0x12345678), AT_CODE + 1);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0xaabbcc78);
	assert_io_exit(vm, gp(vm, 0x66, 0xed), PORT, 2, false, 0);
	assert_next(vm, answer(vm, 0x12345678), AT_CODE + 3);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0xaabb5678);
	assert_io_exit(vm, gp(vm, 0xe5, 0xf4), 0xf4, 4, false, 0);
	assert_next(vm, answer(vm, 0x12345678), AT_CODE + 5);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x12345678);
}

static void test_out(void **state)
{
	struct vm *vm = *state;

	vm->cpu.gpr[GPR_AX] = 0xaabbccdd;
	vm->cpu.gpr[GPR_DX] = PORT;
	assert_io_exit(vm, gp(vm, 0xee), PORT, 1, true, 0xdd);
	assert_next(vm, core_resume(vm), AT_CODE + 1);
	assert_io_exit(vm, gp(vm, 0x66, 0xe7, 0xe9), 0xe9, 2, true, 0xccdd);
	assert_next(vm, core_resume(vm), AT_CODE + 4);
	assert_io_exit(vm, gp(vm, 0xef), PORT, 4, true, 0xaabbccdd);
	assert_next(vm, core_resume(vm), AT_CODE + 5);
}

static void test_own_chips_need_no_exit(void **state)
{
	struct vm *vm = *state;

	vm->cpu.gpr[GPR_AX] = 0x5a;
	assert_next(vm, gp(vm, 0xe6, 0x21), AT_CODE + 2);
	vm->cpu.gpr[GPR_AX] = 0;
	assert_next(vm, gp(vm, 0xe4, 0x21), AT_CODE + 4);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x5a);
	/* A word read at the CMOS index port reaches both its bytes. */
	mock_of(vm)->utc = 0;
	vm->cpu.gpr[GPR_AX] = 0x0d;
	assert_next(vm, gp(vm, 0xe6, 0x70), AT_CODE + 6);
	assert_next(vm, gp(vm, 0x66, 0xe5, 0x70), AT_CODE + 9);
	assert_int_equal(vm->cpu.gpr[GPR_AX] >> 8 & 0xff, 0x80); /* valid RAM and time */
}

/* What a device has ready is read without exits, but for the last of it. */
static void test_window(void **state)
{
	struct vm *vm = *state;
	struct port_window *w = &vm->window;

	w->port = PORT;
	w->end = 5;
	mem_copy(w->data, "\x11\x22\x33\x44\x55", 5);
	vm->cpu.gpr[GPR_AX] = 0;
	vm->cpu.gpr[GPR_DX] = PORT;
	assert_next(vm, gp(vm, 0x66, 0xed), AT_CODE + 2);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x2211);
	assert_io_exit(vm, gp(vm, 0xed), PORT, 4, false, 0); /* there are 3 */
	assert_next(vm, answer(vm, 0), AT_CODE + 3);
	assert_next(vm, gp(vm, 0xec), AT_CODE + 4);
	assert_int_equal(vm->cpu.gpr[GPR_AX] & 0xff, 0x33);
	assert_int_equal(w->used, 3);
	assert_io_exit(vm, gp(vm, 0x66, 0xed), PORT, 2, false, 0); /* these are the last */
	assert_next(vm, answer(vm, 0), AT_CODE + 6);
	assert_io_exit(vm, gp(vm, 0xee), PORT, 1, true, 0); /* writes are not for it */
	assert_next(vm, core_resume(vm), AT_CODE + 7);
	vm->cpu.gpr[GPR_DX] = PORT + 1;
	assert_io_exit(vm, gp(vm, 0xec), PORT + 1, 1, false, 0);
	assert_next(vm, answer(vm, 0), AT_CODE + 8);
	/* Nor is anything outside of it. */
	vm->cpu.gpr[GPR_DX] = PORT;
	w->used = 0xfffffff0;
	assert_io_exit(vm, gp(vm, 0xec), PORT, 1, false, 0);
	assert_next(vm, answer(vm, 0), AT_CODE + 9);
	w->used = 0;
	w->end = PORT_WINDOW_BYTES + 1;
	assert_io_exit(vm, gp(vm, 0xec), PORT, 1, false, 0);
	assert_next(vm, answer(vm, 0), AT_CODE + 10);
}

static void test_programming_the_timer_arms_it(void **state)
{
	struct vm *vm = *state;

	vm->cpu.gpr[GPR_AX] = 0x34;
	gp(vm, 0xe6, 0x43);
	vm->cpu.gpr[GPR_AX] = 0x10;
	gp(vm, 0xe6, 0x40);
	assert_int_equal(core_deadline(vm), 0);
	assert_next(vm, gp(vm, 0xe6, 0x40), AT_CODE + 6);
	assert_true(core_deadline(vm) > mock_of(vm)->now);
	assert_int_equal(mock_of(vm)->armed, core_deadline(vm));
}

/* ------------------------------------------------------- permissions ---- */

static void assert_port(struct vm *vm, bool allowed)
{
	u32 rip = vm->cpu.rip = AT_USER_CODE;

	if (allowed) {
		assert_int_equal(trap_gp(vm), CORE_EXIT);
		assert_int_equal(vm->exit.kind, EXIT_IO);
		return;
	}
	assert_fault(vm, trap_gp(vm), EXC_GP, 0, rip);
	vm_user(vm);
}

static void test_iopl(void **state)
{
	struct vm *vm = *state;

	vm_user(vm);
	vm->cpu.gpr[GPR_DX] = PORT;
	code(vm, 0xec);
	for (unsigned iopl = 0; iopl < 4; iopl++) {
		vm->cpu.iopl = iopl;
		assert_port(vm, iopl == 3);
	}
}

static void test_bitmap(void **state)
{
	struct vm *vm = *state;

	vm_user(vm);
	code(vm, 0xed); /* four ports */
	poke16(vm, AT_TSS + 0x66, 0x68);
	vm->cpu.tr.limit = 0x68 + 0x80;
	for (u32 port = 0; port < 24; port++)
		for (u32 denied = 0; denied < 32; denied++) {
			vm->cpu.gpr[GPR_DX] = port + 0x300;
			poke32(vm, AT_TSS + 0x68 + 0x60, 1u << denied);
			assert_port(vm, denied < port || denied >= port + 4);
		}
}

static void test_bitmap_limit(void **state)
{
	struct vm *vm = *state;

	vm_user(vm);
	vm->cpu.gpr[GPR_DX] = 0x300;
	code(vm, 0xec);
	poke16(vm, AT_TSS + 0x66, 0x68);
	assert_port(vm, false);		/* the TSS ends before its bitmap */
	vm->cpu.tr.limit = 0x68 + 0x61; /* two bytes are read */
	assert_port(vm, true);
	vm->cpu.tr.limit--;
	assert_port(vm, false);
	vm->cpu.tr.limit = 0x66;
	poke16(vm, AT_TSS + 0x66, 0);
	assert_port(vm, false);
}

/* ---------------------------------------------------------- ins, outs ---- */

static void test_ins(void **state)
{
	struct vm *vm = *state;

	vm->cpu.gpr[GPR_DX] = PORT;
	vm->cpu.gpr[GPR_DI] = AT_DATA;
	assert_io_exit(vm, gp(vm, 0x6d), PORT, 4, false, 0);
	assert_next(vm, answer(vm, 0x12345678), AT_CODE + 1);
	assert_int_equal(peek32(vm, AT_DATA), 0x12345678);
	assert_int_equal(vm->cpu.gpr[GPR_DI], AT_DATA + 4);
	vm->cpu.rflags |= FLAG_DF;
	assert_io_exit(vm, gp(vm, 0x66, 0x6d), PORT, 2, false, 0);
	assert_next(vm, answer(vm, 0xffffabcd), AT_CODE + 3);
	assert_int_equal(peek32(vm, AT_DATA + 4), 0xabcd);
	assert_int_equal(vm->cpu.gpr[GPR_DI], AT_DATA + 2);
}

static void test_rep_ins(void **state)
{
	struct vm *vm = *state;

	vm->cpu.gpr[GPR_DX] = PORT;
	vm->cpu.gpr[GPR_DI] = AT_DATA;
	vm->cpu.gpr[GPR_CX] = 3;
	for (u32 i = 0; i < 3; i++) {
		assert_io_exit(vm, gp(vm, 0xf3, 0x6c), PORT, 1, false, 0);
		assert_next(vm, answer(vm, 0x10 + i), AT_CODE + (i == 2 ? 2 : 0));
		assert_int_equal(vm->cpu.gpr[GPR_CX], 2 - i);
	}
	assert_int_equal(peek32(vm, AT_DATA), 0x121110);
	vm->cpu.rip = AT_CODE;
	assert_next(vm, trap_gp(vm), AT_CODE + 2); /* nothing to do */
	assert_int_equal(vm->cpu.gpr[GPR_CX], 0);
}

static void test_outs(void **state)
{
	struct vm *vm = *state;

	poke32(vm, AT_DATA, 0x44332211);
	vm->cpu.gpr[GPR_DX] = PORT;
	vm->cpu.gpr[GPR_SI] = AT_DATA;
	vm->cpu.gpr[GPR_CX] = 2;
	assert_io_exit(vm, gp(vm, 0xf3, 0x66, 0x6f), PORT, 2, true, 0x2211);
	assert_int_equal(vm->cpu.gpr[GPR_SI], AT_DATA);
	assert_next(vm, core_resume(vm), AT_CODE);
	assert_int_equal(vm->cpu.gpr[GPR_SI], AT_DATA + 2);
	assert_io_exit(vm, trap_gp(vm), PORT, 2, true, 0x4433);
	assert_next(vm, core_resume(vm), AT_CODE + 3);
	assert_int_equal(vm->cpu.gpr[GPR_CX], 0);
}

static void test_outs_segment_and_address_size(void **state)
{
	struct vm *vm = *state;

	assert_true(seg_load(vm, SEG_FS, SMALL));
	poke32(vm, AT_DATA + 0x100, 0x99);
	vm->cpu.gpr[GPR_DX] = PORT;
	vm->cpu.gpr[GPR_SI] = 0xffff0100;
	vm->cpu.gpr[GPR_CX] = 0xabc00001;
	assert_io_exit(vm, gp(vm, 0x64, 0x67, 0xf3, 0x6e), PORT, 1, true, 0x99);
	assert_next(vm, core_resume(vm), AT_CODE + 4);
	assert_int_equal(vm->cpu.gpr[GPR_SI], 0xffff0101);
	assert_int_equal(vm->cpu.gpr[GPR_CX], 0xabc00000); /* CX counted, not ECX */
}

static void test_index_wraps_at_address_size(void **state)
{
	struct vm *vm = *state;

	vm->cpu.gpr[GPR_DX] = 0x21;
	vm->cpu.gpr[GPR_DI] = 0xaaaaffff;
	assert_next(vm, gp(vm, 0x67, 0x6c), AT_CODE + 2);
	assert_int_equal(vm->cpu.gpr[GPR_DI], 0xaaaa0000);
	vm->cpu.rflags |= FLAG_DF;
	assert_next(vm, gp(vm, 0x67, 0x6c), AT_CODE + 4);
	assert_int_equal(vm->cpu.gpr[GPR_DI], 0xaaaaffff);
}

/* The port must not be read when the value cannot be stored. */
static void test_ins_faults_before_the_port_is_read(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W);
	*pte_of(vm, AT_DATA + 0x1000) = 0;
	vm->cpu.gpr[GPR_DX] = PORT;
	vm->cpu.gpr[GPR_DI] = AT_DATA + 0xffe; /* its second half is missing */
	assert_fault(vm, gp(vm, 0x6d), EXC_PF, PF_WRITE, AT_CODE);
	assert_int_equal(vm->cpu.cr2, AT_DATA + 0x1000);
	assert_int_equal(vm->cpu.gpr[GPR_DI], AT_DATA + 0xffe);
}

static void test_ins_limit(void **state)
{
	struct vm *vm = *state;

	assert_true(seg_load(vm, SEG_ES, SMALL));
	vm->cpu.gpr[GPR_DX] = PORT;
	vm->cpu.gpr[GPR_DI] = 0xffd;
	assert_fault(vm, gp(vm, 0x6d), EXC_GP, 0, AT_CODE);
}

static void test_ins_across_pages(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W);
	*pte_of(vm, AT_DATA) = 0x90000 | PTE_P | PTE_W;
	*pte_of(vm, AT_DATA + 0x1000) = 0x80000 | PTE_P | PTE_W;
	vm->cpu.gpr[GPR_DX] = PORT;
	vm->cpu.gpr[GPR_DI] = AT_DATA + 0xffe;
	assert_io_exit(vm, gp(vm, 0x6d), PORT, 4, false, 0);
	assert_next(vm, answer(vm, 0x44332211), AT_CODE + 1);
	assert_int_equal(peek16(vm, 0x90ffe), 0x2211);
	assert_int_equal(peek16(vm, 0x80000), 0x4433);
}

/* Interrupts are taken between the elements of a rep. */
static void test_interrupt_between_elements(void **state)
{
	struct vm *vm = *state;

	pic_ready(vm);
	vm_set_if(vm, FLAG_IF);
	vm->cpu.gpr[GPR_DX] = PORT;
	vm->cpu.gpr[GPR_DI] = AT_DATA;
	vm->cpu.gpr[GPR_CX] = 2;
	gp(vm, 0xf3, 0x6c);
	raise_irq(vm);
	assert_fault(vm, answer(vm, 1), IRQ_VECTOR, 0, AT_CODE);
	assert_int_equal(vm->cpu.gpr[GPR_CX], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_in),
		VM_TEST(test_out),
		VM_TEST(test_own_chips_need_no_exit),
		VM_TEST(test_window),
		VM_TEST(test_programming_the_timer_arms_it),
		VM_TEST(test_iopl),
		VM_TEST(test_bitmap),
		VM_TEST(test_bitmap_limit),
		VM_TEST(test_ins),
		VM_TEST(test_rep_ins),
		VM_TEST(test_outs),
		VM_TEST(test_outs_segment_and_address_size),
		VM_TEST(test_index_wraps_at_address_size),
		VM_TEST(test_ins_faults_before_the_port_is_read),
		VM_TEST(test_ins_limit),
		VM_TEST(test_ins_across_pages),
		VM_TEST(test_interrupt_between_elements),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
