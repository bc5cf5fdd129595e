/*
 * Unit tests of PAE and NX: the walk, the directory pointers that are loaded with CR3, IA32_EFER,
 * and what a change of the format does (SDM vol. 3, 4.1.3, 4.4 and 4.7). QEMU is no oracle for the
 * second: it reads the pointers when it needs them.
 */
#include "mock-host.h"

#include "../../common/paging.h"

#define MOV_TO_CR(n) 0x0f, 0x22, 0xc0 | (n) << 3 /* mov %eax, %crn */
#define LA	     0x60123u
#define AT_DIR	     0x80000u /* of the first GiB */
#define AT_DIR2	     0x81000u
#define MSR_EFER     0xc0000080u

static void poke64(struct vm *vm, u32 gpa, u64 value)
{
	poke(vm, gpa, &value, sizeof(value));
}

static void set_entry(struct vm *vm, u32 la, u64 pte)
{
	poke64(vm, AT_PT + (la >> 12) * 8, pte);
}

/* Tables that map [0, 2 MiB) identically, and CR3 in front of them; paging is off as yet. */
static void make_tables(struct vm *vm)
{
	poke64(vm, AT_PD, AT_DIR | PTE_P);
	poke64(vm, AT_DIR, AT_PT | PTE_P | PTE_W | PTE_U);
	for (u32 page = 0; page < 512; page++)
		set_entry(vm, page << 12, page << 12 | KPAGE);
	vm->cpu.cr3 = AT_PD;
	vm->cpu.cr4 |= CR4_PAE | CR4_PGE;
}

static void turn_on(struct vm *vm)
{
	make_tables(vm);
	vm->cpu.efer = EFER_NXE;
	vm->cpu.cr0 |= CR0_PG | CR0_WP;
	assert_true(paging_load_pdptes(vm, vm->cpu.cr3));
	assert_true(shadow_set_format(vm));
}

static enum core_next set_cr(struct vm *vm, unsigned n, u32 value)
{
	vm_kernel(vm);
	vm->cpu.gpr[GPR_AX] = value;
	return gp(vm, MOV_TO_CR(n));
}

static void test_walk(void **state)
{
	struct vm *vm = *state;
	struct walk w;

	turn_on(vm);
	set_entry(vm, LA, 0x54000 | PTE_P | PTE_U | PTE_D | PTE_G | PTE_NX);
	assert_int_equal(paging_walk(vm, LA, &w), WALK_OK);
	assert_int_equal(w.gpa, 0x54123);
	assert_int_equal(w.page_size, 4096);
	assert_int_equal(w.levels, 3);
	assert_int_equal(w.registers, 1);
	assert_int_equal(w.entry_gpa[0], AT_PD);
	assert_int_equal(w.entry_gpa[1], AT_DIR);
	assert_int_equal(w.entry_gpa[2], AT_PT + (LA >> 12) * 8);
	assert_true(w.user && w.dirty && w.global);
	assert_false(w.write || w.accessed || w.exec);
	paging_mark(vm, &w, true);
	assert_int_equal(peek32(vm, AT_PD), AT_DIR | PTE_P); /* no A there */
	assert_true(peek32(vm, AT_DIR) & PTE_A);
	assert_int_equal(peek32(vm, AT_PT + (LA >> 12) * 8 + 4), PTE_NX >> 32);
	/* Absent at each level, and beyond RAM. */
	assert_int_equal(paging_walk(vm, LA + 0x200000, &w), WALK_NOT_PRESENT);
	assert_int_equal(w.levels, 2);
	assert_int_equal(paging_walk(vm, LA + 0x40000000, &w), WALK_NOT_PRESENT);
	assert_int_equal(w.levels, 1);
	poke64(vm, AT_DIR + 8, 0xfff00000 | PTE_P);
	assert_int_equal(paging_walk(vm, LA + 0x200000, &w), WALK_NOT_PRESENT);
	assert_int_equal(w.levels, 3);
}

