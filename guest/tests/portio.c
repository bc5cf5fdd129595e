/*
 * Test guest: in and out of every size, and who may use them (SDM vol. 1, 18.5).
 *
 * The ports read back what was written: the scratch register of COM1 (0x3ff) and, beside it, its
 * modem control and divisor; the mask registers of the 8259 pair; the latched count of the 8254.
 */
#include "guest.h"

#define SCRATCH	 0x3ff
#define NOBODY	 0x2e7 /* and the ports around it; the last of its byte in the I/O bitmap */
#define LCR	 0x3fb
#define LCR_DLAB 0x80

static void sizes(void)
{
	u8 lcr = inb(LCR);

	outb(SCRATCH, 0x5a);
	print("scratch %02x", inb(SCRATCH));
	outw(SCRATCH - 1, 0xa500);
	print(" word %02x", inb(SCRATCH));
	outl(SCRATCH - 3, 0x3c00000b);
	print(" dword %02x", inb(SCRATCH));
	print(" read as word %02x as dword %02x", inw(SCRATCH - 1) >> 8, inl(SCRATCH - 3) >> 24);
	print(" modem control %02x\n", inl(SCRATCH - 3) & 0xff);
	/* The divisor latch: two bytes side by side, 16 bits of memory for us. */
	outb(LCR, lcr | LCR_DLAB);
	u16 divisor = inw(0x3f8);

	outw(0x3f8, 0x1234);
	u16 word = inw(0x3f8);
	u8 low = inb(0x3f8), high = inb(0x3f9);

	outw(0x3f8, divisor);
	outb(LCR, lcr);
	print("divisor %04x, bytes %02x %02x\n", word, low, high);
	print("nobody there: %02x %04x %08x\n", inb(NOBODY + 1), inw(NOBODY + 1), inl(NOBODY + 1));
	outb(NOBODY + 1, 1);
	outw(NOBODY + 1, 1);
	outl(NOBODY + 1, 1);
}

/* Only the named part of EAX changes. */
static void registers(void)
{
	u32 byte = 0x11223344, word = 0x11223344, dword = 0x11223344;

	outb(SCRATCH, 0x77);
	asm volatile("inb %w1, %%al" : "+a"(byte) : "d"(SCRATCH));
	asm volatile("inw %w1, %%ax" : "+a"(word) : "d"(SCRATCH - 1));
	asm volatile("inl %w1, %%eax" : "+a"(dword) : "d"(SCRATCH - 3));
	print("eax after inb %08x, inw %08x, inl %08x\n", byte, word & 0xffffff00,
	      dword & 0xff000000);
	/* DX is 16 bits: the rest of EDX does not matter. Immediate ports as well. */
	asm volatile("inb %%dx, %%al" : "+a"(byte) : "d"(0xabcd0000 | SCRATCH));
	print("edx's high half is ignored: %08x\n", byte);
	asm volatile("movb $0xd7, %%al; outb %%al, $0x21; xorl %%eax, %%eax; inb $0x21, %%al"
		     : "=a"(byte));
	print("immediate port: %08x\n", byte);
	/* Flags are not touched. */
	u32 flags;

	asm volatile("pushl $0x8d7; popfl; outb %%al, %w1; inb %w1, %%al; pushfl; popl %0"
		     : "=r"(flags)
		     : "d"(SCRATCH)
		     : "eax", "cc");
	print("flags %03x\n", flags & 0xfff);
}

static void chips(void)
{
	outb(0x21, 0xa5);
	outb(0xa1, 0x5a);
	print("masks %02x %02x", inb(0x21), inb(0xa1));
	pic_mask(0xffff);
	print(" %02x %02x\n", inb(0x21), inb(0xa1));
	/* Mode 4 with the gate of channel 2 shut: the count stays. Its low two bytes are latched.
	 */
	outb(0x61, inb(0x61) & ~3);
	pit_mode(2, 3, 0x1234);
	outb(0x43, 0xe8); /* read-back: status of channel 2 */
	print("channel 2 status %02x\n", inb(0x42) & 0x3f);
}

