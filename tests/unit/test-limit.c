/*
 * Unit tests of common/limit.c: accesses of the ABI's user code at 3 GiB and above become the page
 * faults that flat segments would have given.
 */
#include "mock-host.h"

#define TOP 0xc0000000u

/* User code with its pages mapped; nothing is mapped at 3 GiB. EAX, EBX, ESI, EDI and EBP hold
 * `value`; ESP does if `stack`. */
static void user(struct vm *vm, u32 value, bool stack)
{
	static const enum gpr regs[] = {GPR_AX, GPR_BX, GPR_SI, GPR_DI, GPR_BP};

	vm_abi_user(vm);
	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++)
		vm->cpu.gpr[regs[i]] = value;
	if (stack)
		vm->cpu.gpr[GPR_SP] = value;
}

/* The instruction at CS:rip took #GP(0): the guest sees a page fault. */
static void assert_limit_fault(struct vm *vm, u8 vector, u32 cr2, u32 error)
{
	assert_fault(vm, trap_vector(vm, vector, 0), EXC_PF, error, AT_USER_CODE);
	assert_int_equal(vm->cpu.cr2, cr2);
}

enum { N = 8, RD = PF_USER, WR = PF_USER | PF_WRITE };

struct access_case {
	u8 bytes[N];
	s32 value; /* of the registers, from TOP */
	bool stack;
	s32 cr2; /* from TOP */
	u32 error;
};

/* Each kind of operand, at TOP and straddling it. */
static const struct access_case cases[] = {
	{{0x8b, 0x08}, 0, false, 0, RD},  /* mov (%eax), %ecx */
	{{0x89, 0x08}, 0, false, 0, WR},  /* mov %ecx, (%eax) */
	{{0x8b, 0x08}, -2, false, 0, RD}, /* straddles */
	{{0x8b, 0x08}, 0x123, false, 0x123, RD},
	{{0x8b, 0x48, 0x10}, -8, false, 8, RD},		      /* 0x10(%eax) */
	{{0x01, 0x08}, 0, false, 0, WR},		      /* add %ecx, (%eax) */
	{{0x39, 0x08}, 0, false, 0, RD},		      /* cmp %ecx, (%eax) */
	{{0xa1, 0x10, 0x00, 0x00, 0xc0}, 0, false, 0x10, RD}, /* moffs */
	{{0x0f, 0x10, 0x00}, -8, false, 0, RD},		      /* movups (%eax), %xmm0 */
	{{0x0f, 0x11, 0x00}, 0, false, 0, WR},		      /* movups %xmm0, (%eax) */
	{{0xdd, 0x00}, 0, false, 0, RD},		      /* fldl (%eax) */
	{{0x26, 0x8b, 0x08}, 0, false, 0, RD},		      /* %es:(%eax) */
	{{0xff, 0x30}, 0, false, 0, RD},		      /* push (%eax) */
	{{0x8f, 0x00}, 0, false, 0, WR},		      /* pop (%eax) */
	{{0x8b, 0x4d, 0x00}, 0, false, 0, RD},		      /* (%ebp): through SS */
	{{0xa4}, 0, false, 0, RD},			      /* movsb: the source comes first */
	{{0xaa}, 0, false, 0, WR},			      /* stosb */
	{{0xae}, 0, false, 0, RD},			      /* scasb */
	{{0xad}, -1, false, 0, RD},			      /* lodsl */
	{{0xa6}, 0, false, 0, RD},			      /* cmpsb */
	{{0x50}, 4, true, 0, WR},			      /* push %eax */
	{{0x50}, 2, true, 0, WR},
	{{0x9c}, 4, true, 0, WR},					/* pushf */
	{{0x1e}, 4, true, 0, WR},					/* push %ds */
	{{0x60}, 0x20, true, 0, WR},					/* pusha */
	{{0xc8, 0, 0, 0}, 4, true, 0, WR},				/* enter */
	{{0x58}, 0, true, 0, RD},					/* pop %eax */
	{{0x9d}, 0, true, 0, RD},					/* popf */
	{{0x61}, 0, true, 0, RD},					/* popa */
	{{0xc9}, 0, false, 0, RD},					/* leave: through EBP */
	{{0xc3}, 0, true, 0, RD},					/* ret */
	{{0xff, 0xe0}, 0, false, 0, RD},				/* jmp *%eax */
	{{0xff, 0xd0}, 5, false, 5, RD},				/* call *%eax */
	{{0xff, 0x20}, 0, false, 0, RD},				/* jmp *(%eax) */
	{{0xe9, IMM32(TOP - AT_USER_CODE - 5)}, 0, false, 0, RD},	/* jmp rel32 */
	{{0x0f, 0x84, IMM32(TOP - AT_USER_CODE - 6)}, 0, false, 0, RD}, /* je */
	{{0xe8, IMM32(TOP - AT_USER_CODE - 5)}, 0, false, 0, RD},	/* call rel32 */
	{{0xcb}, 0, true, 0, RD},					/* far ret */
	{{0xcf}, 0, true, 0, RD},					/* iret */
	{{0xc5, 0x08}, 0, false, 0, RD},				/* lds (%eax) */
	{{0x8e, 0x18}, 0, false, 0, RD},				/* mov (%eax), %ds */
	{{0xff, 0x28}, 0, false, 0, RD},				/* far jmp *(%eax) */
	{{0x0f, 0x01, 0x00}, 0, false, 0, WR},				/* sgdt (%eax) */
	{{0x1f}, 0, true, 0, RD},					/* pop %ds */
};

