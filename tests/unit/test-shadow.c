/*
 * Unit tests of common/shadow.c and resync.c: what is mapped after a fault, what is taken back and
 * when. Pages that are mapped before a fault asks for them
 * are in test-expect.c, random traffic against a model in test-shadow-random.c.
 */
#include "mock-host.h"

#define LA    0x60000u

static enum shadow_result touch(struct vm *vm, u32 la, bool write)
{
	u32 error;

	return shadow_fault(vm, la, write, false, vm_cpl(vm) == 3, &error);
}

static void assert_filled(struct vm *vm, u32 la, bool write)
{
	assert_int_equal(touch(vm, la, write), SHADOW_FILLED);
}

static void load_cr3(struct vm *vm)
{
	assert_true(shadow_load_cr3(vm));
}

/* -------------------------------------------------------------- fill ---- */

static void test_paging_off_maps_identity(void **state)
{
	struct vm *vm = *state;

	assert_filled(vm, LA + 0x123, false);
	assert_int_equal(mock_mapping(vm, LA), LA | RWX);
	/* All of RAM, in one call. */
	assert_int_equal(mock_of(vm)->maps, 1);
	assert_int_equal(mock_of(vm)->mapped, VM_RAM >> 12);
	assert_int_equal(touch(vm, VM_RAM, false), SHADOW_EMULATE); /* the PV page is behind RAM */
}

static void test_read_fault_gives_no_write(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, KPAGE);
	assert_filled(vm, LA, false);
	assert_int_equal(mock_mapping(vm, LA), LA | RX);
	assert_int_equal(*pte_of(vm, LA) & (PTE_A | PTE_D), PTE_A);
	assert_filled(vm, LA, true); /* the first write sets D */
	assert_int_equal(mock_mapping(vm, LA), LA | RWX);
	assert_true(*pte_of(vm, LA) & PTE_D);
	assert_int_equal(mock_of(vm)->maps, 1);
	assert_int_equal(mock_of(vm)->protects, 1);
}

static void test_upgrade_where_the_host_cannot_protect(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, KPAGE);
	assert_filled(vm, LA, false);
	mock_of(vm)->protect_error = HOST_LIMIT;
	assert_filled(vm, LA, true);
	assert_int_equal(mock_mapping(vm, LA), LA | RWX);
}

static void test_range_of_neighbours(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, KPAGE | PTE_A | PTE_D);
	*pte_of(vm, LA - 0x3000) &= ~PTE_A;
	*pte_of(vm, LA + 0x3000) &= ~PTE_D; /* other rights: not writable yet */
	assert_filled(vm, LA, false);
	assert_int_equal(mock_mapping(vm, LA - 0x3000), 0);
	assert_int_equal(mock_mapping(vm, LA - 0x2000), (LA - 0x2000) | RWX);
	assert_int_equal(mock_mapping(vm, LA + 0x2000), (LA + 0x2000) | RWX);
	assert_int_equal(mock_mapping(vm, LA + 0x3000), 0);
	assert_int_equal(mock_of(vm)->maps, 1);
}

static void test_range_ends_where_frames_do_not_follow(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, KPAGE | PTE_A | PTE_D);
	*pte_of(vm, LA + 0x1000) = (LA + 0x2000) | KPAGE | PTE_A | PTE_D;
	*pte_of(vm, LA - 0x1000) |= PTE_U;
	assert_filled(vm, LA, true);
	assert_int_equal(mock_of(vm)->mapped, 1);
}

static void test_user_pages_come_in_clusters(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, UPAGE | PTE_A | PTE_D);
	assert_filled(vm, LA, false);
	assert_true(mock_of(vm)->mapped > 1);
	assert_true(mock_of(vm)->mapped <= 2 * SHADOW_REACH);
	assert_int_equal(mock_mapping(vm, LA), LA | RWX);
}

