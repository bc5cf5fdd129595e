/*
 * Unit tests of common/emulate-mem.c: instructions on device memory, on pages the host cannot map
 * and on the PV page. Device memory is at DEV; a script answers its reads.
 */
#include "mock-host.h"

#define DEV	   0xd0001000u		/* paging is off: linear = physical */
#define LOW	   0x8000u		/* below low_limit: RAM that the host cannot map */
#define AX_DEV(op) op, 0x05, IMM32(DEV) /* op with (DEV) and %eax, ModRM form */

#define dev(vm, ...)                   \
	({                             \
		vm_kernel(vm);         \
		code(vm, __VA_ARGS__); \
		trap_pf(vm, DEV, 0);   \
	})
#define low(vm, ...)                     \
	({                               \
		vm_kernel(vm);           \
		vm->low_limit = 0x10000; \
		code(vm, __VA_ARGS__);   \
		trap_pf(vm, LOW, 0);     \
	})

static void assert_access(struct vm *vm, enum core_next next, u32 gpa, u8 size, bool write,
			  u64 value)
{
	assert_int_equal(next, CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_MMIO);
	assert_int_equal(vm->exit.mmio.gpa, gpa);
	assert_int_equal(vm->exit.mmio.size, size);
	assert_int_equal(vm->exit.mmio.write, write);
	if (write)
		assert_int_equal(vm->exit.mmio.value, value);
}

static enum core_next answer(struct vm *vm, u64 value)
{
	vm->exit.mmio.value = value;
	return core_resume(vm);
}

/* ---------------------------------------------------- reads and writes ---- */

static void test_mov_from_device(void **state)
{
	struct vm *vm = *state;

	assert_access(vm, dev(vm, AX_DEV(0x8b)), DEV, 4, false, 0);
	assert_next(vm, answer(vm, 0xffffffff12345678), AT_CODE + 6);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x12345678);
	assert_access(vm, dev(vm, 0x66, AX_DEV(0x8b)), DEV, 2, false, 0);
	assert_next(vm, answer(vm, 0xaaaabbbb), AT_CODE + 7);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x1234bbbb);
	assert_access(vm, dev(vm, 0x8a, 0x25, IMM32(DEV)), DEV, 1, false, 0); /* %ah */
	assert_next(vm, answer(vm, 0xcc), AT_CODE + 6);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x1234ccbb);
	assert_access(vm, dev(vm, 0xa1, IMM32(DEV)), DEV, 4, false, 0); /* moffs */
	assert_next(vm, answer(vm, 7), AT_CODE + 5);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 7);
}

static void test_mov_to_device(void **state)
{
	struct vm *vm = *state;

	vm->cpu.gpr[GPR_AX] = 0x12345678;
	assert_access(vm, dev(vm, AX_DEV(0x89)), DEV, 4, true, 0x12345678);
	assert_next(vm, core_resume(vm), AT_CODE + 6);
	assert_access(vm, dev(vm, AX_DEV(0x88)), DEV, 1, true, 0x78);
	assert_next(vm, core_resume(vm), AT_CODE + 6);
	/* An immediate is cut to the operand, not sign-extended. */
	assert_access(vm, dev(vm, AX_DEV(0xc7), IMM32(0x80000001)), DEV, 4, true, 0x80000001);
	assert_access(vm, dev(vm, AX_DEV(0xc6), 0xff), DEV, 1, true, 0xff);
	assert_access(vm, dev(vm, 0x66, AX_DEV(0xc7), IMM16(0xfffe)), DEV, 2, true, 0xfffe);
}

static void test_movzx_movsx(void **state)
{
	struct vm *vm = *state;

	assert_access(vm, dev(vm, 0x0f, AX_DEV(0xb6)), DEV, 1, false, 0);
	assert_next(vm, answer(vm, 0x80), AT_CODE + 7);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x80);
	assert_access(vm, dev(vm, 0x0f, AX_DEV(0xbe)), DEV, 1, false, 0);
	assert_next(vm, answer(vm, 0x80), AT_CODE + 7);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0xffffff80);
	assert_access(vm, dev(vm, 0x0f, AX_DEV(0xbf)), DEV, 2, false, 0);
	assert_next(vm, answer(vm, 0x8001), AT_CODE + 7);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0xffff8001);
	vm->cpu.gpr[GPR_AX] = 0x11111111;
	assert_access(vm, dev(vm, 0x66, 0x0f, AX_DEV(0xbe)), DEV, 1, false, 0);
	assert_next(vm, answer(vm, 0x80), AT_CODE + 8);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x1111ff80);
}

