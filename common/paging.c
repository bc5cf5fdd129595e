/*
 * The guest's page tables: see paging.h.
 */
#include "paging.h"

static u32 read_entry(const struct vm *vm, u64 gpa)
{
	const u32 *entry = vm_ram(vm, gpa, sizeof(*entry));

	return entry ? *(const volatile u32 *)entry : 0;
}

static enum walk_result walk_identity(u64 la, struct walk *w)
{
	w->gpa = (u32)la;
	w->page_size = PAGE_SIZE_4K;
	w->write = w->user = w->accessed = w->dirty = true;
	return WALK_OK;
}

static void combine(struct walk *w, u32 entry)
{
	w->write &= !!(entry & PTE_W);
	w->user &= !!(entry & PTE_U);
	w->accessed &= !!(entry & PTE_A);
}

enum walk_result paging_walk(const struct vm *vm, u64 la, struct walk *w)
{
	u32 pde, pte;

	mem_set(w, 0, sizeof(*w));
	if (!(vm->cpu.cr0 & CR0_PG))
		return walk_identity(la, w);

	w->write = w->user = w->accessed = true;
	w->levels = 1;
	w->entry_gpa[0] = (vm->cpu.cr3 & 0xfffff000u) + ((la >> 22) & 0x3ff) * 4;
	w->entry[0] = pde = read_entry(vm, w->entry_gpa[0]);
	if (!(pde & PTE_P))
		return WALK_NOT_PRESENT;
	combine(w, pde);
	if ((pde & PTE_PS) && (vm->cpu.cr4 & CR4_PSE)) {
		if (pde & PDE_LARGE_RESERVED)
			return WALK_RESERVED;
		w->page_size = LARGE_PAGE_SIZE;
		w->gpa = (pde & 0xffc00000u) | (la & 0x3fffff);
		w->global = (pde & PTE_G) && (vm->cpu.cr4 & CR4_PGE);
		w->dirty = !!(pde & PTE_D);
		return WALK_OK;
	}

	w->levels = 2;
	w->entry_gpa[1] = (pde & 0xfffff000u) + ((la >> 12) & 0x3ff) * 4;
	w->entry[1] = pte = read_entry(vm, w->entry_gpa[1]);
	if (!(pte & PTE_P))
		return WALK_NOT_PRESENT;
	combine(w, pte);
	w->page_size = PAGE_SIZE_4K;
	w->gpa = (pte & 0xfffff000u) | (la & 0xfff);
	w->global = (pte & PTE_G) && (vm->cpu.cr4 & CR4_PGE);
	w->dirty = !!(pte & PTE_D);
	return WALK_OK;
}

bool paging_check(const struct vm *vm, enum walk_result result, const struct walk *w,
		  struct access access, u32 *error)
{
	bool allowed;

	/* I/D is reported only with PAE and NX or SMEP (SDM vol. 3, 4.7): not here. */
	*error = (access.write ? PF_WRITE : 0) | (access.user ? PF_USER : 0);
	if (result == WALK_NOT_PRESENT)
		return false;
	*error |= PF_PRESENT;
	if (result == WALK_RESERVED) {
		*error |= PF_RSVD;
		return false;
	}
	if (access.user)
		allowed = w->user && (w->write || !access.write);
	else
		allowed = w->write || !access.write || !(vm->cpu.cr0 & CR0_WP);
	return allowed;
}

void paging_mark(const struct vm *vm, struct walk *w, bool dirty)
{
	for (unsigned i = 0; i < w->levels; i++) {
		u32 *entry = vm_ram(vm, w->entry_gpa[i], sizeof(*entry));
		u32 set = PTE_A | (dirty && i == w->levels - 1 ? PTE_D : 0);

		if (!entry || (*entry & set) == set)
			continue;
		__atomic_fetch_or(entry, set, __ATOMIC_RELAXED);
		w->entry[i] |= set;
	}
	w->accessed = true;
	w->dirty |= dirty;
}
