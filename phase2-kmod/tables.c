/*
 * The page tables the guest runs on: for each of its address spaces two sets, one with all that is
 * mapped, for its kernel, and one with what its user code may see.
 *
 * Owns: their pages. At most 16 MiB of them a space (4 GiB in 4 KiB pages, twice), charged to the
 * VMM's memory cgroup. Above the low half both have what the host has there, for itself alone.
 */
#include "plex86.h"
#include <linux/sched.h>
#include <linux/vmalloc.h>

#define TABLE_FLAGS (_PAGE_PRESENT | _PAGE_RW | _PAGE_USER)

static u64 *new_table(struct machine *m)
{
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);

	if (!page)
		return NULL;
	list_add(&page->lru, &m->tables);
	return page_address(page);
}

static bool create_root(struct machine *m, struct space *s, unsigned view)
{
	const unsigned half = PTRS_PER_PGD / 2;
	u64 *root = new_table(m), *pdpt;

	if (!root)
		return false;
	memcpy(root + half, current->mm->pgd + half, half * sizeof(*root));
	s->root[view] = root;
	pdpt = root;
	/* As deep as the host's: LA57 cannot change in long mode. */
	for (int level = __read_cr4() & X86_CR4_LA57 ? 5 : 4; level > 3; level--) {
		u64 *below = new_table(m);

		if (!below)
			return false;
		pdpt[0] = virt_to_phys(below) | TABLE_FLAGS;
		pdpt = below;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(s->directory[view]); i++) {
		s->directory[view][i] = new_table(m);
		if (!s->directory[view][i])
			return false;
		pdpt[i] = virt_to_phys(s->directory[view][i]) | TABLE_FLAGS;
	}
	return true;
}

struct space *tables_create_space(struct machine *m)
{
	struct space *s = __vmalloc(sizeof(*s), GFP_KERNEL_ACCOUNT | __GFP_ZERO);

	if (!s)
		return NULL;
	/* Without its kernel there is but the one for user code. */
	for (unsigned view = m->user ? VIEW_USER : 0; view < VIEWS; view++)
		if (!create_root(m, s, view)) {
			vfree(s);
			return NULL;
		}
	return s;
}

void tables_destroy(struct machine *m)
{
	struct page *page, *next;

	for (unsigned i = 0; i < SHADOW_COUNT; i++)
		vfree(m->spaces[i]);
	list_for_each_entry_safe(page, next, &m->tables, lru)
	{
		list_del(&page->lru);
		__free_page(page);
	}
}

u64 *tables_get(struct machine *m, unsigned view, u64 la, bool create)
{
	const unsigned slot = la >> PMD_SHIFT;
	u64 **table = &m->space->table[view][slot];

	if (!*table && create) {
		go_home(m); /* to sleep */
		*table = new_table(m);
		if (*table)
			m->space->directory[view][slot / 512][slot % 512] =
				virt_to_phys(*table) | TABLE_FLAGS;
	}
	return *table;
}

/* ---- entries ---- */

u64 table_flags(unsigned prot)
{
	if (!(prot & (HOST_READ | HOST_WRITE | HOST_EXEC)))
		return 0;
	return _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY |
	       (prot & HOST_WRITE ? _PAGE_RW : 0) | (prot & HOST_EXEC ? 0 : _PAGE_NX);
}

/* Might a translation by `old` be too much? What is not present no TLB has; what becomes allowed a
 * fault finds out (SDM vol. 3, 4.10.4.2 and 4.10.4.3). */
static bool is_less(u64 old, u64 new)
{
	return (old & _PAGE_PRESENT) && ((old ^ new) & (PTE_PFN_MASK | _PAGE_PRESENT) ||
					 old & ~new &_PAGE_RW || new & ~old &_PAGE_NX);
}

bool tables_change(struct machine *m, unsigned view, const struct table_change *c, u64 *lost)
{
	u64 *table = tables_get(m, view, c->la, c->map && c->flags);

	if (!table)
		return !(c->map && c->flags);
	for (u64 la = c->la; la < c->end; la += PAGE_SIZE) {
		u64 *entry = &table[la >> PAGE_SHIFT & 511], old = *entry, new = 0;

		if (c->flags && c->map)
			new = page_to_phys(m->pages[(c->gpa + la - c->la) >> PAGE_SHIFT]) |
			      c->flags;
		else if (c->flags && old)
			new = (old & PTE_PFN_MASK) | c->flags;
		if (is_less(old, new))
			*lost = *lost && *lost != (la | 1) ? FORGET_ALL : la | 1;
		*entry = new;
	}
	return true;
}

void tables_lost(struct machine *m, u64 lost)
{
	if (lost)
		nexus_forget(m, lost == FORGET_ALL ? lost : lost & PAGE_MASK);
}
