/*
 * What must hold of the shadows: see shadow-check.h.
 */
#include "shadow-check.h"

#include <string.h>
#include "../../common/shadow-records.h"

#define RIGHTS (HOST_READ | HOST_WRITE | HOST_EXEC | HOST_USER)

/* ------------------------------------------------------------ the walk ---- */

static bool has(const struct vm *vm, u64 bit)
{
	return vm->cpu.cr4 & bit;
}

static u64 entry_at(const struct vm *vm, u32 table, u32 index)
{
	const u32 size = has(vm, CR4_PAE) ? 8 : 4, at = (table & 0xfffff000u) + index * size;
	u64 entry = 0;

	if ((u64)at + size <= vm->ram_size)
		memcpy(&entry, vm->ram + at, size);
	return entry;
}

/* Bits of an entry that must be 0. */
static bool reserved(const struct vm *vm, u64 entry, bool large)
{
	if (large && (entry & (has(vm, CR4_PAE) ? 0x1fe000 : 0x3fe000)))
		return true;
	if ((entry & PTE_NX) && !(vm->cpu.efer & EFER_NXE))
		return true;
	return entry & 0x7fffffff00000000ull;
}

struct translation shadow_translate(const struct vm *vm, u32 page)
{
	const bool pae = has(vm, CR4_PAE);
	const u32 shift = pae ? 9 : 10, mask = (1u << shift) - 1;
	const u64 pdpte = vm->cpu.pdpte[page >> 18];
	struct translation t = {0};
	u64 pde, last;

	if (!(vm->cpu.cr0 & CR0_PG))
		return (struct translation){true, true, true, true, true, true, .gpa = page << 12};
	pde = entry_at(vm, pae ? (u32)pdpte : (u32)vm->cpu.cr3, page >> shift & mask);
	t.large = (pde & PTE_PS) && (pae || has(vm, CR4_PSE));
	if ((pae && !(pdpte & PTE_P)) || !(pde & PTE_P) || reserved(vm, pde, t.large))
		return t;
	last = t.large ? pde : entry_at(vm, (u32)pde, page & mask);
	if (reserved(vm, last, false))
		return t;
	t.present = last & PTE_P;
	t.write = pde & last & PTE_W;
	t.user = pde & last & PTE_U;
	t.exec = !((pde | last) & PTE_NX);
	t.accessed = pde & last & PTE_A;
	t.dirty = last & PTE_D;
	t.global = (last & PTE_G) && has(vm, CR4_PGE);
	t.gpa = t.large ? ((u32)pde & -(0x1000u << shift)) + ((page & mask) << 12)
			: (u32)last & 0xfffff000u;
	return t;
}

/* --------------------------------------------------------- the records ---- */

static bool is_pv(const struct vm *vm, u32 page)
{
	return page == PLEX86_PV_PAGE >> 12 && !vm->levels;
}

/* The guest's address of what is mapped: device registers lie behind RAM. */
static u32 guest_address(const struct vm *vm, u32 mapped, bool *device)
{
	const u32 gpa = MOCK_GPA(mapped);

	*device = gpa >= vm->ram_size;
	if (!*device)
		return gpa;
	assert_true(gpa >= HOST_DEVICE_GPA(vm, 0) && gpa < HOST_DEVICE_GPA(vm, DEVICE_PAGES));
	return vm->devices.page[(gpa - HOST_DEVICE_GPA(vm, 0)) >> 12].gpa & 0xfffff000u;
}

static void check_record(const struct vm *vm, u32 record, u32 mapped)
{
	bool device;

	assert_int_equal(!!record, !!mapped);
	if (!record)
		return;
	assert_true(record & SHADOW_PRESENT);
	assert_int_equal(guest_address(vm, mapped, &device), record & 0xfffff000u);
	assert_int_equal(mapped & RIGHTS, shadow_rights(device ? record | SHADOW_NX : record));
	assert_false(device && (mapped & HOST_WRITE));
}