/* Under the hybrid engine a record may be the other side's: what counts is what is mapped here. */
static void test_neighbours_of_native_code(void **state)
{
	static u64 mapped[SHADOW_PAGES / 64];
	struct vm *vm = *state;
	struct mock *m = mock_of(vm);

	mapped[LA >> 12 >> 6] = 0;
	vm->levels = vm->native = true;
	vm->mapped = mapped;
	vm_paging(vm, UPAGE | PTE_A | PTE_D);
	*pte_of(vm, LA - 0x1000) = 0;
	*pte_of(vm, LA + 0x3000) = 0;
	assert_filled(vm, LA, true);
	assert_int_equal(m->changed_to - m->changed_from, 3);
	/* As far as this process knows nothing is mapped: all three again. */
	assert_filled(vm, LA + 0x2000, true);
	assert_int_equal(m->changed_to - m->changed_from, 3);
	mapped[LA >> 12 >> 6] = 3ull << (LA >> 12) % 64;
	assert_filled(vm, LA + 0x2000, true);
	assert_int_equal(m->changed_to - m->changed_from, 1);
	assert_int_equal(m->changed_from, (LA + 0x2000) >> 12);
	/* What has faulted is mapped, whatever is known of it: the host may have dropped it. */
	assert_filled(vm, LA, true);
	assert_int_equal(m->changed_from, LA >> 12);
}

static void test_guest_faults(void **state)
{
	struct vm *vm = *state;
	u32 error;

	vm_paging(vm, KPAGE);
	*pte_of(vm, LA) = 0;
	assert_int_equal(shadow_fault(vm, LA, true, false, false, &error), SHADOW_GUEST);
	assert_int_equal(error, PF_WRITE);
	assert_int_equal(shadow_fault(vm, LA + 0x1000, false, false, true, &error), SHADOW_GUEST);
	assert_int_equal(error, PF_PRESENT | PF_USER);
	assert_int_equal(*pte_of(vm, LA + 0x1000) & PTE_A, 0);
	assert_int_equal(mock_of(vm)->maps, 0);
}

static void test_not_ram_is_emulated(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, KPAGE);
	*pte_of(vm, LA) = 0xd0000000 | KPAGE;
	assert_int_equal(touch(vm, LA, false), SHADOW_EMULATE);
	*pte_of(vm, LA) = VM_RAM | KPAGE; /* the frame of the PV page */
	assert_int_equal(touch(vm, LA, false), SHADOW_EMULATE);
	assert_int_equal(mock_of(vm)->mapped, 0);
}

static void test_write_protect_off(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P);
	assert_int_equal(touch(vm, LA, true), SHADOW_GUEST);
	vm->cpu.cr0 &= ~(u64)CR0_WP;
	assert_filled(vm, LA, true);
	assert_int_equal(mock_mapping(vm, LA), LA | RWX);
	load_cr3(vm);
	assert_int_equal(mock_mapping(vm, LA), LA | RX);
}

/* ------------------------------------------------- limits of the host ---- */

static void test_low_pages(void **state)
{
	struct vm *vm = *state;

	vm->low_limit = 0x10000;
	assert_int_equal(touch(vm, 0xf000, false), SHADOW_EMULATE);
	assert_filled(vm, 0x10000, false);
	assert_int_equal(mock_mapping(vm, 0xf000), 0);
	mock_of(vm)->fail_maps = 1;
	mock_of(vm)->map_error = HOST_LOW;
	assert_true(shadow_set_paging(vm));
	assert_int_equal(touch(vm, LA, false), SHADOW_EMULATE);
	assert_int_equal(vm_shadow(vm)->total, 0);
}

static void test_too_many_mappings(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, KPAGE);
	assert_filled(vm, LA, true);
	mock_of(vm)->fail_maps = 1;
	mock_of(vm)->map_error = HOST_LIMIT;
	assert_filled(vm, LA + 0x5000, true);
	assert_int_equal(mock_mapping(vm, LA), 0); /* everything made room */
	assert_int_equal(mock_mapping(vm, LA + 0x5000), (LA + 0x5000) | RWX);
	assert_int_equal(vm_shadow(vm)->total, 1);
	mock_of(vm)->fail_maps = 2; /* and if that does not help, it is the end */
	assert_int_equal(touch(vm, LA, true), SHADOW_STOP);
	assert_int_equal(vm->exit.fault.reason, FAULT_HOST_MAP);
}

