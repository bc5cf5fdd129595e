/*
 * Test guest: self-modifying code: on its own page, across pages, through another linear address,
 * and after the code's page was remapped (SDM vol. 3, 8.1.3; a jump lies between store and
 * execution).
 */
#include "guest.h"

#define CODE_VA	 (WINDOW + 0x4000)
#define ALIAS_VA (WINDOW + 0x9000)

/* movl $VALUE, %eax; ret */
static void plant(u32 address, u32 value)
{
	volatile u8 *p = (volatile u8 *)address;

	p[0] = 0xb8;
	*(volatile u32 *)(p + 1) = value;
	p[5] = 0xc3;
}

static u32 call(u32 address)
{
	return ((u32(*)(void))address)();
}

static u32 a, b;

static void same_page(void)
{
	u32 bad = 0;

	plant(CODE_VA, 1);
	print("planted %u", call(CODE_VA));
	*(volatile u8 *)(CODE_VA + 1) = 2;
	print(", one byte %u", call(CODE_VA));
	for (u32 i = 0; i < 2000; i++) {
		*(volatile u32 *)(CODE_VA + 1) = i * 3;
		bad += call(CODE_VA) != i * 3;
	}
	print(", 2000 times, wrong %u\n", bad);
}

/* Code that writes the instruction just ahead of itself, in its own page and block. */
void ahead(void);
extern u32 ahead_result;
asm(".pushsection .data\nahead:\n"
    "\tmovl $0x11111111, %eax\n"
    "\tmovl $0x22222222, 1f + 1\n"
    "\tjmp 1f\n"
    "1:\tmovl $0x33333333, %eax\n"
    "\tmovl %eax, ahead_result\n"
    "\tmovl $0x33333333, 1b + 1\n"
    "\tret\nahead_result: .long 0\n\t.popsection");

static void own_code(void)
{
	print("ahead of itself:");
	for (u32 i = 0; i < 3; i++) {
		ahead();
		print(" %08x", ahead_result);
	}
	print("\n");
}

/* An instruction that straddles two pages, changed in its second half. */
static void across(void)
{
	u32 start = CODE_VA + PAGE - 3, bad = 0;

	plant(start, 0x01020304);
	print("across pages %08x", call(start));
	*(volatile u16 *)(CODE_VA + PAGE) = 0x5555;
	print(" %08x", call(start));
	for (u32 i = 0; i < 500; i++) {
		*(volatile u16 *)(CODE_VA + PAGE) = i;
		bad += call(start) != (0x0304 | i << 16);
	}
	print(", wrong %u\n", bad);
}

static void through_alias(void)
{
	u32 bad = 0;

	*pte_of(ALIAS_VA) = a | PTE_P | PTE_W;
	*pte_of(CODE_VA) = a | PTE_P; /* the code itself cannot be written */
	tlb_flush();
	plant(ALIAS_VA + 0x100, 7);
	print("alias %u", call(CODE_VA + 0x100));
	for (u32 i = 0; i < 500; i++) {
		*(volatile u32 *)(ALIAS_VA + 0x101) = i;
		bad += call(CODE_VA + 0x100) != i;
	}
	/* The frame's own address is one more. */
	for (u32 i = 0; i < 500; i++) {
		*(volatile u32 *)(a + 0x101) = i + 9;
		bad += call(CODE_VA + 0x100) != i + 9;
	}
	print(", wrong %u\n", bad);
}

static void remapped(void)
{
	u32 bad = 0;

	plant(a + 0x200, 0xa);
	plant(b + 0x200, 0xb);
	for (u32 i = 0; i < 200; i++) {
		*pte_of(CODE_VA) = (i & 1 ? b : a) | PTE_P | PTE_W;
		if (i & 2)
			invlpg(CODE_VA);
		else
			tlb_flush();
		bad += call(CODE_VA + 0x200) != (i & 1 ? 0xb : 0xa);
	}
	print("remapped, wrong %u\n", bad);
}

/* User code that is patched by the kernel, and that patches itself. */
UCODE(u_call, "call *%ebx", "int $0x30");
UCODE(u_patch, "movl %ecx, 1(%ebx); call *%ebx", "int $0x30");

static void user(void)
{
	u32 bad = 0;

	*pte_of(CODE_VA) = a | PTE_P | PTE_W | PTE_U;
	invlpg(CODE_VA);
	plant(CODE_VA + 0x300, 0);
	for (u32 i = 0; i < 200; i++) {
		struct user_state s = user_state(i & 1 ? u_patch : u_call);

		s.ebx = CODE_VA + 0x300;
		s.ecx = i;
		if (!(i & 1))
			*(volatile u32 *)(CODE_VA + 0x301) = i;
		run_user_state(&s);
		bad += trap.eax != i || trap.vector != VEC_DONE;
	}
	print("user code, wrong %u\n", bad);
}

/* A string store that overwrites code executed before and after. */
static void bulk(void)
{
	u32 edi = CODE_VA + 0x400, ecx = 64;

	plant(CODE_VA + 0x43a, 5);
	print("before %u", call(CODE_VA + 0x43a));
	asm volatile("rep stosb" : "+D"(edi), "+c"(ecx) : "a"(0x90) : "memory");
	plant(CODE_VA + 0x440, 6);
	print(", nops up to the next %u\n", call(CODE_VA + 0x400));
}

void guest_main(void)
{
	paging_init();
	a = page_alloc();
	page_alloc();
	b = page_alloc();
	*pte_of(CODE_VA) = a | PTE_P | PTE_W;
	*pte_of(CODE_VA + PAGE) = b | PTE_P | PTE_W;
	same_page();
	own_code();
	across();
	through_alias();
	remapped();
	user();
	bulk();
	guest_exit(0);
}
