/*
 * Test guest: user code cannot read or write its kernel's memory, whatever it loads into the data
 * segment registers and whatever instruction it takes. (What it can execute: isolation-code.c.)
 *
 * Every selector is loaded into every data segment register; what loads is then used to reach
 * each of the targets.
 */
#include "targets.h"

#define VEC_LOADED   0x51
#define SELECTORS    0x10000
#define LOW_ONES     0x1000 /* beyond these plex86 has no descriptor anywhere: every third is tried */
#define LOADABLE_MAX 1024
#define TLS_ENTRY    12
#define D_OVER	     0 /* segments of DPL 3 whose base is the kernel's */

/* ---- Which selectors load? ---- */

/* ESI: the first selector; ECX: the step; EBP: where to end. */
#define SCAN(reg)                                                                        \
	void scan_##reg(void);                                                           \
	extern char scan_##reg##_at[], scan_##reg##_next[];                              \
	asm(".pushsection .user.text,\"ax\",@progbits\n"                                 \
	    "scan_" #reg ":\n\tmovl %esi, %eax\n"                                        \
	    "scan_" #reg "_at:\n\tmovl %eax, %" #reg "\n\tint $0x51\n"                   \
	    "scan_" #reg "_next:\n\taddl %ecx, %esi\n\tcmpl %ebp, %esi\n\tjb scan_" #reg \
	    "\n\tint $0x30\n\t.popsection")
SCAN(ds);
SCAN(es);
SCAN(fs);
SCAN(gs);
SCAN(ss);

