/*
 * The 8259 pair and the 8254, as far as tests need them.
 *
 * Owns: ports 0x20, 0x21, 0xa0, 0xa1 and 0x40-0x43.
 */
#include "guest.h"

void pic_init(void)
{
	outb(0x20, 0x11); /* ICW1: edge, cascade, ICW4 follows */
	outb(0xa0, 0x11);
	outb(0x21, VEC_IRQ);
	outb(0xa1, VEC_IRQ + 8);
	outb(0x21, 0x04);
	outb(0xa1, 0x02);
	outb(0x21, 0x01);
	outb(0xa1, 0x01);
	pic_mask(0xffff);
}

void pic_mask(u16 mask)
{
	outb(0x21, mask);
	outb(0xa1, mask >> 8);
}

void pic_eoi(u8 irq)
{
	if (irq >= 8)
		outb(0xa0, 0x20);
	outb(0x20, 0x20);
}

u8 pic_irr(u8 chip)
{
	outb(chip ? 0xa0 : 0x20, 0x0a);
	return inb(chip ? 0xa0 : 0x20);
}

u8 pic_isr(u8 chip)
{
	outb(chip ? 0xa0 : 0x20, 0x0b);
	return inb(chip ? 0xa0 : 0x20);
}

void pit_mode(u8 channel, u8 mode, u16 count)
{
	outb(0x43, channel << 6 | 0x30 | mode << 1);
	outb(0x40 + channel, count & 0xff);
	outb(0x40 + channel, count >> 8);
}

void pit_raise_irq0(void)
{
	pit_mode(0, 0, 2);
	while (!(pic_irr(0) & 1))
		;
}

/* Firmware may have left the timer running and requests latched. Stop it, so that the one edge seen
 * is ours, and forget that too; the line stays high until the next count. */
void chips_init(void)
{
	pit_mode(0, 0, 0xffff);
	pic_init();
	pit_raise_irq0();
	pic_init();
}
