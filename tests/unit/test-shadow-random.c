/*
 * Random test of common/shadow.c, resync.c and spaces.c: a guest that edits its page tables at will
 * and changes between more address spaces than there are shadows, against a model that says what a
 * TLB may hold (SDM vol. 3, 4.10): after a CR3 load, what the tables say, and global pages as they
 * were when they were filled in, in whichever space, unless they were invalidated since.
 */
#include "mock-host.h"

#define STEPS	 150000
#define RAM_SIZE 0x300000u /* three quarters of a large page */

/* Where the tables are, and the 4 MiB slots that they map. */
enum { DIRS = 5, TABLES = 5, SLOTS = 5, DIR_AT = 0x100000, TABLE_AT = 0x110000 };
#define SPACES 3
static const u32 slots[SLOTS] = {0, 1, 0x2ff, 0x300, 0x3ff};

/* What the tables say of a page. */
struct translation {
	bool present, write, user, accessed, dirty, global, large;
	u32 gpa;
};

static u32 read_table(struct vm *vm, u32 gpa)
{
	return gpa < vm->ram_size ? peek32(vm, gpa) : 0;
}

static struct translation translate(struct vm *vm, u32 page)
{
	u32 pde = read_table(vm, (vm->cpu.cr3 & ~0xfffu) + (page >> 10) * 4), last = pde;
	struct translation t = {.large = pde & PTE_PS};

	if (!(pde & PTE_P) || (t.large && pde & 0x3fe000))
		return t;
	if (!t.large)
		last = read_table(vm, (pde & ~0xfffu) + (page & 0x3ff) * 4);
	t.present = last & PTE_P;
	t.write = pde & last & PTE_W;
	t.user = pde & last & PTE_U;
	t.accessed = pde & last & PTE_A;
	t.dirty = last & PTE_D;
	t.global = (last & PTE_G) && (vm->cpu.cr4 & CR4_PGE);
	t.gpa = t.large ? (pde & 0xffc00000) + ((page & 0x3ff) << 12) : last & ~0xfffu;
	return t;
}

/* What the mapping of a page was made from, in each shadow, and at which step it was last known to
 * agree with the tables. */
static struct {
	struct translation from;
	u32 checked;
} origin[SPACES][SHADOW_PAGES];
#define ORIGIN(vm, page) (origin[mock_of(vm)->in_force][page])

/* The step at which a page, large pages in a slot, or everything was last invalidated. */
static u32 now, page_invalidated[SHADOW_PAGES], large_invalidated[SHADOW_SLOTS], all_invalidated;

static u32 invalidated(u32 page, bool large)
{
	u32 at = large ? large_invalidated[page >> 10] : page_invalidated[page];

	return at > all_invalidated ? at : all_invalidated;
}

static void assert_allowed(struct vm *vm, u32 page)
{
	u32 mapped = mock_of(vm)->page[page];
	struct translation t = translate(vm, page);
	bool stays_global = ORIGIN(vm, page).from.global && (vm->cpu.cr4 & CR4_PGE);

	ORIGIN(vm, page).checked = now;
	if (t.present && t.accessed && MOCK_GPA(mapped) == t.gpa && t.gpa < vm->ram_size &&
	    (!(mapped & HOST_WRITE) || (t.write && t.dirty)) &&
	    (!ORIGIN(vm, page).from.user || t.user) && (!stays_global || t.global))
		return;
	fail_msg("page %#x: mapped %#x; tables: gpa %#x, present %u accessed %u write %u dirty %u "
		 "global %u",
		 page, mapped, t.gpa, t.present, t.accessed, t.write, t.dirty, t.global);
}

/* Look at every page of the slots: call `check` for the mapped ones. */
static void each_mapping(struct vm *vm, void (*check)(struct vm *vm, u32 page))
{
	for (unsigned i = 0; i < SLOTS; i++)
		for (u32 page = slots[i] << 10; page < (slots[i] + 1) << 10; page++)
			if (mock_of(vm)->page[page] && page != PLEX86_PV_PAGE >> 12)
				check(vm, page);
}

/* What the last fault mapped must come from the tables as they are. */
static void note_new(struct vm *vm)
{
	struct mock *m = mock_of(vm);

	for (u32 page = m->changed_from; page < m->changed_to; page++) {
		ORIGIN(vm, page).from = translate(vm, page);
		assert_allowed(vm, page);
	}
}

static void check_unless_global(struct vm *vm, u32 page)
{
	const struct translation *from = &ORIGIN(vm, page).from;

	if (from->global && (vm->cpu.cr4 & CR4_PGE) &&
	    ORIGIN(vm, page).checked >= invalidated(page, from->large))
		return;
	assert_allowed(vm, page);
}

