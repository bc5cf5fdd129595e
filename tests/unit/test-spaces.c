/*
 * Unit tests of common/spaces.c: which address space gets which shadow, and what a shadow that
 * slept must forget. Random traffic against a model is in test-shadow-random.c.
 */
#include "mock-host.h"

#define LA     0x60000u
#define HIGH   0xc0060000u
#define GLOBAL (PTE_P | PTE_W | PTE_G)

/* Directories, each with a table of its own for [0, 4 MiB) and a common one at 3 GiB. */
enum { SPACES = SHADOW_COUNT + 4, DIRS_AT = 0x80000, TABLES_AT = 0xa0000, COMMON = 0xc0000 };

static u32 dir(unsigned n)
{
	return DIRS_AT + n * PAGE_SIZE_4K;
}

static u32 table(unsigned n)
{
	return TABLES_AT + n * PAGE_SIZE_4K;
}

static void set_pte(struct vm *vm, u32 at, u32 la, u32 entry)
{
	poke32(vm, at + (la >> 12 & 0x3ff) * 4, entry);
}

static void enter(struct vm *vm, unsigned n)
{
	vm->cpu.cr3 = dir(n);
	assert_true(shadow_load_cr3(vm));
}

static void fill(struct vm *vm, u32 la)
{
	u32 error;

	assert_int_equal(shadow_fault(vm, la, true, false, false, &error), SHADOW_FILLED);
}

/* Space n has its own page at LA, at frame n, and all have LA at HIGH. */
static int setup(void **state)
{
	struct vm *vm = vm_create(VM_RAM);

	for (unsigned n = 0; n < SPACES; n++) {
		poke32(vm, dir(n), table(n) | UPAGE);
		poke32(vm, dir(n) + 0x300 * 4, COMMON | PTE_P | PTE_W);
		set_pte(vm, table(n), LA, n << 12 | UPAGE);
		set_pte(vm, table(n), AT_GDT, AT_GDT | PTE_P | PTE_W);
	}
	set_pte(vm, COMMON, HIGH, LA | GLOBAL);
	vm_spaces(vm, 4);
	vm->cpu.cr3 = dir(0);
	vm->cpu.cr0 |= CR0_PG | CR0_WP;
	vm->cpu.cr4 |= CR4_PSE | CR4_PGE;
	assert_true(shadow_set_paging(vm));
	*state = vm;
	return 0;
}

/* -------------------------------------------------------------- pool ---- */

static void test_each_space_keeps_its_mappings(void **state)
{
	struct vm *vm = *state;

	for (unsigned n = 0; n < 4; n++) {
		enter(vm, n);
		assert_int_equal(mock_mapping(vm, LA), 0);
		fill(vm, LA);
	}
	mock_of(vm)->maps = mock_of(vm)->unmaps = 0;
	for (unsigned n = 0; n < 4; n++) {
		enter(vm, n);
		assert_int_equal(mock_mapping(vm, LA), n << 12 | RWX);
	}
	assert_int_equal(mock_of(vm)->maps + mock_of(vm)->unmaps, 0);
}

static void test_the_same_space_needs_no_change(void **state)
{
	struct vm *vm = *state;

	enter(vm, 1);
	mock_of(vm)->activations = 0;
	enter(vm, 1);
	vm->cpu.cr3 |= 0x18; /* PCD and PWT are no part of the address */
	assert_true(shadow_load_cr3(vm));
	assert_int_equal(mock_of(vm)->activations, 0);
}

static void test_the_longest_unused_goes(void **state)
{
	struct vm *vm = *state;

	for (unsigned n = 0; n < 4; n++) {
		enter(vm, n);
		fill(vm, LA);
	}
	enter(vm, 0);
	enter(vm, 4); /* in the place of 1 */
	assert_int_equal(mock_mapping(vm, LA), 0);
	fill(vm, LA);
	for (unsigned n = 0; n < 4; n++) {
		if (n == 1)
			continue;
		enter(vm, n);
		assert_int_equal(mock_mapping(vm, LA), n << 12 | RWX);
	}
	enter(vm, 1); /* in the place of 4 */
	assert_int_equal(mock_mapping(vm, LA), 0);
}

