/*
 * Test guest: system calls as the vdso of Linux makes them, in a page that changes.
 *
 * An engine may have user code execute something else than the `int $0x80` of __kernel_vsyscall.
 * Whoever writes the page, and by whatever address: what runs is what memory holds.
 */
#include "guest.h"

#define CODE_VA	 (WINDOW + 0x4000)
#define ALIAS_VA (WINDOW + 0x9000)
#define OTHER_VA (WINDOW + 0xc000)

/* Offsets in the page. */
#define ENTRY 0x540u
#define CALL  (ENTRY + 7)
#define VALUE 0x800u /* movl $VALUE, %eax; ret */

static u32 a, b, calls, wrong_eip, flags_seen;

UCODE(u_call, "call *%ebx", "int $0x30");
/* The way in at the instruction itself, where a signal handler comes back to. */
UCODE(u_middle, "pushl $1f; pushl %ecx; pushl %edx; pushl %ebp; leal 7(%ebx), %esi; jmp *%esi; 1:",
      "int $0x30");
/* Written and executed without a trap in between: the byte CL to EDI, then a call of EBX. */
UCODE(u_write, "call *%ebx; movl %eax, %esi; movb %cl, (%edi); movl $5, %eax; call *%ebp",
      "int $0x30");

static void system_call(struct regs *r)
{
	calls++;
	flags_seen |= r->eflags;
	wrong_eip += (r->eip & 0xfff) != CALL + 2;
	r->eax = r->eax * 2 + 1;
}

/* push %ecx, %edx, %ebp; four bytes for another way in; int $0x80; pop; ret */
static void plant(u32 page)
{
	static const u8 vsyscall[] = {0x51, 0x52, 0x55, 0x90, 0x90, 0x90, 0x90,
				      0xcd, 0x80, 0x5d, 0x5a, 0x59, 0xc3};
	volatile u8 *p = (volatile u8 *)page;

	for (unsigned i = 0; i < sizeof(vsyscall); i++)
		p[ENTRY + i] = vsyscall[i];
	p[VALUE] = 0xb8;
	*(volatile u32 *)(p + VALUE + 1) = 0;
	p[VALUE + 5] = 0xc3;
}

static void map(u32 linear, u32 page, u32 bits)
{
	*pte_of(linear) = page | PTE_P | PTE_U | bits;
	invlpg(linear);
}

static u32 run(void (*code)(void), u32 ebx, u32 eax)
{
	struct user_state s = user_state(code);

	s.eax = eax;
	s.ebx = ebx;
	s.ecx = 0x11;
	s.edx = 0x22;
	s.ebp = 0x33;
	run_user_state(&s);
	if (trap.vector != VEC_DONE || trap.ecx != 0x11 || trap.edx != 0x22 || trap.ebp != 0x33)
		return 0xbad;
	return trap.eax;
}

/* Calls, each with another number: how many came back with a wrong one. */
static u32 rounds(void (*code)(void), u32 linear)
{
	u32 bad = 0;

	for (u32 i = 0; i < 100; i++)
		bad += run(code, linear + ENTRY, i) != i * 2 + 1;
	return bad;
}

static void report(const char *what, u32 bad)
{
	print("%s: wrong %u, calls %u, of these not from there %u, RF %u\n", what, bad, calls,
	      wrong_eip, flags_seen >> 16 & 1);
	calls = wrong_eip = flags_seen = 0;
}

static void set_code(u32 offset, u8 first, u8 second)
{
	*(volatile u8 *)(a + offset) = first;
	*(volatile u8 *)(a + offset + 1) = second;
}

/* The kernel writes: elsewhere in the page, and the instruction itself. */
static void written_by_kernel(void)
{
	u32 bad = 0;

	for (u32 i = 0; i < 100; i++) {
		*(volatile u32 *)(a + VALUE + 1) = i;
		bad += run(u_call, CODE_VA + ENTRY, i) != i * 2 + 1;
		bad += run(u_call, CODE_VA + VALUE, 0) != i;
	}
	report("page written by the kernel", bad);
	bad = 0;
	for (u32 i = 0; i < 20; i++) {
		set_code(CALL, 0x31, 0xc0); /* xorl %eax, %eax */
		bad += run(u_call, CODE_VA + ENTRY, i) != 0;
		set_code(CALL, 0xcd, 0x80);
		bad += run(u_call, CODE_VA + ENTRY, i) != i * 2 + 1;
	}
	report("instruction replaced", bad);
	set_code(CALL, 0xf4, 0x90); /* hlt */
	run(u_call, CODE_VA + ENTRY, 1);
	print("hlt there: vector %x eip %x\n", trap.vector, trap.eip);
	set_code(CALL, 0xcd, 0x80);
	report("and back", rounds(u_call, CODE_VA));
}

/* User code writes VALUE's byte by another address, or by its own, and executes it. */
static void written_by_user(const char *what, u32 by)
{
	struct user_state s = user_state(u_write);
	u32 bad = 0;

	s.ebx = CODE_VA + ENTRY;
	s.edi = by + VALUE + 1;
	s.ebp = CODE_VA + VALUE;
	for (u32 i = 0; i < 100; i++) {
		s.eax = i;
		s.ecx = 100 - i;
		run_user_state(&s);
		bad += trap.vector != VEC_DONE || trap.esi != i * 2 + 1 || trap.eax != 100 - i;
		bad += *(volatile u8 *)(a + VALUE + 1) != 100 - i;
	}
	report(what, bad);
}

static void remapped(void)
{
	u32 bad = 0;

	plant(b);
	*(volatile u8 *)(b + CALL) = 0x31;
	*(volatile u8 *)(b + CALL + 1) = 0xc0;
	for (u32 i = 0; i < 100; i++) {
		map(CODE_VA, i & 1 ? b : a, 0);
		bad += run(u_call, CODE_VA + ENTRY, i) != (i & 1 ? 0 : i * 2 + 1);
	}
	report("remapped", bad);
	map(CODE_VA, a, 0);
	map(OTHER_VA, a, 0);
	report("at another address", rounds(u_call, OTHER_VA) + rounds(u_call, CODE_VA));
	*pte_of(OTHER_VA) = 0;
	invlpg(OTHER_VA);
}

void guest_main(void)
{
	paging_init();
	set_gate(0x80, ACC_P | ACC_DPL(3) | ACC_TRAPGATE);
	trap_handlers[0x80] = system_call;
	a = page_alloc();
	page_alloc();
	b = page_alloc();
	plant(a);
	map(CODE_VA, a, 0);
	report("read-only page", rounds(u_call, CODE_VA));
	report("in the middle", rounds(u_middle, CODE_VA));
	written_by_kernel();
	remapped();
	map(ALIAS_VA, a, PTE_W);
	written_by_user("written by another address", ALIAS_VA);
	report("then", rounds(u_call, CODE_VA));
	*pte_of(ALIAS_VA) = 0;
	invlpg(ALIAS_VA);
	map(CODE_VA, a, PTE_W);
	written_by_user("written by its own", CODE_VA);
	map(CODE_VA, a, 0);
	report("read-only again", rounds(u_call, CODE_VA));
	guest_exit(0);
}