static void test_host_failure_stops(void **state)
{
	struct vm *vm = *state;

	mock_of(vm)->fail_maps = 1;
	mock_of(vm)->map_error = HOST_FAIL;
	assert_int_equal(touch(vm, LA, true), SHADOW_STOP);
	assert_int_equal(vm->exit.kind, EXIT_FAULT);
	assert_int_equal(vm->exit.fault.reason, FAULT_HOST_MAP);
	assert_int_equal(vm->exit.fault.detail, 0); /* where the range began */
}

static void test_fault_without_end(void **state)
{
	struct vm *vm = *state;
	unsigned n = 0;

	while (touch(vm, LA, true) == SHADOW_FILLED)
		assert_true(++n < 100);
	assert_true(n > 2);
	assert_int_equal(vm->exit.fault.reason, FAULT_LOOP);
	assert_int_equal(vm->exit.fault.detail, LA);
}

/* ------------------------------------------------- resync and invlpg ---- */

static void test_tables_may_change_until_the_load(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, KPAGE);
	assert_filled(vm, LA, true);
	*pte_of(vm, LA) = 0;
	assert_int_equal(mock_mapping(vm, LA), LA | RWX);
	load_cr3(vm);
	assert_int_equal(mock_mapping(vm, LA), 0);
}

/* Each thing that takes a right away, and one that gives more. */
static void test_resync_compares(void **state)
{
	static const struct {
		u32 clear, set, stays;
	} changes[] = {
		{0, 0, LA | RWX},   {PTE_P, 0, 0},	   {PTE_W, 0, LA | RX},
		{PTE_A, 0, 0},	    {PTE_D, 0, LA | RX},   {PTE_U, 0, 0},
		{0, 0x1000, 0},	    {0, 0x200, LA | RWX},  {0, PTE_G, LA | RWX},
		{PTE_W, 0x1000, 0}, {PTE_W | PTE_P, 0, 0}, {PTE_W | PTE_A, 0, 0},
	};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
		vm_paging(vm, UPAGE);
		assert_filled(vm, LA, true);
		*pte_of(vm, LA) = (*pte_of(vm, LA) & ~changes[i].clear) | changes[i].set;
		load_cr3(vm);
		assert_int_equal(mock_mapping(vm, LA), changes[i].stays);
	}
}

static void test_resync_looks_at_the_directory(void **state)
{
	static const u32 taken[] = {PTE_P, PTE_W, PTE_U, PTE_A};
	static const u32 left[] = {0, LA | RX, 0, 0};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(taken); i++) {
		vm_paging(vm, UPAGE);
		assert_filled(vm, LA, true);
		*pde_of(vm, LA) &= ~taken[i];
		load_cr3(vm);
		assert_int_equal(mock_mapping(vm, LA), left[i]);
	}
}

static void test_resync_keeps_what_is_right(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, KPAGE);
	for (u32 la = LA; la < LA + 0x8000; la += 0x1000)
		assert_filled(vm, la, true);
	*pte_of(vm, LA + 0x2000) = 0;
	*pte_of(vm, LA + 0x3000) = 0;
	mock_of(vm)->unmaps = 0;
	load_cr3(vm);
	assert_int_equal(mock_of(vm)->unmaps, 1); /* neighbours go together */
	assert_int_equal(mock_of(vm)->mapped, 6);
	assert_int_equal(vm_shadow(vm)->total, 6);
}