/* A process that is no more loses nothing; one that has not run for long may run again. */
static void test_a_dead_one_goes_first(void **state)
{
	struct vm *vm = *state;

	for (unsigned n = 0; n < 4; n++) {
		enter(vm, n);
		fill(vm, LA);
		fill(vm, HIGH);
	}
	poke32(vm, dir(2), 0);
	enter(vm, 4); /* in the place of 2 */
	assert_int_equal(mock_mapping(vm, LA), 0);
	assert_int_equal(mock_mapping(vm, HIGH), LA | RWX); /* warm */
	fill(vm, LA);
	poke32(vm, dir(1), table(5) | UPAGE); /* another process by now, or nothing of the kind */
	enter(vm, 6);			      /* in the place of 1 */
	assert_int_equal(mock_mapping(vm, LA), 0);
	fill(vm, LA);
	for (unsigned n = 0; n < 5; n++) {
		if (n == 1 || n == 2)
			continue;
		enter(vm, n);
		assert_int_equal(mock_mapping(vm, LA), n << 12 | RWX);
	}
}

static void test_one_shadow_serves_all(void **state)
{
	struct vm *vm = *state;

	vm_spaces(vm, 1);
	for (unsigned n = 0; n < SPACES; n++) {
		enter(vm, n);
		assert_int_equal(mock_mapping(vm, LA), 0);
		fill(vm, LA);
		assert_int_equal(mock_mapping(vm, LA), n << 12 | RWX);
	}
	assert_int_equal(mock_of(vm)->activations, 0);
}

static void test_more_spaces_than_shadows(void **state)
{
	struct vm *vm = *state;

	vm_spaces(vm, SHADOW_COUNT);
	for (unsigned round = 0; round < 3; round++)
		for (unsigned n = 0; n < SPACES; n++) {
			enter(vm, n);
			assert_true(!mock_mapping(vm, LA) || mock_mapping(vm, LA) == (n << 12 | RWX));
			fill(vm, LA);
		}
}

/* A directory that another process got: nothing of the old one may be left. */
static void test_a_directory_used_again(void **state)
{
	struct vm *vm = *state;

	enter(vm, 1);
	fill(vm, LA);
	enter(vm, 0);
	poke32(vm, dir(1), table(2) | UPAGE);
	enter(vm, 1);
	assert_int_equal(mock_mapping(vm, LA), 0);
	fill(vm, LA);
	enter(vm, 0);
	poke32(vm, dir(1), 0);
	enter(vm, 1);
	assert_int_equal(mock_mapping(vm, LA), 0);
}

static void test_a_table_is_seen_to_change(void **state)
{
	struct vm *vm = *state;

	for (unsigned round = 0; round < 3; round++) {
		enter(vm, 1);
		fill(vm, LA);
		fill(vm, LA + 0x100);
		enter(vm, 0);
		if (round)
			enter(vm, 1); /* compared, and found unchanged, before it changes */
		enter(vm, 0);
		set_pte(vm, table(1), LA, (0x20 + round) << 12 | UPAGE);
		enter(vm, 1);
		assert_int_equal(mock_mapping(vm, LA), 0);
	}
	/* Back to what it was when last compared, but not when last filled. */
	fill(vm, LA);
	enter(vm, 1);
	set_pte(vm, table(1), LA, 0x30 << 12 | UPAGE);
	shadow_invlpg(vm, LA);
	fill(vm, LA);
	set_pte(vm, table(1), LA, 0x22 << 12 | UPAGE | PTE_A | PTE_D);
	enter(vm, 1);
	assert_int_equal(mock_mapping(vm, LA), 0);
}

static void test_a_directory_entry_is_seen_to_change(void **state)
{
	struct vm *vm = *state;

	enter(vm, 1);
	fill(vm, LA);
	enter(vm, 1);
	poke32(vm, dir(1), table(1) | PTE_P | PTE_U | PTE_A);
	enter(vm, 1);
	assert_int_equal(mock_mapping(vm, LA), 1 << 12 | RX);
}

