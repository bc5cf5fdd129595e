/*
 * Guest kernel memory as a target of user code: see targets.h.
 */
#include "targets.h"

#ifdef PLEX86_USER_CS
#define ABI_CS PLEX86_USER_CS
#define ABI_DS PLEX86_USER_DS
#else
#define ABI_CS 0x07
#define ABI_DS 0x0f
#endif
#define ABI_LIMIT     0xbffff /* pages */
#define STACK_WATCHED 128     /* dwords */

u32 secret_area[2048] __attribute__((aligned(4096)));
static u32 high_table[1024] __attribute__((aligned(4096)));
static u32 top_table[1024] __attribute__((aligned(4096)));
static u64 ldt[2] = {0};

struct target targets[16];
unsigned target_count;
const char *const user_kinds[USER_KINDS] = {"abi", "flat"};

/* Wherever it runs it comes back. */
asm(".text\n\t.globl kernel_landing\nkernel_landing:\n\tmovl $0x0badc0de, %eax\n\tint $0x30");

static void add(const char *name, const volatile void *address, u32 window)
{
	targets[target_count++] = (struct target){name, (u32)address + window};
}

/* On plex86 the machine has the ABI's segments itself. */
static void abi_segments(void)
{
#ifndef PLEX86_USER_CS
	gdt[SEL_LDT / 8] = descriptor((u32)ldt, sizeof(ldt) - 1, ACC_P | ACC_LDT, 0);
	ldt[0] = descriptor(0, ABI_LIMIT, ACC_P | ACC_DPL(3) | ACC_CODE_R, DESC_32 | DESC_4K);
	ldt[1] = descriptor(0, ABI_LIMIT, ACC_P | ACC_DPL(3) | ACC_DATA_W, DESC_32 | DESC_4K);
	asm volatile("lldt %w0" : : "r"(SEL_LDT));
#else
	(void)ldt;
#endif
}

void targets_init(void)
{
	static const struct {
		const char *name;
		u32 window;
	} windows[] = {{"kernel data", 0},
		       {"kernel data at 3 GiB", HIGH},
		       {"kernel data at the top", TOP}};

	for (unsigned i = 0; i < 1024; i++)
		secret[i] = SECRET;
	for (u32 i = 0; i < ARRAY_SIZE(high_table); i++)
		high_table[i] = top_table[i] = i * PAGE | PTE_P | PTE_W;
	top_table[1023] = 0;
	page_dir[HIGH >> 22] = (u32)high_table | PTE_P | PTE_W;
	page_dir[TOP >> 22] = (u32)top_table | PTE_P | PTE_W;
	abi_segments();
	paging_init();
	for (unsigned i = 0; i < ARRAY_SIZE(windows); i++)
		add(windows[i].name, secret + 8, windows[i].window);
	add("kernel code", (void *)kernel_landing, 0);
	add("kernel code at 3 GiB", (void *)kernel_landing, HIGH);
	add("GDT", &gdt[SEL_KCODE / 8], 0);
	add("GDT at 3 GiB", &gdt[SEL_KCODE / 8], HIGH);
	add("IDT", &idt[VEC_DONE], 0);
	add("IDT at the top", &idt[VEC_DONE], TOP);
	add("TSS", &tss.esp0, 0);
	add("page directory", &page_dir[HIGH >> 22], 0);
	add("page directory at 3 GiB", &page_dir[HIGH >> 22], HIGH);
	add("page table", pte_of((u32)secret), 0);
}

struct user_state user_of(enum user_kind kind, void (*fn)(void))
{
	struct user_state s = user_state(fn);

	if (kind == USER_ABI) {
		s.cs = ABI_CS;
		s.ss = s.ds = s.es = ABI_DS;
	}
	return s;
}

const char *judge_code(void)
{
	if (!(trap.cs & 3))
		return "run as the kernel";
	if (trap.vector == VEC_DONE && trap.eax == LANDED)
		return "run";
	return NULL;
}

/* Page tables: A and D are the CPU's. Code and descriptors: nothing of the kind is set. */
static bool same(u32 a, u32 b)
{
	return !((a ^ b) & ~(PTE_A | PTE_D));
}

static bool has_seen(u32 value, const u32 *stack)
{
	const u32 seen[] = {trap.eax, trap.ecx, trap.ebx, trap.edx, trap.esi,
			    trap.edi, trap.ebp, trap.esp, trap.eip, trap.eip - 2};

	for (unsigned i = 0; i < ARRAY_SIZE(seen); i++)
		if (same(seen[i], value))
			return true;
	for (unsigned i = 0; i < STACK_WATCHED; i++)
		if (same(stack[i], value))
			return true;
	return trap.vector == 14 && same(trap_cr2, value);
}

const char *attempt(const struct target *t, struct user_state *s)
{
	volatile u32 *at = (volatile u32 *)t->address;
	const u32 before = *at;
	u32 *stack = (u32 *)((u32)user_stack_top - STACK_WATCHED * sizeof(u32));

	for (unsigned i = 0; i < STACK_WATCHED; i++)
		stack[i] = 0;
	s->ebx = s->esi = s->edi = t->address;
	s->edx = MARK;
	run_user_state(s);
	if (!same(*at, before)) {
		*at = before;
		return "written";
	}
	return has_seen(before, stack) ? "read" : judge_code();
}

void tally_add(struct tally *t, const char *done, const char *what, const char *by, u32 selector)
{
	t->attempts++;
	if (!done || t->reached++)
		return;
	t->done = done;
	t->what = what;
	t->by = by;
	t->selector = selector;
}

/* Not how many: that depends on what may be tried. */
void tally_print(const struct tally *t, const char *kind, const char *name)
{
	print("%s, %s: ", kind, name);
	if (!t->attempts)
		print("nothing tried\n");
	else if (!t->reached)
		print("nothing reached\n");
	else
		print("REACHED: %s %s by %s, selector %04x\n", t->what, t->done, t->by,
		      t->selector);
}
