/*
 * Descriptor tables: what a kernel may write there, and where it may put them.
 *
 * Owns: `descriptors SEED ROUNDS [tasks]` (random ones of every type, used in every way) and
 * `placed TABLE ADDRESS` (an IDT, GDT, LDT, TSS or stack at an address that is none).
 */
#include "escape.h"

#define USED_FIRST (GDT_TEST + 8)
#define USED	   16
#define VEC_LANDED 0x51

/* Where far transfers lead: AX is 0, and 1 behind an instruction that is a prefix in 64-bit mode.
 */
void table_landing(void);
asm(".pushsection .user.text,\"ax\",@progbits\ntable_landing:\n\txorl %eax, %eax\n\t.byte 0x40, 0x90\n\t"
    "int $0x51\n\t.popsection");

USER_DATA struct {
	u32 offset;
	u16 selector;
} __attribute__((packed)) table_far;
USER_DATA u32 table_offset;

/* EBX: the selector, ECX: an offset. */
#define BOTH(name, before, insn)       \
	CODE(tk_##name, before, insn); \
	UCODE(tu_##name, before, insn)
BOTH(ds, "", "movl %ebx, %ds; movl (%ecx), %eax; movl %eax, (%ecx)");
BOTH(es, "", "movl %ebx, %es; movl %es:(%ecx), %eax; movl %eax, %es:(%ecx)");
BOTH(fs, "", "movl %ebx, %fs; movl %fs:(%ecx), %eax; movl %eax, %fs:(%ecx)");
BOTH(gs, "", "movl %ebx, %gs; movl %gs:(%ecx), %eax; movl %eax, %gs:(%ecx)");
UCODE(tu_ss, "", "movl %ebx, %ss; pushl %eax; popl %eax");
BOTH(ljmp, "", "ljmp *table_far");
BOTH(lcall, "", "lcall *table_far");
BOTH(lret, "pushl %ebx; pushl $table_landing", "lret");
BOTH(lret_outer, "pushl $0x2b; pushl $user_stack + 1024; pushl %ebx; pushl $table_landing", "lret");
BOTH(iret, "pushl $2; pushl %ebx; pushl $table_landing", ".byte 0xcf");
UCODE(tu_iret_nt, "pushl $0x4002; .byte 0x9d; pushl $2; pushl %ebx; pushl $table_landing",
      ".byte 0xcf");
BOTH(lar, "", "lar %bx, %eax; lsl %bx, %eax; verr %bx; verw %bx");
CODE(tk_lldt, "", "lldt %bx");
CODE(tk_ltr, "", "ltr %bx");

/* A kernel's own SS, and NT in it, are the end of it: those are user code's. */
static const struct {
	void (*kernel)(void), (*user)(void);
} uses[] = {{tk_ds, tu_ds},
	    {tk_es, tu_es},
	    {tk_fs, tu_fs},
	    {tk_gs, tu_gs},
	    {tu_ss, tu_ss},
	    {tk_ljmp, tu_ljmp},
	    {tk_lcall, tu_lcall},
	    {tk_lret, tu_lret},
	    {tk_lret_outer, tu_lret_outer},
	    {tk_iret, tu_iret},
	    {tu_iret_nt, tu_iret_nt},
	    {tk_lar, tu_lar},
	    {tk_lldt, NULL},
	    {tk_ltr, NULL}};

static const u32 bases[] = {0,		0x10,	    RAM_END - 16, RAM_END,    DEVICES,	 0xfffffff0,
			    0xfffff000, 0x80000000, 0xc0000000,	  0xffffffff, 0x00100000};
static const u32 limits[] = {0, 1, 0xfff, 0xfffff, 0xbffff, 0x7ffff, 0xffff, 7};

/* Task switches are not there, and would end the guest at once: they are in it by a word of their
 * own. */
static bool with_tasks;

static bool is_task(u64 d)
{
	const u8 type = d >> 40 & 0x1f;

	return type == 1 || type == 3 || type == 5 || type == 9 || type == 11;
}

static u64 random_descriptor(u32 *seed)
{
	const u32 how = random(seed);
	u64 d = descriptor(bases[how % ARRAY_SIZE(bases)], limits[(how >> 8) % ARRAY_SIZE(limits)],
			   how >> 16, how >> 24);

	if (how % 5 == 0) /* code of 64 bits, as far as its descriptor goes */
		d = descriptor(0, 0xfffff, ACC_P | ACC_DPL(how >> 8 & 3) | ACC_CODE_R, 0xa);
	if (how % 7 == 0) /* a gate of any type, into code of ours or of a host's */
		d = gate(how >> 8, how & 0x8000 ? SEL_KCODE : 0x10 + (how >> 12 & 0x38),
			 (u32)table_landing, how >> 20 & 31);
	return with_tasks || !is_task(d) ? d : 0;
}

static u32 wide, ended[2];

/* The kernel comes back from wherever it was. */
static void has_landed(struct regs *r)
{
	wide += !(u16)r->eax;
	trap = *r;
	asm volatile("jmp try_caught" : : "a"(VEC_LANDED));
}

static void call_with(void *fn)
{
	asm volatile("pushal; movl %0, %%ebx; movl %1, %%ecx; call *%%eax; popal"
		     :
		     : "g"((u32)table_far.selector), "g"(table_offset), "a"(fn)
		     : "memory", "cc", "ebx", "ecx");
}

static void one_use(u32 *seed)
{
	const u32 how = random(seed);
	const unsigned use = how % ARRAY_SIZE(uses);

	table_far.selector = (USED_FIRST + (how >> 8) % USED) * 8 | (how >> 16 & 7);
	table_far.offset = (u32)table_landing;
	table_offset = how >> 20 & 1 ? (u32)user_stack : bases[(how >> 21) % ARRAY_SIZE(bases)];
	if ((how >> 30 & 1) ? !!uses[use].user : uses[use].kernel == uses[use].user) {
		struct user_state s = user_state(uses[use].user);

		s.ebx = table_far.selector;
		s.ecx = table_offset;
		ended[run_user_state(&s) == VEC_LANDED]++;
		return;
	}
	ended[try_call(call_with, (void *)uses[use].kernel) == VEC_LANDED]++;
	flags_set(2);
	if (uses[use].kernel == tk_ltr)
		load_tss(TSS_LIMIT_NO_IOMAP);
}

void descriptors(unsigned first)
{
	u32 seed = number_of(first + 1, 1), rounds = number_of(first + 2, 200);

	with_tasks = first + 3 < words;
	paging_init();
	set_gate(VEC_LANDED, ACC_P | ACC_DPL(3) | ACC_INTGATE);
	trap_handlers[VEC_LANDED] = has_landed;
	for (; rounds; rounds--) {
		for (unsigned i = 0; i < USED; i++)
			gdt[USED_FIRST + i] = random_descriptor(&seed);
		for (unsigned i = 0; i < 8; i++)
			one_use(&seed);
	}
	if (wide) {
		print("ESCAPED: %u times to code of 64 bits\n", wide);
		escaped();
	}
	print("held: %u came to code, %u faulted\n", ended[1], ended[0]);
}

/* ---- Tables in odd places ---- */
CODE(ud, "", "ud2");
CODE(load_fs, "movl $0x88, %eax", "movl %eax, %fs");
CODE(load_ldt_fs, "movl $0x0c, %eax", "movl %eax, %fs");
UCODE(u_ud, "", "ud2");

static void on_a_stack(void *sp)
{
	asm volatile("movl %%esp, %%ebx; movl %0, %%esp; ud2; movl %%ebx, %%esp"
		     :
		     : "r"(sp)
		     : "ebx", "memory");
}

static void gdt_at(u32 address)
{
	struct {
		u16 limit;
		u32 base;
	} __attribute__((packed)) gdtr = {0xffff, address};

	asm volatile("lgdt %0" : : "m"(gdtr) : "memory");
}

/* placed idt|gdt|ldt|tss|esp0|stack ADDRESS [paged] */
void placed(unsigned first)
{
	const u32 address = number_of(first + 2, 0);

	if (first + 3 < words)
		paging_init();
	if (is(word[first + 1], "idt"))
		load_idt_at((void *)address, 0xffff);
	if (is(word[first + 1], "gdt"))
		gdt_at(address);
	if (is(word[first + 1], "ldt")) {
		gdt[GDT_TEST] = descriptor(address, 0xffff, ACC_P | ACC_LDT, 0);
		asm volatile("lldt %w0" : : "r"(TEST_SEL(0)));
		try(load_ldt_fs);
	}
	if (is(word[first + 1], "tss")) {
		gdt[GDT_TEST] = descriptor(address, 0xffff, ACC_P | ACC_TSS, 0);
		asm volatile("ltr %w0" : : "r"(TEST_SEL(0)));
	}
	if (is(word[first + 1], "esp0"))
		tss.esp0 = address;
	if (is(word[first + 1], "stack"))
		try_call(on_a_stack, (void *)address);
	try(load_fs);
	try(ud);
	if (first + 3 < words)
		run_user(u_ud);
	print("held: it went on with that\n");
}
