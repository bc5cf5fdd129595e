/*
 * Test guest: a fault while #DF is delivered shuts the machine down. The runner expects that.
 */
#include "guest.h"

void guest_main(void)
{
	paging_init();
	print("about to shut down\n");
	set_idt_limit(0);
	asm volatile("ud2");
	print("FAILED: still here\n");
	guest_exit(1);
}
