/*
 * Unit tests of phase1-user/watch/backtrace.c: chains of frames, saved registers, edges of functions,
 * guesses, and stacks that lead nowhere. The guest has paging on, for Linux lives in the upper
 * half.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "../../common/paging.h"
#include "../../phase1-user/watch/backtrace.h"
#include "guest-ram.h"

#define RAM   0x800000u
#define UPPER 0xc0000000u

/* Linear addresses; one page directory maps the first 4 MiB at UPPER, and themselves. */
enum { DIRECTORY = 0x1000, TEXT = 0x10000, TEXT_END = 0x20000, STACK = 0x30000 };

static struct vm *vm;
static struct frame frame[BACKTRACE_MAX];
static const struct backtrace_text text = {.ranges = 1,
					   .range = {{UPPER + TEXT, UPPER + TEXT_END}}};

static void begin(void)
{
	memset(vm->ram, 0, RAM + PAGE_SIZE_4K);
	guest_put32(vm, DIRECTORY, PTE_P | PTE_W | PTE_PS);
	guest_put32(vm, DIRECTORY + (UPPER >> 22) * 4, PTE_P | PTE_W | PTE_PS);
	vm->cpu.cr0 = CR0_PE | CR0_PG;
	vm->cpu.cr3 = DIRECTORY;
	vm->cpu.cr4 = CR4_PSE;
	vm->cpu.rip = UPPER + TEXT + 0x100;
	vm->cpu.gpr[GPR_SP] = UPPER + STACK;
	vm->cpu.gpr[GPR_BP] = UPPER + STACK + 0x10;
}

/* A frame at STACK + `at`. */
static void put_frame(u32 at, u32 next, u32 caller)
{
	guest_put32(vm, STACK + at, next);
	guest_put32(vm, STACK + at + 4, caller);
}

static void expect_frame(size_t i, u32 address, enum frame_kind kind)
{
	assert_int_equal(frame[i].address, address);
	assert_int_equal(frame[i].kind, kind);
}

static void test_chain(void **state)
{
	(void)state;
	begin();
	put_frame(0x10, UPPER + STACK + 0x40, UPPER + TEXT + 0x200);
	put_frame(0x40, UPPER + STACK + 0x80, UPPER + TEXT_END);
	put_frame(0x80, UPPER + STACK + 0xc0, UPPER + TEXT_END + 1);
	assert_int_equal(backtrace(vm, &text, true, frame), 3);
	expect_frame(0, UPPER + TEXT + 0x100, FRAME_HERE);
	expect_frame(1, UPPER + TEXT + 0x200, FRAME_CALL);
	expect_frame(2, UPPER + TEXT_END, FRAME_CALL);
	assert_int_equal(frame_code(&frame[0]), UPPER + TEXT + 0x100);
	assert_int_equal(frame_code(&frame[1]), UPPER + TEXT + 0x1ff);
}

/* Saved registers: an interrupt in the kernel, then one of user code. */
static void test_registers(void **state)
{
	(void)state;
	begin();
	put_frame(0x10, (UPPER + STACK + 0x100) & 0x7fffffff, UPPER + TEXT + 0x200);
	guest_put32(vm, STACK + 0x100 + 5 * 4, UPPER + STACK + 0x200);
	guest_put32(vm, STACK + 0x100 + 12 * 4, UPPER + TEXT + 0x300);
	guest_put32(vm, STACK + 0x100 + 13 * 4, 0x10);
	put_frame(0x200, (UPPER + STACK + 0x300) & 0x7fffffff, UPPER + TEXT + 0x400);
	guest_put32(vm, STACK + 0x300 + 12 * 4, 0x8048000);
	guest_put32(vm, STACK + 0x300 + 13 * 4, 0x7);
	assert_int_equal(backtrace(vm, &text, true, frame), 5);
	expect_frame(1, UPPER + TEXT + 0x200, FRAME_CALL);
	expect_frame(2, UPPER + TEXT + 0x300, FRAME_INTERRUPTED);
	expect_frame(3, UPPER + TEXT + 0x400, FRAME_CALL);
	expect_frame(4, 0x8048000, FRAME_USER);
	/* In the kernel it must be code. */
	guest_put32(vm, STACK + 0x100 + 12 * 4, UPPER);
	assert_int_equal(backtrace(vm, &text, false, frame), 2);
}