static void test_the_host_refuses(void **state)
{
	struct vm *vm = *state;

	fill(vm, LA);
	mock_of(vm)->activate_error = HOST_FAIL;
	vm->cpu.cr3 = dir(1);
	assert_false(shadow_load_cr3(vm));
	assert_int_equal(vm->exit.kind, EXIT_FAULT);
	assert_int_equal(vm->exit.fault.reason, FAULT_HOST_SEGMENT);
}

/* ---------------------------------------------------- what was missed ---- */

static void test_global_pages_are_invalidated_everywhere(void **state)
{
	struct vm *vm = *state;

	for (unsigned n = 0; n < 3; n++) {
		enter(vm, n);
		fill(vm, HIGH);
	}
	set_pte(vm, COMMON, HIGH, 0);
	enter(vm, 1);
	assert_int_equal(mock_mapping(vm, HIGH), LA | RWX); /* nobody said so yet */
	shadow_invlpg(vm, HIGH);
	for (unsigned n = 0; n < 4; n++) {
		enter(vm, n);
		assert_int_equal(mock_mapping(vm, HIGH), 0);
	}
}

static void test_more_was_missed_than_is_remembered(void **state)
{
	struct vm *vm = *state;

	for (unsigned n = 0; n < 2; n++) {
		enter(vm, n);
		fill(vm, HIGH);
	}
	set_pte(vm, COMMON, HIGH, 0);
	shadow_invlpg(vm, HIGH);
	for (unsigned i = 0; i <= SHADOW_LOG; i++)
		shadow_invlpg(vm, HIGH + 0x1000);
	enter(vm, 0);
	assert_int_equal(mock_mapping(vm, HIGH), 0);
}

/* Invalidating a program's own pages concerns nobody else, and must not crowd out what does. */
static void test_local_pages_are_not_remembered(void **state)
{
	struct vm *vm = *state;

	for (unsigned n = 0; n < 2; n++) {
		enter(vm, n);
		fill(vm, LA);
		fill(vm, HIGH);
	}
	for (unsigned i = 0; i < 2 * SHADOW_LOG; i++)
		shadow_invlpg(vm, LA);
	assert_int_equal(vm->pool.log_end - vm->shadow[0].log_seen, 0);
}

static void test_flushes_reach_sleeping_shadows(void **state)
{
	struct vm *vm = *state;

	for (unsigned n = 0; n < 2; n++) {
		enter(vm, n);
		fill(vm, HIGH);
		fill(vm, LA);
	}
	set_pte(vm, COMMON, HIGH, 0);
	shadow_flush(vm);
	assert_int_equal(mock_mapping(vm, HIGH), 0);
	assert_int_equal(mock_mapping(vm, LA), 1 << 12 | RWX);
	enter(vm, 0);
	assert_int_equal(mock_mapping(vm, HIGH), 0);
	assert_int_equal(mock_mapping(vm, LA), 0 << 12 | RWX);
}

static void test_without_global_pages_every_load_looks(void **state)
{
	struct vm *vm = *state;

	fill(vm, HIGH);
	vm->cpu.cr4 &= ~(u64)CR4_PGE;
	shadow_flush(vm);
	assert_int_equal(mock_mapping(vm, HIGH), LA | RWX);
	set_pte(vm, COMMON, HIGH, 0);
	enter(vm, 0);
	assert_int_equal(mock_mapping(vm, HIGH), 0);
}

/* Another space's global pages are known for a while, but not again once they were forgotten. */
static void test_a_recycled_shadow_forgets_global_pages_of_other_tables(void **state)
{
	struct vm *vm = *state;

	vm_spaces(vm, 2);
	set_pte(vm, table(1), LA, 1 << 12 | UPAGE | PTE_G);
	enter(vm, 1);
	fill(vm, LA);
	fill(vm, HIGH);
	enter(vm, 0);
	enter(vm, 2); /* where 1 was */
	assert_int_equal(mock_mapping(vm, LA), 0);
	assert_int_equal(mock_mapping(vm, HIGH), LA | RWX); /* the same table: as warm as it was */
}

