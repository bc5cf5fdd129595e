/*
 * Is this the libunicorn whose internals unicorn-internals.c knows? See unicorn-check.h.
 *
 * Each offset and each function that is replaced is tried on a machine of a few pages. A wrong one
 * may end anywhere: signals are an answer as well.
 */
#include "unicorn-check.h"
#include "../../common/host.h"
#include "unicorn-internals.h"

#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <unicorn/unicorn.h>

#define VERSION_KNOWN 0x020001u /* major, minor, patch */
#define PATIENCE      10	/* seconds */

/* The machine: linear pages and the physical ones they are at, so that one can be told from the
 * other. */
enum {
	CODE = 0x1000,
	DATA = 0x2000,
	DATA_AT = 0x5000,
	DEVICE = 0x3000, /* at physical DEVICE_AT, beyond RAM */
	DEVICE_AT = 0xd0000000,
	MISSING = 0x4000,
	LAST = 0x6000, /* read-only, at its own address; none behind it */
	SIZE = 0x8000,
};

static struct {
	sigjmp_buf escape;
	u8 *ram;
	bool held[SIZE / PAGE_SIZE_4K];
	bool poke;   /* have rdtsc ask for an end */
	bool stop;   /* and interrupted() say so */
	bool shadow; /* seen by that */
	u64 device_address, device_value;
	unsigned device_size;
} probe;

/* ---- what the machine is asked ---- */

static bool probe_page(u32 la, bool write, bool fetch, bool user, struct emulated_mapping *m)
{
	(void)fetch;
	(void)user;
	m->prot = HOST_READ | HOST_WRITE | HOST_EXEC;
	switch (la & PAGE_MASK_4K) {
	case CODE:
		m->physical = CODE;
		return true;
	case DATA:
		m->physical = DATA_AT;
		return true;
	case LAST:
		m->physical = LAST;
		m->prot &= ~HOST_WRITE;
		return !write;
	case DEVICE:
		m->physical = EMULATED_DEVICE_BASE + DEVICE_AT;
		return true;
	}
	return false;
}

static void probe_hold(u64 physical, bool holds)
{
	if (physical < SIZE)
		probe.held[physical / PAGE_SIZE_4K] = holds;
}

static bool probe_is_held(u64 physical)
{
	return physical < SIZE && probe.held[physical / PAGE_SIZE_4K];
}

static bool probe_interrupted(void)
{
	if (emulated_cpu()->hflags & EMULATED_SHADOW)
		probe.shadow = true;
	return probe.stop;
}

static bool probe_tsc(u64 *value)
{
	if (!probe.poke)
		return false;
	*value = 0x1122334455667788ull;
	probe.stop = true;
	emulated_poke();
	return true;
}

static u64 probe_read(u64 gpa, unsigned size)
{
	probe.device_address = gpa;
	probe.device_size = size;
	return 0x89abcdef;
}

static void probe_write(u64 gpa, unsigned size, u64 value)
{
	probe.device_address = gpa;
	probe.device_size = size;
	probe.device_value = value;
}

static const struct emulated_owner owner = {
	.page = probe_page,
	.holds_code = probe_hold,
	.is_code = probe_is_held,
	.interrupted = probe_interrupted,
	.tsc = probe_tsc,
	.device_read = probe_read,
	.device_write = probe_write,
};

/* ---- running something ---- */

static void flat(struct emulated_segment *s, u16 selector, bool code, unsigned dpl)
{
	*s = (struct emulated_segment){
		.selector = selector | dpl,
		.limit = 0xffffffffu,
		.flags = (code ? 0x00cf9b00u : 0x00cf9300u) | dpl << 13,
	};
}

static void reset(unsigned cpl)
{
	struct emulated_cpu *c = emulated_cpu();

	memset(c->gpr, 0, sizeof(c->gpr));
	c->gpr[GPR_SP] = DATA + 0x800;
	c->gpr[GPR_BX] = DATA;
	c->gpr[GPR_SI] = DEVICE;
	c->gpr[GPR_DI] = MISSING;
	for (unsigned i = 0; i < SEG_COUNT; i++)
		flat(&c->seg[i], i == SEG_CS ? 8 : 16, i == SEG_CS, cpl);
	c->gdt = c->idt = c->ldt = c->tr = (struct emulated_segment){0};
	c->cr[0] = CR0_PE | CR0_ET | CR0_NE;
	c->cr[4] = CR4_OSFXSR;
	c->eflags = FLAG_ONE;
	c->hflags &= ~EMULATED_SHADOW;
	c->eip = CODE;
	emulated_derive();
	probe.stop = probe.poke = probe.shadow = false;
}