/* A fork makes all of a program's private pages read-only. */
static void test_resync_protects_ranges(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, UPAGE);
	for (u32 la = LA; la < LA + 0x8000; la += 0x1000)
		assert_filled(vm, la, la != LA + 0x3000);
	for (u32 la = LA; la < LA + 0x8000; la += 0x1000)
		*pte_of(vm, la) &= ~PTE_W;
	*pte_of(vm, LA + 0x6000) = 0; /* an end to the range */
	mock_of(vm)->protects = mock_of(vm)->unmaps = 0;
	load_cr3(vm);
	assert_int_equal(mock_of(vm)->protects, 2);
	assert_int_equal(mock_of(vm)->unmaps, 1);
	for (u32 la = LA; la < LA + 0x8000; la += 0x1000)
		assert_int_equal(mock_mapping(vm, la), la == LA + 0x6000 ? 0 : la | RX);
	/* Nothing is touched that still may be written, and nothing where nothing is mapped. */
	*pte_of(vm, LA) |= PTE_W;
	assert_filled(vm, LA, true);
	*pte_of(vm, LA + 0x1000) |= PTE_W;
	assert_filled(vm, LA + 0x1000, true);
	*pte_of(vm, LA) &= ~PTE_W;
	load_cr3(vm);
	assert_int_equal(mock_mapping(vm, LA), LA | RX);
	assert_int_equal(mock_mapping(vm, LA + 0x1000), (LA + 0x1000) | RWX);
	mock_of(vm)->protect_error = HOST_LIMIT;
	*pte_of(vm, LA + 0x1000) &= ~PTE_W;
	load_cr3(vm);
	assert_int_equal(mock_mapping(vm, LA + 0x1000), 0);
}

static void test_global_pages_survive_loads_only(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, KPAGE | PTE_G);
	assert_filled(vm, LA, true);
	*pte_of(vm, LA) = 0;
	load_cr3(vm);
	assert_int_equal(mock_mapping(vm, LA), LA | RWX);
	shadow_invlpg(vm, LA + 0xabc);
	assert_int_equal(mock_mapping(vm, LA), 0);
}

static void large_page(struct vm *vm, u32 bits)
{
	vm_paging(vm, KPAGE);
	*pde_of(vm, LA) = PTE_P | PTE_PS | bits;
}

static void test_large_page(void **state)
{
	struct vm *vm = *state;

	large_page(vm, PTE_W | PTE_A | PTE_D);
	assert_filled(vm, LA, false);
	assert_int_equal(mock_of(vm)->maps, 1);
	assert_int_equal(mock_of(vm)->mapped, VM_RAM >> 12); /* up to the end of RAM */
	load_cr3(vm);
	assert_int_equal(mock_of(vm)->mapped, VM_RAM >> 12);
	*pde_of(vm, LA) &= ~PTE_D;
	load_cr3(vm);
	assert_int_equal(mock_of(vm)->mapped, 0);
}

static void test_large_page_changes(void **state)
{
	static const struct {
		u32 clear, set;
	} changes[] = {
		{PTE_P, 0}, {PTE_W, 0},	 {PTE_U, 0},	{PTE_A, 0},
		{PTE_D, 0}, {PTE_PS, 0}, {0, 0x400000}, {0, 0x2000 /* reserved */},
	};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(changes); i++) {
		large_page(vm, PTE_W | PTE_U);
		assert_filled(vm, LA, true);
		*pde_of(vm, LA) = (*pde_of(vm, LA) & ~changes[i].clear) | changes[i].set;
		load_cr3(vm);
		assert_int_equal(mock_of(vm)->mapped, 0);
	}
}

/* A range that one fault has mapped reaches into the next slot, of which an older directory entry was
 * remembered. When that one comes back, with another CR3, the range is not its. */
static void test_range_over_two_slots(void **state)
{
	const u32 bits = KPAGE | PTE_A | PTE_D | PTE_G, table = 0x90000, directory = 0x91000;
	const u32 boundary = SHADOW_SLOT * PAGE_SIZE_4K, last = boundary - PAGE_SIZE_4K;
	struct vm *vm = *state;
	u32 old;

	vm_paging(vm, 0);
	*pte_of(vm, boundary + 0x8000) = 0x30000 | bits;
	assert_filled(vm, boundary + 0x8000, true);
	old = *pde_of(vm, 0);
	*pde_of(vm, 0) = table | PTE_P | PTE_W | PTE_A;
	*pte_of(vm, last) = 0x40000 | bits;
	*pte_of(vm, boundary) = 0x41000 | bits;
	assert_filled(vm, last, true);
	assert_int_equal(mock_mapping(vm, boundary), 0x41000 | RWX);
	poke32(vm, directory, old);
	vm->cpu.cr3 = directory;
	assert_true(shadow_load_cr3(vm));
	assert_int_equal(mock_mapping(vm, last), 0);
	assert_int_equal(mock_mapping(vm, boundary), 0);
	assert_int_equal(mock_mapping(vm, boundary + 0x8000), 0x30000 | RWX);
}

