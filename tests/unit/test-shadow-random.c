/*
 * Random test of common/shadow.c, resync.c and spaces.c: a guest that edits its page tables at will
 * and changes between more address spaces than there are shadows, against a model that says what a
 * TLB may hold (SDM vol. 3, 4.10): after a CR3 load, what the tables say, and global pages as they
 * were when they were filled in, in whichever space, unless they were invalidated since. Once with
 * 2-level paging, once with PAE and NX.
 */
#include "mock-host.h"
#include "../../common/shadow-records.h"

#define STEPS	 150000
#define RAM_SIZE 0x300000u /* three quarters of a page of 4 MiB, or one and a half of 2 MiB */

/* Where the tables are, and the slots that they map: as many pages as a table has entries. With
 * PAE, DIR_AT is where what CR3 points to is, and each of these has directories of its own. */
enum {
	DIRS = 5,
	TABLES = 5,
	SLOTS = 5,
	DIR_AT = 0x100000,
	TABLE_AT = 0x110000,
	PAE_DIR_AT = 0x120000
};
#define SPACES 3
static const u32 slots_2level[SLOTS] = {0, 1, 0x2ff, 0x300, 0x3ff};
static const u32 slots_pae[SLOTS] = {0, 1, 0x5ff, 0x600, 0x7ff};
static const u32 *slots;
static bool pae;
static u32 shift; /* log2 of the pages of a slot */

/* What the tables say of a page. */
struct translation {
	bool present, write, user, exec, accessed, dirty, global, large;
	u32 gpa;
};

static u64 read_table(struct vm *vm, u32 gpa)
{
	if (gpa >= vm->ram_size)
		return 0;
	return pae ? peek32(vm, gpa) | (u64)peek32(vm, gpa + 4) << 32 : peek32(vm, gpa);
}

static u32 entry_size(void)
{
	return pae ? 8 : 4;
}

static void write_table(struct vm *vm, u32 gpa, u64 entry)
{
	poke32(vm, gpa, entry);
	if (pae)
		poke32(vm, gpa + 4, entry >> 32);
}

/* The directory in force for a page. The PDPTEs are those of the last load of CR3. */
static u32 directory_of(struct vm *vm, u32 page)
{
	return pae ? (u32)vm->cpu.pdpte[page >> 18] & ~0xfffu : (u32)vm->cpu.cr3 & ~0xfffu;
}

static bool reserved(u64 entry, bool large)
{
	if (large && (entry & (pae ? 0x1fe000 : 0x3fe000)))
		return true;
	return entry & 0x7fffffff00000000ull;
}

static struct translation translate(struct vm *vm, u32 page)
{
	const u32 mask = (1u << shift) - 1;
	const u64 pdpte = vm->cpu.pdpte[page >> 18];
	u64 pde = read_table(vm, directory_of(vm, page) + ((page >> shift) & mask) * entry_size());
	u64 last = pde;
	struct translation t = {.large = pde & PTE_PS};

	if ((pae && !(pdpte & PTE_P)) || !(pde & PTE_P) || reserved(pde, t.large))
		return t;
	if (!t.large)
		last = read_table(vm, (u32)(pde & ~0xfffu) + (page & mask) * entry_size());
	if (reserved(last, false))
		return t;
	t.present = last & PTE_P;
	t.write = pde & last & PTE_W;
	t.user = pde & last & PTE_U;
	t.exec = !((pde | last) & PTE_NX);
	t.accessed = pde & last & PTE_A;
	t.dirty = last & PTE_D;
	t.global = (last & PTE_G) && (vm->cpu.cr4 & CR4_PGE);
	t.gpa = t.large ? ((u32)pde & -(0x1000u << shift)) + ((page & mask) << 12)
			: (u32)last & ~0xfffu;
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
	u32 at = large ? large_invalidated[page >> shift] : page_invalidated[page];

	return at > all_invalidated ? at : all_invalidated;
}

static void assert_allowed(struct vm *vm, u32 page)
{
	u32 mapped = mock_of(vm)->page[page];
	struct translation t = translate(vm, page);
	bool stays_global = ORIGIN(vm, page).from.global && (vm->cpu.cr4 & CR4_PGE);

	ORIGIN(vm, page).checked = now;
	if (t.present && t.accessed && MOCK_GPA(mapped) == t.gpa && t.gpa < vm->ram_size &&
	    (!(mapped & HOST_WRITE) || (t.write && t.dirty)) && (!(mapped & HOST_EXEC) || t.exec) &&
	    !!(mapped & HOST_USER) == ORIGIN(vm, page).from.user &&
	    (!(mapped & HOST_USER) || t.user) && (!stays_global || t.global))
		return;
	fail_msg("page %#x: mapped %#x; tables: gpa %#x, present %u accessed %u write %u dirty %u "
		 "global %u exec %u",
		 page, mapped, t.gpa, t.present, t.accessed, t.write, t.dirty, t.global, t.exec);
}

