/*
 * Test guest: hlt and the instruction boundary behind sti (SDM vol. 2, STI and HLT).
 *
 * sti; hlt with a request pending: the interrupt comes with EIP behind the hlt, once, and nothing
 * is lost however often it is done.
 */
#include "guest.h"

static volatile u32 wakeups, eip_seen;
static u32 times;

void hlt_snippet(void);
extern char hlt_end[];
asm(".text\nhlt_snippet:\n\tsti\n\thlt\nhlt_end:\n\tcli\n\tret");
void hlt_on_snippet(void);
asm(".text\nhlt_on_snippet:\n\thlt\nret");

static void tick(struct regs *r)
{
	wakeups++;
	eip_seen = r->eip;
	pic_eoi(0);
	/* Again from inside, a few times, so that wake-ups follow one another. */
	if (times) {
		times--;
		pit_raise_irq0();
	}
}

static void report(const char *what, const char *end)
{
	print("%s: wakeups %u, eip %s\n", what, wakeups,
	      eip_seen == (u32)end ? "behind hlt" : "elsewhere");
	wakeups = eip_seen = 0;
}

void guest_main(void)
{
	paging_init();
	trap_handlers[VEC_IRQ] = tick;
	pic_mask(0xfffe);

	pit_raise_irq0();
	hlt_snippet();
	report("pending before sti; hlt", hlt_end);

	/* Not pending yet: the timer ends it. */
	pit_mode(0, 0, 5000);
	hlt_snippet();
	report("timer ends hlt", hlt_end);

	for (u32 i = 0; i < 300; i++) {
		pit_mode(0, 0, 2 + i % 50);
		hlt_snippet();
	}
	report("300 short waits", hlt_end);

	for (u32 i = 0; i < 300; i++) {
		pit_raise_irq0();
		hlt_snippet();
	}
	report("300 pending", hlt_end);

	/* Raised again before the handler's iret: the second comes at the iret, not at a second
	 * hlt. */
	times = 1;
	pit_raise_irq0();
	hlt_snippet();
	print("raised again inside: wakeups %u\n", wakeups);
	wakeups = 0;

	/* A periodic timer: every hlt ends. */
	pit_mode(0, 2, 1193);
	while (wakeups < 50)
		irq_wait();
	pic_mask(0xffff);
	print("50 periodic wakeups\n");

	/* hlt with IF on already: whenever it is reached, the next tick ends it. */
	pit_mode(0, 2, 5966);
	pic_mask(0xfffe);
	irq_on();
	for (unsigned i = 0; i < 5; i++)
		hlt_on_snippet();
	irq_off();
	print("hlt with IF on ended 5 times\n");
	guest_exit(0);
}
