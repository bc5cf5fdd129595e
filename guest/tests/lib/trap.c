/*
 * Traps of the test guests.
 *
 * Owns: dispatch by vector, the end of try_call() at a trap nobody handles, and how a trap is
 * printed. RF in a pushed image is never printed: the SDM (vol. 3, 17.3.1.1) wants it set by
 * faults, QEMU 7.2 leaves it clear.
 */
#include "guest.h"

trap_handler trap_handlers[256];
struct regs trap;
u32 trap_cr2;

extern u8 trap_stubs[];
extern u32 catch_esp;
void try_caught(void);
void enter_user(void *state);
void trap_dispatch(struct regs *r);

u32 trap_stub(u8 vector)
{
	return (u32)trap_stubs + 16 * vector;
}

void set_gate(u8 vector, u8 access)
{
	idt[vector] = gate(access, SEL_KCODE, trap_stub(vector), 0);
}

static const char *trap_name(u32 vector)
{
	static const char *const name[] = {"#DE", "#DB", "NMI", "#BP", "#OF", "#BR", "#UD",
					   "#NM", "#DF", "v09", "#TS", "#NP", "#SS", "#GP",
					   "#PF", "v15", "#MF", "#AC", "#MC", "#XM"};

	return vector < ARRAY_SIZE(name) ? name[vector] : "int";
}

static bool has_error(u32 vector)
{
	return vector == 8 || (vector >= 10 && vector <= 14) || vector == 17;
}

static void print_at(const void *at)
{
	u32 offset = trap.eip - (u32)at;

	if (offset < 64)
		print(" at+%u", offset);
	else if (-offset < 64)
		print(" at-%u", -offset);
	else
		print(" elsewhere");
}

void print_flags(u32 flags)
{
	print("%s%s%s%s%s%s iopl%u", flags & FLAG_IF ? "I" : "-", flags & FLAG_TF ? "T" : "-",
	      flags & FLAG_DF ? "D" : "-", flags & FLAG_NT ? "N" : "-", flags & FLAG_AC ? "A" : "-",
	      flags & FLAG_ID ? "X" : "-", (flags & FLAG_IOPL) >> 12);
}

void print_trap(const char *what, const void *at)
{
	print("%s: %s", what, trap_name(trap.vector));
	if (trap.vector >= 20)
		print(" %02x", trap.vector);
	if (has_error(trap.vector))
		print("(%04x)", trap.error);
	if (trap.vector == 14)
		print(" cr2=%08x", trap_cr2);
	if (at)
		print_at(at);
	print(" cs=%02x ", trap.cs & 0xffff);
	print_flags(trap.eflags);
	if (trap.cs & 3)
		print(" ss=%02x", trap.ss & 0xffff);
	print("\n");
}

void trap_dispatch(struct regs *r)
{
	if (trap_handlers[r->vector]) {
		trap_handlers[r->vector](r);
		return;
	}
	/* A frame from CPL 0 has no esp and ss: reading them here reads the stack above. */
	trap = *r;
	trap_cr2 = cr2_get();
	if (!catch_esp) {
		print_trap("unexpected trap", NULL);
		guest_exit(99);
	}
	asm volatile("jmp try_caught" : : "a"(trap.vector));
	__builtin_unreachable();
}

static void call_plain(void *fn)
{
	((void (*)(void))fn)();
}

u32 try(void (*fn)(void))
{
	return try_call(call_plain, fn);
}

struct user_state user_state(void (*fn)(void))
{
	struct user_state s = {.eip = (u32)fn,
			       .cs = SEL_UCODE,
			       .eflags = FLAG_IF | 2,
			       .esp = (u32)user_stack_top - 64,
			       .ss = SEL_UDATA,
			       .ds = SEL_UDATA,
			       .es = SEL_UDATA};

	return s;
}

u32 run_user_state(const struct user_state *s)
{
	return try_call(enter_user, (void *)s);
}

u32 run_user(void (*fn)(void))
{
	struct user_state s = user_state(fn);

	return run_user_state(&s);
}

void print_result(const struct snippet *s, u32 vector)
{
	if (vector == NO_TRAP)
		print("%s: no trap\n", s->name);
	else
		print_trap(s->name, s->at);
}

void try_snippets(const struct snippet *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		print_result(&s[i], try(s[i].fn));
}

void run_user_snippets(const struct snippet *s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		print_result(&s[i], run_user(s[i].fn));
}
