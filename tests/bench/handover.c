/*
 * What a system call of user code costs, and what a page fault does: a test guest, whose kernel has
 * next to nothing to do. Under the hybrid engine each is a hand-over to the emulator and back.
 *
 * It prints "handover NAME CYCLES", of the TSC, for each of ROUNDS in a row.
 */
#include "guest.h"

#define ROUNDS 2000u

UCODE(u_calls, "movl $2000, %ebp; 1: int $0x80; decl %ebp; jnz 1b", "int $0x30");
UCODE(u_faults, "movl $2000, %ebp; 1: movl 0x40000000, %eax; decl %ebp; jnz 1b", "int $0x30");

#define LOAD_LENGTH 5 /* of that mov */

static u64 now(void)
{
	u32 low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return (u64)high << 32 | low;
}

static void nothing(struct regs *r)
{
	(void)r;
}

static void skip(struct regs *r)
{
	r->eip += LOAD_LENGTH;
}

static void measure(const char *name, void (*code)(void))
{
	u64 passed;

	run_user(code); /* once for what is only done then */
	passed = now();
	run_user(code);
	passed = now() - passed;
	print("handover %s %u\n", name, (u32)passed / ROUNDS);
}

void guest_main(void)
{
	paging_init();
	trap_handlers[0x80] = nothing;
	set_gate(0x80, ACC_P | ACC_DPL(3) | ACC_TRAPGATE);
	trap_handlers[14] = skip;
	measure("call", u_calls);
	measure("fault", u_faults);
	guest_exit(0);
}
