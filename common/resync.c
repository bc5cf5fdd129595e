/*
 * Bringing the active shadow in line with the guest's page tables.
 *
 * Owns: what happens at a CR3 load and at invlpg: records that no longer agree with the tables
 * are dropped or lose the right to write, with neighbours in one host call. Being too strict is
 * allowed (a TLB may forget at any time), keeping a right that the tables no longer give is not.
 */
#include "paging.h"
#include "pv.h"
#include "shadow-records.h"
#include "shadow.h"

/* What of a 4 KiB record disagrees with `pte`, folded, whose directory entry allows `rights`: W and
 * U, and forbids NX? A record may be weaker than the entry, never stronger. */
static u32 disagreement(u32 record, u32 pte, u32 rights)
{
	u32 allowed = pte & (rights | PTE_G);

	/* W needs D: the first write must trap, to set it. */
	if (!(pte & PTE_D))
		allowed &= ~PTE_W;
	return ((record ^ pte) & (0xfffff000u | PTE_P)) |
	       (record & ~allowed & (SHADOW_WRITE | SHADOW_USER | SHADOW_GLOBAL)) |
	       (~record & (pte | rights) & SHADOW_NX) | (record & SHADOW_LARGE) | (~pte & PTE_A);
}

/* Of a record, what taking the right to write leaves. */
#define KEPT (SHADOW_NX | SHADOW_USER)

/* Pages to be treated alike in one host call. */
struct run {
	u32 first, end;
	bool drop; /* else: make them read-only */
	u32 kept;  /* then: what all of them have of KEPT */
};

static void make_read_only(struct vm *vm, u32 first, u32 end, u32 kept)
{
	if (host_protect(vm, (u64)first << 12, (u64)(end - first) << 12, shadow_rights(kept)) !=
	    HOST_OK) {
		shadow_drop(vm, first, end);
		return;
	}
	trace(vm, EV_PROTECT, (u64)first << 12, end - first);
	for (u32 page = first; page < end; page++)
		shadow_record(vm, page, vm_shadow(vm)->record[page] & ~SHADOW_WRITE);
}

static void finish_run(struct vm *vm, struct run *run)
{
	if (run->first != run->end) {
		if (run->drop)
			shadow_drop(vm, run->first, run->end);
		else
			make_read_only(vm, run->first, run->end, run->kept);
	}
	*run = (struct run){0};
}

/* A dropped run may reach over pages that are not mapped anyway, a protected one over pages that
 * are read-only as they should be. */
static bool continues(const struct run *run, u32 page, u32 record, u32 wrong)
{
	if (run->first == run->end || run->drop != !!(wrong & ~SHADOW_WRITE))
		return false;
	if (run->drop)
		return wrong;
	return page == run->end && (record & KEPT) == run->kept &&
	       (wrong || !(record & SHADOW_WRITE));
}

/* The next mapped page, and what is wrong with it. */
static void add_to_run(struct vm *vm, struct run *run, u32 page, u32 wrong)
{
	const u32 record = vm_shadow(vm)->record[page];

	if (continues(run, page, record, wrong)) {
		run->end = page + 1;
		return;
	}
	finish_run(vm, run);
	if (wrong)
		*run = (struct run){page, page + 1, wrong & ~SHADOW_WRITE, record & KEPT};
}

/* Have `bytes` of a table changed? The monitor may use no vector registers. */
static bool changed(const u8 *seen, const u8 *table, u32 bytes)
{
	u64 difference = 0, a, b;

	for (u32 i = 0; i < bytes; i += sizeof(a)) {
		mem_copy(&a, seen + i, sizeof(a));
		mem_copy(&b, table + i, sizeof(b));
		difference |= a ^ b;
	}
	return difference;
}

/* All of a slot goes. */
static void add_slot_to_run(struct vm *vm, struct run *run, u32 slot)
{
	if (run->first == run->end || !run->drop) {
		finish_run(vm, run);
		*run = (struct run){.first = slot * SHADOW_SLOT, .drop = true};
	}
	run->end = shadow_slot_end(vm, slot);
}

static void resync_tables(struct vm *vm, u32 slot, const u8 *table, u32 rights, struct run *run)
{
	struct shadow *s = vm_shadow(vm);
	const u32 entry = paging_is_pae(vm) ? 8 : 4, bytes = 64 * entry;

	for (u32 word = 0; word < SHADOW_SLOT / 64; word++, table += bytes) {
		const u32 first = slot * SHADOW_SLOT + word * 64;
		u8 *seen = (u8 *)s->pte + (u64)first * entry;
		u64 left = s->recorded[slot][word];

		if (!left)
			continue;
		if ((s->agreed[slot] & 1u << word) && !changed(seen, table, bytes)) {
			finish_run(vm, run);
			continue;
		}
		mem_copy(seen, table, bytes);
		s->agreed[slot] |= 1u << word;
		for (; left; left &= left - 1) {
			u32 index = __builtin_ctzll(left), page = first + index;
			u32 pte = paging_fold_pte(vm, seen, index);
			u32 wrong = disagreement(s->record[page], pte, rights);

			if (wrong || run->end)
				add_to_run(vm, run, page, wrong);
		}
	}
}