/* All that a dead program had, in one call. */
static void test_a_dead_program_is_unmapped_at_once(void **state)
{
	struct vm *vm = *state;

	poke32(vm, dir(1) + 0x2fe * 4, table(2) | UPAGE);
	enter(vm, 1);
	fill(vm, LA);
	fill(vm, LA + 0xbf800000);
	fill(vm, HIGH);
	enter(vm, 0);
	poke32(vm, dir(1), 0);
	poke32(vm, dir(1) + 0x2fe * 4, 0);
	mock_of(vm)->unmaps = 0;
	enter(vm, 1);
	assert_int_equal(mock_of(vm)->unmaps, 1);
	assert_int_equal(mock_of(vm)->mapped, 1);
	assert_int_equal(mock_mapping(vm, HIGH), LA | RWX);
}

static void test_paging_off_and_on(void **state)
{
	struct vm *vm = *state;

	for (unsigned n = 0; n < 2; n++) {
		enter(vm, n);
		fill(vm, HIGH);
		fill(vm, LA);
	}
	vm->cpu.cr0 &= ~(u64)CR0_PG;
	assert_true(shadow_set_paging(vm));
	assert_int_equal(mock_of(vm)->mapped, 0);
	fill(vm, LA);
	assert_int_equal(mock_mapping(vm, LA), LA | RWX);
	enter(vm, 0); /* CR3 may be loaded: it counts when paging is on */
	assert_int_equal(mock_mapping(vm, LA), LA | RWX);
	set_pte(vm, COMMON, HIGH, 0);
	vm->cpu.cr0 |= CR0_PG;
	assert_true(shadow_set_paging(vm));
	assert_int_equal(mock_mapping(vm, LA), 0 << 12 | RWX);
	assert_int_equal(mock_mapping(vm, HIGH), 0);
	enter(vm, 1); /* the one that was in force: it has none left */
	assert_int_equal(mock_of(vm)->mapped, 0);
}

/* -------------------------------------------- PV page, views, segments ---- */

static void test_the_pv_page_is_protected_in_each(void **state)
{
	struct vm *vm = *state;

	fill(vm, LA);
	fill(vm, PLEX86_PV_PAGE);
	shadow_pv_protect(vm, false);
	enter(vm, 1);
	assert_int_equal(mock_mapping(vm, PLEX86_PV_PAGE), 0);
	shadow_pv_protect(vm, false);
	fill(vm, PLEX86_PV_PAGE);
	assert_int_equal(mock_mapping(vm, PLEX86_PV_PAGE), VM_RAM | RX);
	shadow_pv_protect(vm, true);
	enter(vm, 0);
	shadow_pv_protect(vm, true);
	assert_int_equal(mock_mapping(vm, PLEX86_PV_PAGE), VM_RAM | RWX);
}

static u32 stub_slow(struct vm *vm)
{
	return *(u32 *)((u8 *)pv_page(vm) + 0x30);
}

static void test_supervisor_pages_below_the_limit(void **state)
{
	struct vm *vm = *state;

	set_pte(vm, table(1), LA + 0x1000, 0x70000 | PTE_P);
	enter(vm, 1);
	fill(vm, LA);
	assert_int_equal(stub_slow(vm), 0);
	vm->cpu.cr0 &= ~(u64)CR0_WP;
	fill(vm, LA + 0x1000);
	assert_int_not_equal(stub_slow(vm), 0);
	enter(vm, 0);
	assert_int_equal(stub_slow(vm), 0);
	enter(vm, 1);
	assert_int_not_equal(stub_slow(vm), 0);
}

static const u64 tls_a = 0x10cff3001000ffffull, tls_b = 0x10cff3002000ffffull;

static u64 host_tls(struct vm *vm, unsigned slot)
{
	return mock_of(vm)->segment[HOST_SLOT_TLS0 + slot];
}

static u64 stub_tls(struct vm *vm, unsigned slot)
{
	u64 desc;

	mem_copy(&desc, (u8 *)pv_page(vm) + 0x40 + slot * 8, sizeof(desc));
	return desc;
}

