/*
 * Unit tests of common/paging.c: the walk, the rights and the A and D bits (SDM vol. 3, chapter 4).
 */
#include "mock-host.h"

#define LA 0x60123u /* in the range that vm_paging() maps */

static enum walk_result walk(struct vm *vm, u32 la, struct walk *w)
{
	return paging_walk(vm, la, w);
}

static void test_paging_off_is_identity(void **state)
{
	struct vm *vm = *state;
	struct walk w;

	assert_int_equal(walk(vm, 0xfedcba98, &w), WALK_OK);
	assert_int_equal(w.gpa, 0xfedcba98);
	assert_true(w.write && w.user && w.accessed && w.dirty);
	assert_int_equal(w.levels, 0);
}

static void test_two_levels(void **state)
{
	struct vm *vm = *state;
	struct walk w;

	vm_paging(vm, PTE_P | PTE_W);
	*pte_of(vm, LA) = 0x7654000 | PTE_P | PTE_U | PTE_D;
	assert_int_equal(walk(vm, LA, &w), WALK_OK);
	assert_int_equal(w.gpa, 0x7654123);
	assert_int_equal(w.page_size, 4096);
	assert_int_equal(w.levels, 2);
	assert_int_equal(w.entry_gpa[0], AT_PD);
	assert_int_equal(w.entry_gpa[1], AT_PT + (LA >> 12) * 4);
	assert_true(w.user && w.dirty);
	assert_false(w.write || w.accessed || w.global);
}

static void test_directory_index(void **state)
{
	struct vm *vm = *state;
	struct walk w;

	vm_paging(vm, PTE_P);
	vm->cpu.cr3 |= 0x18; /* PWT and PCD are not part of the address */
	poke32(vm, AT_PD + 1023 * 4, 0x8000 | PTE_P);
	poke32(vm, 0x8000 + 1022 * 4, 0x9000 | PTE_P);
	assert_int_equal(walk(vm, 0xffffeabc, &w), WALK_OK);
	assert_int_equal(w.gpa, 0x9abc);
}

static void test_not_present(void **state)
{
	struct vm *vm = *state;
	struct walk w;

	vm_paging(vm, PTE_P);
	*pte_of(vm, LA) &= ~PTE_P;
	assert_int_equal(walk(vm, LA, &w), WALK_NOT_PRESENT);
	assert_int_equal(w.levels, 2);
	*pde_of(vm, LA) = 0xfffffffe;
	assert_int_equal(walk(vm, LA, &w), WALK_NOT_PRESENT);
	assert_int_equal(w.levels, 1);
}

static void test_tables_outside_ram(void **state)
{
	struct vm *vm = *state;
	struct walk w;

	vm_paging(vm, PTE_P);
	*pde_of(vm, LA) = VM_RAM | PTE_P; /* the PV page is no page table either */
	assert_int_equal(walk(vm, LA, &w), WALK_NOT_PRESENT);
	*pde_of(vm, LA) = 0xfffff000 | PTE_P;
	assert_int_equal(walk(vm, LA, &w), WALK_NOT_PRESENT);
	vm->cpu.cr3 = 0xfffff000;
	assert_int_equal(walk(vm, LA, &w), WALK_NOT_PRESENT);
	assert_int_equal(w.levels, 1);
	paging_mark(vm, &w, true); /* must not reach for what is not there */
}

static void test_large_page(void **state)
{
	struct vm *vm = *state;
	struct walk w;

	vm_paging(vm, PTE_P);
	*pde_of(vm, LA) = 0x87c00000 | PTE_P | PTE_W | PTE_PS | PTE_G | PTE_A;
	assert_int_equal(walk(vm, LA, &w), WALK_OK);
	assert_int_equal(w.gpa, 0x87c00000 + LA);
	assert_int_equal(w.page_size, LARGE_PAGE_SIZE);
	assert_int_equal(w.levels, 1);
	assert_true(w.write && w.global && w.accessed);
	assert_false(w.user || w.dirty);
	vm->cpu.cr4 &= ~(u64)CR4_PGE;
	assert_int_equal(walk(vm, LA, &w), WALK_OK);
	assert_false(w.global);
	/* Without PSE the bit is ignored: the entry names a table, outside RAM here. */
	vm->cpu.cr4 &= ~(u64)CR4_PSE;
	assert_int_equal(walk(vm, LA, &w), WALK_NOT_PRESENT);
}

static void test_large_page_reserved_bits(void **state)
{
	struct vm *vm = *state;
	struct access access = {.user = true};
	struct walk w;
	u32 error;

	vm_paging(vm, PTE_P);
	for (unsigned bit = 13; bit < 22; bit++) {
		*pde_of(vm, LA) = 1u << bit | PTE_P | PTE_W | PTE_U | PTE_PS;
		assert_int_equal(walk(vm, LA, &w), WALK_RESERVED);
		assert_false(paging_check(vm, WALK_RESERVED, &w, access, &error));
		assert_int_equal(error, PF_PRESENT | PF_RSVD | PF_USER);
	}
	*pde_of(vm, LA) = 1u << 12 | PTE_P | PTE_PS; /* PAT: not announced, ignored */
	assert_int_equal(walk(vm, LA, &w), WALK_OK);
}