static void check_users(struct vm *vm, u32 page)
{
	assert_true(ORIGIN(vm, page).from.user);
}

/* ------------------------------------------------------------- steps ---- */

static u32 random_frame(void)
{
	/* Mostly low pages, so that neighbours are likely; now and then beyond RAM. */
	return random32() % 8 ? (random32() % 0x100) << 12 : (random32() % 0x1000) << 12;
}

static u32 random_bits(void)
{
	u32 bits = random32() & (PTE_W | PTE_U | PTE_A | PTE_D);

	bits |= random32() % 8 ? PTE_P : 0;
	return bits | (random32() % 4 ? 0 : PTE_G);
}

static u32 random_page(void)
{
	u32 index = random32() % 4 ? random32() % 24 : random32() % 1024;

	return slots[random32() % SLOTS] << 10 | index;
}

static void edit_entry(struct vm *vm)
{
	u32 first = random32() % 4 ? random32() % 24 : random32() % 1024, n = 1 + random32() % 6;
	u32 frame = random_frame(), bits = random_bits();
	u32 table = TABLE_AT + random32() % TABLES * 0x1000;

	if (table < TABLE_AT + 0x2000 && random32() % 64)
		bits |= PTE_G; /* slots with global pages alone are passed over at CR3 loads */
	for (u32 i = 0; i < n && first + i < 1024; i++)
		poke32(vm, table + (first + i) * 4, (frame + (i << 12)) | bits);
}

static void edit_bits(struct vm *vm)
{
	u32 at = TABLE_AT + random32() % TABLES * 0x1000 + random32() % 24 * 4;

	poke32(vm, at, peek32(vm, at) ^ 1u << random32() % 9);
}

static void edit_directory(struct vm *vm)
{
	u32 at = DIR_AT + random32() % DIRS * 0x1000 + slots[random32() % SLOTS] * 4;
	u32 table = TABLE_AT + random32() % TABLES * 0x1000;

	switch (random32() % 8) {
	case 0:
		poke32(vm, at, random32() % 2 * 0x400000 | PTE_PS | random_bits());
		break;
	case 1:
		poke32(vm, at, PTE_PS | random_bits() | 1u << (12 + random32() % 12));
		break;
	case 2:
		poke32(vm, at, peek32(vm, at) ^ 1u << random32() % 9);
		break;
	default:
		poke32(vm, at, table | PTE_P | PTE_W | (random32() % 4 ? PTE_U : 0));
	}
}

static bool allowed(const struct translation *t, bool write, bool user)
{
	return t->present && (!write || t->write) && (!user || t->user);
}

/* An access by the guest: it faults unless the mapping allows it. */
static void access_page(struct vm *vm)
{
	u32 page = random_page(), error;
	bool write = random32() % 2, user = vm_cpl(vm) == 3;
	u32 mapped = mock_of(vm)->page[page];
	struct translation t = translate(vm, page);
	enum shadow_result result;

	if (page == PLEX86_PV_PAGE >> 12 || (mapped && (!write || mapped & HOST_WRITE)))
		return;
	if (random32() % 512 == 0) {
		mock_of(vm)->fail_maps = 1;
		mock_of(vm)->map_error = HOST_LIMIT;
	}
	mock_of(vm)->changed_from = mock_of(vm)->changed_to = 0;
	result = shadow_fault(vm, (page << 12) + random32() % 0x1000, write, false, user, &error);
	mock_of(vm)->fail_maps = 0;
	if (!allowed(&t, write, user))
		assert_int_equal(result, SHADOW_GUEST);
	else if (t.gpa >= vm->ram_size)
		assert_int_equal(result, SHADOW_EMULATE);
	else
		assert_int_equal(result, SHADOW_FILLED);
	if (result == SHADOW_FILLED) {
		mapped = mock_of(vm)->page[page];
		assert_int_equal(MOCK_GPA(mapped), t.gpa);
		assert_true(!write || (mapped & HOST_WRITE));
	}
	note_new(vm);
}

static void invalidate(struct vm *vm)
{
	u32 page = random_page(), first = page & ~0x3ffu;

	if (page == PLEX86_PV_PAGE >> 12)
		return;
	shadow_invlpg(vm, page << 12);
	page_invalidated[page] = large_invalidated[page >> 10] = now;
	if (mock_of(vm)->page[page])
		assert_allowed(vm, page);
	for (u32 other = first; other < first + 1024; other++)
		if (mock_of(vm)->page[other] && ORIGIN(vm, other).from.large)
			assert_allowed(vm, other);
}

