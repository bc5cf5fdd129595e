/*
 * What a test guest may use: printing, exit, traps, descriptor tables, paging, interrupt chips.
 *
 * Owns: the frame's interface. A guest is guest_main() plus snippets; it prints a transcript that
 * must not depend on time, on addresses of the build or on the machine.
 *
 * Each guest is built twice from the same sources: as it stands (for a real ring 0), and behind
 * the assembler macros of the guest ABI (for plex86). So cli, sti, pushf, popf, iret and cpuid
 * written in kernel code are rewritten, and in, out, hlt, invlpg and loads of CR3 go with a call of
 * the monitor; user code spells them in bytes (RAW_*).
 */
#ifndef GUEST_H
#define GUEST_H

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef _Bool bool;
#define true 1
#define false 0
#define NULL	      ((void *)0)
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* ---- console.c ---- */
void console_init(void);
/* %x %u %s %c %%, with a field width and a leading 0. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Keep what is printed in memory from now on: sending would disturb COM1's interrupt. */
void console_hold(void);
void console_release(void);
/* End the run: port 0xF4, as QEMU's isa-debug-exit. 0 is success. */
void guest_exit(u32 value) __attribute__((noreturn));
/* "ok WHAT" or "FAILED WHAT"; a failure also makes the run end with status 1. */
void check(bool good, const char *what);
void guest_main(void);