static void test_large_page(void **state)
{
	struct vm *vm = *state;
	struct walk w;

	turn_on(vm);
	vm->cpu.cr4 &= ~(u64)CR4_PSE; /* has no say with PAE */
	poke64(vm, AT_DIR, 0x600000 | PTE_PS | PTE_P | PTE_W | PTE_D);
	assert_int_equal(paging_walk(vm, LA, &w), WALK_OK);
	assert_int_equal(w.gpa, 0x600000 + LA);
	assert_int_equal(w.page_size, 0x200000);
	assert_int_equal(w.levels, 2);
}

static void test_reserved_bits(void **state)
{
	static const struct {
		bool nxe;
		u64 pde, pte;
		enum walk_result result;
	} cases[] = {
		{true, 0, 0, WALK_OK},
		{true, PTE_NX, PTE_NX, WALK_OK},
		{false, PTE_NX, 0, WALK_RESERVED},
		{false, 0, PTE_NX, WALK_RESERVED},
		{true, 1ull << 32, 0, WALK_RESERVED},
		{true, 0, 1ull << 62, WALK_RESERVED},
		{true, PTE_PS, 0, WALK_RESERVED}, /* AT_PT is no large page's address */
	};
	const struct access fetch = {.fetch = true};
	struct vm *vm = *state;
	struct walk w;
	u32 error;

	turn_on(vm);
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		enum walk_result result;
		bool allowed;

		vm->cpu.efer = cases[i].nxe ? EFER_NXE : 0;
		poke64(vm, AT_DIR, AT_PT | PTE_P | PTE_W | cases[i].pde);
		set_entry(vm, LA, (LA & ~0xfffu) | KPAGE | cases[i].pte);
		result = paging_walk(vm, LA, &w);
		assert_int_equal(result, cases[i].result);
		/* I/D is in the error code of fetches, and only with NXE. */
		allowed = paging_check(vm, result, &w, fetch, &error);
		assert_int_equal(allowed, result == WALK_OK && !cases[i].pte);
		assert_int_equal(error, PF_PRESENT | (cases[i].nxe ? PF_FETCH : 0) |
						(result == WALK_RESERVED ? PF_RSVD : 0));
	}
}

/* The pointers are loaded by mov to CR3, and by CR0 and CR4 when they change what CR3 means. */
static void test_pointers_are_registers(void **state)
{
	struct vm *vm = *state;
	struct walk w;

	make_tables(vm);
	assert_next(vm, set_cr(vm, 0, vm->cpu.cr0 | CR0_PG | CR0_WP), AT_CODE + 3);
	assert_int_equal(paging_walk(vm, LA, &w), WALK_OK);
	poke64(vm, AT_PD, 0);
	assert_int_equal(paging_walk(vm, LA, &w), WALK_OK);
	poke64(vm, AT_DIR2, AT_PT | PTE_P);
	poke64(vm, AT_PD + 0x20, AT_DIR | PTE_P);
	poke64(vm, AT_PD + 0x28, AT_DIR2 | PTE_P);
	assert_next(vm, set_cr(vm, 3, AT_PD + 0x20), AT_CODE + 3);
	assert_int_equal(paging_walk(vm, 0x40000000 + LA, &w), WALK_OK);
	/* CR4.PGE is among those that load them anew. */
	poke64(vm, AT_PD + 0x28, 0);
	assert_int_equal(paging_walk(vm, 0x40000000 + LA, &w), WALK_OK);
	assert_next(vm, set_cr(vm, 4, vm->cpu.cr4 ^ CR4_PGE), AT_CODE + 3);
	assert_int_equal(paging_walk(vm, 0x40000000 + LA, &w), WALK_NOT_PRESENT);
}

