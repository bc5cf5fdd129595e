/*
 * Test guest: the interrupt shadow. No interrupt is taken between sti and the next instruction (SDM
 * vol. 2, STI): `sti; cli` never lets one in, however often, and it is not lost either.
 *
 * Where exactly one is taken behind `sti; nop` or `sti; ret` is not compared: plex86 may deliver it
 * before an instruction to which it makes no difference.
 */
#include "guest.h"

static volatile u32 count;

void sti_cli(void);
void sti_nop_cli(void);
void sti_ret(void);
asm(".text\nsti_cli:\n\tsti\n\tcli\n\tret\n"
    "sti_nop_cli:\n\tsti\n\tnop\n\tcli\n\tret\n"
    "sti_ret:\n\tsti\n\tret\n");

static void tick(struct regs *r)
{
	(void)r;
	count++;
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
	print("sti; nop; cli: %u interrupt\n", count);
	count = 0;
	pit_raise_irq0();
	sti_ret();
	irq_off();
	print("sti; ret: %u interrupt\n", count);
	guest_exit(0);
}
