/*
 * Test guest: many transitions between user code and kernel, by every kind of event, with all
 * registers checked on both sides, with and without a timer breaking in.
 */
#include "guest.h"
#include "mix.h"

#define ROUNDS 1000

/* One step of user code: mix every register, then leave by one of several ways. */
UCODE(u_step, MIX, "int $0x30");
UCODE(u_step_fault, MIX, "ud2");
UCODE(u_step_page, MIX, "movl %eax, 0x40000000");

static u32 mismatches(const struct user_state *s)
{
	return (trap.eax != s->eax) + (trap.ebx != s->ebx) + (trap.ecx != s->ecx) +
	       (trap.edx != s->edx) + (trap.esi != s->esi) + (trap.edi != s->edi) +
	       (trap.ebp != s->ebp) + (trap.esp != s->esp) + ((trap.cs & 0xffff) != s->cs) +
	       ((trap.ss & 0xffff) != s->ss);
}

static volatile u32 ticks;

static void tick(struct regs *r)
{
	(void)r;
	ticks++;
	pic_eoi(0);
}

static void rounds(const char *what, u32 n)
{
	static void (*const ways[])(void) = {u_step, u_step_fault, u_step_page};
	struct user_state s = user_state(u_step);
	u32 bad = 0, vectors[32] = {0};

	s.ebx = 0x12345678;
	s.ecx = 0x9abcdef0;
	s.edx = 0x0fedcba9;
	s.esi = 0x87654321;
	s.edi = 0x13579bdf;
	s.ebp = 0x2468ace0;
	for (u32 i = 0; i < n; i++) {
		s.eip = (u32)ways[i % ARRAY_SIZE(ways)];
		run_user_state(&s);
		mix_model(&s);
		bad += mismatches(&s);
		if (trap.vector < 32)
			vectors[trap.vector]++;
	}
	print("%s: %u rounds, %u wrong, #UD %u #PF %u, eax %08x ebp %08x\n", what, n, bad,
	      vectors[6], vectors[14], s.eax, s.ebp);
}

/* A system call that returns, with registers that must all stay but EAX. */
UCODE(u_calls,
      "movl $1000, %ebp; 1: movl %ebp, %eax; int $0x50; leal 1(%ebp), %ecx; "
      "cmpl %ecx, %eax; jne 2f; "
      "cmpl $0x11, %ebx; jne 2f; cmpl $0x22, %edx; jne 2f; cmpl $0x33, %esi; jne 2f; "
      "cmpl $0x44, %edi; jne 2f; decl %ebp; jnz 1b; 2:",
      "int $0x30");

static void call(struct regs *r)
{
	r->eax++;
}

static void calls(const char *what)
{
	struct user_state s = user_state(u_calls);

	s.ebx = 0x11;
	s.edx = 0x22;
	s.esi = 0x33;
	s.edi = 0x44;
	run_user_state(&s);
	print("%s: left %u\n", what, trap.ebp);
}

/* User code that computes without a trap while the timer breaks in; the sum does not depend on it.
 */
UCODE(u_compute,
      "movl $20000000, %ecx; xorl %eax, %eax; 1: addl %ecx, %eax; rorl $3, %eax; decl %ecx; jnz 1b",
      "int $0x30");

void guest_main(void)
{
	paging_init();
	trap_handlers[0x50] = call;
	set_gate(0x50, ACC_P | ACC_DPL(3) | ACC_TRAPGATE);
	trap_handlers[VEC_IRQ] = tick;
	rounds("quiet", ROUNDS);
	calls("quiet calls");
	pit_mode(0, 2, 596); /* 2 kHz */
	pic_mask(0xfffe);
	rounds("with a timer", ROUNDS);
	calls("calls with a timer");
	run_user(u_compute);
	print("computed %08x, ticks came %u\n", trap.eax, ticks > 0);
	pic_mask(0xffff);
	guest_exit(0);
}