static void run(const void *code, size_t size, struct emulated_exit *e)
{
	memset(probe.ram + CODE, 0xf4, PAGE_SIZE_4K); /* hlt */
	memcpy(probe.ram + CODE, code, size);
	emulated_drop_code(CODE);
	emulated_flush();
	emulated_execute(e);
}

#define RUN(e, ...) run((const u8[]){__VA_ARGS__}, sizeof((const u8[]){__VA_ARGS__}), e)

static bool ends(const struct emulated_exit *e, enum emulated_stop stop, u32 offset)
{
	return e->stop == stop && emulated_cpu()->eip == CODE + offset;
}

/* ---- the probes ---- */

static bool registers_are_known(void)
{
	static const int number[] = {UC_X86_REG_EAX, UC_X86_REG_ECX, UC_X86_REG_EDX,
				     UC_X86_REG_EBX, UC_X86_REG_ESP, UC_X86_REG_EBP,
				     UC_X86_REG_ESI, UC_X86_REG_EDI};
	struct emulated_cpu *c = emulated_cpu();
	uc_x86_mmr table = {.base = 0x12345, .limit = 0x678};
	u64 value, cr3 = 0x7000;

	for (unsigned i = 0; i < GPR_R8; i++) {
		value = 0x10203040 + i;
		emulated_write(number[i], &value);
		if (c->gpr[i] != value)
			return false;
	}
	emulated_write(UC_X86_REG_GDTR, &table);
	emulated_write(UC_X86_REG_CR3, &cr3);
	return c->gdt.base == table.base && c->gdt.limit == table.limit && c->cr[3] == cr3;
}

static bool features_are_known(void)
{
	const u32 sse2 = 1u << 26, apic = 1u << 9, rdrand = 1u << 30, movbe = 1u << 22;
	u32 r[4];

	emulated_cpuid(1, 0, r);
	return (r[3] & (sse2 | apic)) == sse2 && (r[2] & (movbe | rdrand)) == movbe;
}

static bool memory_is_ours(void)
{
	struct emulated_cpu *c = emulated_cpu();
	struct emulated_exit e;

	/* stc; std; mov $0x5a5a, (ebx); mov (ebx), edx; hlt */
	reset(0);
	RUN(&e, 0xf9, 0xfd, 0xc7, 0x03, 0x5a, 0x5a, 0, 0, 0x8b, 0x13, 0xf4);
	if (!ends(&e, STOP_INSTRUCTION, 10) || *(u32 *)(probe.ram + DATA_AT) != 0x5a5a ||
	    c->gpr[GPR_DX] != 0x5a5a || (c->eflags & (FLAG_CF | FLAG_DF)) != (FLAG_CF | FLAG_DF))
		return false;
	/* push eax; mov eax, (edi), at CPL 3: the stack pointer stays changed, nothing else is */
	reset(3);
	RUN(&e, 0x50, 0x89, 0x07);
	if (!ends(&e, STOP_PAGE, 1) || e.address != MISSING || !e.write || e.fetch || !e.user ||
	    c->gpr[GPR_SP] != DATA + 0x7fc || (c->hflags & EMULATED_CPL) != 3)
		return false;
	/* jmp *edi */
	reset(0);
	RUN(&e, 0xff, 0xe7);
	return e.stop == STOP_PAGE && e.fetch && !e.user && c->eip == MISSING;
}