static void test_arithmetic_to_register(void **state)
{
	struct vm *vm = *state;

	vm->cpu.gpr[GPR_AX] = 1;
	dev(vm, AX_DEV(0x03)); /* add */
	assert_next(vm, answer(vm, 0xffffffff), AT_CODE + 6);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0);
	assert_int_equal(vm->cpu.rflags & (FLAG_CF | FLAG_ZF), FLAG_CF | FLAG_ZF);
	vm->cpu.gpr[GPR_AX] = 5;
	dev(vm, AX_DEV(0x3b)); /* cmp */
	assert_next(vm, answer(vm, 6), AT_CODE + 6);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 5);
	assert_int_equal(vm->cpu.rflags & (FLAG_CF | FLAG_ZF), FLAG_CF);
}

static void test_compare_writes_nothing(void **state)
{
	struct vm *vm = *state;

	vm->cpu.gpr[GPR_AX] = 0x10;
	dev(vm, AX_DEV(0x85)); /* test */
	assert_next(vm, answer(vm, 0xef), AT_CODE + 6);
	assert_true(vm->cpu.rflags & FLAG_ZF);
	dev(vm, 0xf6, 0x05, IMM32(DEV), 0x80); /* testb $0x80 */
	assert_next(vm, answer(vm, 0x80), AT_CODE + 7);
	assert_true(vm->cpu.rflags & FLAG_SF);
	dev(vm, 0x83, 0x3d, IMM32(DEV), 0xff); /* cmpl $-1 */
	assert_next(vm, answer(vm, 0xffffffff), AT_CODE + 7);
	assert_true(vm->cpu.rflags & FLAG_ZF);
	dev(vm, 0x0f, 0xba, 0x25, IMM32(DEV), 35); /* bt $35: bit 3 */
	assert_next(vm, answer(vm, 8), AT_CODE + 8);
	assert_true(vm->cpu.rflags & FLAG_CF);
}

/* -------------------------------------------------- read-modify-write ---- */

static void test_read_modify_write(void **state)
{
	enum { N = 12 };
	static const struct {
		u8 bytes[N], n;
		u32 read, written;
	} forms[] = {
		{{AX_DEV(0x01)}, 6, 0xffffffff, 0xf},			  /* add */
		{{AX_DEV(0x09)}, 6, 0xf0, 0xf0},			  /* or */
		{{AX_DEV(0x21)}, 6, 0xff, 0x10},			  /* and */
		{{AX_DEV(0x29)}, 6, 0x30, 0x20},			  /* sub */
		{{AX_DEV(0x31)}, 6, 0x11, 0x01},			  /* xor */
		{{AX_DEV(0x11)}, 6, 0x1, 0x12},				  /* adc, CF set */
		{{AX_DEV(0x19)}, 6, 0x30, 0x1f},			  /* sbb, CF set */
		{{AX_DEV(0xff)}, 6, 0x7fffffff, 0x80000000},		  /* inc */
		{{0xff, 0x0d, IMM32(DEV)}, 6, 0, 0xffffffff},		  /* dec */
		{{0xf7, 0x15, IMM32(DEV)}, 6, 1, 0xfffffffe},		  /* not */
		{{0xf7, 0x1d, IMM32(DEV)}, 6, 1, 0xffffffff},		  /* neg */
		{{0x0f, 0xba, 0x2d, IMM32(DEV), 4}, 8, 1, 0x11},	  /* bts */
		{{0x0f, 0xba, 0x35, IMM32(DEV), 4}, 8, 0x11, 1},	  /* btr */
		{{0x0f, 0xba, 0x3d, IMM32(DEV), 4}, 8, 0x11, 1},	  /* btc */
		{{0xf0, 0x83, 0x0d, IMM32(DEV), 0x80}, 8, 1, 0xffffff81}, /* lock or */
	};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
		vm_kernel(vm);
		vm->cpu.gpr[GPR_AX] = 0x10;
		vm->cpu.rflags = FLAG_ONE | FLAG_CF;
		poke(vm, AT_CODE, forms[i].bytes, N);
		assert_access(vm, trap_pf(vm, DEV, PF_WRITE), DEV, 4, false, 0);
		assert_access(vm, answer(vm, forms[i].read), DEV, 4, true, forms[i].written);
		assert_next(vm, core_resume(vm), AT_CODE + forms[i].n);
		assert_int_equal(vm->cpu.gpr[GPR_AX], 0x10);
	}
}

