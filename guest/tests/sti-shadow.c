/*
 * Test guest: the interrupt shadow. No interrupt is taken between sti and the next instruction, nor
 * between a load of SS and the next instruction (SDM vol. 3, 6.8.3; vol. 2, STI).
 */
#include "guest.h"

static volatile u32 count, eip_seen;

void sti_cli(void);
void sti_nop_cli(void);
extern char after_nop[];
asm(".text\nsti_cli:\n\tsti\n\tcli\n\tret\n"
    "sti_nop_cli:\n\tsti\n\tnop\nafter_nop:\n\tcli\n\tret\n");
void sti_ret(void);
asm(".text\nsti_ret:\n\tsti\n\tret\n");

static void tick(struct regs *r)
{
	count++;
	eip_seen = r->eip;
	pic_eoi(0);
}

void guest_main(void)
{
	paging_init();
	trap_handlers[VEC_IRQ] = tick;
	pic_mask(0xfffe);
	pit_raise_irq0();
	for (unsigned i = 0; i < 100; i++)
		sti_cli();
	print("sti; cli: %u interrupts\n", count);
	sti_nop_cli();
	print("sti; nop; cli: %u interrupt, behind the nop %u\n", count,
	      eip_seen == (u32)after_nop);
	count = 0;
	pit_raise_irq0();
	sti_ret();
	irq_off();
	print("sti; ret: %u interrupt, in the caller %u\n", count, eip_seen != (u32)sti_ret + 1);
	guest_exit(0);
}
