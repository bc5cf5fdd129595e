/*
 * A guest that changes its page tables, and a model of what a TLB may hold: see shadow-model.h.
 */
#include "shadow-model.h"

#include <string.h>
#include "shadow-check.h"

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
static shadow_model_choice *choice;
static void *choice_opaque;

static u32 choose(void)
{
	return choice(choice_opaque);
}

static u64 read_table(struct vm *vm, u32 gpa)
{
	if (gpa >= vm->ram_size)
		return 0;
	return pae ? peek32(vm, gpa) | (u64)peek32(vm, gpa + 4) << 32 : peek32(vm, gpa);
}

/* Pages that some entry has named: if it is one of a directory they may be tables, in which walks
 * set A. */
static bool named[SHADOW_MODEL_RAM >> 12];

static void note_table(const struct vm *vm, u64 entry)
{
	const u32 gpa = entry & 0xfffff000u;

	if (gpa < vm->ram_size)
		named[gpa >> 12] = true;
}

static u32 entry_size(void)
{
	return pae ? 8 : 4;
}

static void write_table(struct vm *vm, u32 gpa, u64 entry)
{
	note_table(vm, entry);
	poke32(vm, gpa, entry);
	if (pae)
		poke32(vm, gpa + 4, entry >> 32);
}

/* What the mapping of a page was made from, in each shadow, and at which step it was last known to
 * agree with the tables. */
static struct {
	struct translation from;
	u64 checked;
} origin[SPACES][SHADOW_PAGES];
#define ORIGIN(vm, page) (origin[mock_of(vm)->in_force][page])

/* The step at which a page, large pages in a slot, or everything was last invalidated. Steps of all
 * guests so far are counted. */
static u64 now, page_invalidated[SHADOW_PAGES], large_invalidated[SHADOW_SLOTS], all_invalidated;

static u64 invalidated(u32 page, bool large)
{
	u64 at = large ? large_invalidated[page >> shift] : page_invalidated[page];

	return at > all_invalidated ? at : all_invalidated;
}

