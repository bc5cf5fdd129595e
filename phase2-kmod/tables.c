/*
 * The page tables the guest runs on.
 *
 * Owns: their pages. At most 8 MiB of them a machine (4 GiB in 4 KiB pages), charged to the VMM's
 * memory cgroup.
 */
#include "plex86.h"

static u64 *new_table(struct machine *m)
{
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);

	if (!page)
		return NULL;
	list_add(&page->lru, &m->tables);
	return page_address(page);
}

int tables_create(struct machine *m)
{
	m->root = new_table(m);
	return m->root ? 0 : -ENOMEM;
}

void tables_destroy(struct machine *m)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &m->tables, lru) {
		list_del(&page->lru);
		__free_page(page);
	}
}

u64 *tables_entry(struct machine *m, u64 va, bool create)
{
	/* As deep as the host's: LA57 cannot change in long mode. */
	int level = __read_cr4() & X86_CR4_LA57 ? 5 : 4;
	u64 *table = m->root;

	for (; level > 1; level--) {
		u64 *entry = &table[va >> (PAGE_SHIFT + 9 * (level - 1)) & 511];

		if (!*entry) {
			u64 *below = create ? new_table(m) : NULL;

			if (!below)
				return NULL;
			*entry = virt_to_phys(below) | _PAGE_PRESENT | _PAGE_RW | _PAGE_USER;
		}
		table = phys_to_virt(*entry & PTE_PFN_MASK);
	}
	return &table[va >> PAGE_SHIFT & 511];
}
