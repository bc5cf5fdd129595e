/*
 * Test guest: user code writes what the kernel runs next: in one mapping and through another of the
 * frame, over page boundaries, from another address space, and where it may not (SDM vol. 3, 8.1.3:
 * between the store and the execution lies an interrupt).
 *
 * Where user code is native and the kernel is not, as in the hybrid engine, the one does not see
 * the other's stores by itself.
 */
#include "guest.h"

#define KERNEL_VA (WINDOW + 0x10000) /* two pages of code for the kernel alone */
#define USER_VA	  (WINDOW + 0x20000) /* the same frames, writable for user code */
#define APART_VA  (WINDOW + 0x30000) /* and again, with a page between them */
#define ROUNDS	  200

static u32 a, b;

/* movl $VALUE, %eax; ret: 8 bytes with what fills them up. */
#define CODE_SIZE 8u
#define CODE_HEAD 0xb8u
#define CODE_TAIL 0xc3u

static u32 call(u32 address)
{
	return ((u32(*)(void))address)();
}

UCODE(u_store, "", "movl %ecx, (%ebx)");
UCODE(u_store16, "", "movw %cx, (%ebx)");
UCODE(u_store8, "", "movb %cl, (%ebx)");
UCODE(u_add, "", "lock xaddl %ecx, (%ebx)");
UCODE(u_push, "leal 4(%ebx), %esp", "pushl %ecx");
UCODE(u_copy, "cld", "rep movsl");
UCODE(u_load, "", "movl (%ebx), %ecx");

/* EBX: where; ECX: what. The vector that ends it. */
static u32 user_does(void (*how)(void), u32 where, u32 what)
{
	struct user_state s = user_state(how);

	s.ebx = where;
	s.ecx = what;
	return run_user_state(&s);
}

static void plant(u32 where, u32 value)
{
	user_does(u_store8, where, CODE_HEAD);
	user_does(u_store, where + 1, value);
	user_does(u_store8, where + 5, CODE_TAIL);
}

static void map(u32 va, u32 first, u32 second, u32 step, u32 rights)
{
	*pte_of(va) = first | PTE_P | rights;
	*pte_of(va + step) = second | PTE_P | rights;
	invlpg(va);
	invlpg(va + step);
}

/* Code at `run` for the kernel; user code has its bytes at `write`. */
static void patched(const char *what, u32 write, u32 run)
{
	u32 wrong = 0;

	plant(write, 0);
	wrong += call(run) != 0;
	for (u32 i = 1; i <= ROUNDS; i++) {
		user_does(i % 3 ? u_store : u_push, write + 1, i * 0x10001);
		wrong += call(run) != i * 0x10001;
		user_does(u_add, write + 1, 7);
		wrong += call(run) != i * 0x10001 + 7;
	}
	print("%s, wrong %u\n", what, wrong);
}

/* An instruction over the end of a page, changed on either side of it and, where user code has the
 * pages side by side, by stores that are over it too. */
static void straddling(void)
{
	const u32 at = PAGE - 3; /* of its value two bytes are in the first page */
	u32 wrong = 0;

	plant(USER_VA + at, 0x01020304);
	wrong += call(KERNEL_VA + at) != 0x01020304;
	for (u32 i = 1; i <= ROUNDS; i++) {
		user_does(u_store16, APART_VA + at + 1, i);
		wrong += call(KERNEL_VA + at) != (0x01020000 | i);
		user_does(u_store16, APART_VA + 2 * PAGE, i + 3);
		wrong += call(KERNEL_VA + at) != (i | (i + 3) << 16);
		user_does(i % 2 ? u_store : u_add, USER_VA + at + 1, 0x01020304);
		if (!(i % 2))
			wrong += call(KERNEL_VA + at) != (i | (i + 3) << 16) + 0x01020304;
		user_does(u_store, USER_VA + at + 1, 0x01020304);
		wrong += call(KERNEL_VA + at) != 0x01020304;
	}
	print("over the end of a page, wrong %u\n", wrong);
}

static u32 USER_DATA image[2 * PAGE / 4];

