/*
 * Test guest: EFLAGS. What pushf shows and popf may change, in the kernel and in user code, and
 * that interrupts, cli and sti leave every other flag alone (SDM vol. 1, 3.4.3; vol. 2, POPF).
 *
 * The kernel leaves IOPL alone: popf cannot change it at hardware CPL 3, and no kernel we run does.
 * AC inside handlers is left out for the same reason (the monitor clears it).
 */
#include "guest.h"

#define VEC 0x50

static u32 handler_flags;

static void look(struct regs *r)
{
	(void)r;
	handler_flags = flags_get();
}

/* EFLAGS set by popf, an instruction, EFLAGS read by pushf. */
#define THROUGH(name, insn)                                                                \
	static u32 through_##name(u32 flags)                                               \
	{                                                                                  \
		asm volatile("pushl %0; popfl; " insn "; pushfl; popl %0; pushl $2; popfl" \
			     : "+r"(flags)                                                 \
			     :                                                             \
			     : "memory", "cc", "eax");                                     \
		return flags;                                                              \
	}
THROUGH(nothing, "")
THROUGH(cli, "cli")
THROUGH(sti, "sti")
THROUGH(cli_sti, "cli; sti; cli")
THROUGH(int, "int $0x50")
THROUGH(in, "inb $0x21, %%al")
THROUGH(out, "outb %%al, $0x80")
THROUGH(cr, "movl %%cr3, %%eax; movl %%eax, %%cr3; invlpg 0x100000")
THROUGH(segment, "movl $0x18, %%eax; movl %%eax, %%es; movl $0x2b, %%eax; movl %%eax, %%es")
THROUGH(call, "lcall $0x10, $far_return")
THROUGH(pushf, "pushfl; popfl")
void far_return(void);
asm(".text\nfar_return:\n\tlret");

static const struct {
	const char *name;
	u32 (*fn)(u32 flags);
} ways[] = {
	{"popf, pushf", through_nothing},
	{"cli", through_cli},
	{"sti", through_sti},
	{"cli sti cli", through_cli_sti},
	{"int", through_int},
	{"in", through_in},
	{"out", through_out},
	{"mov cr, invlpg", through_cr},
	{"segment load", through_segment},
	{"far call and return", through_call},
	{"pushf popf", through_pushf},
};

static void kernel(void)
{
	static const u32 patterns[] = {0,
				       FLAG_CF,
				       FLAG_PF,
				       FLAG_AF,
				       FLAG_ZF,
				       FLAG_SF,
				       FLAG_OF,
				       FLAG_DF,
				       FLAG_IF,
				       FLAG_NT,
				       FLAG_ID,
				       FLAG_ARITH,
				       FLAG_ARITH | FLAG_DF | FLAG_IF | FLAG_ID,
				       0xffffffff & 0x200ed7};

	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		print("%s:", ways[i].name);
		for (unsigned j = 0; j < ARRAY_SIZE(patterns); j++)
			print(" %x", ways[i].fn(patterns[j]));
		print("\n");
	}
	flags_set(2);
}

/* Gate entry clears TF, NT and (through an interrupt gate) IF; iret brings them back. */
static void in_handler(void)
{
	for (unsigned trap_gate = 0; trap_gate < 2; trap_gate++) {
		set_gate(VEC, ACC_P | (trap_gate ? ACC_TRAPGATE : ACC_INTGATE));
		u32 after = through_int(FLAG_NT | FLAG_IF | FLAG_ID | FLAG_DF | 2);

		print("%s gate: handler NT %u IF %u ID %u, after %x\n",
		      trap_gate ? "trap" : "interrupt", !!(handler_flags & FLAG_NT),
		      !!(handler_flags & FLAG_IF), !!(handler_flags & FLAG_ID), after);
	}
	set_gate(VEC, ACC_P | ACC_INTGATE);
}

/* 16-bit images: popfw changes the low half only, IF among it. */
static void narrow(void)
{
	u32 flags;

	asm volatile("pushl $0x200ad7; popfl; int $0x50; pushl $2; popfl" : : : "memory", "cc");
	asm volatile("pushl $0x200002; popfl; clc; stc; std; pushfl; popl %0; cld; pushl $2; popfl"
		     : "=r"(flags)
		     :
		     : "memory", "cc");
	print("stc std: %x\n", flags);
	asm volatile("pushl $0x202; popfl; lahf; movzbl %%ah, %0; cli"
		     : "=r"(flags)
		     :
		     : "eax", "cc");
	print("lahf: %02x\n", flags);
	asm volatile("movb $0xd5, %%ah; sahf; pushfl; popl %0" : "=r"(flags) : : "eax", "cc");
	print("sahf: %02x\n", flags & 0xff);
}

/* User code: popf changes neither IF nor IOPL and does not fault; the rest it may. */
UCODE(u_flags, "pushl %eax; " RAW_POPF "; " RAW_PUSHF "; popl %eax", "int $0x30");
UCODE(u_through_int, "pushl %eax; " RAW_POPF "; int $0x50; " RAW_PUSHF "; popl %eax", "int $0x30");
UCODE(u_through_fault, "pushl %eax; " RAW_POPF "; movl 0x40000000, %ecx; " RAW_PUSHF "; popl %eax",
      "int $0x30");

static void skip_access(struct regs *r)
{
	r->eip += 6; /* movl 0x40000000, %ecx */
}

static void user(void)
{
	static const struct snippet t[] = {SNIPPET(u_flags), SNIPPET(u_through_int),
					   SNIPPET(u_through_fault)};
	static const u32 patterns[] = {0,	FLAG_CF, FLAG_ARITH,
				       FLAG_DF, FLAG_IF, FLAG_IOPL,
				       FLAG_ID, FLAG_AC, FLAG_AC | FLAG_ID | FLAG_ARITH | FLAG_DF};

	set_gate(VEC, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	trap_handlers[14] = skip_access;
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		print("%s:", t[i].name);
		for (unsigned j = 0; j < ARRAY_SIZE(patterns); j++) {
			struct user_state s = user_state(t[i].fn);

			s.eax = patterns[j];
			run_user_state(&s);
			print(" %x", trap.eax);
			if ((trap.eax ^ trap.eflags) & ~FLAG_RF)
				print("(frame %x)", trap.eflags & ~FLAG_RF);
		}
		print("\n");
	}
	trap_handlers[14] = NULL;
}

void guest_main(void)
{
	paging_init();
	trap_handlers[VEC] = look;
	kernel();
	in_handler();
	narrow();
	user();
	guest_exit(0);
}