static void test_flags_of_read_modify_write(void **state)
{
	struct vm *vm = *state;

	vm->cpu.rflags = FLAG_ONE | FLAG_CF;
	dev(vm, AX_DEV(0xff)); /* inc keeps CF */
	answer(vm, 0xffffffff);
	core_resume(vm);
	assert_int_equal(vm->cpu.rflags & (FLAG_CF | FLAG_ZF | FLAG_AF),
			 FLAG_CF | FLAG_ZF | FLAG_AF);
	vm->cpu.rflags = FLAG_ONE | FLAG_ZF;
	dev(vm, 0x0f, 0xba, 0x2d, IMM32(DEV), 4); /* bts changes CF only */
	answer(vm, 0x10);
	core_resume(vm);
	assert_int_equal(vm->cpu.rflags, FLAG_ONE | FLAG_ZF | FLAG_CF);
}

static void test_exchanges(void **state)
{
	struct vm *vm = *state;

	vm->cpu.gpr[GPR_AX] = 0x11;
	dev(vm, AX_DEV(0x87)); /* xchg */
	assert_access(vm, answer(vm, 0x22), DEV, 4, true, 0x11);
	assert_next(vm, core_resume(vm), AT_CODE + 6);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x22);
	dev(vm, 0x0f, AX_DEV(0xc1)); /* xadd */
	assert_access(vm, answer(vm, 3), DEV, 4, true, 0x25);
	core_resume(vm);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 3);
	vm->cpu.gpr[GPR_CX] = 0x99;
	dev(vm, 0x0f, 0xb1, 0x0d, IMM32(DEV)); /* cmpxchg %ecx: equal */
	assert_access(vm, answer(vm, 3), DEV, 4, true, 0x99);
	core_resume(vm);
	assert_true(vm->cpu.rflags & FLAG_ZF);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 3);
	dev(vm, 0x0f, 0xb1, 0x0d, IMM32(DEV)); /* not equal */
	assert_access(vm, answer(vm, 4), DEV, 4, true, 4);
	core_resume(vm);
	assert_false(vm->cpu.rflags & FLAG_ZF);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 4);
}

/* ------------------------------------------------------------ strings ---- */

static void strings(struct vm *vm, u32 si, u32 di, u32 count)
{
	vm->cpu.gpr[GPR_SI] = si;
	vm->cpu.gpr[GPR_DI] = di;
	vm->cpu.gpr[GPR_CX] = count;
}

static void test_movs_from_device(void **state)
{
	struct vm *vm = *state;

	strings(vm, DEV, AT_DATA, 2);
	assert_access(vm, dev(vm, 0xf3, 0xa5), DEV, 4, false, 0);
	assert_next(vm, answer(vm, 0x11), AT_CODE);
	assert_access(vm, trap_pf(vm, DEV, 0), DEV + 4, 4, false, 0);
	assert_next(vm, answer(vm, 0x22), AT_CODE + 2);
	assert_int_equal(peek32(vm, AT_DATA), 0x11);
	assert_int_equal(peek32(vm, AT_DATA + 4), 0x22);
	assert_int_equal(vm->cpu.gpr[GPR_CX], 0);
	assert_int_equal(vm->cpu.gpr[GPR_DI], AT_DATA + 8);
}

static void test_movs_to_device(void **state)
{
	struct vm *vm = *state;

	poke16(vm, AT_DATA, 0xabcd);
	strings(vm, AT_DATA, DEV, 1);
	vm->cpu.rflags |= FLAG_DF;
	assert_access(vm, dev(vm, 0xf3, 0x66, 0xa5), DEV, 2, true, 0xabcd);
	assert_next(vm, core_resume(vm), AT_CODE + 3);
	assert_int_equal(vm->cpu.gpr[GPR_SI], AT_DATA - 2);
	assert_int_equal(vm->cpu.gpr[GPR_DI], DEV - 2);
}

static void test_movs_between_devices(void **state)
{
	struct vm *vm = *state;

	strings(vm, DEV, DEV + 0x100, 0);
	assert_access(vm, dev(vm, 0xa4), DEV, 1, false, 0);
	assert_access(vm, answer(vm, 0x5a), DEV + 0x100, 1, true, 0x5a);
	assert_next(vm, core_resume(vm), AT_CODE + 1);
	assert_int_equal(vm->cpu.gpr[GPR_SI], DEV + 1);
}