static void test_global_needs_pge(void **state)
{
	struct vm *vm = *state;
	struct walk w;

	vm_paging(vm, PTE_P | PTE_G);
	assert_int_equal(walk(vm, LA, &w), WALK_OK);
	assert_true(w.global);
	vm->cpu.cr4 = 0;
	assert_int_equal(walk(vm, LA, &w), WALK_OK);
	assert_false(w.global);
}

/* Is the access allowed? SDM vol. 3, 4.6.1, said again in the plainest way. */
static bool expected(bool page_user, bool page_write, struct access a, bool wp)
{
	if (a.user && !page_user)
		return false;
	if (!a.write || page_write)
		return true;
	return !a.user && !wp;
}

/* All of U/S and R/W at both levels, the mode, the access and CR0.WP. */
static void test_rights(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P);
	for (unsigned n = 0; n < 128; n++) {
		u32 pde = (n & 1 ? PTE_W : 0) | (n & 2 ? PTE_U : 0);
		u32 pte = (n & 4 ? PTE_W : 0) | (n & 8 ? PTE_U : 0);
		struct access a = {.write = n & 16, .user = n & 32};
		bool wp = n & 64, want;
		struct walk w;
		u32 error;

		*pde_of(vm, LA) = AT_PT | PTE_P | pde;
		*pte_of(vm, LA) = 0x9000 | PTE_P | pte;
		vm->cpu.cr0 = CR0_PE | CR0_PG | (wp ? CR0_WP : 0);
		want = expected(pde & pte & PTE_U, pde & pte & PTE_W, a, wp);
		assert_int_equal(walk(vm, LA, &w), WALK_OK);
		assert_int_equal(paging_check(vm, WALK_OK, &w, a, &error), want);
		if (!want)
			assert_int_equal(error, PF_PRESENT | (a.write ? PF_WRITE : 0) |
							(a.user ? PF_USER : 0));
	}
}

static void test_error_code_not_present(void **state)
{
	struct vm *vm = *state;
	struct walk w;

	vm_paging(vm, 0);
	for (unsigned n = 0; n < 8; n++) {
		struct access a = {.write = n & 1, .user = n & 2, .fetch = n & 4};
		u32 error;

		assert_int_equal(walk(vm, LA, &w), WALK_NOT_PRESENT);
		assert_false(paging_check(vm, WALK_NOT_PRESENT, &w, a, &error));
		/* Fetches are not reported without NX. */
		assert_int_equal(error, (a.write ? PF_WRITE : 0) | (a.user ? PF_USER : 0));
	}
}

static void test_mark(void **state)
{
	struct vm *vm = *state;
	struct walk w;

	vm_paging(vm, PTE_P | PTE_W);
	assert_int_equal(walk(vm, LA, &w), WALK_OK);
	assert_false(*pde_of(vm, LA) & PTE_A);
	paging_mark(vm, &w, false);
	assert_int_equal(*pde_of(vm, LA) & (PTE_A | PTE_D), PTE_A);
	assert_int_equal(*pte_of(vm, LA) & (PTE_A | PTE_D), PTE_A);
	assert_true(w.accessed);
	assert_false(w.dirty);
	paging_mark(vm, &w, true);
	assert_int_equal(*pde_of(vm, LA) & (PTE_A | PTE_D), PTE_A); /* D only where the page is */
	assert_int_equal(*pte_of(vm, LA) & (PTE_A | PTE_D), PTE_A | PTE_D);
	assert_true(w.dirty);
	assert_int_equal(walk(vm, LA, &w), WALK_OK);
	assert_true(w.accessed && w.dirty);
	*pde_of(vm, LA) &= ~PTE_A; /* accessed means: at every level */
	assert_int_equal(walk(vm, LA, &w), WALK_OK);
	assert_false(w.accessed);
}

static void test_mark_large(void **state)
{
	struct vm *vm = *state;
	struct walk w;

	vm_paging(vm, PTE_P);
	*pde_of(vm, LA) = PTE_P | PTE_W | PTE_PS;
	assert_int_equal(walk(vm, LA, &w), WALK_OK);
	paging_mark(vm, &w, true);
	assert_int_equal(*pde_of(vm, LA), PTE_P | PTE_W | PTE_PS | PTE_A | PTE_D);
}

/* ------------------------------------------- memory by linear address ---- */