static void test_bad_pointers(void **state)
{
	static const u64 bad[] = {PTE_W, PTE_U, 0x20, 0x40, PTE_PS, PTE_G, 1ull << 32, PTE_NX};
	struct vm *vm = *state;
	const u32 cr0 = vm->cpu.cr0;

	make_tables(vm);
	poke64(vm, AT_PD + 0x20, AT_DIR | PTE_P);
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		poke64(vm, AT_PD + 0x30, AT_DIR | PTE_P | bad[i]);
		/* With paging off nobody looks; then turning it on is what faults. */
		assert_next(vm, set_cr(vm, 3, AT_PD + 0x20), AT_CODE + 3);
		assert_fault(vm, set_cr(vm, 0, cr0 | CR0_PG), EXC_GP, 0, AT_CODE);
		assert_int_equal(vm->cpu.cr0, cr0);
		/* Absent entries may hold anything. */
		poke64(vm, AT_PD + 0x30, bad[i]);
		assert_next(vm, set_cr(vm, 0, cr0 | CR0_PG), AT_CODE + 3);
		poke64(vm, AT_PD + 0x30, AT_DIR | PTE_P | bad[i]);
		assert_fault(vm, set_cr(vm, 3, AT_PD + 0x20), EXC_GP, 0, AT_CODE);
		assert_fault(vm, set_cr(vm, 4, vm->cpu.cr4 ^ CR4_PGE), EXC_GP, 0, AT_CODE);
		assert_next(vm, set_cr(vm, 3, AT_PD), AT_CODE + 3);
		assert_next(vm, set_cr(vm, 0, cr0), AT_CODE + 3);
	}
}

static enum core_next access_efer(struct vm *vm, u8 opcode, u64 value)
{
	vm_kernel(vm);
	vm->cpu.gpr[GPR_CX] = MSR_EFER;
	vm->cpu.gpr[GPR_AX] = (u32)value;
	vm->cpu.gpr[GPR_DX] = value >> 32;
	return gp(vm, 0x0f, opcode);
}

static void test_efer(void **state)
{
	const u8 rdmsr = 0x32, wrmsr = 0x30;
	struct vm *vm = *state;
	u32 error;

	/* A host without NX has no such register to give. */
	assert_fault(vm, access_efer(vm, rdmsr, 0), EXC_GP, 0, AT_CODE);
	assert_fault(vm, access_efer(vm, wrmsr, EFER_NXE), EXC_GP, 0, AT_CODE);
	for (unsigned i = 0; i < 4; i++)
		mock_of(vm)->cpuid[i] = ~0u;
	assert_next(vm, access_efer(vm, wrmsr, EFER_NXE), AT_CODE + 2);
	assert_next(vm, access_efer(vm, rdmsr, 0), AT_CODE + 2);
	assert_int_equal(vm->cpu.gpr[GPR_AX], EFER_NXE);
	assert_int_equal(vm->cpu.gpr[GPR_DX], 0);
	for (unsigned bit = 0; bit < 64; bit++)
		if (1ull << bit != EFER_NXE)
			assert_fault(vm, access_efer(vm, wrmsr, 1ull << bit), EXC_GP, 0, AT_CODE);
	/* Without NXE the bit is reserved: what was mapped by such an entry goes. */
	turn_on(vm);
	set_entry(vm, LA, (LA & ~0xfffu) | KPAGE | PTE_NX);
	assert_int_equal(shadow_fault(vm, LA, true, false, false, &error), SHADOW_FILLED);
	assert_int_equal(mock_mapping(vm, LA), (LA & ~0xfffu) | HOST_READ | HOST_WRITE);
	assert_next(vm, access_efer(vm, wrmsr, 0), AT_CODE + 2);
	assert_int_equal(mock_mapping(vm, LA), 0);
}