static void test_stos_lods_scas(void **state)
{
	struct vm *vm = *state;

	vm->cpu.gpr[GPR_AX] = 0x1234;
	strings(vm, DEV, DEV, 0);
	assert_access(vm, dev(vm, 0xaa), DEV, 1, true, 0x34);
	assert_next(vm, core_resume(vm), AT_CODE + 1);
	assert_int_equal(vm->cpu.gpr[GPR_DI], DEV + 1);
	assert_access(vm, dev(vm, 0xac), DEV, 1, false, 0);
	assert_next(vm, answer(vm, 0x99), AT_CODE + 1);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x1299);
	strings(vm, 0, DEV, 3);
	dev(vm, 0xf2, 0xae); /* repne scasb: stops when equal */
	assert_next(vm, answer(vm, 0x98), AT_CODE);
	trap_pf(vm, DEV, 0);
	assert_next(vm, answer(vm, 0x99), AT_CODE + 2);
	assert_int_equal(vm->cpu.gpr[GPR_CX], 1);
	assert_true(vm->cpu.rflags & FLAG_ZF);
}

static void test_cmps(void **state)
{
	struct vm *vm = *state;

	poke32(vm, AT_DATA, 5);
	strings(vm, AT_DATA, DEV, 2);
	dev(vm, 0xf3, 0xa7); /* repe cmpsl: stops when different */
	assert_next(vm, answer(vm, 6), AT_CODE + 2);
	assert_int_equal(vm->cpu.rflags & (FLAG_ZF | FLAG_CF), FLAG_CF);
	assert_int_equal(vm->cpu.gpr[GPR_CX], 1);
	/* Two devices in one comparison: not supported, and said so. */
	strings(vm, DEV, DEV + 0x100, 0);
	assert_access(vm, dev(vm, 0xa7), DEV, 4, false, 0);
	assert_stopped(vm, answer(vm, 6), FAULT_INSN);
}

static void test_strings_of_nothing(void **state)
{
	struct vm *vm = *state;

	strings(vm, DEV, DEV, 0);
	assert_next(vm, dev(vm, 0xf3, 0xa5), AT_CODE + 2);
	vm->cpu.gpr[GPR_CX] = 0x10000; /* CX is 0 */
	assert_next(vm, dev(vm, 0x67, 0xf3, 0xa5), AT_CODE + 3);
	assert_int_equal(vm->cpu.gpr[GPR_SI], DEV);
}

/* --------------------------------------------------------- low pages ---- */

static void test_low_page(void **state)
{
	struct vm *vm = *state;

	poke32(vm, LOW, 0x11223344);
	assert_next(vm, low(vm, 0x8b, 0x05, IMM32(LOW)), AT_CODE + 6);
	assert_int_equal(vm->cpu.gpr[GPR_AX], 0x11223344);
	assert_next(vm, low(vm, 0xff, 0x05, IMM32(LOW)), AT_CODE + 6);
	assert_int_equal(peek32(vm, LOW), 0x11223345);
	assert_next(vm, low(vm, 0xff, 0x35, IMM32(LOW)), AT_CODE + 6); /* push mem */
	assert_int_equal(peek32(vm, AT_KSTACK - 4), 0x11223345);
	poke32(vm, AT_KSTACK, 0x77);
	assert_next(vm, low(vm, 0x8f, 0x05, IMM32(LOW)), AT_CODE + 6); /* pop mem */
	assert_int_equal(peek32(vm, LOW), 0x77);
	assert_int_equal(vm->cpu.gpr[GPR_SP], AT_KSTACK + 4);
}

static void test_low_stack(void **state)
{
	struct vm *vm = *state;

	vm->low_limit = 0x10000;
	vm->cpu.gpr[GPR_SP] = LOW;
	code(vm, 0x6a, 0xfe); /* push $-2 */
	assert_next(vm, trap_pf(vm, LOW - 4, PF_WRITE), AT_CODE + 2);
	assert_int_equal(peek32(vm, LOW - 4), 0xfffffffe);
	code(vm, 0x66, 0x50); /* push %ax */
	vm->cpu.gpr[GPR_AX] = 0x1234;
	assert_next(vm, trap_pf(vm, LOW - 6, PF_WRITE), AT_CODE + 4);
	assert_int_equal(vm->cpu.gpr[GPR_SP], LOW - 6);
	code(vm, 0x66, 0x59, 0x5c); /* pop %cx; pop %esp */
	assert_next(vm, trap_pf(vm, LOW - 6, 0), AT_CODE + 6);
	assert_int_equal(vm->cpu.gpr[GPR_CX], 0x1234);
	assert_next(vm, trap_pf(vm, LOW - 4, 0), AT_CODE + 7);
	assert_int_equal(vm->cpu.gpr[GPR_SP], 0xfffffffe); /* the value popped stays */
	vm->cpu.gpr[GPR_SP] = LOW;
	code(vm, 0x54); /* push %esp: its value before */
	assert_next(vm, trap_pf(vm, LOW - 4, PF_WRITE), AT_CODE + 8);
	assert_int_equal(peek32(vm, LOW - 4), LOW);
}