static void enter_kernel(struct vm *vm)
{
	pv_page(vm)->cpl = 0;
	shadow_set_user_view(vm, false);
}

static void load_cr3(struct vm *vm)
{
	enter_kernel(vm);
	vm->cpu.cr3 = DIR_AT + random32() % DIRS * 0x1000;
	assert_true(shadow_load_cr3(vm));
	each_mapping(vm, check_unless_global);
}

/* A toggle of CR4.PGE, or CR0.WP set anew. */
static void flush(struct vm *vm)
{
	if (random32() % 2)
		vm->cpu.cr4 ^= CR4_PGE;
	shadow_flush(vm);
	all_invalidated = now;
	each_mapping(vm, assert_allowed);
}

static void change_level(struct vm *vm)
{
	if (vm_cpl(vm)) {
		enter_kernel(vm);
		return;
	}
	pv_page(vm)->cpl = 3;
	shadow_set_user_view(vm, true);
	each_mapping(vm, check_users);
}

static void step(struct vm *vm)
{
	u32 dice = random32() % 1000;

	now++;
	if (dice < 500)
		access_page(vm);
	else if (dice < 700)
		edit_entry(vm);
	else if (dice < 850)
		edit_bits(vm);
	else if (dice < 900)
		edit_directory(vm);
	else if (dice < 960)
		invalidate(vm);
	else if (dice < 980)
		load_cr3(vm);
	else if (dice < 998)
		change_level(vm);
	else if (dice < 999)
		flush(vm);
	else if (random32() % 8 == 0)
		assert_true(shadow_set_paging(vm));
}

/* The counts must be those of the records, or slots would be skipped. */
static void check_slot(struct vm *vm, u32 index, u32 slot)
{
	const struct shadow *s = &vm->shadow[index];
	u32 used = 0, supervisor = 0, local = 0, large = 0;

	for (u32 page = slot << 10; page < (slot + 1) << 10; page++) {
		const struct translation *from = &origin[index][page].from;

		if (page == PLEX86_PV_PAGE >> 12)
			continue;
		assert_int_equal(!!s->record[page], !!mock_of(vm)->space[index][page]);
		assert_int_equal(!!s->record[page],
				 s->recorded[slot][page % 1024 / 64] >> page % 64 & 1);
		if (!s->record[page])
			continue;
		used++;
		supervisor += !from->user;
		local += !from->global;
		large += from->large;
	}
	assert_int_equal(s->used[slot], used);
	assert_int_equal(s->used_slots[slot / 64] >> slot % 64 & 1, !!used);
	assert_int_equal(s->supervisor[slot], supervisor);
	assert_int_equal(s->local[slot], local);
	assert_int_equal(s->large[slot], large);
}

static void check_counts(struct vm *vm)
{
	u32 globals[SHADOW_SLOTS] = {0};

	for (u32 index = 0; index < SPACES; index++) {
		const struct shadow *s = &vm->shadow[index];
		u32 total = 0, supervisors = 0, low = 0;

		if (!mock_of(vm)->space[index])
			continue;
		for (u32 slot = 0; slot < SHADOW_SLOTS; slot++) {
			if (slot < 2 || slot >= slots[2])
				check_slot(vm, index, slot);
			total += s->used[slot];
			supervisors += s->supervisor[slot];
			low += slot < 0x300 ? s->supervisor[slot] : 0;
			globals[slot] += s->used[slot] - s->local[slot];
		}
		assert_int_equal(s->total, total);
		assert_int_equal(s->supervisor_total, supervisors);
		assert_int_equal(s->supervisor_low, low);
	}
	assert_memory_equal(vm->pool.globals, globals, sizeof(globals));
}

static int setup(void **state)
{
	*state = vm_create(RAM_SIZE);
	return 0;
}

static void test_random_guest(void **state)
{
	struct vm *vm = *state;

	vm_spaces(vm, SPACES);
	vm->cpu.cr3 = DIR_AT;
	vm->cpu.cr0 |= CR0_PG | CR0_WP;
	vm->cpu.cr4 |= CR4_PSE | CR4_PGE;
	assert_true(shadow_set_paging(vm));
	for (unsigned n = 0; n < STEPS; n++) {
		step(vm);
		if (n % 10000 == 0)
			check_counts(vm);
	}
	check_counts(vm);
	assert_true(mock_of(vm)->activations > STEPS / 200);
	/* Whatever was mapped where: without paging nothing of it may show. */
	vm->cpu.cr0 &= ~(u64)CR0_PG;
	assert_true(shadow_set_paging(vm));
	assert_int_equal(mock_of(vm)->mapped, 0);
	assert_int_equal(vm_shadow(vm)->total, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random_guest, setup, vm_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