static bool devices_are_ours(void)
{
	struct emulated_exit e;

	/* mov 8(esi), eax */
	reset(0);
	RUN(&e, 0x8b, 0x46, 0x08);
	if (e.stop != STOP_INSTRUCTION || emulated_cpu()->gpr[GPR_AX] != 0x89abcdef ||
	    probe.device_address != DEVICE_AT + 8 || probe.device_size != 4)
		return false;
	/* movb $0x42, 5(esi) */
	reset(0);
	RUN(&e, 0xc6, 0x46, 0x05, 0x42);
	return e.stop == STOP_INSTRUCTION && probe.device_address == DEVICE_AT + 5 &&
	       probe.device_size == 1 && (u8)probe.device_value == 0x42;
}

static bool exceptions_are_ours(void)
{
	struct emulated_exit e;

	/* ud2 */
	reset(0);
	RUN(&e, 0x0f, 0x0b);
	if (!ends(&e, STOP_EXCEPTION, 0) || e.vector != EXC_UD)
		return false;
	/* mov $0x1234, ax; mov ax, ds. Twice: the second is no double fault. */
	for (unsigned i = 0; i < 2; i++) {
		reset(0);
		RUN(&e, 0x66, 0xb8, 0x34, 0x12, 0x8e, 0xd8);
		if (!ends(&e, STOP_EXCEPTION, 4) || e.vector != EXC_GP || e.error != 0x1234)
			return false;
	}
	/* nop; int $0x42 */
	reset(0);
	RUN(&e, 0x90, 0xcd, 0x42);
	return ends(&e, STOP_SOFT, 1) && e.vector == 0x42 && e.length == 2;
}

/* Behind a nop, so that the address is told from the block's. */
static bool instructions_are_ours(void)
{
	static const struct {
		u8 code[4], size;
		enum emulated_stop stop;
	} list[] = {
		{{0xec}, 1, STOP_INSTRUCTION},		   /* in dx, al */
		{{0x66, 0xed}, 2, STOP_INSTRUCTION},	   /* in dx, ax */
		{{0xed}, 1, STOP_INSTRUCTION},		   /* in dx, eax */
		{{0xee}, 1, STOP_INSTRUCTION},		   /* out al, dx */
		{{0x66, 0xef}, 2, STOP_INSTRUCTION},	   /* out ax, dx */
		{{0xef}, 1, STOP_INSTRUCTION},		   /* out eax, dx */
		{{0x0f, 0xa2}, 2, STOP_INSTRUCTION},	   /* cpuid */
		{{0x0f, 0x31}, 2, STOP_INSTRUCTION},	   /* rdtsc */
		{{0x0f, 0x32}, 2, STOP_INSTRUCTION},	   /* rdmsr */
		{{0x0f, 0x30}, 2, STOP_INSTRUCTION},	   /* wrmsr */
		{{0xf4}, 1, STOP_INSTRUCTION},		   /* hlt */
		{{0x0f, 0x22, 0xd8}, 3, STOP_INSTRUCTION}, /* mov eax, cr3 */
		{{0x0f, 0x01, 0xf0}, 3, STOP_INSTRUCTION}, /* lmsw ax */
		{{0x0f, 0x00, 0xd0}, 3, STOP_INSTRUCTION}, /* lldt ax */
		{{0x0f, 0x00, 0xd8}, 3, STOP_INSTRUCTION}, /* ltr ax */
		{{0x0f, 0x21, 0xf0}, 3, STOP_INSTRUCTION}, /* mov dr6, eax */
		{{0x0f, 0x23, 0xf0}, 3, STOP_INSTRUCTION}, /* mov eax, dr6 */
		{{0x0f, 0x01, 0x3b}, 3, STOP_INSTRUCTION}, /* invlpg (ebx) */
		{{0x0f, 0x34}, 2, STOP_EXCEPTION},	   /* sysenter */
		{{0x0f, 0x05}, 2, STOP_EXCEPTION},	   /* syscall */
		{{0x0f, 0x35}, 2, STOP_EXCEPTION},	   /* sysexit */
		{{0x0f, 0x07}, 2, STOP_EXCEPTION},	   /* sysret */
		{{0x0f, 0x33}, 2, STOP_EXCEPTION},	   /* rdpmc */
	};
	struct emulated_exit e;

	for (unsigned i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		u8 code[sizeof(list[0].code) + 2] = {0x90};

		memcpy(code + 1, list[i].code, list[i].size);
		code[1 + list[i].size] = 0x0f; /* ud2: what follows must not run */
		reset(0);
		run(code, 2 + list[i].size, &e);
		if (!ends(&e, list[i].stop, 1) || (e.stop == STOP_EXCEPTION && e.vector != EXC_UD))
			return false;
	}
	return true;
}