/* EAX: the selector. */
#define USES(reg)                                                               \
	UCODE(read_##reg, "movl %eax, %" #reg, "movl %" #reg ":(%ebx), %ecx");  \
	UCODE(write_##reg, "movl %eax, %" #reg, "movl %edx, %" #reg ":(%ebx)"); \
	UCODE(swap_##reg, "movl %eax, %" #reg, "xchgl %edx, %" #reg ":(%ebx)")
USES(ds);
USES(es);
USES(fs);
USES(gs);
USES(ss);
UCODE(push_ss, "movl %eax, %ss; leal 4(%ebx), %esp", "pushl %edx");
UCODE(pop_ss, "movl %eax, %ss; movl %ebx, %esp", "popl %ecx");

/* clang-format off */
#define REGISTER(reg) { #reg, scan_##reg, scan_##reg##_at, scan_##reg##_next, \
			read_##reg, write_##reg, swap_##reg }
/* clang-format on */
static const struct reg {
	const char *name;
	void (*scan)(void);
	const char *at, *next;
	void (*read)(void), (*write)(void), (*swap)(void);
} regs[] = {REGISTER(ds), REGISTER(es), REGISTER(fs), REGISTER(gs), REGISTER(ss)};

static const struct reg *scanned;
/* By register: what loads does not depend on the rest. */
static u16 all_loadable[ARRAY_SIZE(regs)][LOADABLE_MAX], *loadable;
static unsigned all_counts[ARRAY_SIZE(regs)], loadable_count;
static u16 scan_ss_before;
static u32 strays;

static void refused(struct regs *r)
{
	if ((r->cs & 3) && r->eip == (u32)scanned->at) {
		r->eip = (u32)scanned->next;
		return;
	}
	print("vector %u at %08x while selectors are loaded\n", r->vector, r->eip);
	guest_exit(98);
}

/* The kernel cannot return to an SS that only the host knows. */
static void loaded(struct regs *r)
{
	r->ss = scan_ss_before;
	if (loadable_count == LOADABLE_MAX || r->esi >= SELECTORS)
		strays++;
	else
		loadable[loadable_count++] = r->esi;
}

static void scan_range(struct user_state s, u32 first, u32 end, u32 step)
{
	s.esi = first;
	s.ebp = end;
	s.ecx = step;
	if (run_user_state(&s) != VEC_DONE || trap.esi < end)
		strays++;
}

static void scan(const struct reg *reg)
{
	struct user_state s = user_of(USER_FLAT, reg->scan);

	scan_ss_before = s.ss;
	scanned = reg;
	loadable = all_loadable[reg - regs];
	loadable_count = 0;
	for (u8 vector = 11; vector <= 13; vector++)
		trap_handlers[vector] = refused;
	scan_range(s, 0, LOW_ONES, 1);
	if (reg->scan == scan_fs)
		scan_range(s, LOW_ONES, SELECTORS, 3);
	for (u8 vector = 11; vector <= 13; vector++)
		trap_handlers[vector] = NULL;
	all_counts[reg - regs] = loadable_count;
}

/* ---- What can be reached by them? ---- */

/* At the target's address, and where a segment begins. */
static void use(struct tally *tally, enum user_kind kind, void (*fn)(void), const char *by,
		u16 selector)
{
	for (unsigned i = 0; i < target_count; i++) {
		struct user_state s = user_of(kind, fn);

		s.eax = selector;
		tally_add(tally, attempt(&targets[i], &s), targets[i].name, by, selector);
	}
}

static void use_base(struct tally *tally, enum user_kind kind, void (*fn)(void), const char *by,
		     u16 selector)
{
	const u32 before = secret[0];
	struct user_state s = user_of(kind, fn);

	s.eax = selector;
	s.edx = MARK;
	run_user_state(&s);
	tally_add(tally,
		  secret[0] != before			     ? "written"
		  : trap.ecx == before || trap.edx == before ? "read"
							     : NULL,
		  "kernel data", by, selector);
	secret[0] = before;
}

/* Words of the PV page, which user code may read and not write. */
static void use_pv(struct tally *tally, enum user_kind kind, void (*fn)(void), const char *by,
		   u16 selector)
{
	static const u16 words[] = {0x000, 0x004, 0x018, 0x0f0, 0x800, 0xffc};

	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		struct user_state s = user_of(kind, fn);

		s.eax = selector;
		s.ebx = PV_PAGE + words[i];
		s.edx = MARK;
		tally_add(tally, run_user_state(&s) == VEC_DONE ? "written" : NULL, "PV page", by,
			  selector);
	}
}

static void by_selectors(enum user_kind kind, const struct reg *reg)
{
	struct tally data = {0}, pv = {0};

	for (unsigned i = 0; i < all_counts[reg - regs]; i++) {
		const u16 selector = all_loadable[reg - regs][i];

		use(&data, kind, reg->read, "mov", selector);
		use(&data, kind, reg->write, "mov", selector);
		use(&data, kind, reg->swap, "xchg", selector);
		use_base(&data, kind, reg->read, "mov from offset 0", selector);
		use_base(&data, kind, reg->write, "mov to offset 0", selector);
		use_pv(&pv, kind, reg->write, "mov", selector);
		use_pv(&pv, kind, reg->swap, "xchg", selector);
		if (reg->read != read_ss)
			continue;
		use(&data, kind, push_ss, "push", selector);
		use(&data, kind, pop_ss, "pop", selector);
		use_pv(&pv, kind, push_ss, "push", selector);
	}
	tally_print(&data, user_kinds[kind], reg->name);
	tally_print(&pv, user_kinds[kind], "PV page");
}

/* ---- By every kind of instruction ---- */
#define BY(name, before, insn) UCODE(by_##name, before, insn)
BY(lock, "", "lock incl (%ebx)");
BY(bts, "", "btsl $1, (%ebx)");
BY(cmpxchg, "movl %edx, %eax", "lock cmpxchgl %edx, (%ebx)");
BY(cmpxchg8b, "", "lock cmpxchg8b (%ebx)");
BY(xadd, "", "xaddl %edx, (%ebx)");
BY(push_mem, "", "pushl (%ebx)");
BY(pop_mem, "pushl %edx", "popl (%ebx)");
BY(moffs, "", "movl secret_area + 4096 + 32, %eax");
BY(movs_from, "movl $user_stack, %edi", "movsl; movl user_stack, %ecx");
BY(movs_to, "movl $user_stack, %esi", "movsl");
BY(rep_movs, "movl $user_stack, %edi; movl $64, %ecx", "rep movsl");
BY(stos, "movl %edx, %eax", "stosl");
BY(lods, "", "lodsl");
BY(lods_repeated, "movl $1, %ecx", "rep lodsl");
BY(push, "leal 4(%ebx), %esp", "pushl %edx");
BY(pusha, "leal 32(%ebx), %esp", "pushal");
BY(pushf, "leal 4(%ebx), %esp", ".byte 0x9c");
BY(push_seg, "leal 4(%ebx), %esp", "pushl %cs");
BY(pop, "movl %ebx, %esp", "popl %ecx");
BY(popa, "movl %ebx, %esp", "popal");
BY(popf, "movl %ebx, %esp", ".byte 0x9d");
BY(pop_seg, "movl %ebx, %esp", "popl %es");
BY(enter, "leal 4(%ebx), %esp", "enter $0, $0");
BY(leave, "movl %ebx, %ebp", "leave");
BY(call, "leal 4(%ebx), %esp", "call 1f; 1:");
BY(ret, "movl %ebx, %esp", "ret");
BY(lcall, "leal 8(%ebx), %esp", "lcall $0x23, $1f; 1:");
BY(lret, "movl %ebx, %esp", "lret");
BY(iret, "movl %ebx, %esp", ".byte 0xcf");
BY(iret_before, "leal -8(%ebx), %esp", ".byte 0xcf");
BY(jmp_by, "", "jmp *(%ebx)");
BY(call_by, "", "call *(%ebx)");
BY(ljmp_by, "", "ljmp *(%ebx)");
BY(lcall_by, "", "lcall *(%ebx)");
BY(lds, "", "lds (%ebx), %ecx");
BY(les, "", "les (%ebx), %ecx");
BY(lfs, "", "lfs (%ebx), %ecx");
BY(lgs, "", "lgs (%ebx), %ecx");
BY(lss, "", "lss (%ebx), %ecx");
BY(mov_to_seg, "", "movw (%ebx), %fs");
BY(mov_from_seg, "", "movw %cs, (%ebx)");
BY(bound, "", "boundl %ecx, (%ebx)");
BY(arpl, "", "arpl %dx, (%ebx)");
BY(lar, "", "larw (%ebx), %cx");
BY(verw, "", "verw (%ebx)");
BY(sldt, "", "sldt (%ebx)");
BY(str, "", "str (%ebx)");
BY(smsw, "", "smsw (%ebx)");
BY(sgdt, "", "sgdtl (%ebx)");
BY(sidt, "", "sidtl (%ebx)");
BY(lgdt, "", "lgdtl (%ebx)");
BY(lidt, "", "lidtl (%ebx)");
BY(lldt, "", "lldt (%ebx)");
BY(ltr, "", "ltr (%ebx)");
BY(lmsw, "", "lmsw (%ebx)");
BY(invlpg, "", RAW "invlpg (%ebx)");
BY(fnstenv, "", "fnstenv (%ebx)");
BY(fnsave, "", "fnsave (%ebx)");
BY(fld, "", "flds (%ebx); fstps user_stack; movl user_stack, %ecx");
BY(fxsave, "andl $-16, %ebx", "fxsave (%ebx)");
BY(fxrstor, "andl $-16, %ebx", "fxrstor (%ebx)");
BY(xsave, "andl $-64, %ebx; orl $-1, %eax", "xsave (%ebx)");
BY(stmxcsr, "", "stmxcsr (%ebx)");
BY(movnti, "", "movnti %edx, (%ebx)");
BY(prefetch, "", "prefetcht0 (%ebx)");
BY(clflush, "", "clflush (%ebx)");
BY(ins, "movl $0x3f8, %edx", RAW "insl");
BY(outs, "movl $0x3f8, %edx", RAW "outsl");
BY(xlat, "xorl %eax, %eax", "xlatb; movzbl %al, %ecx");
BY(jump, "", "jmp *%ebx");
BY(return, "pushl %ebx", "ret");

static const struct snippet ways[] = {
	SNIPPET(by_lock),      SNIPPET(by_bts),		  SNIPPET(by_cmpxchg),
	SNIPPET(by_cmpxchg8b), SNIPPET(by_xadd),	  SNIPPET(by_push_mem),
	SNIPPET(by_pop_mem),   SNIPPET(by_moffs),	  SNIPPET(by_movs_from),
	SNIPPET(by_movs_to),   SNIPPET(by_rep_movs),	  SNIPPET(by_stos),
	SNIPPET(by_lods),      SNIPPET(by_lods_repeated), SNIPPET(by_push),
	SNIPPET(by_pusha),     SNIPPET(by_pushf),	  SNIPPET(by_push_seg),
	SNIPPET(by_pop),       SNIPPET(by_popa),	  SNIPPET(by_popf),
	SNIPPET(by_pop_seg),   SNIPPET(by_enter),	  SNIPPET(by_leave),
	SNIPPET(by_call),      SNIPPET(by_ret),		  SNIPPET(by_jmp_by),
	SNIPPET(by_call_by),   SNIPPET(by_ljmp_by),	  SNIPPET(by_lds),
	SNIPPET(by_les),       SNIPPET(by_lfs),		  SNIPPET(by_lgs),
	SNIPPET(by_lss),       SNIPPET(by_mov_to_seg),	  SNIPPET(by_mov_from_seg),
	SNIPPET(by_bound),     SNIPPET(by_arpl),	  SNIPPET(by_lar),
	SNIPPET(by_verw),      SNIPPET(by_sldt),	  SNIPPET(by_str),
	SNIPPET(by_smsw),      SNIPPET(by_sgdt),	  SNIPPET(by_sidt),
	SNIPPET(by_lgdt),      SNIPPET(by_lidt),	  SNIPPET(by_lldt),
	SNIPPET(by_ltr),       SNIPPET(by_lmsw),	  SNIPPET(by_invlpg),
	SNIPPET(by_fnstenv),   SNIPPET(by_fnsave),	  SNIPPET(by_fld),
	SNIPPET(by_fxsave),    SNIPPET(by_fxrstor),	  SNIPPET(by_xsave),
	SNIPPET(by_stmxcsr),   SNIPPET(by_movnti),	  SNIPPET(by_prefetch),
	SNIPPET(by_clflush),   SNIPPET(by_ins),		  SNIPPET(by_outs),
	SNIPPET(by_xlat),      SNIPPET(by_jump),	  SNIPPET(by_return),
};

/* What plex86 alone is asked: QEMU 7.2 makes these accesses of user code as if they were the
 * kernel's. */
static const struct snippet far_ways[] = {
	SNIPPET(by_lcall),	 SNIPPET(by_lret),     SNIPPET(by_iret),
	SNIPPET(by_iret_before), SNIPPET(by_lcall_by),
};

/* With the segments that user code has anyway. */
static void by_instructions(enum user_kind kind)
{
	struct tally tally = {0};

	for (unsigned i = 0; i < ARRAY_SIZE(ways); i++)
		use(&tally, kind, ways[i].fn, ways[i].name + 3, 0);
	for (unsigned i = 0; ON_PLEX86 && i < ARRAY_SIZE(far_ways); i++)
		use(&tally, kind, far_ways[i].fn, far_ways[i].name + 3, 0);
	tally_print(&tally, user_kinds[kind], "instructions");
}

/* The same attempts at user code's own memory succeed, and are noticed. */
static USER_DATA u32 own_word = SECRET;

static bool reaches_its_own(enum user_kind kind, void (*fn)(void), const char *done)
{
	const struct target own = {"user data", (u32)&own_word};
	struct user_state s = user_of(kind, fn);
	const char *result;

	s.eax = SEL_UDATA;
	result = attempt(&own, &s);
	return result && *result == *done;
}

static void control(enum user_kind kind)
{
	bool good = reaches_its_own(kind, by_lock, "written") &&
		    reaches_its_own(kind, by_lods_repeated, "read") &&
		    reaches_its_own(kind, by_push_mem, "read") &&
		    reaches_its_own(kind, by_ret, "read");

	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++)
		good = good && reaches_its_own(kind, regs[i].read, "read") &&
		       reaches_its_own(kind, regs[i].write, "written") &&
		       reaches_its_own(kind, regs[i].swap, "written");
	print("%s: ", user_kinds[kind]);
	check(good, "user code reaches its own memory");
}

/* Segments that user code may load, by a descriptor that its kernel should not have made. */
static void over_the_kernel(unsigned entry, u32 window)
{
	gdt[entry] =
		descriptor((u32)secret + window, 0xfff, ACC_P | ACC_DPL(3) | ACC_DATA_W, DESC_32);
}

void guest_main(void)
{
	targets_init();
	over_the_kernel(GDT_TEST + D_OVER, 0);
	over_the_kernel(GDT_TEST + D_OVER + 1, HIGH);
	over_the_kernel(TLS_ENTRY, 0);
	over_the_kernel(TLS_ENTRY + 1, HIGH);
	trap_handlers[VEC_LOADED] = loaded;
	set_gate(VEC_LOADED, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	for (unsigned i = 0; i < ARRAY_SIZE(regs); i++)
		scan(&regs[i]);
	for (enum user_kind kind = 0; kind < USER_KINDS; kind++) {
		control(kind);
		for (unsigned i = 0; i < ARRAY_SIZE(regs); i++)
			by_selectors(kind, &regs[i]);
		by_instructions(kind);
	}
	check(!strays, "selectors load or fault, and nothing else");
	guest_exit(0);
}
