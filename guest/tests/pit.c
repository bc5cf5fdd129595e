/*
 * Test guest: the 8254: ticks that arrive while the guest spins, one-shots, channel 2 through port
 * 0x61, latches and read-back (Intel 8254 data sheet). Only order is printed, never time.
 */
#include "guest.h"

static volatile u32 ticks, want;

static void tick(struct regs *r)
{
	(void)r;
	ticks++;
	/* Enough: mask it, so that not one more is counted. */
	if (ticks == want)
		outb(0x21, 0xff);
	pic_eoi(0);
}

static void run(u32 n)
{
	ticks = 0;
	want = n;
	outb(0x21, 0xfe);
	irq_on();
	while (ticks < n)
		; /* no trap in this loop: the timer must break in */
	irq_off();
}

USER_DATA volatile u32 user_spins;
UCODE(u_spin, "1: incl user_spins; cmpl $0, user_stop; je 1b", "int $0x30");
USER_DATA volatile u32 user_stop;

static void tick_in_user(struct regs *r)
{
	tick(r);
	if (ticks == want)
		user_stop = 1;
	if ((r->cs & 3) != 3 && (r->cs & 0xffff) != SEL_KCODE)
		print("tick from cs=%02x\n", r->cs);
}

static void periodic(void)
{
	static const u8 modes[] = {2, 3};

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		pit_mode(0, modes[i], 2386); /* 500 Hz */
		run(20);
		print("mode %u: %u ticks while spinning\n", modes[i], ticks);
	}
	trap_handlers[VEC_IRQ] = tick_in_user;
	user_stop = ticks = 0;
	want = 20;
	outb(0x21, 0xfe);
	run_user(u_spin);
	print("user code: %u ticks, vector %02x, it ran %u\n", ticks, trap.vector, user_spins != 0);
	trap_handlers[VEC_IRQ] = tick;
}

/* Low byte only, high byte only, and a count of 0, which is 65536. */
static void access_modes(void)
{
	outb(0x43, 0x14);
	outb(0x40, 0xf0); /* 240: 5 kHz */
	run(20);
	print("low byte: %u\n", ticks);
	outb(0x43, 0x24);
	outb(0x40, 0x08); /* 0x800: 583 Hz */
	run(20);
	print("high byte: %u\n", ticks);
	pit_mode(0, 2, 0);
	run(3);
	print("65536: %u\n", ticks);
}

/* Channel 2 and its output, bit 5 of port 0x61. (That a shut gate stops the count is left out:
 * QEMU 7.2 does not do it.) */
static void channel2(void)
{
	u16 a, b;

	outb(0x61, (inb(0x61) & ~2) | 1);
	pit_mode(2, 0, 100);
	while (!(inb(0x61) & 0x20))
		;
	print("channel 2 has ended; gate reads %u\n", inb(0x61) & 3);
	pit_mode(2, 0, 0xffff);
	outb(0x43, 0x80);
	a = inb(0x42);
	a |= inb(0x42) << 8;
	do {
		outb(0x43, 0x80);
		b = inb(0x42);
		b |= inb(0x42) << 8;
	} while (b == a);
	print("its count moves\n");
	outb(0x43, 0xe8);
	print("status %02x\n", inb(0x42) & 0x3f);
	pit_mode(2, 2, 0x4321);
	outb(0x43, 0xe8);
	print("status %02x\n", inb(0x42) & 0x3f);
	outb(0x61, inb(0x61) & ~3);
}

static void one_shot(void)
{
	ticks = 0;
	want = 0;
	for (u32 i = 1; i <= 20; i++) {
		pit_mode(0, 0, 100 * i);
		outb(0x21, 0xfe);
		irq_on();
		while (ticks < i)
			;
		irq_off();
	}
	outb(0x21, 0xff);
	print("one-shots: %u\n", ticks);
}

void guest_main(void)
{
	paging_init();
	trap_handlers[VEC_IRQ] = tick;
	one_shot();
	channel2();
	periodic();
	access_modes();
	guest_exit(0);
}