/* Pages that differ in NX are not protected by one call. */
static void test_protecting_keeps_nx(void **state)
{
	struct vm *vm = *state;
	u32 error;

	turn_on(vm);
	for (u32 i = 0; i < 2; i++) {
		const u32 la = (LA & ~0xfffu) + i * PAGE_SIZE_4K;

		set_entry(vm, la, la | UPAGE | (i ? PTE_NX : 0));
		assert_int_equal(shadow_fault(vm, la, true, false, false, &error), SHADOW_FILLED);
		set_entry(vm, la, la | PTE_P | PTE_U | PTE_A | PTE_D | (i ? PTE_NX : 0));
	}
	assert_true(shadow_load_cr3(vm));
	assert_int_equal(mock_mapping(vm, LA), (LA & ~0xfffu) | RX);
	assert_int_equal(mock_mapping(vm, LA + 0x1000), (LA & ~0xfffu) + 0x1000 + HOST_READ);
	/* What was executable and is no more must go, for records are compared, not remembered. */
	set_entry(vm, LA, (LA & ~0xfffu) | PTE_P | PTE_U | PTE_A | PTE_D | PTE_NX);
	assert_true(shadow_load_cr3(vm));
	assert_int_equal(mock_mapping(vm, LA), 0);
}

/* With the format the meaning of everything kept changes, with paging on as well as off. */
static void test_changing_the_format(void **state)
{
	struct vm *vm = *state;
	u32 error;

	vm_paging(vm, KPAGE);
	assert_int_equal(shadow_fault(vm, LA, true, false, false, &error), SHADOW_FILLED);
	poke64(vm, AT_DIR, AT_DIR2 | PTE_P | PTE_W);
	poke64(vm, AT_DIR2 + (LA >> 12) * 8, 0x70000 | KPAGE);
	poke64(vm, AT_DIR2 + (AT_CODE >> 12) * 8, AT_CODE | KPAGE);
	poke64(vm, AT_PD, AT_DIR | PTE_P); /* as 2-level entry: a table that maps what it is */
	vm_kernel(vm);
	vm->cpu.cr4 |= CR4_PAE;
	assert_true(paging_load_pdptes(vm, vm->cpu.cr3));
	assert_true(shadow_set_format(vm));
	assert_int_equal(mock_mapping(vm, LA), 0);
	assert_int_equal(shadow_fault(vm, LA, true, false, false, &error), SHADOW_FILLED);
	assert_int_equal(mock_mapping(vm, LA), 0x70000 | RWX);
	assert_next(vm, set_cr(vm, 4, vm->cpu.cr4 & ~(u64)CR4_PAE), AT_CODE + 3);
	assert_int_equal(mock_mapping(vm, LA), 0);
}

/* What a sleeping shadow remembers of a table is in the old format: here the same directory entry, and
 * bytes equal to those that it would take for the table's. */
static void test_a_sleeping_shadow_and_the_format(void **state)
{
	const u32 word = 64 * 8, directory = 0x82000, pdpt = 0x83000;
	struct vm *vm = *state;
	u32 error;

	vm_spaces(vm, 2);
	vm_paging(vm, UPAGE | PTE_A | PTE_D);
	for (u32 at = word; at < 2 * word; at += 4)
		poke32(vm, AT_PT + at, 0); /* with PAE, the entries around LA's */
	assert_int_equal(shadow_fault(vm, LA, true, false, false, &error), SHADOW_FILLED);
	assert_true(shadow_load_cr3(vm)); /* compares, and remembers */
	poke32(vm, directory, *pde_of(vm, 0));
	vm->cpu.cr3 = directory;
	assert_true(shadow_load_cr3(vm));
	assert_int_equal(vm->pool.active, 1);
	poke64(vm, AT_DIR, peek32(vm, AT_PD));
	poke64(vm, pdpt, AT_DIR | PTE_P);
	vm->cpu.cr3 = pdpt;
	vm->cpu.cr4 |= CR4_PAE;
	assert_true(paging_load_pdptes(vm, pdpt));
	assert_true(shadow_set_format(vm));
	assert_int_equal(vm->pool.active, 0);
	assert_int_equal(mock_mapping(vm, LA), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_walk),
		VM_TEST(test_large_page),
		VM_TEST(test_reserved_bits),
		VM_TEST(test_pointers_are_registers),
		VM_TEST(test_bad_pointers),
		VM_TEST(test_efer),
		VM_TEST(test_protecting_keeps_nx),
		VM_TEST(test_changing_the_format),
		VM_TEST(test_a_sleeping_shadow_and_the_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
