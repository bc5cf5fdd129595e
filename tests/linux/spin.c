/*
 * A guest that gets nowhere, in the way its command line names, or only seems to:
 *   deaf      spins with interrupts off
 *   ticking   spins in one loop, and its timer's interrupts are handled
 *   working   a second of work that shows in no register but EDI, with interrupts
 *   user      a second of user code
 * The last two end by themselves.
 */
#include "guest.h"

#define TICKS 500 /* a second */

extern u32 boot_info;
#define BOOT_CMDLINE 4 /* word of the Multiboot information */

/* With a frame, so that the backtrace has it: what has an array of variable size needs one. */
#define FRAMED __attribute__((noipa))

static volatile u32 ticks, released;

USER_DATA volatile u32 user_stop;
UCODE(u_spin, "1: cmpl $0, user_stop; je 1b", "int $0x30");

static void tick(struct regs *r)
{
	(void)r;
	if (++ticks == TICKS)
		user_stop = 1;
	pic_eoi(0);
}

FRAMED static void take_lock(u32 words)
{
	volatile u32 array[words];

	array[0] = 0;
	while (!released)
		asm volatile("pause" : : "m"(array[0]));
}

FRAMED static void wait_for_owner(u32 words)
{
	volatile u32 array[words];

	array[0] = 0;
	take_lock(words + array[0]);
	print("FAILED: released\n");
}

FRAMED static void work(void)
{
	while (ticks < TICKS)
		asm volatile("movl $100000, %%edi; 1: decl %%edi; jnz 1b" : : : "edi", "cc");
}

static bool wants(const char *word)
{
	const char *text = (const char *)((u32 *)boot_info)[BOOT_CMDLINE];

	while (*word && *text == *word)
		text++, word++;
	return !*word && !*text;
}

void guest_main(void)
{
	paging_init();
	trap_handlers[VEC_IRQ] = tick;
	print("on we go\n");
	if (!wants("deaf")) {
		pit_mode(0, 2, 2386); /* 500 Hz */
		outb(0x21, 0xfe);
		irq_on();
	}
	if (wants("working"))
		work();
	else if (wants("user"))
		run_user(u_spin);
	else
		wait_for_owner(4);
	guest_exit(0);
}