/* ---- Permission from CPL 3 ---- */
UCODE(u_inb, "", RAW "inb %dx, %al");
UCODE(u_inw, "", RAW "inw %dx, %ax");
UCODE(u_inl, "", RAW "inl %dx, %eax");
UCODE(u_outb, "", RAW "outb %al, %dx");
UCODE(u_outl, "", RAW "outl %eax, %dx");
UCODE(u_insb, "movl $user_stack, %edi", "insb");
UCODE(u_outsb, "movl $user_stack, %esi", "outsb");
UCODE(u_in_imm, "", RAW "inb $0x21, %al");
UCODE(u_cli, "", RAW_CLI);
UCODE(u_sti, "", RAW_STI);

static const struct snippet io[] = {SNIPPET(u_inb),   SNIPPET(u_inw),	SNIPPET(u_inl),
				    SNIPPET(u_outb),  SNIPPET(u_outl),	SNIPPET(u_insb),
				    SNIPPET(u_outsb), SNIPPET(u_in_imm)};

static u32 run_io(const struct snippet *s, u16 port, u32 iopl)
{
	struct user_state state = user_state(s->fn);

	state.edx = port;
	state.eflags |= iopl << 12;
	return run_user_state(&state);
}

static void print_io(const char *what, u16 port, u32 iopl)
{
	print("%s:", what);
	for (unsigned i = 0; i < ARRAY_SIZE(io); i++) {
		u32 vector = run_io(&io[i], port, iopl);

		print(" %s %s", io[i].name + 2, vector == VEC_DONE ? "ok" : "#GP");
		if (vector != VEC_DONE)
			print("(%x)%s", trap.error, trap.eip == (u32)io[i].at ? "" : " elsewhere");
	}
	print("\n");
}

static void allow(u16 port, bool yes)
{
	if (yes)
		tss.iomap[port / 8] &= ~(1 << port % 8);
	else
		tss.iomap[port / 8] |= 1 << port % 8;
}

static void permissions(void)
{
	/* All ports that an access covers must be allowed. */
	print_io("no bitmap", NOBODY, 0);
	load_tss(TSS_LIMIT_IOMAP);
	print_io("bitmap, all denied", NOBODY, 0);
	allow(NOBODY, true);
	print_io("one port allowed", NOBODY, 0);
	print_io("the next one", NOBODY + 1, 0);
	for (u16 p = NOBODY; p < NOBODY + 4; p++)
		allow(p, true);
	print_io("four ports from it", NOBODY, 0);
	print_io("from the second of them", NOBODY + 1, 0);
	allow(NOBODY + 2, false);
	print_io("a hole in them", NOBODY, 0);
	allow(0x21, true);
	print_io("port 0x21 allowed", NOBODY, 0);
	/* The bitmap ends with the segment: ports beyond are denied. The byte behind is read as
	 * well. */
	for (u16 p = NOBODY - 15; p < NOBODY + 9; p++)
		allow(p, true);
	load_tss(tss.iomap_base + NOBODY / 8);
	print_io("bitmap ends with the port's byte", NOBODY, 0);
	load_tss(tss.iomap_base + NOBODY / 8 + 1);
	print_io("bitmap ends one later", NOBODY, 0);
	load_tss(TSS_LIMIT_IOMAP);
	tss.iomap_base = TSS_LIMIT_IOMAP + 1;
	print_io("bitmap beyond the segment", NOBODY, 0);
	tss.iomap_base = __builtin_offsetof(struct tss, iomap);
	print_io("and back", NOBODY, 0);
	load_tss(TSS_LIMIT_NO_IOMAP);
	print_io("IOPL 3", NOBODY, 3);
	print_io("IOPL 2", NOBODY, 2);
}

/* cli and sti in user code are IOPL's to allow. */
static void interrupt_flag(void)
{
	for (u32 iopl = 0; iopl < 4; iopl += 3) {
		struct user_state state = user_state(u_cli);

		state.eflags |= iopl << 12;
		run_user_state(&state);
		print_trap("user cli", u_cli_at);
		state.eip = (u32)u_sti;
		state.eflags &= ~FLAG_IF;
		run_user_state(&state);
		print_trap("user sti", u_sti_at);
	}
}

void guest_main(void)
{
	paging_init();
	sizes();
	registers();
	chips();
	permissions();
	interrupt_flag();
	guest_exit(0);
}