/* Each space has its own TLS slots, and what the fast return compares goes with them. */
static void test_tls_slots_are_each_spaces_own(void **state)
{
	struct vm *vm = *state;

	fill(vm, LA);
	put_descriptor(vm, TLS0, tls_a);
	assert_true(seg_sync_tls(vm));
	enter(vm, 1);
	fill(vm, LA);
	assert_int_equal(host_tls(vm, 0), 0);
	assert_int_equal(stub_tls(vm, 0), 0);
	put_descriptor(vm, TLS0, tls_b);
	assert_true(seg_sync_tls(vm));
	assert_int_equal(host_tls(vm, 0), tls_b);
	assert_int_equal(stub_tls(vm, 0), tls_b);
	mock_of(vm)->segments = 0;
	enter(vm, 0);
	put_descriptor(vm, TLS0, tls_a);
	assert_int_equal(stub_tls(vm, 0), tls_a);
	assert_true(seg_sync_tls(vm));
	assert_int_equal(host_tls(vm, 0), tls_a);
	assert_int_equal(mock_of(vm)->segments, 0);
}

/* A register that names a slot must find it filled: loading an empty one faults. */
static void test_a_slot_in_use_is_carried_over(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, TLS0, tls_a);
	assert_true(seg_load(vm, SEG_GS, TLS0));
	assert_int_equal(vm->cpu.hw_selector[SEG_GS], TLS0);
	fill(vm, LA);
	enter(vm, 1);
	fill(vm, LA);
	assert_int_equal(host_tls(vm, 0), tls_a);
	assert_int_equal(vm->cpu.hw_selector[SEG_GS], TLS0);
	/* The guest's next thread has none: that must not pass for what the host has. */
	put_descriptor(vm, TLS0, 0);
	assert_int_not_equal(stub_tls(vm, 0), 0);
	assert_true(seg_sync_tls(vm));
	assert_int_equal(host_tls(vm, 0), 0);
	assert_int_equal(vm->cpu.hw_selector[SEG_GS], 0);
	put_descriptor(vm, TLS0, tls_a);
	assert_true(seg_load(vm, SEG_GS, TLS0));
	mock_of(vm)->segment_error = HOST_FAIL;
	vm->cpu.cr3 = dir(2);
	assert_false(shadow_load_cr3(vm));
}

int main(void)
{
#define SPACES_TEST(name) cmocka_unit_test_setup_teardown(name, setup, vm_teardown)
	const struct CMUnitTest tests[] = {
		SPACES_TEST(test_each_space_keeps_its_mappings),
		SPACES_TEST(test_the_same_space_needs_no_change),
		SPACES_TEST(test_the_longest_unused_goes),
		SPACES_TEST(test_a_dead_one_goes_first),
		SPACES_TEST(test_one_shadow_serves_all),
		SPACES_TEST(test_more_spaces_than_shadows),
		SPACES_TEST(test_a_directory_used_again),
		SPACES_TEST(test_a_table_is_seen_to_change),
		SPACES_TEST(test_a_directory_entry_is_seen_to_change),
		SPACES_TEST(test_the_host_refuses),
		SPACES_TEST(test_global_pages_are_invalidated_everywhere),
		SPACES_TEST(test_more_was_missed_than_is_remembered),
		SPACES_TEST(test_local_pages_are_not_remembered),
		SPACES_TEST(test_flushes_reach_sleeping_shadows),
		SPACES_TEST(test_without_global_pages_every_load_looks),
		SPACES_TEST(test_a_recycled_shadow_forgets_global_pages_of_other_tables),
		SPACES_TEST(test_a_dead_program_is_unmapped_at_once),
		SPACES_TEST(test_paging_off_and_on),
		SPACES_TEST(test_the_pv_page_is_protected_in_each),
		SPACES_TEST(test_supervisor_pages_below_the_limit),
		SPACES_TEST(test_tls_slots_are_each_spaces_own),
		SPACES_TEST(test_a_slot_in_use_is_carried_over),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