/* pop computes its destination with the stack pointer already moved (SDM vol. 2, POP). */
static void test_pop_relative_to_the_stack(void **state)
{
	struct vm *vm = *state;

	vm->low_limit = 0x10000;
	vm->cpu.gpr[GPR_SP] = LOW;
	poke32(vm, LOW, 0x55);
	code(vm, 0x8f, 0x44, 0x24, 0x10); /* popl 0x10(%esp) */
	assert_next(vm, trap_pf(vm, LOW, 0), AT_CODE + 4);
	assert_int_equal(peek32(vm, LOW + 0x14), 0x55);
	assert_int_equal(peek32(vm, LOW + 0x10), 0);
}

static void test_memory_faults(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W);
	vm->low_limit = 0x10000;
	*pte_of(vm, LOW + 0x1000) = 0;
	strings(vm, LOW, LOW + 0x1000, 1);
	code(vm, 0xf3, 0xa5);
	assert_fault(vm, trap_pf(vm, LOW, 0), EXC_PF, PF_WRITE, AT_CODE);
	assert_int_equal(vm->cpu.gpr[GPR_CX], 1);
	assert_int_equal(vm->cpu.cr2, LOW + 0x1000);
}

/* ------------------------------------------------- PV page, the rest ---- */

static void test_pv_stores(void **state)
{
	struct vm *vm = *state;

	pv_page(vm)->iret_site = 0;
	trap_pf(vm, PLEX86_PV_PAGE, 0);
	shadow_pv_protect(vm, false);
	vm_kernel(vm);
	code(vm, 0x36, 0xc7, 0x05, IMM32(PLEX86_PV_PAGE + PLEX86_PV_IRET_SITE), IMM32(0x1234));
	assert_next(vm, trap_pf(vm, PLEX86_PV_PAGE + PLEX86_PV_IRET_SITE, PF_WRITE), AT_CODE + 11);
	assert_int_equal(pv_page(vm)->iret_site, 0x1234);
}

static void test_unsupported_instruction(void **state)
{
	struct vm *vm = *state;

	assert_stopped(vm, dev(vm, 0x0f, AX_DEV(0x6e)), FAULT_INSN); /* movd to %mm0 */
	assert_int_equal(vm->exit.fault.detail, AT_CODE);
	/* A bit offset in a register reaches beyond the operand. */
	assert_access(vm, dev(vm, 0x0f, AX_DEV(0xa3)), DEV, 4, false, 0);
	assert_stopped(vm, answer(vm, 0), FAULT_INSN);
}

static void test_device_memory_through_page_tables(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W | PTE_U);
	*pte_of(vm, AT_DATA) = DEV | PTE_P | PTE_U;
	vm_user(vm);
	code(vm, 0xa0, IMM32(AT_DATA + 5));
	assert_access(vm, trap_pf(vm, AT_DATA + 5, PF_USER), DEV + 5, 1, false, 0);
	assert_next(vm, answer(vm, 9), AT_USER_CODE + 5);
	assert_true(*pte_of(vm, AT_DATA) & PTE_A);
	code(vm, 0xa2, IMM32(AT_DATA)); /* read-only */
	assert_fault(vm, trap_pf(vm, AT_DATA, PF_USER | PF_WRITE), EXC_PF,
		     PF_PRESENT | PF_USER | PF_WRITE, AT_USER_CODE + 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_mov_from_device),
		VM_TEST(test_mov_to_device),
		VM_TEST(test_movzx_movsx),
		VM_TEST(test_arithmetic_to_register),
		VM_TEST(test_compare_writes_nothing),
		VM_TEST(test_read_modify_write),
		VM_TEST(test_flags_of_read_modify_write),
		VM_TEST(test_exchanges),
		VM_TEST(test_movs_from_device),
		VM_TEST(test_movs_to_device),
		VM_TEST(test_movs_between_devices),
		VM_TEST(test_stos_lods_scas),
		VM_TEST(test_cmps),
		VM_TEST(test_strings_of_nothing),
		VM_TEST(test_low_page),
		VM_TEST(test_low_stack),
		VM_TEST(test_pop_relative_to_the_stack),
		VM_TEST(test_memory_faults),
		VM_TEST(test_pv_stores),
		VM_TEST(test_unsupported_instruction),
		VM_TEST(test_device_memory_through_page_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
