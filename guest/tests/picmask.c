/*
 * Test guest: the 8259 pair: masking, requests, in-service bits, the kinds of EOI, special mask
 * mode, polling, rotation (Intel 8259A data sheet).
 *
 * Sources: PIT channel 0 in mode 0 for IRQ 0, the transmitter of COM1 for IRQ 4. Both are raised
 * and waited for with IF = 0, so nothing depends on time. A spurious IRQ 7 would need a request
 * that goes away between INTR and INTA: not to be had from software.
 */
#include "guest.h"

#define COM1_IER 0x3f9
#define COM1_IIR 0x3fa
#define COM1_MCR 0x3fc

static void state(const char *what)
{
	print("%s: irr %02x isr %02x imr %02x\n", what, pic_irr(0) & 0x11, pic_isr(0), inb(0x21));
}

/* IRQ 4 rises: the transmitter is empty and may say so. */
static void raise_irq4(void)
{
	outb(COM1_MCR, 0x0b);
	outb(COM1_IER, 0);
	outb(COM1_IER, 2);
	while (!(pic_irr(0) & 0x10))
		;
}

static void drop_irq4(void)
{
	outb(COM1_IER, 0);
	inb(COM1_IIR);
}

static void print_irq(struct regs *r)
{
	u8 isr = pic_isr(0);

	if (r->vector == VEC_IRQ + 4)
		drop_irq4();
	print("irq %u: isr %02x\n", r->vector - VEC_IRQ, isr);
}

static void with_eoi(struct regs *r)
{
	print_irq(r);
	pic_eoi(r->vector - VEC_IRQ);
}

static void all_handlers(trap_handler h)
{
	for (unsigned i = 0; i < 16; i++)
		trap_handlers[VEC_IRQ + i] = h;
}

static void open_window(void)
{
	asm volatile("sti; nop; nop; cli" : : : "memory");
}

static void masking(void)
{
	state("idle");
	pit_raise_irq0();
	state("raised, masked");
	open_window();
	pic_mask(0xfffe);
	print("unmasked, IF still 0\n");
	open_window();
	state("after it");
	open_window();
	print("no second one\n");
	/* A masked request waits. */
	pic_mask(0xffff);
	pit_raise_irq0();
	open_window();
	pic_mask(0xfffe);
	open_window();
	/* IF by popf and by iret deliver just as sti does. */
	pit_raise_irq0();
	flags_set(FLAG_IF | 2);
	asm volatile("nop; nop");
	irq_off();
	print("after popf\n");
}

static void priorities(void)
{
	pic_mask(0xffee);
	raise_irq4();
	pit_raise_irq0();
	state("both raised");
	open_window();
	print("IRQ 0 went first\n");
}

/* Without EOI the in-service bit holds back its own and lower priorities, not higher ones. */
static void in_service(void)
{
	all_handlers(print_irq);
	pic_mask(0xffee);
	raise_irq4();
	open_window();
	state("no EOI");
	raise_irq4();
	open_window();
	print("IRQ 4 held back\n");
	pit_raise_irq0();
	open_window();
	state("IRQ 0 came");
	outb(0x20, 0x20);
	state("non-specific EOI");
	open_window();
	print("IRQ 4 still held back\n");
	outb(0x20, 0x64);
	state("specific EOI of 4");
	open_window();
	outb(0x20, 0x60);
	state("specific EOI of 0, not in service");
	outb(0x20, 0x64);
	state("specific EOI of 4");
}

static void special_mask(void)
{
	pic_mask(0xffee);
	pit_raise_irq0();
	open_window();
	raise_irq4();
	open_window();
	print("IRQ 4 held back by IRQ 0\n");
	outb(0x20, 0x68); /* special mask mode: a masked in-service bit does not count */
	pic_mask(0xffef);
	open_window();
	state("special mask mode");
	outb(0x20, 0x48);
	outb(0x20, 0x60);
	outb(0x20, 0x64);
	pic_mask(0xffff);
	state("back");
}

static void polling(void)
{
	pic_mask(0xffee);
	outb(0x20, 0x0c);
	print("poll, nothing: %02x\n", inb(0x20) & 0x80);
	pit_raise_irq0();
	outb(0x20, 0x0c);
	print("poll: %02x\n", inb(0x20));
	state("polled");
	open_window();
	print("no interrupt is left\n");
	outb(0x20, 0x20);
}

static void rotation(void)
{
	all_handlers(with_eoi);
	pic_mask(0xffee);
	outb(0x20, 0xc0); /* IRQ 0 becomes the lowest */
	raise_irq4();
	pit_raise_irq0();
	open_window();
	print("IRQ 4 went first\n");
	outb(0x20, 0xc7);
	raise_irq4();
	pit_raise_irq0();
	open_window();
	print("IRQ 0 goes first again\n");
	/* Rotate on non-specific EOI: the one just served becomes the lowest. */
	all_handlers(print_irq);
	pit_raise_irq0();
	open_window();
	outb(0x20, 0xa0);
	raise_irq4();
	pit_raise_irq0();
	open_window();
	outb(0x20, 0x20);
	open_window();
	outb(0x20, 0x20);
	outb(0x20, 0xc7);
}

static void auto_eoi(void)
{
	outb(0x20, 0x11);
	outb(0x21, VEC_IRQ);
	outb(0x21, 0x04);
	outb(0x21, 0x03);
	pic_mask(0xfffe);
	for (unsigned i = 0; i < 2; i++) {
		pit_raise_irq0();
		open_window();
	}
	state("auto EOI");
}

/* ICW1 forgets the requests and the mask; the vectors move. */
static void reprogram(void)
{
	pic_init();
	pit_raise_irq0();
	outb(0x20, 0x11);
	outb(0x21, 0x60);
	outb(0x21, 0x04);
	outb(0x21, 0x01);
	state("after ICW1-4");
	trap_handlers[0x60] = trap_handlers[VEC_IRQ];
	pit_raise_irq0();
	pic_mask(0xfffe);
	trap_handlers[0x60] = NULL;
	asm volatile("" : : : "memory");
	u32 vector = try(open_window);

	print("vector %02x\n", vector);
	pic_init();
}

/* Nothing is sent while COM1 may interrupt: sending moves its line. */
static void step(void (*fn)(void))
{
	console_hold();
	fn();
	drop_irq4();
	console_release();
}

void guest_main(void)
{
	paging_init();
	all_handlers(with_eoi);
	step(masking);
	step(priorities);
	step(in_service);
	step(special_mask);
	step(polling);
	step(rotation);
	step(auto_eoi);
	step(reprogram);
	guest_exit(0);
}
