/*
 * A guest that minds its own business while another is hostile: it computes, and notices if
 * anything of its own is changed.
 *
 * Owns: a line "round N" for each time round, and the verdict when a byte comes on COM1: "unharmed
 * after N rounds", or what was not as it was left, and status 1.
 */
#include "guest.h"

#define COM1	   0x3f8
#define COM1_LSR   0x3fd
#define DATA_READY 0x01
#define WORDS	   (16 * 1024)
#define CANARY	   0x0ca9a4b7u

static u32 canary[1024] __attribute__((aligned(4096)));
static u32 memory[WORDS];
static volatile u32 ticks;

static void tick(struct regs *r)
{
	(void)r;
	ticks++;
	pic_eoi(0);
}

UCODE(u_mix, "addl %ebx, %eax; xorl %ecx, %edx; leal (%esi,%edi,2), %ebp", "int $0x30");

static bool user_code_works(u32 n)
{
	struct user_state s = user_state(u_mix);

	s.eax = n;
	s.ebx = ~n;
	s.ecx = n * 3;
	s.edx = n * 5;
	s.esi = n;
	s.edi = n;
	return run_user_state(&s) == VEC_DONE && trap.eax == 0xffffffff &&
	       trap.edx == (n * 3 ^ n * 5) && trap.ebp == n * 3;
}

static bool memory_works(u32 n)
{
	u32 sum = 0, want = 0;

	for (u32 i = 0; i < WORDS; i++)
		memory[i] = i * n + CANARY;
	for (u32 i = 0; i < WORDS; i++) {
		sum = (sum << 1 | sum >> 31) ^ memory[i];
		want = (want << 1 | want >> 31) ^ (i * n + CANARY);
	}
	return sum == want;
}

static bool canary_lives(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(canary); i++)
		if (canary[i] != (CANARY ^ i))
			return false;
	return true;
}

/* COM1 takes a guest for one that waits when it asks several times in a row. */
static bool asked_to_end(void)
{
	for (u32 i = 0; i < 8; i++)
		if (inb(COM1_LSR) & DATA_READY)
			return true;
	return false;
}

void guest_main(void)
{
	u32 n = 1;

	paging_init();
	for (u32 i = 0; i < ARRAY_SIZE(canary); i++)
		canary[i] = CANARY ^ i;
	trap_handlers[VEC_IRQ] = tick;
	pit_mode(0, 2, 11932); /* 100 Hz */
	pic_mask(0xfffe);
	do {
		const u32 before = ticks;

		if (!user_code_works(n))
			check(false, "user code");
		if (!memory_works(n))
			check(false, "memory");
		if (!canary_lives())
			check(false, "canary");
		while (ticks == before)
			irq_wait();
		print("round %u\n", n++);
	} while (!asked_to_end());
	print("unharmed after %u rounds\n", n);
	guest_exit(0);
}