static bool large_agrees(u32 record, u32 pde, u32 frame)
{
	u32 allowed = pde & (PTE_U | PTE_W | PTE_G);

	if (!(pde & PTE_D))
		allowed &= ~PTE_W;
	return (record & SHADOW_LARGE) && (record & 0xfffff000u) == frame &&
	       !(~record & pde & SHADOW_NX) &&
	       !(record & ~allowed & (SHADOW_WRITE | SHADOW_USER | SHADOW_GLOBAL));
}

static void resync_large(struct vm *vm, u32 slot, u32 pde, struct run *run)
{
	const u32 *record = vm_shadow(vm)->record + slot * SHADOW_SLOT;
	const u32 frame = paging_large_frame(vm, pde, slot);

	for (u32 i = 0; i < SHADOW_SLOT; i++) {
		if (!record[i] || large_agrees(record[i], pde, frame + i * PAGE_SIZE_4K))
			continue;
		add_slot_to_run(vm, run, slot);
		return;
	}
	finish_run(vm, run);
}

static void resync_slot(struct vm *vm, u32 slot, u32 pde, struct run *run)
{
	const void *table = paging_table(vm, pde, slot);
	bool large = paging_is_large(vm, pde);

	shadow_note_pde(vm_shadow(vm), slot, pde);
	/* With A clear in the directory's entry the next access must trap, to set it. */
	if (!(pde & PTE_P) || !(pde & PTE_A) || (!large && !table))
		add_slot_to_run(vm, run, slot);
	else if (large)
		resync_large(vm, slot, pde, run);
	else
		resync_tables(vm, slot, table, pde & (PTE_W | PTE_U | FOLDED_NX), run);
}

/* Which slots a resync looks at. */
enum scope { SCOPE_LOCAL, SCOPE_MOVED, SCOPE_ALL };

static bool in_scope(const struct shadow *s, enum scope scope, u32 slot, u32 pde)
{
	switch (scope) {
	case SCOPE_LOCAL:
		return s->local[slot];
	case SCOPE_MOVED:
		return shadow_pde_differs(s->pde[slot], pde);
	default:
		return true;
	}
}

static void resync_slots(struct vm *vm, enum scope scope, const struct paging_root *root, u32 first,
			 u64 left, struct run *run)
{
	for (; left; left &= left - 1) {
		u32 slot = first + __builtin_ctzll(left);
		u32 pde = paging_directory(vm, root, slot);

		if (in_scope(vm_shadow(vm), scope, slot, pde))
			resync_slot(vm, slot, pde, run);
		else
			finish_run(vm, run);
	}
}

static void resync(struct vm *vm, enum scope scope)
{
	struct shadow *s = vm_shadow(vm);
	u32 before = s->total;
	struct run run = {0};
	struct paging_root root;

	paging_active_root(vm, &root);
	for (u32 word = 0; word < SHADOW_SLOTS / 64; word++) {
		/* Most of the kernel's slots have nothing but global pages. */
		if (scope == SCOPE_LOCAL && s->used_slots[word] && !s->local_slots[word])
			finish_run(vm, &run);
		else
			resync_slots(vm, scope, &root, word * 64, s->used_slots[word], &run);
	}
	finish_run(vm, &run);
	trace(vm, EV_RESYNC, before, s->total);
}

void shadow_resync(struct vm *vm, bool all)
{
	resync(vm, all ? SCOPE_ALL : SCOPE_LOCAL);
}

void shadow_resync_moved(struct vm *vm)
{
	resync(vm, SCOPE_MOVED);
}

/* The slots that the large page at `slot` is made of: both halves of 4 MiB without PAE. */
static void invalidate_large(struct vm *vm, u32 slot)
{
	const u32 n = paging_is_pae(vm) ? 1 : 2, first = slot & ~(n - 1);
	struct run run = {0};
	struct paging_root root;

	paging_active_root(vm, &root);
	for (u32 i = first; i < first + n; i++)
		if (vm_shadow(vm)->large[i])
			resync_slot(vm, i, paging_directory(vm, &root, i), &run);
	finish_run(vm, &run);
}

static bool page_agrees(struct vm *vm, u64 la, u32 record)
{
	struct walk w;

	return paging_walk(vm, la, &w) == WALK_OK && w.page_size == PAGE_SIZE_4K && w.accessed &&
	       (w.gpa & 0xfffff000u) == (record & 0xfffff000u) &&
	       (!(record & SHADOW_WRITE) || (w.write && w.dirty)) &&
	       (!(record & SHADOW_USER) || w.user) && (!(record & SHADOW_GLOBAL) || w.global) &&
	       ((record & SHADOW_NX) || w.exec);
}

void shadow_invalidate(struct vm *vm, u64 la)
{
	const struct shadow *s = vm_shadow(vm);
	const u32 page = (u32)la >> 12, slot = page / SHADOW_SLOT, record = s->record[page];

	/* invlpg drops the whole large page, mapped at `la` or not, and global entries as well. */
	if (s->large[slot] || (!paging_is_pae(vm) && s->large[slot ^ 1]))
		invalidate_large(vm, slot);
	if (record && !(record & SHADOW_LARGE) && !page_agrees(vm, la, record))
		shadow_drop(vm, page, page + 1);
}
