/*
 * The guest's page tables: see paging.h.
 */
#include "paging.h"

/* Physical addresses have 32 bits (CPUID 0x80000008): what lies above is reserved, up to NX. */
#define PAE_HIGH_RESERVED  0x7fffffff00000000ull
#define PDPTE_LOW_RESERVED 0x1e6u
#define PAE_LARGE_RESERVED 0x001fe000u
#define PDPT_ENTRIES	   4
#define TABLE_ENTRIES_PAE  512u

static u32 read_entry(const struct vm *vm, u64 gpa)
{
	const u32 *entry = vm_ram(vm, gpa, sizeof(*entry));

	return entry ? *(const volatile u32 *)entry : 0;
}

/* An entry outside RAM reads as 0. The guest writes its halves one after the other; P, in the lower
 * one, goes first when it is cleared and comes last when it is set. */
static u64 read_entry_pae(const struct vm *vm, u64 gpa)
{
	const u64 *entry = vm_ram(vm, gpa, sizeof(*entry));

	return entry ? __atomic_load_n(entry, __ATOMIC_RELAXED) : 0;
}

static bool has_nx(const struct vm *vm)
{
	return vm->cpu.efer & EFER_NXE;
}

/* Is a bit set that must not be (SDM vol. 3, tables 4-9 to 4-11)? */
static bool reserved_pae(const struct vm *vm, u64 entry, bool directory)
{
	if ((entry & PAE_HIGH_RESERVED) || ((entry & PTE_NX) && !has_nx(vm)))
		return true;
	return directory && (entry & PTE_PS) && (entry & PAE_LARGE_RESERVED);
}

static u32 fold(const struct vm *vm, u64 entry, bool directory)
{
	if (!(entry & PTE_P) || reserved_pae(vm, entry, directory))
		return 0;
	return ((u32)entry & ~FOLDED_IGNORED) | (entry & PTE_NX ? FOLDED_NX : 0);
}

u32 paging_fold_pte(const struct vm *vm, const void *table, u32 index)
{
	if (paging_is_pae(vm))
		return fold(vm, ((const volatile u64 *)table)[index], false);
	return ((const volatile u32 *)table)[index] & ~FOLDED_IGNORED;
}

/* A directory entry of 2-level paging. Large pages with a reserved bit set map nothing. */
static u32 fold_pde(const struct vm *vm, u32 pde)
{
	if ((pde & PTE_PS) && (vm->cpu.cr4 & CR4_PSE) && (pde & PDE_LARGE_RESERVED))
		return 0;
	return pde & ~FOLDED_IGNORED;
}

void paging_root(const struct vm *vm, u64 cr3, struct paging_root *root)
{
	*root = (struct paging_root){.cr3 = (u32)cr3};
	if (paging_is_pae(vm))
		for (unsigned i = 0; i < PDPT_ENTRIES; i++)
			root->pdpte[i] = read_entry_pae(vm, (root->cr3 & PAE_CR3_MASK) + i * 8);
}

void paging_active_root(const struct vm *vm, struct paging_root *root)
{
	*root = (struct paging_root){.cr3 = (u32)vm->cpu.cr3};
	mem_copy(root->pdpte, vm->cpu.pdpte, sizeof(root->pdpte));
}

bool paging_load_pdptes(struct vm *vm, u64 cr3)
{
	struct paging_root root;

	if (!(vm->cpu.cr0 & CR0_PG) || !paging_is_pae(vm))
		return true;
	paging_root(vm, cr3, &root);
	for (unsigned i = 0; i < PDPT_ENTRIES; i++)
		if ((root.pdpte[i] & PTE_P) &&
		    (root.pdpte[i] & (PTE_NX | PAE_HIGH_RESERVED | PDPTE_LOW_RESERVED)))
			return false;
	mem_copy(vm->cpu.pdpte, root.pdpte, sizeof(root.pdpte));
	return true;
}

u32 paging_directory(const struct vm *vm, const struct paging_root *root, u32 slot)
{
	u64 pdpte;

	if (!paging_is_pae(vm))
		return fold_pde(vm, read_entry(vm, (root->cr3 & 0xfffff000u) + slot / 2 * 4));
	pdpte = root->pdpte[slot / TABLE_ENTRIES_PAE];
	if (!(pdpte & PTE_P))
		return 0;
	return fold(vm, read_entry_pae(vm, (pdpte & 0xfffff000u) + slot % TABLE_ENTRIES_PAE * 8),
		    true);
}

bool paging_is_large(const struct vm *vm, u32 directory)
{
	return (directory & PTE_PS) && (paging_is_pae(vm) || (vm->cpu.cr4 & CR4_PSE));
}

u32 paging_large_frame(const struct vm *vm, u32 directory, u32 slot)
{
	if (paging_is_pae(vm))
		return directory & ~(PAGING_SLOT_SIZE - 1);
	return (directory & ~(LARGE_PAGE_SIZE - 1)) + slot % 2 * PAGING_SLOT_SIZE;
}