/* Look at every page of the slots: call `check` for the mapped ones. */
static void each_mapping(struct vm *vm, void (*check)(struct vm *vm, u32 page))
{
	for (unsigned i = 0; i < SLOTS; i++)
		for (u32 page = slots[i] << shift; page < (slots[i] + 1) << shift; page++)
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

static u64 random_bits(void)
{
	u64 bits = random32() & (PTE_W | PTE_U | PTE_A | PTE_D);

	bits |= random32() % 8 ? PTE_P : 0;
	if (pae && random32() % 4 == 0)
		bits |= PTE_NX;
	if (pae && random32() % 64 == 0)
		bits |= 1ull << (32 + random32() % 31);
	return bits | (random32() % 4 ? 0 : PTE_G);
}

static u32 random_index(void)
{
	return random32() % 4 ? random32() % 24 : random32() % (1u << shift);
}

static u32 random_page(void)
{
	return slots[random32() % SLOTS] << shift | random_index();
}

static u32 random_table(void)
{
	return TABLE_AT + random32() % TABLES * 0x1000;
}

static void edit_entry(struct vm *vm)
{
	u32 first = random_index(), n = 1 + random32() % 6;
	u32 frame = random_frame(), table = random_table();
	u64 bits = random_bits();

	if (table < TABLE_AT + 0x2000 && random32() % 64)
		bits |= PTE_G; /* slots with global pages alone are passed over at CR3 loads */
	for (u32 i = 0; i < n && first + i < 1u << shift; i++)
		write_table(vm, table + (first + i) * entry_size(), (frame + (i << 12)) | bits);
}

static void edit_bits(struct vm *vm)
{
	u32 at = random_table() + random32() % 24 * entry_size();
	u64 bit = pae && random32() % 10 == 0 ? PTE_NX : 1u << random32() % 9;

	write_table(vm, at, read_table(vm, at) ^ bit);
}

/* The entry of a directory for a slot, of any of the address spaces. */
static u32 random_directory_entry(void)
{
	u32 space = random32() % DIRS, slot = slots[random32() % SLOTS];

	if (!pae)
		return DIR_AT + space * 0x1000 + slot * 4;
	return PAE_DIR_AT + (space * 4 + slot / 512) * 0x1000 + slot % 512 * 8;
}

static void edit_directory(struct vm *vm)
{
	u32 at = random_directory_entry();
	u64 nx = pae && random32() % 8 == 0 ? PTE_NX : 0;

	switch (random32() % 8) {
	case 0:
		write_table(vm, at, random32() % 2 * (0x1000u << shift) | PTE_PS | random_bits());
		break;
	case 1:
		write_table(vm, at, PTE_PS | random_bits() | 1u << (12 + random32() % 12));
		break;
	case 2:
		write_table(vm, at, read_table(vm, at) ^ 1u << random32() % 9);
		break;
	default:
		write_table(vm, at,
			    random_table() | PTE_P | PTE_W | (random32() % 4 ? PTE_U : 0) | nx);
	}
}

/* What CR3 points to: seen only when it is loaded. */
static void edit_pdpt(struct vm *vm)
{
	u32 space = random32() % DIRS, i = random32() % 4;
	u32 directory = PAE_DIR_AT + (space * 4 + i) * 0x1000;

	if (pae)
		write_table(vm, DIR_AT + space * 0x1000 + i * 8,
			    random32() % 4 ? directory | PTE_P : directory);
}

static bool allowed(const struct translation *t, struct access access)
{
	return t->present && (!access.write || t->write) && (!access.user || t->user) &&
	       (!access.fetch || t->exec);
}

/* An access by the guest: it faults unless the mapping allows it. */
static void access_page(struct vm *vm)
{
	u32 page = random_page(), error, dice = random32() % 8;
	struct access access = {.write = dice < 4, .fetch = dice == 7, .user = vm_cpl(vm) == 3};
	u32 mapped = mock_of(vm)->page[page];
	struct translation t = translate(vm, page);
	enum shadow_result result;

	if (page == PLEX86_PV_PAGE >> 12 ||
	    (mapped && (!access.write || mapped & HOST_WRITE) &&
	     (!access.fetch || mapped & HOST_EXEC) && (!access.user || mapped & HOST_USER)))
		return;
	if (random32() % 512 == 0) {
		mock_of(vm)->fail_maps = 1;
		mock_of(vm)->map_error = HOST_LIMIT;
	}
	mock_of(vm)->changed_from = mock_of(vm)->changed_to = 0;
	result = shadow_fault(vm, (page << 12) + random32() % 0x1000, access.write, access.fetch,
			      access.user, &error);
	mock_of(vm)->fail_maps = 0;
	if (!allowed(&t, access))
		assert_int_equal(result, SHADOW_GUEST);
	else if (t.gpa >= vm->ram_size)
		assert_int_equal(result, SHADOW_EMULATE);
	else
		assert_int_equal(result, SHADOW_FILLED);
	if (result == SHADOW_FILLED) {
		mapped = mock_of(vm)->page[page];
		assert_int_equal(MOCK_GPA(mapped), t.gpa);
		assert_true(!access.write || (mapped & HOST_WRITE));
		assert_true(!access.fetch || (mapped & HOST_EXEC));
		assert_true(!access.user || (mapped & HOST_USER));
	}
	note_new(vm);
}

static void invalidate(struct vm *vm)
{
	u32 page = random_page(), first = page & -(1u << shift);

	if (page == PLEX86_PV_PAGE >> 12)
		return;
	shadow_invlpg(vm, page << 12);
	page_invalidated[page] = large_invalidated[page >> shift] = now;
	if (mock_of(vm)->page[page])
		assert_allowed(vm, page);
	for (u32 other = first; other < first + (1u << shift); other++)
		if (mock_of(vm)->page[other] && ORIGIN(vm, other).from.large)
			assert_allowed(vm, other);
}

static void enter_kernel(struct vm *vm)
{
	pv_page(vm)->cpl = 0;
	shadow_set_user_view(vm, false);
}

/* A directory may have come to lie where CR3 points to, and its entries have been marked as
 * accessed: a bit that is reserved there. */
static bool pdptes_are_good(struct vm *vm, u32 cr3)
{
	for (u32 i = 0; pae && i < 4; i++) {
		u64 pdpte = read_table(vm, cr3 + i * 8);

		if ((pdpte & PTE_P) && (pdpte & 0xffffffff000001e6ull))
			return false;
	}
	return true;
}

static void load_cr3(struct vm *vm)
{
	const u32 cr3 = DIR_AT + random32() % DIRS * 0x1000;
	const bool good = pdptes_are_good(vm, cr3);

	enter_kernel(vm);
	assert_int_equal(paging_load_pdptes(vm, cr3), good);
	if (!good)
		return;
	vm->cpu.cr3 = cr3;
	assert_true(shadow_load_cr3(vm));
	each_mapping(vm, check_unless_global);
}

/* All is forgotten, or compared with the tables. */
static void set_paging(struct vm *vm)
{
	assert_true(shadow_set_paging(vm));
	all_invalidated = now;
	each_mapping(vm, assert_allowed);
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
		vm->two_views = random32() % 2;
		return;
	}
	pv_page(vm)->cpl = 3;
	shadow_set_user_view(vm, true);
	if (!vm->two_views)
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
	else if (dice < 985)
		edit_pdpt(vm);
	else if (dice < 998)
		change_level(vm);
	else if (dice < 999)
		flush(vm);
	else if (random32() % 8 == 0)
		set_paging(vm);
}

