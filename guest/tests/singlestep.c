/*
 * Test guest: TF. Single steps in the kernel and in user code, through int n, iret, faults and
 * string instructions; DR6.BS (SDM vol. 3, 17.3.1.4).
 *
 * What is stepped consists of plain instructions: a rewritten cli or pushf would be several.
 */
#include "guest.h"

static u32 base, steps, limit;
static bool quiet;

/* Print where each step lies, and stop after `limit` of them. */
static void step(struct regs *r)
{
	u32 dr6;

	asm volatile("movl %%dr6, %0" : "=r"(dr6));
	steps++;
	if (!quiet)
		print(" +%u%s%s", r->eip - base, dr6 & 0x4000 ? "" : "(no BS)",
		      r->eflags & FLAG_TF ? "" : "(no TF)");
	asm volatile("movl %0, %%dr6" : : "r"(0xffff0ff0));
	if (steps >= limit)
		r->eflags &= ~FLAG_TF;
}

static void begin(const char *what, const void *at, u32 n)
{
	print("%s:", what);
	base = (u32)at;
	steps = 0;
	limit = n;
}

/* ---- Kernel: TF by popf, cleared by the handler ---- */
#define SET_TF "pushl $0x102; .byte 0x9d"
CODE(k_plain, SET_TF, "nop; movl $5, %eax; addl $7, %eax; nop; nop");
CODE(k_branch, SET_TF, "movl $3, %ecx; 1: decl %ecx; jnz 1b; nop; nop");
CODE(k_call, SET_TF, "call 1f; nop; nop; jmp 2f; 1: nop; ret; 2:");
CODE(k_rep, "cld; movl $4, %ecx; movl $scratch, %edi; " SET_TF, "rep stosb; nop; nop");
CODE(k_int, SET_TF, "nop; int $0x50; nop; nop");
CODE(k_trap, SET_TF, "nop; movl %cr3, %eax; nop; " RAW "inb $0x21, %al; nop");
CODE(k_fault, SET_TF, "nop; movl 0x40000000, %eax; nop; nop");
CODE(k_es, SET_TF, "nop; movl $0x18, %eax; movl %eax, %es; nop; nop");
/* The trap is that of an instruction that began with TF: also of iret, which takes it away. */
#define IRET_TO(cs) "pushl $2; pushl $" #cs "; pushl $1f; "
CODE(k_iret, IRET_TO(0x10) SET_TF, "nop; " RAW_IRET "; nop; 1: nop; nop");
u8 scratch[8];

static u32 handler_tf;

static void look(struct regs *r)
{
	(void)r;
	handler_tf = flags_get() & FLAG_TF;
}

static void fill(struct regs *r)
{
	print(" fault at +%u TF %u", r->eip - base, !!(r->eflags & FLAG_TF));
	*pte_of(WINDOW) = page_alloc() | PTE_P | PTE_W | PTE_U;
	invlpg(WINDOW);
}

static void kernel(void)
{
	static const struct {
		struct snippet s;
		u32 steps;
	} t[] = {
		{SNIPPET(k_plain), 5}, {SNIPPET(k_branch), 9}, {SNIPPET(k_call), 6},
		{SNIPPET(k_rep), 6},   {SNIPPET(k_int), 3},    {SNIPPET(k_trap), 5},
		{SNIPPET(k_fault), 4}, {SNIPPET(k_es), 5},     {SNIPPET(k_iret), 5},
	};

	trap_handlers[0x50] = look;
	trap_handlers[14] = fill;
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		u32 vector;

		handler_tf = 0x55;
		begin(t[i].s.name, t[i].s.at, t[i].steps);
		vector = try(t[i].s.fn);
		print(", %u steps, %s", steps, vector == NO_TRAP ? "returned" : "trapped");
		if (handler_tf != 0x55)
			print(", TF in the handler %u", !!handler_tf);
		print("\n");
	}
}

/* ---- User code: TF by iret, or by its own popf ---- */
UCODE(u_plain, "", "nop; movl $5, %eax; nop; nop; nop");
UCODE(u_own, "pushl $0x102; " RAW_POPF, "nop; nop; nop; nop");
UCODE(u_int, "", "nop; int $0x50; nop; nop");
UCODE(u_int80, "", "nop; int $0x80; nop; nop");
UCODE(u_int3, "", "nop; int3; nop; nop");
UCODE(u_fault, "", "nop; movl 0x40000000, %eax; nop; nop");
UCODE(u_pushf, "", "nop; " RAW_PUSHF "; popl %eax; nop; nop");
UCODE(u_rep, "", "movl $3, %ecx; movl $user_stack, %edi; rep stosb; nop; nop");
UCODE(u_iret, IRET_TO(0x23), "nop; " RAW_IRET "; nop; 1: nop; nop");
UCODE(u_loop, "", "movl $2000, %ecx; xorl %eax, %eax; 1: addl %ecx, %eax; loop 1b");

static void returning(struct regs *r)
{
	print(" [vector %u TF %u]", r->vector, !!(r->eflags & FLAG_TF));
}

static void run_stepped(const struct snippet *s, u32 n, bool tf)
{
	struct user_state state = user_state(s->fn);

	if (tf)
		state.eflags |= FLAG_TF;
	begin(s->name, s->at, n);
	run_user_state(&state);
	print(", %u steps, eax %x, TF %u\n", steps, s->fn == u_pushf ? trap.eax : 0,
	      !!(trap.eflags & FLAG_TF));
}

static void user(void)
{
	static const struct snippet t[] = {SNIPPET(u_plain), SNIPPET(u_int),   SNIPPET(u_int80),
					   SNIPPET(u_int3),  SNIPPET(u_pushf), SNIPPET(u_rep),
					   SNIPPET(u_iret)};

	set_gate(0x50, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	set_gate(0x80, ACC_P | ACC_DPL(3) | ACC_TRAPGATE);
	set_gate(3, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	trap_handlers[0x50] = trap_handlers[0x80] = trap_handlers[3] = returning;
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		run_stepped(&t[i], 1000, true);
		run_stepped(&t[i], 2, true);
	}
	run_stepped(&(struct snippet)SNIPPET(u_own), 1000, false);
	*pte_of(WINDOW) = 0;
	invlpg(WINDOW);
	run_stepped(&(struct snippet)SNIPPET(u_fault), 1000, true);
	quiet = true;
	run_stepped(&(struct snippet)SNIPPET(u_loop), 100000, true);
	print("sum %u\n", trap.eax);
}

/* int3 in the kernel and in user code, with a handler that puts the instruction back. */
u8 patched[] = {0x90, 0xb8, 42, 0, 0, 0, 0xc3}; /* nop; movl $42, %eax; ret */

static void breakpoint(struct regs *r)
{
	print("breakpoint at +%u\n", r->eip - (u32)patched);
	patched[1] = 0xb8;
	r->eip--;
}

static void breakpoints(void)
{
	u32 eax;

	patched[1] = 0xcc;
	trap_handlers[3] = breakpoint;
	asm volatile("call patched" : "=a"(eax) : : "memory", "cc");
	print("went on with %u\n", eax);
	trap_handlers[3] = NULL;
}

void guest_main(void)
{
	paging_init();
	trap_handlers[1] = step;
	kernel();
	user();
	breakpoints();
	guest_exit(0);
}