static bool interruption_works(void)
{
	struct emulated_cpu *c = emulated_cpu();
	struct emulated_exit e;

	/* sti; nop; rdtsc; jmp . */
	reset(0);
	probe.poke = true;
	RUN(&e, 0xfb, 0x90, 0x0f, 0x31, 0xeb, 0xfe);
	return ends(&e, STOP_INTERRUPT, 4) && probe.shadow && (c->eflags & FLAG_IF) &&
	       c->gpr[GPR_AX] == 0x55667788 && c->gpr[GPR_DX] == 0x11223344;
}

static bool flags_are_read(void)
{
	const u32 seen = FLAG_ONE | FLAG_CF | FLAG_DF | FLAG_AC;
	struct emulated_exit e;

	/* stc; pushf; pop eax; hlt */
	reset(0);
	emulated_cpu()->eflags |= FLAG_RF | FLAG_DF | FLAG_AC;
	RUN(&e, 0xf9, 0x9c, 0x58, 0xf4);
	return ends(&e, STOP_INSTRUCTION, 3) && emulated_cpu()->gpr[GPR_AX] == seen;
}

/* Code that changes, by its own hand and by another's. */
static bool changes_are_seen(void)
{
	struct emulated_cpu *c = emulated_cpu();
	struct emulated_exit e;

	/* movb $0x41, 0x1007; inc ecx (becomes so; was: nop); hlt */
	reset(0);
	RUN(&e, 0xc6, 0x05, 0x07, 0x10, 0, 0, 0x41, 0x90, 0xf4);
	if (!ends(&e, STOP_INSTRUCTION, 8) || c->gpr[GPR_CX] != 1 ||
	    !probe.held[CODE / PAGE_SIZE_4K])
		return false;
	reset(0);
	emulated_drop_code(CODE);
	probe.ram[CODE + 6] = 0x42;
	probe.ram[CODE + 7] = 0x42; /* inc edx */
	probe.ram[CODE + 2] = 0x20;
	emulated_execute(&e);
	return c->gpr[GPR_DX] == 1 && c->gpr[GPR_CX] == 0;
}

/* Stores to pages with code are noticed whether they were writable before or not, and those to
 * others stay quick: what tlb_reset_dirty and tlb_set_dirty are for. */
static bool translations_end(void)
{
	struct emulated_cpu *c = emulated_cpu();
	struct emulated_exit e;

	/* In DATA: inc edx; ret. call *ebx; movb $0x41, (ebx); call *ebx; hlt: with ecx then. */
	memcpy(probe.ram + DATA_AT, (const u8[]){0x42, 0xc3}, 2);
	reset(0);
	RUN(&e, 0xc6, 0x43, 0x40, 0, 0xff, 0xd3, 0xc6, 0x03, 0x41, 0xff, 0xd3, 0xf4);
	return ends(&e, STOP_INSTRUCTION, 11) && c->gpr[GPR_DX] == 1 && c->gpr[GPR_CX] == 1;
}

/* A lock where there must be none, behind what would make it a wrong one of memory. */
static bool locks_are_judged(void)
{
	struct emulated_exit e;

	/* mov (ebx), ecx; lock bts eax, ecx */
	reset(0);
	RUN(&e, 0x8b, 0x0b, 0xf0, 0x0f, 0xab, 0xc1);
	if (!ends(&e, STOP_EXCEPTION, 2) || e.vector != EXC_UD)
		return false;
	/* lock neg (ebx) */
	reset(0);
	*(u32 *)(probe.ram + DATA_AT) = 1;
	RUN(&e, 0xf0, 0xf7, 0x1b);
	return ends(&e, STOP_INSTRUCTION, 3) && *(u32 *)(probe.ram + DATA_AT) == ~0u &&
	       (emulated_cpu()->eflags & (FLAG_CF | FLAG_SF)) == (FLAG_CF | FLAG_SF);
}

