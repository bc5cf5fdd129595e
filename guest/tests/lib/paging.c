/*
 * Page tables of the test guests.
 *
 * Owns: the page directory, the identity map of RAM and the table of the test window. Linear
 * 0xFFFFF000 stays unmapped: it belongs to the guest ABI.
 */
#include "guest.h"

u32 page_dir[1024] __attribute__((aligned(4096)));
u32 window_table[1024] __attribute__((aligned(4096)));
static u32 identity[RAM_SIZE / PAGE] __attribute__((aligned(4096)));
static u32 next_free;

extern u8 __user_start[], __user_end[], __end[];

u32 *pte_of(u32 linear)
{
	if (linear >= WINDOW)
		return &window_table[(linear - WINDOW) / PAGE];
	return &identity[linear / PAGE];
}

void paging_init(void)
{
	for (u32 page = 0; page < RAM_SIZE / PAGE; page++) {
		u32 a = page * PAGE;
		bool user = a >= (u32)__user_start && a < (u32)__user_end;

		identity[page] = a | PTE_P | PTE_W | (user ? PTE_U : 0);
	}
	for (u32 i = 0; i < RAM_SIZE / PAGE / 1024; i++)
		page_dir[i] = (u32)&identity[i * 1024] | PTE_P | PTE_W | PTE_U;
	page_dir[WINDOW >> 22] = (u32)window_table | PTE_P | PTE_W | PTE_U;
	cr3_set((u32)page_dir);
	cr0_set(cr0_get() | CR0_PG | CR0_WP);
}

u32 page_alloc(void)
{
	u32 page;

	if (!next_free)
		next_free = (u32)__end;
	page = next_free;
	next_free += PAGE;
	for (u32 i = 0; i < PAGE / 4; i++)
		((volatile u32 *)page)[i] = 0;
	return page;
}