static void test_mem_across_pages(void **state)
{
	struct vm *vm = *state;
	u8 out[8], in[8] = {1, 2, 3, 4, 5, 6, 7, 8};

	vm_paging(vm, PTE_P | PTE_W);
	*pte_of(vm, 0x60000) = 0x90000 | PTE_P | PTE_W;
	*pte_of(vm, 0x61000) = 0x80000 | PTE_P | PTE_W;
	assert_true(mem_write(vm, 0x60ffd, in, 8, false));
	assert_int_equal(peek8(vm, 0x90fff), 3);
	assert_int_equal(peek8(vm, 0x80000), 4);
	assert_true(mem_read(vm, 0x60ffd, out, 8, false));
	assert_memory_equal(in, out, 8);
}

static void test_mem_write_is_all_or_nothing(void **state)
{
	struct vm *vm = *state;
	u32 value = 0xffffffff;

	vm_paging(vm, PTE_P | PTE_W);
	*pte_of(vm, 0x61000) = 0;
	assert_false(mem_write(vm, 0x60ffe, &value, 4, false));
	assert_int_equal(vm->exc.vector, EXC_PF);
	assert_int_equal(vm->exc.error, PF_WRITE);
	assert_int_equal(peek16(vm, 0x60ffe), 0);
}

static void test_mem_user_rights(void **state)
{
	struct vm *vm = *state;
	u32 value;

	vm_paging(vm, PTE_P | PTE_W);
	assert_true(mem_read(vm, LA, &value, 4, false));
	assert_false(mem_read(vm, LA, &value, 4, true));
	assert_int_equal(vm->exc.error, PF_PRESENT | PF_USER);
	assert_false(mem_probe_write(vm, LA, 4, true));
	assert_int_equal(vm->exc.error, PF_PRESENT | PF_USER | PF_WRITE);
	assert_true(mem_probe_write(vm, LA, 4, false));
	assert_true(*pte_of(vm, LA) & PTE_D);
}

static void test_mem_device_reads_ones(void **state)
{
	struct vm *vm = *state;
	u32 value = 0, gpa32 = 0xd0000000;
	u64 gpa;
	u8 *ptr;

	assert_true(mem_read(vm, gpa32, &value, 4, false));
	assert_int_equal(value, 0xffffffff);
	assert_true(mem_write(vm, gpa32, &value, 4, false));
	assert_int_equal(mem_translate(vm, gpa32 + 8, true, false, &ptr, &gpa), MEM_DEVICE);
	assert_int_equal(gpa, gpa32 + 8);
}

static void test_mem_pv_page_is_the_kernels(void **state)
{
	struct vm *vm = *state;
	u32 value;

	vm_paging(vm, PTE_P | PTE_U);
	assert_true(mem_read(vm, PLEX86_PV_PAGE + PLEX86_PV_VERSION, &value, 4, false));
	assert_int_equal(value, PLEX86_ABI_VERSION);
	assert_false(mem_read(vm, PLEX86_PV_PAGE, &value, 4, true));
	assert_int_equal(vm->exc.error, PF_USER);
}

static void test_fetch_stops_at_limit_and_fault(void **state)
{
	struct vm *vm = *state;
	u8 bytes[15];

	vm_paging(vm, PTE_P);
	vm->cpu.rip = 0x10ffa;
	*pte_of(vm, 0x11000) = 0;
	assert_int_equal(mem_fetch(vm, bytes, sizeof(bytes)), 6);
	vm->cpu.seg[SEG_CS].limit = 0x10ffc;
	assert_int_equal(mem_fetch(vm, bytes, sizeof(bytes)), 3);
	vm->cpu.rip = 0x10ffd;
	assert_int_equal(mem_fetch(vm, bytes, sizeof(bytes)), 0);
	assert_int_equal(vm->exc.vector, EXC_GP);
	vm->cpu.rip = 0x11000;
	vm->cpu.seg[SEG_CS].limit = 0xffffffff;
	assert_int_equal(mem_fetch(vm, bytes, sizeof(bytes)), 0);
	assert_int_equal(vm->exc.vector, EXC_PF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_paging_off_is_identity),
		VM_TEST(test_two_levels),
		VM_TEST(test_directory_index),
		VM_TEST(test_not_present),
		VM_TEST(test_tables_outside_ram),
		VM_TEST(test_large_page),
		VM_TEST(test_large_page_reserved_bits),
		VM_TEST(test_global_needs_pge),
		VM_TEST(test_rights),
		VM_TEST(test_error_code_not_present),
		VM_TEST(test_mark),
		VM_TEST(test_mark_large),
		VM_TEST(test_mem_across_pages),
		VM_TEST(test_mem_write_is_all_or_nothing),
		VM_TEST(test_mem_user_rights),
		VM_TEST(test_mem_device_reads_ones),
		VM_TEST(test_mem_pv_page_is_the_kernels),
		VM_TEST(test_fetch_stops_at_limit_and_fault),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