/* What faults begins again with what it began with. */
static bool faults_are_exact(void)
{
	static const u8 code[] = {0x40, 0xb9, 1}; /* inc eax; mov $0x...., ecx */
	struct emulated_cpu *c = emulated_cpu();
	struct emulated_exit e;

	memcpy(probe.ram + LAST + PAGE_SIZE_4K - sizeof(code), code, sizeof(code));
	emulated_drop_code(LAST);
	reset(0);
	c->eip = LAST + PAGE_SIZE_4K - sizeof(code);
	emulated_execute(&e);
	if (e.stop != STOP_PAGE || !e.fetch || e.address != LAST + PAGE_SIZE_4K ||
	    c->eip != LAST + PAGE_SIZE_4K - 2 || c->gpr[GPR_AX] != 1)
		return false;
	/* stc; rcll LAST: 0 */
	reset(0);
	RUN(&e, 0xf9, 0xd1, 0x15, 0, LAST >> 8, 0, 0);
	return ends(&e, STOP_PAGE, 1) && e.write && (c->eflags & FLAG_CF);
}

/* Of two NaNs SSE gives the first, whichever is the larger. */
static bool nans_are_chosen(void)
{
	const u32 first[4] = {0xffff0000, 0x3f800000, 0x7f800001, 0}, second[4] = {~0u, 0, ~0u, 0};
	const u32 wanted[4] = {0xffff0000, 0x3f800000, 0x7fc00001, 0};
	struct emulated_exit e;
	u32 sum[4];

	/* addps xmm1, xmm0; hlt */
	reset(0);
	emulated_write(UC_X86_REG_XMM0, first);
	emulated_write(UC_X86_REG_XMM1, second);
	RUN(&e, 0x0f, 0x58, 0xc1, 0xf4);
	emulated_read(UC_X86_REG_XMM0, sum);
	return ends(&e, STOP_INSTRUCTION, 3) && !memcmp(sum, wanted, sizeof(sum));
}

/* ---- all of it ---- */

static const char *check_all(void)
{
	static const struct {
		bool (*passes)(void);
		const char *what;
	} probes[] = {
		{registers_are_known, "its registers are not where they should be"},
		{features_are_known, "its features are not where they should be"},
		{memory_is_ours, "its memory cannot be ours"},
		{devices_are_ours, "device memory cannot be ours"},
		{exceptions_are_ours, "exceptions do not come as they should"},
		{instructions_are_ours, "an instruction that should stop it does not"},
		{flags_are_read, "it reads flags wrongly"},
		{interruption_works, "it cannot be interrupted"},
		{changes_are_seen, "it misses that code changes"},
		{translations_end, "it misses that data becomes code"},
		{locks_are_judged, "it locks what cannot be locked"},
		{faults_are_exact, "its faults are not exact"},
		{nans_are_chosen, "it chooses the wrong NaN"},
	};
	const char *why = emulated_open(probe.ram, SIZE, &owner);

	for (unsigned i = 0; !why && i < sizeof(probes) / sizeof(probes[0]); i++)
		if (!probes[i].passes())
			why = probes[i].what;
	if (!why)
		emulated_close();
	return why;
}

static void escape(int sig)
{
	siglongjmp(probe.escape, sig);
}

static const char *check_guarded(void)
{
	static const int deadly[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGALRM};
	const struct sigaction action = {.sa_handler = escape};
	struct sigaction before[sizeof(deadly) / sizeof(deadly[0])];
	const char *volatile why = "it crashed when it was tried";

	for (unsigned i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		sigaction(deadly[i], &action, &before[i]);
	alarm(PATIENCE);
	if (!sigsetjmp(probe.escape, 1))
		why = check_all();
	alarm(0);
	for (unsigned i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
		sigaction(deadly[i], &before[i], NULL);
	return why;
}

const char *unicorn_check(void)
{
	const char *why = "there is no memory";

	if (uc_version(NULL, NULL) >> 8 != VERSION_KNOWN)
		return "it is not version 2.0.1";
	probe.ram = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (probe.ram != MAP_FAILED)
		why = check_guarded();
	munmap(probe.ram, SIZE);
	return why;
}