static void check_slot(const struct vm *vm, u32 index, u32 slot)
{
	const struct shadow *s = &vm->shadow[index];
	u32 used = 0, supervisor = 0, local = 0, large = 0;

	for (u32 page = slot * SHADOW_SLOT; page < (slot + 1) * SHADOW_SLOT; page++) {
		const u32 record = s->record[page];

		if (is_pv(vm, page)) {
			assert_int_equal(record, 0);
			continue;
		}
		check_record(vm, record, mock_of(vm)->space[index][page]);
		assert_int_equal(!!record,
				 s->recorded[slot][page % SHADOW_SLOT / 64] >> page % 64 & 1);
		used += !!record;
		supervisor += record && !(record & SHADOW_USER);
		local += record && !(record & SHADOW_GLOBAL);
		large += record && (record & SHADOW_LARGE);
	}
	assert_int_equal(s->used[slot], used);
	assert_int_equal(s->supervisor[slot], supervisor);
	assert_int_equal(s->local[slot], local);
	assert_int_equal(s->large[slot], large);
	assert_int_equal(s->used_slots[slot / 64] >> slot % 64 & 1, !!used);
	assert_int_equal(s->local_slots[slot / 64] >> slot % 64 & 1, !!local);
}

/* Counts of the slots, those of all shadows' global pages among them. */
static void check_totals(const struct shadow *s, u32 *globals)
{
	u32 total = 0, supervisor = 0, low = 0;

	for (u32 slot = 0; slot < SHADOW_SLOTS; slot++) {
		total += s->used[slot];
		supervisor += s->supervisor[slot];
		low += slot < SHADOW_USER_SLOTS ? s->supervisor[slot] : 0;
		globals[slot] += s->used[slot] - s->local[slot];
	}
	assert_int_equal(s->total, total);
	assert_int_equal(s->supervisor_total, supervisor);
	assert_int_equal(s->supervisor_low, low);
}

static void each_touched(const struct vm *vm, u32 index,
			 void (*check)(const struct vm *vm, u32 index, u32 slot))
{
	for (u32 word = 0; word < SHADOW_SLOTS / 64; word++)
		for (u64 left = mock_of(vm)->touched[index][word]; left; left &= left - 1)
			check(vm, index, word * 64 + __builtin_ctzll(left));
}

void shadow_check_records(const struct vm *vm)
{
	u32 globals[SHADOW_SLOTS] = {0};

	for (u32 index = 0; index < SHADOW_COUNT; index++) {
		if (!(mock_of(vm)->entered & 1u << index))
			continue;
		each_touched(vm, index, check_slot);
		check_totals(&vm->shadow[index], globals);
	}
	assert_memory_equal(vm->pool.globals, globals, sizeof(globals));
}

/* ---------------------------------------------------------- the tables ---- */

static void check_allowed(const struct vm *vm, u32 page, u32 mapped)
{
	const struct translation t = shadow_translate(vm, page);
	bool device;

	if (t.present && t.accessed && t.gpa == guest_address(vm, mapped, &device) &&
	    (!(mapped & HOST_WRITE) || (t.write && t.dirty)) && (!(mapped & HOST_EXEC) || t.exec) &&
	    (!(mapped & HOST_USER) || t.user))
		return;
	fail_msg("page %#x: mapped %#x; tables: gpa %#x, present %u accessed %u write %u dirty %u "
		 "user %u exec %u",
		 page, mapped, t.gpa, t.present, t.accessed, t.write, t.dirty, t.user, t.exec);
}

static void check_slot_tables(const struct vm *vm, u32 index, u32 slot)
{
	const u32 *mapped = mock_of(vm)->space[index];

	for (u32 page = slot * SHADOW_SLOT; page < (slot + 1) * SHADOW_SLOT; page++)
		if (mapped[page] && !is_pv(vm, page))
			check_allowed(vm, page, mapped[page]);
}

void shadow_check_tables(const struct vm *vm)
{
	each_touched(vm, mock_of(vm)->in_force, check_slot_tables);
}