static void assert_allowed(struct vm *vm, u32 page)
{
	u32 mapped = mock_of(vm)->page[page];
	struct translation t = shadow_translate(vm, page);
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

/* Has anything ever been mapped in a slot, in the space in force? */
static bool is_touched(struct vm *vm, u32 slot)
{
	const u32 first = (slot << shift) / SHADOW_SLOT, n = (1u << shift) / SHADOW_SLOT;
	const u64 *touched = mock_of(vm)->touched[mock_of(vm)->in_force];

	for (u32 i = first; i < first + n; i++)
		if (touched[i / 64] >> i % 64 & 1)
			return true;
	return false;
}

/* Look at every page of the slots: call `check` for the mapped ones. */
static void each_mapping(struct vm *vm, void (*check)(struct vm *vm, u32 page))
{
	for (unsigned i = 0; i < SLOTS; i++)
		for (u32 page = slots[i] << shift;
		     is_touched(vm, slots[i]) && page < (slots[i] + 1) << shift; page++)
			if (mock_of(vm)->page[page] && page != PLEX86_PV_PAGE >> 12)
				check(vm, page);
}

/* What the last fault mapped must come from the tables as they are. */
static void note_new(struct vm *vm)
{
	struct mock *m = mock_of(vm);

	for (u32 page = m->changed_from; page < m->changed_to; page++) {
		ORIGIN(vm, page).from = shadow_translate(vm, page);
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
	return choose() % 8 ? (choose() % 0x100) << 12 : (choose() % 0x1000) << 12;
}

static u64 random_bits(void)
{
	u64 bits = choose() & (PTE_W | PTE_U | PTE_A | PTE_D);

	bits |= choose() % 8 ? PTE_P : 0;
	if (pae && choose() % 4 == 0)
		bits |= PTE_NX;
	if (pae && choose() % 64 == 0)
		bits |= 1ull << (32 + choose() % 31);
	return bits | (choose() % 4 ? 0 : PTE_G);
}

static u32 random_index(void)
{
	return choose() % 4 ? choose() % 24 : choose() % (1u << shift);
}

static u32 random_page(void)
{
	return slots[choose() % SLOTS] << shift | random_index();
}

static u32 random_table(void)
{
	return TABLE_AT + choose() % TABLES * 0x1000;
}

static void edit_entry(struct vm *vm)
{
	u32 first = random_index(), n = 1 + choose() % 6;
	u32 frame = random_frame(), table = random_table();
	u64 bits = random_bits();

	if (table < TABLE_AT + 0x2000 && choose() % 64)
		bits |= PTE_G; /* slots with global pages alone are passed over at CR3 loads */
	for (u32 i = 0; i < n && first + i < 1u << shift; i++)
		write_table(vm, table + (first + i) * entry_size(), (frame + (i << 12)) | bits);
}

static void edit_bits(struct vm *vm)
{
	u32 at = random_table() + choose() % 24 * entry_size();
	u64 bit = pae && choose() % 10 == 0 ? PTE_NX : 1u << choose() % 9;

	write_table(vm, at, read_table(vm, at) ^ bit);
}

/* The entry of a directory for a slot, of any of the address spaces. */
static u32 random_directory_entry(void)
{
	u32 space = choose() % DIRS, slot = slots[choose() % SLOTS];

	if (!pae)
		return DIR_AT + space * 0x1000 + slot * 4;
	return PAE_DIR_AT + (space * 4 + slot / 512) * 0x1000 + slot % 512 * 8;
}

static void edit_directory(struct vm *vm)
{
	u32 at = random_directory_entry();
	u64 nx = pae && choose() % 8 == 0 ? PTE_NX : 0;

	switch (choose() % 8) {
	case 0:
		write_table(vm, at, choose() % 2 * (0x1000u << shift) | PTE_PS | random_bits());
		break;
	case 1:
		write_table(vm, at, PTE_PS | random_bits() | 1u << (12 + choose() % 12));
		break;
	case 2:
		write_table(vm, at, read_table(vm, at) ^ 1u << choose() % 9);
		break;
	default:
		write_table(vm, at,
			    random_table() | PTE_P | PTE_W | (choose() % 4 ? PTE_U : 0) | nx);
	}
}

/* What CR3 points to: seen only when it is loaded. */
static void edit_pdpt(struct vm *vm)
{
	u32 space = choose() % DIRS, i = choose() % 4;
	u32 directory = PAE_DIR_AT + (space * 4 + i) * 0x1000;

	if (pae)
		write_table(vm, DIR_AT + space * 0x1000 + i * 8,
			    choose() % 4 ? directory | PTE_P : directory);
}

static bool allowed(const struct translation *t, struct access access)
{
	return t->present && (!access.write || t->write) && (!access.user || t->user) &&
	       (!access.fetch || t->exec);
}

/* An access by the guest: it faults unless the mapping allows it. */
static void access_page(struct vm *vm)
{
	u32 page = random_page(), error, dice = choose() % 8;
	struct access access = {.write = dice < 4, .fetch = dice == 7, .user = vm_cpl(vm) == 3};
	u32 mapped = mock_of(vm)->page[page];
	struct translation t = shadow_translate(vm, page);
	enum shadow_result result;

	if (page == PLEX86_PV_PAGE >> 12 ||
	    (mapped && (!access.write || mapped & HOST_WRITE) &&
	     (!access.fetch || mapped & HOST_EXEC) && (!access.user || mapped & HOST_USER)))
		return;
	if (choose() % 512 == 0) {
		mock_of(vm)->fail_maps = 1;
		mock_of(vm)->map_error = HOST_LIMIT;
	}
	mock_of(vm)->changed_from = mock_of(vm)->changed_to = 0;
	result = shadow_fault(vm, (page << 12) + choose() % 0x1000, access.write, access.fetch,
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
	const u32 cr3 = DIR_AT + choose() % DIRS * 0x1000;
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
	if (choose() % 2)
		vm->cpu.cr4 ^= CR4_PGE;
	shadow_flush(vm);
	all_invalidated = now;
	each_mapping(vm, assert_allowed);
}

static void change_level(struct vm *vm)
{
	if (vm_cpl(vm)) {
		enter_kernel(vm);
		vm->two_views = choose() % 2;
		return;
	}
	pv_page(vm)->cpl = 3;
	shadow_set_user_view(vm, true);
	if (!vm->two_views)
		each_mapping(vm, check_users);
}

void shadow_model_step(struct vm *vm)
{
	u32 dice = choose() % 1000;

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
	else if (choose() % 8 == 0)
		set_paging(vm);
}

/* The model's own view of what was mapped with which attributes, beside that of the records. */
static void check_origin(struct vm *vm, u32 index, u32 slot)
{
	const struct shadow *s = &vm->shadow[index];
	u32 supervisor = 0, local = 0, large = 0;

	for (u32 page = slot * SHADOW_SLOT; page < (slot + 1) * SHADOW_SLOT; page++) {
		const struct translation *from = &origin[index][page].from;

		if (page == PLEX86_PV_PAGE >> 12 || !mock_of(vm)->space[index][page])
			continue;
		supervisor += !from->user;
		local += !from->global;
		large += from->large;
	}
	assert_int_equal(s->supervisor[slot], supervisor);
	assert_int_equal(s->local[slot], local);
	assert_int_equal(s->large[slot], large);
}

void shadow_model_check(struct vm *vm)
{
	shadow_check_records(vm);
	for (u32 index = 0; index < SPACES; index++)
		for (u32 slot = 0; slot < SHADOW_SLOTS; slot++)
			if (mock_of(vm)->touched[index][slot / 64] >> slot % 64 & 1)
				check_origin(vm, index, slot);
}

/* ------------------------------------------------- beginning and end ---- */

/* Tables, what may have been taken for tables, and the pages behind RAM. What vm_create() put into
 * RAM vm_renew() puts there again. */
static void clear_memory(struct vm *vm)
{
	memset(vm->ram + DIR_AT, 0, DIRS * 0x1000);
	memset(vm->ram + TABLE_AT, 0, TABLES * 0x1000);
	memset(vm->ram + PAE_DIR_AT, 0, DIRS * 4 * 0x1000);
	for (u32 i = 0; i < ARRAY_SIZE(named); i++)
		if (named[i])
			memset(vm->ram + (i << 12), 0, 0x1000);
	memset(named, 0, sizeof(named));
	memset(vm->ram + vm->ram_size, 0, HOST_EXTRA_BYTES);
}

void shadow_model_start(struct vm *vm, bool with_pae, shadow_model_choice *choices, void *opaque)
{
	pae = with_pae;
	shift = pae ? 9 : 10;
	slots = pae ? slots_pae : slots_2level;
	choice = choices;
	choice_opaque = opaque;
	for (u32 i = 0; pae && i < DIRS * 4; i++)
		write_table(vm, DIR_AT + i / 4 * 0x1000 + i % 4 * 8,
			    (PAE_DIR_AT + i * 0x1000) | PTE_P);
	vm_spaces(vm, SPACES);
	vm->cpu.cr3 = DIR_AT;
	vm->cpu.cr0 |= CR0_PG | CR0_WP;
	vm->cpu.cr4 |= CR4_PSE | CR4_PGE | (pae ? CR4_PAE : 0);
	vm->cpu.efer = pae ? EFER_NXE : 0;
	all_invalidated = ++now;
	assert_true(paging_load_pdptes(vm, DIR_AT));
	assert_true(shadow_set_paging(vm));
}

void shadow_model_end(struct vm *vm)
{
	vm->cpu.cr0 &= ~(u64)CR0_PG;
	assert_true(shadow_set_paging(vm));
	assert_int_equal(mock_of(vm)->mapped, 0);
	assert_int_equal(vm_shadow(vm)->total, 0);
	clear_memory(vm);
	vm_renew(vm);
}