/* invlpg of any address in a large page drops all of it, also if that address is not mapped. */
static void test_invlpg_of_large_page(void **state)
{
	struct vm *vm = *state;

	large_page(vm, PTE_W | PTE_U | PTE_A | PTE_D | PTE_G);
	assert_filled(vm, LA, true);
	assert_int_equal(mock_mapping(vm, LA + 0x200000), 0);
	*pde_of(vm, LA) = 0;
	shadow_invlpg(vm, LA + 0x200000);
	assert_int_equal(mock_of(vm)->mapped, 0);
}

static void test_invlpg_is_for_one_page(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, KPAGE);
	assert_filled(vm, LA, true);
	assert_filled(vm, LA + 0x1000, true);
	*pte_of(vm, LA) = 0;
	*pte_of(vm, LA + 0x1000) = 0;
	shadow_invlpg(vm, LA);
	assert_int_equal(mock_mapping(vm, LA), 0);
	assert_int_equal(mock_mapping(vm, LA + 0x1000), (LA + 0x1000) | RWX);
	assert_filled(vm, LA + 0x2000, true); /* nothing to drop: nothing happens */
	shadow_invlpg(vm, LA + 0x2000);
	assert_int_equal(mock_mapping(vm, LA + 0x2000), (LA + 0x2000) | RWX);
}

/* ------------------------------------------------------ views, PV page ---- */

static void test_user_view_hides_supervisor_pages(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, KPAGE);
	*pte_of(vm, LA) |= PTE_U;
	assert_filled(vm, LA, true);
	assert_filled(vm, LA + 0x1000, true);
	assert_filled(vm, PLEX86_PV_PAGE, true);
	vm_user(vm);
	shadow_set_user_view(vm, true);
	assert_int_equal(mock_mapping(vm, LA), LA | RWX);
	assert_int_equal(mock_mapping(vm, LA + 0x1000), 0);
	assert_int_equal(mock_mapping(vm, PLEX86_PV_PAGE), 0);
	assert_int_equal(vm_shadow(vm)->supervisor_total, 0);
}

static void test_limited_user_needs_less_hiding(void **state)
{
	struct vm *vm = *state;
	const u32 high = 0xc0060000;

	vm_paging(vm, KPAGE);
	poke32(vm, AT_PD + 0x300 * 4, AT_PT | UPAGE); /* the same table at 3 GiB */
	assert_filled(vm, LA, true);
	assert_filled(vm, high, true);
	assert_filled(vm, PLEX86_PV_PAGE, true);
	vm_abi_user(vm);
	shadow_set_user_view(vm, true);
	assert_int_equal(mock_mapping(vm, LA), 0);
	assert_int_equal(mock_mapping(vm, high), LA | RWX);
	assert_int_not_equal(mock_mapping(vm, PLEX86_PV_PAGE), 0);
}

static void test_pv_page(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, 0);
	assert_filled(vm, PLEX86_PV_PAGE, false);
	assert_int_equal(mock_mapping(vm, PLEX86_PV_PAGE), VM_RAM | RWX);
	shadow_pv_protect(vm, false);
	assert_int_equal(mock_mapping(vm, PLEX86_PV_PAGE), VM_RAM | RX);
	assert_int_equal(touch(vm, PLEX86_PV_PAGE, true), SHADOW_EMULATE);
	load_cr3(vm);
	shadow_flush(vm);
	assert_true(shadow_set_paging(vm));
	shadow_invlpg(vm, PLEX86_PV_PAGE);
	assert_int_equal(mock_mapping(vm, PLEX86_PV_PAGE), VM_RAM | RX); /* no table names it */
	mock_of(vm)->protects = 0;
	shadow_pv_protect(vm, true);
	shadow_pv_protect(vm, true);
	assert_int_equal(mock_mapping(vm, PLEX86_PV_PAGE), VM_RAM | RWX);
	assert_int_equal(mock_of(vm)->protects, 1);
}

