/*
 * Test guest: one that goes on for as long as its machine wants, and notices if anything of its own
 * is changed: general registers, flags, x87 and SSE state, memory behind its page tables, in user
 * code and kernel, while a timer breaks in.
 *
 * Each round ends with reading port 0xF5: 0x55 asks for another. No machine answers there by
 * itself.
 */
#include "guest.h"
#include "mix.h"

#define PORT_MORE 0xf5
#define MORE	  0x55
#define STEPS	  50

/* ------------------------------------------------------ registers ---- */

/* User code mixes every register, then leaves by a call, a fault or a page fault. */
UCODE(u_call, MIX, "int $0x30");
UCODE(u_fault, MIX, "ud2");
UCODE(u_page, MIX, "movl %eax, 0x40000000");

static bool differs(const struct user_state *s)
{
	return trap.eax != s->eax || trap.ebx != s->ebx || trap.ecx != s->ecx ||
	       trap.edx != s->edx || trap.esi != s->esi || trap.edi != s->edi ||
	       trap.ebp != s->ebp || trap.esp != s->esp || (trap.cs & 0xffff) != s->cs ||
	       (trap.ss & 0xffff) != s->ss;
}

static u32 check_registers(struct user_state *s)
{
	static void (*const ways[])(void) = {u_call, u_fault, u_page};
	static const u32 vectors[] = {VEC_DONE, 6, 14};
	u32 bad = 0;

	for (u32 i = 0; i < STEPS; i++) {
		s->eip = (u32)ways[i % ARRAY_SIZE(ways)];
		bad += run_user_state(s) != vectors[i % ARRAY_SIZE(ways)];
		mix_model(s);
		bad += differs(s);
	}
	return bad;
}

/* Long enough for several ticks, with no trap of its own. */
UCODE(u_compute,
      "movl $300000, %ecx; xorl %eax, %eax; 1: addl %ecx, %eax; rorl $3, %eax; decl %ecx; jnz 1b",
      "int $0x30");

static u32 check_computing(void)
{
	u32 want = 0;

	for (u32 i = 300000; i; i--) {
		want += i;
		want = want >> 3 | want << 29;
	}
	run_user(u_compute);
	return trap.eax != want || trap.ecx != 0;
}

/* ------------------------------------------------------------ FPU ---- */

struct fxsave {
	u8 bytes[512];
} __attribute__((aligned(16)));
static struct fxsave loaded, stored;

/* Control words, then 8 x87 and 8 SSE registers of 16 bytes; of the former 10 are used. */
static void fpu_load(u8 seed)
{
	u8 *b = loaded.bytes;

	for (u32 i = 0; i < sizeof(loaded); i++)
		b[i] = 0;
	b[0] = 0x7f;
	b[1] = 0x02;
	b[4] = 0xff; /* all in use */
	b[24] = 0x80;
	b[25] = 0x1f | (seed & 3) << 5;
	for (u32 r = 0; r < 8; r++) {
		for (u32 i = 0; i < 8; i++)
			b[32 + 16 * r + i] = seed + 16 * r + i;
		b[32 + 16 * r + 7] |= 0x80; /* normal numbers */
		b[32 + 16 * r + 9] = 0x40;
		for (u32 i = 0; i < 16; i++)
			b[160 + 16 * r + i] = seed ^ (16 * r + i);
	}
	asm volatile("fxrstor %0" : : "m"(loaded));
}

static u32 check_fpu(void)
{
	u32 bad = 0;

	asm volatile("fxsave %0" : "=m"(stored));
	for (u32 i = 0; i < 160 + 16 * 8; i++)
		if (i < 5 || (i >= 24 && i < 28) || i >= 32)
			bad += stored.bytes[i] != loaded.bytes[i];
	return bad;
}

/* --------------------------------------------------------- memory ---- */

#define FRAMES 8

static u32 frame[FRAMES];

/* Every page of the window shows one frame after the other, each with its own contents. */
static u32 check_memory(u32 round)
{
	u32 bad = 0;

	for (u32 i = 0; i < FRAMES; i++) {
		const u32 la = WINDOW + 0x10000 + i * PAGE;
		volatile u32 *const at = (volatile u32 *)la;
		const u32 shown = (i + round) % FRAMES;

		*pte_of(la) = frame[shown] | PTE_P | PTE_W;
		invlpg(la);
		bad += at[0] != shown || at[1023] != ~shown;
		at[1] = round;
		bad += ((volatile u32 *)frame[shown])[1] != round;
	}
	return bad;
}

static void make_frames(void)
{
	for (u32 i = 0; i < FRAMES; i++) {
		volatile u32 *const at = (volatile u32 *)(frame[i] = page_alloc());

		at[0] = i;
		at[1023] = ~i;
	}
}

/* ---------------------------------------------------------- rounds ---- */

static volatile u32 ticks;

static void tick(struct regs *r)
{
	(void)r;
	ticks++;
	pic_eoi(0);
}

static u32 check_ticks(void)
{
	const u32 until = ticks + 1;

	irq_on();
	while (ticks < until)
		irq_wait();
	irq_off();
	return 0;
}

static u32 round_of(struct user_state *s, u32 round)
{
	u32 bad = 0;

	fpu_load(round * 7);
	bad += check_registers(s);
	bad += check_memory(round);
	bad += check_computing();
	bad += check_ticks();
	bad += check_fpu();
	return bad;
}

void guest_main(void)
{
	struct user_state s = user_state(u_call);
	u32 bad = 0, round = 0;

	paging_init();
	cr4_set(cr4_get() | CR4_OSFXSR);
	make_frames();
	s.ebx = 0x12345678;
	s.ecx = 0x9abcdef0;
	s.edx = 0x0fedcba9;
	s.esi = 0x87654321;
	s.edi = 0x13579bdf;
	s.ebp = 0x2468ace0;
	trap_handlers[VEC_IRQ] = tick;
	pit_mode(0, 2, 2386); /* 500 Hz */
	pic_mask(0xfffe);
	do
		bad = round_of(&s, round++);
	while (!bad && inb(PORT_MORE) == MORE);
	pic_mask(0xffff);
	check(!bad, "registers, memory and FPU are as they were left");
	guest_exit(0);
}
