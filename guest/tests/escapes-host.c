/*
 * Test guest: the ways from 32-bit code into a 64-bit host: far transfers to every selector there
 * is, of user code and of the kernel, and the instructions that enter a host's kernel without a
 * gate.
 *
 * For plex86's kernel module, whose descriptor table has no 64-bit code for a guest. Under the user
 * engine there is one, and a jail behind it (tests/escape).
 */
#include "targets.h"

#define VEC_LANDED 0x51
#define SELECTORS  0x10000
#define LOW_ONES   0x1000 /* beyond these plex86 has no descriptor anywhere: every third is tried */
#define LANDED_MAX 1024

/* ---- Far transfers ---- */

/* ESI: the first selector; ECX: the step; EBP: where to end; EDI: ESP. */
#define TRANSFER(section, name, how)                                                     \
	void name(void);                                                                 \
	extern char name##_at[], name##_next[];                                          \
	asm(".pushsection " section ",\"ax\",@progbits\n" #name ":\n\tmovl %esp, %edi\n" \
	    "1:\tmovw %si, far + 4\n\t" how "\n" #name "_next:\n\tmovl %edi, %esp\n\t"   \
	    "addl %ecx, %esi\n\tcmpl %ebp, %esi\n\tjb 1b\n\tint $0x30\n\t.popsection")