static void test_pv_page_is_mapped_as_protected(void **state)
{
	struct vm *vm = *state;

	shadow_pv_protect(vm, false);
	assert_filled(vm, PLEX86_PV_PAGE, false);
	assert_int_equal(mock_mapping(vm, PLEX86_PV_PAGE), VM_RAM | RX);
	mock_of(vm)->fail_maps = 1;
	mock_of(vm)->map_error = HOST_FAIL;
	vm_user(vm);
	shadow_set_user_view(vm, true);
	vm_kernel(vm);
	assert_int_equal(touch(vm, PLEX86_PV_PAGE, false), SHADOW_STOP);
}

/* Its neighbours come and go without it. */
static void test_pv_page_outlives_its_neighbours(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, KPAGE);
	poke32(vm, AT_PD + 0x3ff * 4, AT_PT | KPAGE);
	poke32(vm, AT_PT + 0x3fe * 4, 0x9e000 | KPAGE);
	assert_filled(vm, PLEX86_PV_PAGE, false);
	assert_filled(vm, PLEX86_PV_PAGE - 0x1000, false);
	poke32(vm, AT_PT + 0x3fe * 4, 0);
	load_cr3(vm);
	assert_int_equal(mock_mapping(vm, PLEX86_PV_PAGE - 0x1000), 0);
	assert_int_equal(mock_mapping(vm, PLEX86_PV_PAGE), VM_RAM | RWX);
}

/* User code never gets that page, even if the guest's tables have something there. */
static void test_pv_page_is_no_users(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, UPAGE | PTE_A | PTE_D);
	poke32(vm, AT_PD + 0x3ff * 4, AT_PT | UPAGE | PTE_A);
	vm_user(vm);
	assert_int_equal(touch(vm, PLEX86_PV_PAGE, false), SHADOW_GUEST);
	assert_filled(vm, PLEX86_PV_PAGE - 0x300000, false);
	poke32(vm, AT_PT + 0x3fe * 4, 0x9e000 | UPAGE | PTE_A | PTE_D);
	poke32(vm, AT_PT + 0x3ff * 4, 0x9f000 | UPAGE | PTE_A | PTE_D);
	assert_filled(vm, PLEX86_PV_PAGE - 0x1000, false); /* nor as a neighbour */
	assert_int_equal(mock_mapping(vm, PLEX86_PV_PAGE), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_paging_off_maps_identity),
		VM_TEST(test_read_fault_gives_no_write),
		VM_TEST(test_upgrade_where_the_host_cannot_protect),
		VM_TEST(test_range_of_neighbours),
		VM_TEST(test_range_ends_where_frames_do_not_follow),
		VM_TEST(test_user_pages_come_in_clusters),
		VM_TEST(test_neighbours_of_native_code),
		VM_TEST(test_guest_faults),
		VM_TEST(test_not_ram_is_emulated),
		VM_TEST(test_write_protect_off),
		VM_TEST(test_low_pages),
		VM_TEST(test_too_many_mappings),
		VM_TEST(test_host_failure_stops),
		VM_TEST(test_fault_without_end),
		VM_TEST(test_tables_may_change_until_the_load),
		VM_TEST(test_resync_compares),
		VM_TEST(test_resync_looks_at_the_directory),
		VM_TEST(test_resync_keeps_what_is_right),
		VM_TEST(test_resync_protects_ranges),
		VM_TEST(test_global_pages_survive_loads_only),
		VM_TEST(test_large_page),
		VM_TEST(test_large_page_changes),
		VM_TEST(test_range_over_two_slots),
		VM_TEST(test_invlpg_of_large_page),
		VM_TEST(test_invlpg_is_for_one_page),
		VM_TEST(test_user_view_hides_supervisor_pages),
		VM_TEST(test_limited_user_needs_less_hiding),
		VM_TEST(test_pv_page),
		VM_TEST(test_pv_page_is_mapped_as_protected),
		VM_TEST(test_pv_page_outlives_its_neighbours),
		VM_TEST(test_pv_page_is_no_users),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