static void test_user(void **state)
{
	(void)state;
	begin();
	((struct pv_page *)(vm->ram + RAM))->cpl = 3;
	vm->cpu.rip = 0x8048123;
	assert_int_equal(backtrace(vm, &text, true, frame), 1);
	expect_frame(0, 0x8048123, FRAME_USER);
}

/* At a ret the frame is gone, and the caller is on the stack. */
static void test_ret(void **state)
{
	(void)state;
	begin();
	vm->ram[TEXT + 0x100] = 0xc3;
	guest_put32(vm, STACK, UPPER + TEXT + 0x500);
	put_frame(0x10, 0, UPPER + TEXT + 0x200);
	assert_int_equal(backtrace(vm, &text, true, frame), 3);
	expect_frame(1, UPPER + TEXT + 0x500, FRAME_CALL);
	expect_frame(2, UPPER + TEXT + 0x200, FRAME_CALL);
}

static void test_guesses(void **state)
{
	(void)state;
	begin();
	vm->cpu.gpr[GPR_BP] = 0;
	guest_put32(vm, STACK + 8, UPPER + TEXT + 0x600);
	guest_put32(vm, STACK + 0x1ffc, UPPER + TEXT + 0x700); /* the last word of its stack */
	guest_put32(vm, STACK + 0x2000, UPPER + TEXT + 0x800);
	assert_int_equal(backtrace(vm, &text, false, frame), 1);
	assert_int_equal(backtrace(vm, &text, true, frame), 3);
	expect_frame(1, UPPER + TEXT + 0x600, FRAME_GUESS);
	expect_frame(2, UPPER + TEXT + 0x700, FRAME_GUESS);
	for (u32 at = 0; at < 0x2000; at += 4)
		guest_put32(vm, STACK + at, UPPER + TEXT + 4);
	assert_int_equal(backtrace(vm, &text, true, frame), BACKTRACE_MAX);
}

/* A chain that turns back, and one without an end. */
static void test_loops(void **state)
{
	size_t n;

	(void)state;
	begin();
	put_frame(0x10, UPPER + STACK + 0x40, UPPER + TEXT + 0x200);
	put_frame(0x40, UPPER + STACK + 0x10, UPPER + TEXT + 0x300);
	n = backtrace(vm, &text, false, frame);
	assert_in_range(n, 3, 12);
	put_frame(0x10, UPPER + STACK + 0x10, UPPER + TEXT + 0x200);
	n = backtrace(vm, &text, false, frame);
	assert_in_range(n, 2, 8);
	for (u32 at = 0x10; at < 0x1000; at += 8)
		put_frame(at, UPPER + STACK + at + 8, UPPER + TEXT + 0x200);
	assert_int_equal(backtrace(vm, &text, false, frame), BACKTRACE_MAX);
}

/* Frames where nothing is, at the ends of the address space, and unaligned ones. */
static void test_nowhere(void **state)
{
	static const u32 places[] = {0x400000,	 0xbffffffc, UPPER + STACK + 0x11, 0xfffffffc,
				     0xffffffff, 0x7fffffff, 0x80000000,	   4};

	(void)state;
	begin();
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		vm->cpu.gpr[GPR_BP] = places[i];
		assert_int_equal(backtrace(vm, &text, false, frame), 1);
		vm->cpu.gpr[GPR_SP] = places[i];
		backtrace(vm, &text, true, frame);
	}
}

/* A kernel in the lower half has no marks; without symbols, what can be read may be code. */
static void test_lower_half(void **state)
{
	static const struct backtrace_text unknown;

	(void)state;
	begin();
	vm->cpu.cr0 = CR0_PE;
	vm->cpu.rip = TEXT + 0x100;
	vm->cpu.gpr[GPR_SP] = STACK;
	vm->cpu.gpr[GPR_BP] = STACK + 0x10;
	put_frame(0x10, STACK + 0x40, TEXT + 0x200);
	put_frame(0x40, 0, RAM + PAGE_SIZE_4K);
	assert_int_equal(backtrace(vm, &unknown, false, frame), 2);
	expect_frame(1, TEXT + 0x200, FRAME_CALL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chain),	cmocka_unit_test(test_registers),
		cmocka_unit_test(test_user),	cmocka_unit_test(test_ret),
		cmocka_unit_test(test_guesses), cmocka_unit_test(test_loops),
		cmocka_unit_test(test_nowhere), cmocka_unit_test(test_lower_half),
	};
	int failed;

	vm = guest_make(RAM);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	guest_free(vm);
	return failed;
}