const void *paging_table(const struct vm *vm, u32 directory, u32 slot)
{
	const u32 at = directory & 0xfffff000u;

	if (paging_is_pae(vm))
		return vm_ram(vm, at, PAGE_SIZE_4K);
	return vm_ram(vm, at + slot % 2 * (PAGE_SIZE_4K / 2), PAGE_SIZE_4K / 2);
}

static enum walk_result walk_identity(u64 la, struct walk *w)
{
	w->gpa = (u32)la;
	w->page_size = PAGE_SIZE_4K;
	w->write = w->user = w->exec = w->accessed = w->dirty = true;
	return WALK_OK;
}

static void combine(struct walk *w, u64 entry)
{
	w->write &= !!(entry & PTE_W);
	w->user &= !!(entry & PTE_U);
	w->exec &= !(entry & PTE_NX);
	w->accessed &= !!(entry & PTE_A);
}

/* `entry` maps a page of `size` bytes. */
static enum walk_result walk_ends(const struct vm *vm, u64 la, u64 entry, u64 size, struct walk *w)
{
	w->page_size = size;
	w->gpa = ((u32)entry & 0xfffff000u & ~(size - 1)) | (la & (size - 1));
	w->global = (entry & PTE_G) && (vm->cpu.cr4 & CR4_PGE);
	w->dirty = !!(entry & PTE_D);
	return WALK_OK;
}

static enum walk_result walk_pae(const struct vm *vm, u64 la, struct walk *w)
{
	u64 entry = vm->cpu.pdpte[(la >> 30) & 3];

	/* The entries of the first level are registers: they have no A, and no rights. */
	w->levels = w->registers = 1;
	w->entry_gpa[0] = (vm->cpu.cr3 & PAE_CR3_MASK) + ((la >> 30) & 3) * 8;
	w->entry[0] = entry;
	if (!(entry & PTE_P))
		return WALK_NOT_PRESENT;
	for (unsigned shift = 21; shift >= 12; shift -= 9) {
		const unsigned level = w->levels++;

		w->entry_gpa[level] = (entry & 0xfffff000u) + ((la >> shift) & 0x1ff) * 8;
		w->entry[level] = entry = read_entry_pae(vm, w->entry_gpa[level]);
		if (!(entry & PTE_P))
			return WALK_NOT_PRESENT;
		if (reserved_pae(vm, entry, shift == 21))
			return WALK_RESERVED;
		combine(w, entry);
		if (shift == 21) {
			w->directory = fold(vm, entry, true);
			if (entry & PTE_PS)
				return walk_ends(vm, la, entry, PAGING_SLOT_SIZE, w);
		}
	}
	return walk_ends(vm, la, entry, PAGE_SIZE_4K, w);
}

enum walk_result paging_walk(const struct vm *vm, u64 la, struct walk *w)
{
	u32 pde, pte;

	mem_set(w, 0, sizeof(*w));
	if (!(vm->cpu.cr0 & CR0_PG))
		return walk_identity(la, w);

	w->write = w->user = w->exec = w->accessed = true;
	if (paging_is_pae(vm))
		return walk_pae(vm, la, w);
	w->levels = 1;
	w->entry_gpa[0] = (vm->cpu.cr3 & 0xfffff000u) + ((la >> 22) & 0x3ff) * 4;
	w->entry[0] = pde = read_entry(vm, w->entry_gpa[0]);
	if (!(pde & PTE_P))
		return WALK_NOT_PRESENT;
	combine(w, pde);
	w->directory = fold_pde(vm, pde);
	if (paging_is_large(vm, pde)) {
		if (pde & PDE_LARGE_RESERVED)
			return WALK_RESERVED;
		return walk_ends(vm, la, pde, LARGE_PAGE_SIZE, w);
	}

	w->levels = 2;
	w->entry_gpa[1] = (pde & 0xfffff000u) + ((la >> 12) & 0x3ff) * 4;
	w->entry[1] = pte = read_entry(vm, w->entry_gpa[1]);
	if (!(pte & PTE_P))
		return WALK_NOT_PRESENT;
	combine(w, pte);
	return walk_ends(vm, la, pte, PAGE_SIZE_4K, w);
}

bool paging_check(const struct vm *vm, enum walk_result result, const struct walk *w,
		  struct access access, u32 *error)
{
	bool allowed;

	*error = (access.write ? PF_WRITE : 0) | (access.user ? PF_USER : 0);
	/* I/D is reported only with PAE and NX, or SMEP (SDM vol. 3, 4.7), which there is not. */
	if (access.fetch && paging_is_pae(vm) && has_nx(vm))
		*error |= PF_FETCH;
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
	return allowed && (w->exec || !access.fetch);
}

void paging_mark(const struct vm *vm, struct walk *w, bool dirty)
{
	for (unsigned i = w->registers; i < w->levels; i++) {
		/* The flags are in the lower half of an entry of either size. */
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
