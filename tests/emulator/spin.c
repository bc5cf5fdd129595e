/*
 * A guest that changes to another address space than its first, and computes there for ever with
 * interrupts off: nothing but the engine's own way to get its attention stops it.
 */
#include "guest.h"

void guest_main(void)
{
	u32 other;

	paging_init();
	other = page_alloc();
	for (u32 i = 0; i < ARRAY_SIZE(page_dir); i++)
		((u32 *)other)[i] = page_dir[i];
	cr3_set(other);
	print("spinning\n");
	for (;;)
		;
}