/* Both pages full of code, all of it run, overwritten by one instruction, and run. */
static void in_bulk(void)
{
	u32 wrong = 0;

	for (u32 round = 0; round < 20; round++) {
		struct user_state s = user_state(u_copy);
		u8 *p = (u8 *)image;

		for (u32 i = 0; i < sizeof(image); i += CODE_SIZE) {
			p[i] = CODE_HEAD;
			*(volatile u32 *)(p + i + 1) = round << 16 | i;
			p[i + 5] = CODE_TAIL;
		}
		s.esi = (u32)image;
		s.edi = USER_VA;
		s.ecx = ARRAY_SIZE(image);
		run_user_state(&s);
		for (u32 i = 0; i < sizeof(image); i += CODE_SIZE)
			wrong += call(KERNEL_VA + i) != (round << 16 | i);
	}
	print("two pages at a time, wrong %u\n", wrong);
}

/* A second address space, in which the frames are the kernel's code; in the first they are not. */
static void other_space(void)
{
	u32 *dir = (u32 *)page_alloc(), *table = (u32 *)page_alloc(), wrong = 0;
	const u32 at = 0x100;

	for (u32 i = 0; i < 1024; i++) {
		dir[i] = page_dir[i];
		table[i] = window_table[i];
	}
	dir[WINDOW >> 22] = (u32)table | PTE_P | PTE_W | PTE_U;
	*pte_of(KERNEL_VA) = *pte_of(KERNEL_VA + PAGE) = 0;
	tlb_flush();
	plant(USER_VA + at, 0);
	for (u32 i = 1; i <= ROUNDS; i++) {
		user_does(u_store, USER_VA + at + 1, i);
		cr3_set((u32)dir);
		wrong += call(KERNEL_VA + at) != i;
		/* What has been run here is written in the other one once more, and in both. */
		cr3_set((u32)page_dir);
		user_does(u_store, USER_VA + at + 1, i + 1000);
		cr3_set((u32)dir);
		wrong += call(KERNEL_VA + at) != i + 1000;
		user_does(u_store, USER_VA + at + 1, i + 2000);
		wrong += call(KERNEL_VA + at) != i + 2000;
		/* By now this space knows of the translation, the other one does not. */
		user_does(u_store, (u32)image, 0);
		cr3_set((u32)page_dir);
	}
	print("from another address space, wrong %u\n", wrong);
}

/* What user code may not write stays as it is, and so does its page fault. */
static void refused(void)
{
	const u32 at = 0x200;
	u32 wrong = 0;

	map(KERNEL_VA, a, b, PAGE, 0);
	plant(USER_VA + at, 5);
	wrong += call(KERNEL_VA + at) != 5;
	map(USER_VA, a, b, PAGE, PTE_U);
	for (u32 i = 0; i < ROUNDS; i++) {
		wrong += user_does(u_load, USER_VA + at + 1, 0) != VEC_DONE || trap.ecx != 5;
		wrong += user_does(u_store, USER_VA + at + 1, i + 6) != 14;
		wrong += trap.error != 7 || trap_cr2 != USER_VA + at + 1;
		wrong += call(KERNEL_VA + at) != 5;
	}
	wrong += user_does(u_store, KERNEL_VA + at + 1, 6) != 14 || trap.error != 7;
	wrong += call(KERNEL_VA + at) != 5;
	print("not writable, wrong %u\n", wrong);
}

void guest_main(void)
{
	paging_init();
	a = page_alloc();
	page_alloc(); /* the frames are apart */
	b = page_alloc();
	map(KERNEL_VA, a, b, PAGE, 0);
	map(USER_VA, a, b, PAGE, PTE_W | PTE_U);
	map(APART_VA, a, b, 2 * PAGE, PTE_W | PTE_U);
	patched("in one mapping", USER_VA + 0x40, USER_VA + 0x40);
	patched("through another", USER_VA + 0x40, KERNEL_VA + 0x40);
	straddling();
	in_bulk();
	other_space();
	refused();
	guest_exit(0);
}