/* ---- Ports ---- */
static inline u8 inb(u16 port)
{
	u8 v;
	asm volatile("inb %w1, %b0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline u16 inw(u16 port)
{
	u16 v;
	asm volatile("inw %w1, %w0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline u32 inl(u16 port)
{
	u32 v;
	asm volatile("inl %w1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline void outb(u16 port, u8 v)
{
	asm volatile("outb %b0, %w1" : : "a"(v), "Nd"(port));
}
static inline void outw(u16 port, u16 v)
{
	asm volatile("outw %w0, %w1" : : "a"(v), "Nd"(port));
}
static inline void outl(u16 port, u32 v)
{
	asm volatile("outl %0, %w1" : : "a"(v), "Nd"(port));
}

/* ---- Flags ---- */
#define FLAG_CF	   0x000001u
#define FLAG_PF	   0x000004u
#define FLAG_AF	   0x000010u
#define FLAG_ZF	   0x000040u
#define FLAG_SF	   0x000080u
#define FLAG_TF	   0x000100u
#define FLAG_IF	   0x000200u
#define FLAG_DF	   0x000400u
#define FLAG_OF	   0x000800u
#define FLAG_IOPL  0x003000u
#define FLAG_NT	   0x004000u
#define FLAG_RF	   0x010000u
#define FLAG_AC	   0x040000u
#define FLAG_ID	   0x200000u
#define FLAG_ARITH (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

static inline void irq_off(void)
{
	asm volatile("cli" : : : "memory");
}
static inline void irq_on(void)
{
	asm volatile("sti" : : : "memory");
}
/* sti; hlt: no interrupt can slip in between. */
static inline void irq_wait(void)
{
	asm volatile("sti; hlt; cli" : : : "memory");
}
static inline u32 flags_get(void)
{
	u32 v;
	asm volatile("pushfl; popl %0" : "=r"(v) : : "memory");
	return v;
}
static inline void flags_set(u32 v)
{
	asm volatile("pushl %0; popfl" : : "r"(v) : "memory", "cc");
}

/* ---- Control registers ---- */
#define CR0_PE	   0x00000001u
#define CR0_MP	   0x00000002u
#define CR0_EM	   0x00000004u
#define CR0_TS	   0x00000008u
#define CR0_NE	   0x00000020u
#define CR0_WP	   0x00010000u
#define CR0_AM	   0x00040000u
#define CR0_PG	   0x80000000u
#define CR4_PSE	   0x010u
#define CR4_PGE	   0x080u
#define CR4_OSFXSR 0x200u

#ifdef PLEX86_PV_STUB_TRAP /* for plex86: its ABI's header has been included */
#define STRINGIFY_(x) #x
#define STRINGIFY(x)  STRINGIFY_(x)
#define TRAP_CALL     "call " STRINGIFY(PLEX86_PV_PAGE) " + " STRINGIFY(PLEX86_PV_STUB_TRAP) "; "
#else
#define TRAP_CALL
#endif
#define CR_ACCESS(n)                                                              \
	static inline u32 cr##n##_get(void)                                       \
	{                                                                         \
		u32 v;                                                            \
		asm volatile("movl %%cr" #n ", %0" : "=r"(v) : : "memory");       \
		return v;                                                         \
	}                                                                         \
	static inline void cr##n##_set(u32 v)                                     \
	{                                                                         \
		asm volatile(TRAP_CALL "movl %0, %%cr" #n : : "r"(v) : "memory"); \
	}
CR_ACCESS(0)
CR_ACCESS(2)
CR_ACCESS(3)
CR_ACCESS(4)

/* ---- gdt.c: descriptor tables ---- */
#define SEL_TSS	    0x08
#define SEL_KCODE   0x10
#define SEL_KDATA   0x18 /* SS of the kernel; its DS and ES are SEL_UDATA */
#define SEL_UCODE   0x23
#define SEL_UDATA   0x2b
#define SEL_LDT	    0x30
#define GDT_TEST    16 /* the first entry free for tests: selector 0x80 */
#define GDT_SIZE    64
#define TEST_SEL(n) ((GDT_TEST + (n)) * 8)

/* Access bytes (SDM vol. 3, 3.4.5.1 and 3.5). */
#define ACC_P	     0x80
#define ACC_DPL(n)   ((n) << 5)
#define ACC_DATA     0x10
#define ACC_DATA_W   0x12
#define ACC_DOWN_W   0x16 /* expand-down, writable */
#define ACC_CODE     0x18 /* execute-only */
#define ACC_CODE_R   0x1a
#define ACC_CONF_R   0x1e /* conforming, readable */
#define ACC_ACCESSED 0x01
#define ACC_LDT	     0x02
#define ACC_TSS	     0x09
#define ACC_TSS_BUSY 0x0b
#define ACC_CALLGATE 0x0c
#define ACC_INTGATE  0x0e
#define ACC_TRAPGATE 0x0f
#define DESC_32	     0x4 /* D/B */
#define DESC_4K	     0x8 /* G */

extern u64 gdt[GDT_SIZE];
extern u64 idt[256];

struct tss {
	u32 link, esp0, ss0, esp1, ss1, esp2, ss2, cr3, eip, eflags;
	u32 eax, ecx, edx, ebx, esp, ebp, esi, edi;
	u32 es, cs, ss, ds, fs, gs, ldt;
	u16 trap, iomap_base;
	u8 iomap[8192 + 1];
} __attribute__((packed));
extern struct tss tss;
#define TSS_LIMIT_NO_IOMAP 103
#define TSS_LIMIT_IOMAP	   (sizeof(struct tss) - 1)

u64 descriptor(u32 base, u32 limit, u8 access, u8 flags);
u64 gate(u8 type_and_dpl, u16 selector, u32 offset, u8 count);
void set_idt_limit(u16 limit);
void load_idt_at(void *base, u16 limit);
void load_gdt(u16 limit);
/* Make the TSS available again and load TR with this limit. */
void load_tss(u32 limit);
void tables_init(void);

/* ---- trap.c, trap.S: traps ---- */
/* What the entry stubs leave on the stack. esp and ss are there only if cs & 3. */
struct regs {
	u32 gs, fs, es, ds;
	u32 edi, esi, ebp, esp_dummy, ebx, edx, ecx, eax;
	u32 vector, error;
	u32 eip, cs, eflags, esp, ss;
};

#define VEC_DONE 0x30 /* user code comes back by int $0x30 */
#define VEC_IRQ	 0x40 /* the 8259 pair's vectors */
#define NO_TRAP	 0xffffffffu

typedef void (*trap_handler)(struct regs *r);
extern trap_handler trap_handlers[256]; /* NULL: the trap ends try_call() */
extern struct regs trap;		/* the last trap that did */
extern u32 trap_cr2;

/* Call fn(arg). NO_TRAP if it returns, else the vector of the trap that ended it (see `trap`).
 * DS, ES, FS, GS and EFLAGS are as before the call. */
u32 try_call(void (*fn)(void *arg), void *arg);
u32 try(void (*fn)(void));
/* The address of the IDT stub for a vector. */
u32 trap_stub(u8 vector);
void set_gate(u8 vector, u8 access); /* present 32-bit gate to its stub, in SEL_KCODE */
/* "#GP(0010) at+0 cs=10": what `trap` holds, EIP relative to `at` (NULL: not printed), CR2 as it
 * is: tests fault at addresses that are the same in every build. */
void print_trap(const char *what, const void *at);
void print_flags(u32 flags); /* all but RF and the arithmetic ones */

/* Run user code until it traps; returns the vector. Stack: user_stack. */
struct user_state {
	u32 eip, cs, eflags, esp, ss;
	u32 ds, es, fs, gs;
	u32 eax, ebx, ecx, edx, esi, edi, ebp;
};
extern u8 user_stack[], user_stack_top[], trap_stack_top[];
u32 run_user_state(const struct user_state *s);
u32 run_user(void (*fn)(void));
struct user_state user_state(void (*fn)(void));
/* iret with ESP = frame; the instruction is at iret_at. Does not return by itself. */
void iret_frame(void *frame);
extern char iret_at[];

/* A snippet: function NAME, the instruction of interest at label NAME_at; plain bytes only, so that
 * both builds have the same offsets. CODE for the kernel, UCODE for user code. */
#define CODE_IN(section, name, before, insn, after)                                               \
	void name(void);                                                                          \
	extern char name##_at[];                                                                  \
	asm(".pushsection " section ",\"ax\",@progbits\n\t.globl " #name ", " #name "_at\n" #name \
	    ":\n\t" before "\n" #name "_at:\n\t" insn "\n\t" after "\n\t.popsection")
#define CODE(name, before, insn)  CODE_IN(".text", name, before, insn, "ret")
#define UCODE(name, before, insn) CODE_IN(".user.text", name, before, insn, "int $0x30")
struct snippet {
	const char *name;
	void (*fn)(void);
	const void *at;
};
/* clang-format off */
#define SNIPPET(n) { #n, n, n##_at }
/* clang-format on */
/* One line on how it ended: print_trap(), or "no trap". */
void print_result(const struct snippet *s, u32 vector);
void try_snippets(const struct snippet *s, unsigned n);
void run_user_snippets(const struct snippet *s, unsigned n);

#define USER_CODE __attribute__((section(".user.text"), noinline))
#define USER_DATA __attribute__((section(".user.data")))
#define RAW_CLI	  ".byte 0xfa"
#define RAW_STI	  ".byte 0xfb"
#define RAW_PUSHF ".byte 0x9c"
#define RAW_POPF  ".byte 0x9d"
#define RAW_IRET  ".byte 0xcf"
/* In front of any other instruction that a macro goes with (in, out, hlt, invlpg). */
#define RAW "{nooptimize} "

/* ---- paging.c ---- */
#define PAGE	 4096u
#define PTE_P	 0x001u
#define PTE_W	 0x002u
#define PTE_U	 0x004u
#define PTE_A	 0x020u
#define PTE_D	 0x040u
#define PTE_PS	 0x080u
#define PTE_G	 0x100u
#define WINDOW	 0x40000000u /* free linear space with its own page table */
#define RAM_SIZE 0x1000000u

extern u32 page_dir[1024];
extern u32 window_table[1024]; /* maps WINDOW and up; not present, but for what a test puts in */
/* Identity-map RAM, user pages for .user.* and supervisor pages for all else, and turn paging on.
 */
void paging_init(void);
u32 *pte_of(u32 linear); /* of the identity map or the window */
u32 page_alloc(void);	 /* a free physical page, zeroed, mapped at its own address */
static inline void invlpg(u32 linear)
{
	asm volatile("invlpg (%0)" : : "r"(linear) : "memory");
}
static inline void tlb_flush(void)
{
	cr3_set(cr3_get());
}

/* ---- chips.c: 8259 pair, 8254 ---- */
void chips_init(void);	 /* quiet: done at the start of every guest */
void pic_init(void);	 /* vectors at VEC_IRQ, everything masked */
void pic_mask(u16 mask); /* both chips */
void pic_eoi(u8 irq);	 /* non-specific */
u8 pic_irr(u8 chip);
u8 pic_isr(u8 chip);
void pit_mode(u8 channel, u8 mode, u16 count);
/* One rising edge on IRQ 0 and wait until the 8259 has seen it (masked or IF = 0: it stays
 * pending). PIT channel 0 in mode 0. */
void pit_raise_irq0(void);

#endif