/* A return to an outer level takes a stack as well. */
#define OUTER	    "pushl $0x2b; pushl $user_stack + 1024; "
#define LJMP(name)  "\n" #name "_at:\n\tljmp *far"
#define LCALL(name) "\n" #name "_at:\n\tlcall *far"
#define LRET(name)  OUTER "pushl %esi; pushl $landing\n" #name "_at:\n\tlret"
#define IRET(name)  OUTER "pushl $2; pushl %esi; pushl $landing\n" #name "_at:\n\t.byte 0xcf"
#define BOTH(how, HOW)                                 \
	TRANSFER(".user.text", u_##how, HOW(u_##how)); \
	TRANSFER(".text", k_##how, HOW(k_##how))
BOTH(ljmp, LJMP);
BOTH(lcall, LCALL);
BOTH(lret, LRET);
BOTH(iret, IRET);
USER_DATA struct {
	u32 offset;
	u16 selector;
} __attribute__((packed)) far;

/* Where all of them lead. 0x40 is `inc %eax`, and a prefix in 64-bit code. */
void landing(void);
asm(".pushsection .user.text,\"ax\",@progbits\nlanding:\n\txorl %eax, %eax\n\t.byte 0x40, 0x90\n\t"
    "int $0x51\n\t.popsection");

/* clang-format off */
#define WAY(how) { #how, u_##how, u_##how##_at, u_##how##_next, k_##how, k_##how##_at, k_##how##_next }
/* clang-format on */
static const struct way {
	const char *name;
	void (*user)(void);
	const char *user_at, *user_next;
	void (*kernel)(void);
	const char *kernel_at, *kernel_next;
} ways[] = {WAY(ljmp), WAY(lcall), WAY(lret), WAY(iret)};

static bool as_kernel;
static u32 at, next, wrong;
static struct user_state state;
static u16 landed[LANDED_MAX];
static unsigned landed_count;

static void refused(struct regs *r)
{
	if (r->eip != at) {
		print("vector %u at %04x:%08x, selector %04x\n", r->vector, r->cs & 0xffff, r->eip,
		      far.selector);
		guest_exit(98);
	}
	r->eip = next;
}

/* The kernel comes back from wherever it was, on any stack. */
static void has_landed(struct regs *r)
{
	wrong += r->eax != 1;
	if (!as_kernel && landed_count < LANDED_MAX)
		landed[landed_count++] = far.selector;
	r->eip = next;
	r->cs = as_kernel ? SEL_KCODE : state.cs;
	if (!as_kernel)
		r->ss = state.ss;
}

/* With DS and ES as the C code has them, whatever the way has done to SS. */
static void as_the_kernel(void *fn)
{
	asm volatile("pushl %%ebp; movl %%eax, %%ebp; call *%%edx; popl %%ebp"
		     :
		     : "a"(state.ebp), "d"(fn), "S"(state.esi), "c"(state.ecx)
		     : "edi", "memory", "cc");
}

static void range(const struct way *way, u32 first, u32 end, u32 step)
{
	u32 vector;

	state.esi = first;
	state.ebp = end;
	state.ecx = step;
	if (as_kernel)
		vector = try_call(as_the_kernel, (void *)way->kernel);
	else
		vector = run_user_state(&state);
	wrong += vector != VEC_DONE || trap.esi < end;
}

static void transfers(const struct way *way)
{
	at = (u32)(as_kernel ? way->kernel_at : way->user_at);
	next = (u32)(as_kernel ? way->kernel_next : way->user_next);
	state = user_state(way->user);
	far.offset = (u32)landing;
	wrong = landed_count = 0;
	for (u8 vector = 10; vector <= 13; vector++)
		trap_handlers[vector] = refused;
	range(way, 0, LOW_ONES, 1);
	if (way == ways)
		range(way, LOW_ONES, SELECTORS, 3);
	for (u8 vector = 10; vector <= 13; vector++)
		trap_handlers[vector] = NULL;
	print("%s, %s: %u went wrong\n", as_kernel ? "kernel" : "user", way->name, wrong);
}

/* ---- Kernel code, from each code segment that user code can have ---- */
UCODE(u_go, "", "ljmp *far");
UCODE(u_go_on, "", "jmp *%ebx");
UCODE(u_go_back, "pushl %ebx", "ret");

static void kernel_code(void)
{
	static const u32 windows[] = {0, HIGH, TOP};
	struct tally tally = {0};

	for (unsigned i = 0; i < landed_count; i++)
		for (unsigned window = 0; window < ARRAY_SIZE(windows); window++) {
			const u32 kernel = (u32)kernel_landing + windows[window];
			const u32 first[] = {kernel, (u32)u_go_on, (u32)u_go_back};

			for (unsigned by = 0; by < ARRAY_SIZE(first); by++) {
				struct user_state s = user_state(u_go);

				far.selector = landed[i];
				far.offset = first[by];
				s.ebx = kernel;
				run_user_state(&s);
				tally_add(&tally, judge_code(), "kernel code", "a jump", landed[i]);
			}
		}
	tally_print(&tally, "user", "kernel code");
}

/* ---- Entries of a host's kernel ---- */
UCODE(u_sysenter, "movl $1, %eax; movl %esp, %ebp", "sysenter");
UCODE(u_sysexit, "movl $kernel_landing, %edx; movl %esp, %ecx", "sysexit");
UCODE(u_syscall, "movl $1, %eax", "syscall");
UCODE(u_sysret, "movl $kernel_landing, %ecx", "sysretl");
UCODE(u_int80, "movl $1, %eax", "int $0x80");
CODE(k_sysenter, "movl $1, %eax; movl %esp, %ebp", "sysenter");
CODE(k_sysexit, "movl $landing, %edx; movl %esp, %ecx", "sysexit");
CODE(k_syscall, "movl $1, %eax", "syscall");
CODE(k_sysret, "movl $landing, %ecx", "sysretl");
CODE(k_int80, "movl $1, %eax", "int $0x80");
/* Keys that keep user pages from being used: a host's alone, as the guest's CPU has none. */
UCODE(u_wrpkru, "xorl %ecx, %ecx; xorl %edx, %edx; orl $-1, %eax", ".byte 0x0f, 0x01, 0xef");

static void entries(void)
{
	static const struct snippet user[] = {SNIPPET(u_sysenter), SNIPPET(u_sysexit),
					      SNIPPET(u_syscall),  SNIPPET(u_sysret),
					      SNIPPET(u_int80),	   SNIPPET(u_wrpkru)};
	static const struct snippet kernel[] = {SNIPPET(k_sysenter), SNIPPET(k_sysexit),
						SNIPPET(k_syscall), SNIPPET(k_sysret),
						SNIPPET(k_int80)};

	for (unsigned gate = 0; gate < 2; gate++) {
		run_user_snippets(user, ARRAY_SIZE(user));
		try_snippets(kernel, ARRAY_SIZE(kernel));
		set_gate(0x80, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	}
}

void guest_main(void)
{
	targets_init();
	set_gate(VEC_LANDED, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	trap_handlers[VEC_LANDED] = has_landed;
	entries();
	as_kernel = true;
	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++)
		transfers(&ways[i]);
	as_kernel = false;
	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++) {
		transfers(&ways[i]);
		kernel_code();
	}
	guest_exit(0);
}