/* The counts must be those of the records, or slots would be skipped. */
static void check_slot(struct vm *vm, u32 index, u32 slot)
{
	const struct shadow *s = &vm->shadow[index];
	u32 used = 0, supervisor = 0, local = 0, large = 0;

	for (u32 page = slot * SHADOW_SLOT; page < (slot + 1) * SHADOW_SLOT; page++) {
		const struct translation *from = &origin[index][page].from;

		if (page == PLEX86_PV_PAGE >> 12)
			continue;
		assert_int_equal(!!s->record[page], !!mock_of(vm)->space[index][page]);
		assert_int_equal(!!s->record[page],
				 s->recorded[slot][page % SHADOW_SLOT / 64] >> page % 64 & 1);
		if (!s->record[page])
			continue;
		used++;
		supervisor += !from->user;
		local += !from->global;
		large += from->large;
	}
	assert_int_equal(s->used[slot], used);
	assert_int_equal(s->used_slots[slot / 64] >> slot % 64 & 1, !!used);
	assert_int_equal(s->local_slots[slot / 64] >> slot % 64 & 1, !!local);
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
			if (slot < 4 || slot >= 0x5fe)
				check_slot(vm, index, slot);
			total += s->used[slot];
			supervisors += s->supervisor[slot];
			low += slot < SHADOW_USER_SLOTS ? s->supervisor[slot] : 0;
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

static void run_random_guest(struct vm *vm)
{
	vm_spaces(vm, SPACES);
	vm->cpu.cr3 = DIR_AT;
	vm->cpu.cr0 |= CR0_PG | CR0_WP;
	vm->cpu.cr4 |= CR4_PSE | CR4_PGE | (pae ? CR4_PAE : 0);
	vm->cpu.efer = pae ? EFER_NXE : 0;
	now = all_invalidated = 0;
	mem_set(page_invalidated, 0, sizeof(page_invalidated));
	mem_set(large_invalidated, 0, sizeof(large_invalidated));
	assert_true(paging_load_pdptes(vm, DIR_AT));
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

static void test_random_guest(void **state)
{
	pae = false;
	shift = 10;
	slots = slots_2level;
	run_random_guest(*state);
}

static void test_random_guest_with_pae(void **state)
{
	struct vm *vm = *state;

	pae = true;
	shift = 9;
	slots = slots_pae;
	for (u32 i = 0; i < DIRS * 4; i++)
		write_table(vm, DIR_AT + i / 4 * 0x1000 + i % 4 * 8,
			    (PAE_DIR_AT + i * 0x1000) | PTE_P);
	run_random_guest(vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random_guest, setup, vm_teardown),
		cmocka_unit_test_setup_teardown(test_random_guest_with_pae, setup, vm_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
