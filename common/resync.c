/*
 * Bringing the shadow in line with the guest's page tables.
 *
 * Owns: what happens at a CR3 load and at invlpg: records that no longer agree with the tables
 * are dropped, with neighbours in one host call. Being too strict is allowed (a TLB may forget at
 * any time), keeping a right that the tables no longer give is not.
 */
#include "paging.h"
#include "pv.h"
#include "shadow-records.h"
#include "shadow.h"

/* What of a 4 KiB record disagrees with `pte`, whose directory entry allows `rights` (W and U)?
 * A record may be weaker than the entry, never stronger. */
static u32 disagreement(u32 record, u32 pte, u32 rights)
{
	u32 allowed = pte & rights;

	/* W needs D: the first write must trap, to set it. */
	if (!(pte & PTE_D))
		allowed &= ~PTE_W;
	return ((record ^ pte) & (0xfffff000u | PTE_P)) |
	       (record & ~allowed & (SHADOW_WRITE | SHADOW_USER)) | (record & SHADOW_LARGE) |
	       (~pte & PTE_A);
}

static void resync_tables(struct vm *vm, u32 slot, const u32 *table, u32 rights)
{
	const u32 *record = vm->shadow.record + slot * SHADOW_SLOT;
	u32 first = slot * SHADOW_SLOT, left = vm->shadow.used[slot], bad_from = 0, bad = 0;

	for (u32 i = 0; i < SHADOW_SLOT && left; i++) {
		u32 page = first + i;

		if (!record[i])
			continue;
		left--;
		if (disagreement(record[i], table[i], rights)) {
			/* Extend the run over pages that are not mapped anyway. */
			if (!bad++)
				bad_from = page;
			continue;
		}
		if (bad)
			shadow_drop(vm, bad_from, page);
		bad = 0;
	}
	if (bad)
		shadow_drop(vm, bad_from,
			    slot == SHADOW_SLOTS - 1 ? first + SHADOW_SLOT - 1
						     : first + SHADOW_SLOT);
}

static bool large_agrees(u32 record, u32 pde, u32 index)
{
	u32 allowed = pde & (PTE_U | PTE_W);
	u32 frame = (pde & 0xffc00000u) + index * PAGE_SIZE_4K;

	if (!(pde & PTE_D))
		allowed &= ~PTE_W;
	return (record & SHADOW_LARGE) && !(pde & PDE_LARGE_RESERVED) &&
	       (record & 0xfffff000u) == frame &&
	       !(record & ~allowed & (SHADOW_WRITE | SHADOW_USER));
}

static void resync_large(struct vm *vm, u32 slot, u32 pde)
{
	const u32 *record = vm->shadow.record + slot * SHADOW_SLOT;

	for (u32 i = 0; i < SHADOW_SLOT; i++) {
		if (!record[i] || large_agrees(record[i], pde, i))
			continue;
		shadow_drop_slot(vm, slot);
		return;
	}
}

static void resync_slot(struct vm *vm, u32 slot)
{
	u64 gpa = (vm->cpu.cr3 & 0xfffff000u) + slot * 4;
	const u32 *pde = vm_ram(vm, gpa, 4), *table;

	/* With A clear in the directory's entry the next access must trap, to set it. */
	if (!pde || !(*pde & PTE_P) || !(*pde & PTE_A)) {
		shadow_drop_slot(vm, slot);
		return;
	}
	if ((*pde & PTE_PS) && (vm->cpu.cr4 & CR4_PSE)) {
		resync_large(vm, slot, *pde);
		return;
	}
	table = vm_ram(vm, *pde & 0xfffff000u, PAGE_SIZE_4K);
	if (!table)
		shadow_drop_slot(vm, slot);
	else
		resync_tables(vm, slot, table, *pde & (PTE_W | PTE_U));
}

void shadow_resync(struct vm *vm)
{
	struct shadow *s = &vm->shadow;
	u32 before = s->total;

	if (!(vm->cpu.cr0 & CR0_PG))
		return;
	for (u32 slot = 0; slot < SHADOW_SLOTS; slot++)
		if (s->local[slot])
			resync_slot(vm, slot);
	trace(vm, EV_RESYNC, before, s->total);
}

void shadow_invlpg(struct vm *vm, u64 la)
{
	u32 page = (u32)la >> 12, slot = page / SHADOW_SLOT, record = vm->shadow.record[page];

	trace(vm, EV_INVLPG, la, record);
	if (pv_is_page(la))
		return;
	/* invlpg drops the whole large page, mapped at `la` or not, and global entries as well. */
	if (vm->shadow.large[slot]) {
		resync_slot(vm, slot);
	} else if (record) {
		struct walk w;
		bool keep = paging_walk(vm, la, &w) == WALK_OK && w.page_size == PAGE_SIZE_4K &&
			    w.accessed && (w.gpa & 0xfffff000u) == (record & 0xfffff000u) &&
			    (!(record & SHADOW_WRITE) || (w.write && w.dirty)) &&
			    (!(record & SHADOW_USER) || w.user);

		if (!keep)
			shadow_drop(vm, page, page + 1);
	}
}