static void test_every_kind_of_operand(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W | PTE_U);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct access_case *c = &cases[i];

		user(vm, TOP + c->value, c->stack);
		poke(vm, AT_USER_CODE, c->bytes, N);
		assert_limit_fault(vm, EXC_GP, TOP + c->cr2, c->error);
	}
}

static void test_index_and_xlat(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W | PTE_U);
	user(vm, 0x60000000, false);
	code(vm, 0x8b, 0x0c, 0x18); /* (%eax,%ebx) */
	assert_limit_fault(vm, EXC_GP, TOP, RD);
	user(vm, TOP - 0x10, false);
	vm->cpu.gpr[GPR_AX] = 0xffffff15; /* AL only */
	code(vm, 0xd7);
	assert_limit_fault(vm, EXC_GP, TOP + 5, RD);
}

static void test_return_target(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W | PTE_U);
	vm_abi_user(vm);
	poke32(vm, AT_USER_STACK, TOP + 0x40);
	code(vm, 0xc3);
	assert_limit_fault(vm, EXC_GP, TOP + 0x40, RD);
	user(vm, 0, false);
	vm->cpu.gpr[GPR_AX] = AT_DATA;
	poke32(vm, AT_DATA, TOP + 0x44);
	code(vm, 0xff, 0x10); /* call *(%eax) */
	assert_limit_fault(vm, EXC_GP, TOP + 0x44, RD);
}

/* Supervisor pages are there for everybody to run into. */
static void test_error_code_where_pages_are_mapped(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W | PTE_U);
	poke32(vm, AT_PD + 0x300 * 4, AT_PT | PTE_P | PTE_W);
	user(vm, TOP, false);
	code(vm, 0x89, 0x08);
	assert_limit_fault(vm, EXC_GP, TOP, PF_PRESENT | PF_USER | PF_WRITE);
	poke32(vm, AT_PD + 0x300 * 4, AT_PT | PTE_P | PTE_W | PTE_U); /* even if they are his */
	user(vm, TOP, false);
	code(vm, 0x8b, 0x08);
	assert_limit_fault(vm, EXC_GP, TOP, PF_PRESENT | PF_USER);
}

static void test_fetch(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W | PTE_U);
	vm_abi_user(vm);
	vm->cpu.rip = TOP + 0x10; /* by iret, say */
	assert_fault(vm, trap_gp(vm), EXC_PF, PF_USER, TOP + 0x10);
	assert_int_equal(vm->cpu.cr2, TOP + 0x10);
}

/* An instruction that begins below and ends beyond: the fault is at 3 GiB. */
static void test_fetch_straddles(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W | PTE_U);
	poke32(vm, AT_PD + 0x2ff * 4, AT_PT | PTE_P | PTE_W | PTE_U);
	poke32(vm, AT_PT + 0x3ff * 4, AT_USER_CODE | PTE_P | PTE_W | PTE_U);
	poke(vm, AT_USER_CODE + 0xffd, (const u8[]){0x8b, 0x05, 0x00}, 3);
	vm_abi_user(vm);
	vm->cpu.rip = TOP - 3;
	assert_fault(vm, trap_gp(vm), EXC_PF, PF_USER, TOP - 3);
	assert_int_equal(vm->cpu.cr2, TOP);
}

/* What is not the limit's doing stays what it is. */
static void test_other_faults(void **state)
{
	struct vm *vm = *state;

	user(vm, TOP - 4, false);
	code(vm, 0x8b, 0x08); /* within the limit: some other reason */
	assert_fault(vm, trap_gp(vm), EXC_GP, 0, AT_USER_CODE);
	user(vm, TOP, false);
	code(vm, 0x8d, 0x08); /* lea touches nothing */
	assert_fault(vm, trap_gp(vm), EXC_GP, 0, AT_USER_CODE);
	user(vm, TOP, false);
	code(vm, 0x65, 0x8b, 0x08); /* %gs is not one of the limited segments */
	assert_fault(vm, trap_gp(vm), EXC_GP, 0, AT_USER_CODE);
	user(vm, TOP, false);
	code(vm, 0x0f, 0x01, 0x10); /* lgdt (%eax): not allowed wherever it reads */
	assert_fault(vm, trap_gp(vm), EXC_GP, 0, AT_USER_CODE);
	user(vm, TOP, false);
	code(vm, 0x6e); /* outsb: the port comes first */
	assert_fault(vm, trap_gp(vm), EXC_GP, 0, AT_USER_CODE);
}

static void test_only_limited_segments(void **state)
{
	struct vm *vm = *state;

	vm_user(vm); /* flat */
	vm->cpu.gpr[GPR_AX] = TOP;
	code(vm, 0x8b, 0x08);
	assert_fault(vm, trap_gp(vm), EXC_GP, 0, AT_USER_CODE);
}

static void test_iret_beyond_the_limit_is_no_gp(void **state)
{
	struct vm *vm = *state;
	const u32 frame[5] = {TOP + 8, PLEX86_USER_CS, FLAG_IF, 0x5678, PLEX86_USER_DS};

	vm_abi_user(vm);
	vm_kernel(vm);
	vm->cpu.gpr[GPR_SP] -= sizeof(frame);
	poke(vm, vm->cpu.gpr[GPR_SP], frame, sizeof(frame));
	assert_next(vm, gp(vm, 0xcf), TOP + 8); /* the fetch will fault */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_every_kind_of_operand),
		VM_TEST(test_index_and_xlat),
		VM_TEST(test_return_target),
		VM_TEST(test_error_code_where_pages_are_mapped),
		VM_TEST(test_fetch),
		VM_TEST(test_fetch_straddles),
		VM_TEST(test_other_faults),
		VM_TEST(test_only_limited_segments),
		VM_TEST(test_iret_beyond_the_limit_is_no_gp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
