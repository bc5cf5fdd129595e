/*
 * Test guest: page tables edited under way, with what makes a change count: invlpg, a CR3 load, a
 * CR4.PGE toggle (SDM vol. 3, 4.10.4).
 *
 * What may be stale is never looked at: the CPU is free there. Nothing present was cached for a
 * page that was not present, so making one present needs nothing (4.10.2.3).
 */
#include "guest.h"

#define VA	(WINDOW + 0x10000)
#define SELF	0x3feu /* directory entry that maps the tables themselves; 0x3ff holds the PV page */
#define MANY	256
#define MANY_VA (WINDOW + 0x100000)

static u32 a, b;
static u32 other_dir[1024] __attribute__((aligned(4096)));
static u32 other_table[1024] __attribute__((aligned(4096)));

static volatile u32 *at(u32 linear)
{
	return (volatile u32 *)linear;
}

static void set(u32 linear, u32 entry)
{
	*(volatile u32 *)pte_of(linear) = entry;
}

static void remap(void)
{
	*at(a) = 0xaaaa;
	*at(b) = 0xbbbb;
	set(VA, a | PTE_P | PTE_W);
	print("new %x", *at(VA));
	set(VA, b | PTE_P | PTE_W);
	invlpg(VA);
	print(", invlpg %x", *at(VA));
	set(VA, a | PTE_P | PTE_W);
	tlb_flush();
	print(", cr3 %x", *at(VA));
	set(VA, b | PTE_P | PTE_W);
	invlpg(VA + 0xabc);
	print(", invlpg by any address in it %x", *at(VA));
	*at(VA) = 0xb0b0;
	print(", written %x %x\n", *at(a), *at(b));
	for (u32 i = 0; i < 200; i++) {
		set(VA, (i & 1 ? a : b) | PTE_P | PTE_W);
		if (i & 2)
			tlb_flush();
		else
			invlpg(VA);
		*at(VA) = i;
	}
	print("after 200 remaps %u %u\n", *at(a), *at(b));
}

static void write_va(void *value)
{
	*at(VA) = (u32)value;
}

static void read_at(void *linear)
{
	*at((u32)linear);
}

/* Rights taken away and given back. */
static void rights(void)
{
	static const struct {
		const char *what;
		u32 bits;
	} step[] = {{"writable", PTE_P | PTE_W},
		    {"read-only", PTE_P},
		    {"absent", PTE_W},
		    {"read-only", PTE_P},
		    {"writable", PTE_P | PTE_W}};

	for (unsigned by_cr3 = 0; by_cr3 < 2; by_cr3++)
		for (unsigned i = 0; i < ARRAY_SIZE(step); i++) {
			set(VA, a | step[i].bits);
			if (by_cr3)
				tlb_flush();
			else
				invlpg(VA);
			print("%s: read %x", step[i].what,
			      try_call(read_at, (void *)VA) == 14 ? 0x100 | trap.error : 0);
			print(" write %x\n",
			      try_call(write_va, (void *)i) == 14 ? 0x100 | trap.error : 0);
		}
}

static void alias(void)
{
	set(VA, a | PTE_P | PTE_W);
	set(VA + PAGE, a | PTE_P | PTE_W);
	set(VA + 2 * PAGE, a | PTE_P);
	tlb_flush();
	*at(VA) = 1;
	*at(VA + PAGE) += 2;
	print("aliases %u %u %u %u\n", *at(VA), *at(VA + PAGE), *at(VA + 2 * PAGE), *at(a));
	print("dirty %u %u %u\n", !!(*pte_of(VA) & PTE_D), !!(*pte_of(VA + PAGE) & PTE_D),
	      !!(*pte_of(VA + 2 * PAGE) & PTE_D));
}

/* Global pages: invlpg and a toggle of CR4.PGE drop them whatever CR3 loads may keep. */
static void global(void)
{
	cr4_set(cr4_get() | CR4_PGE);
	*at(a) = 0xa1;
	*at(b) = 0xb1;
	set(VA, a | PTE_P | PTE_W | PTE_G);
	tlb_flush();
	print("global %x", *at(VA));
	set(VA, b | PTE_P | PTE_W | PTE_G);
	invlpg(VA);
	print(", invlpg %x", *at(VA));
	set(VA, a | PTE_P | PTE_W | PTE_G);
	cr4_set(cr4_get() & ~CR4_PGE);
	print(", PGE off %x", *at(VA));
	set(VA, b | PTE_P | PTE_W | PTE_G);
	tlb_flush();
	print(", cr3 with PGE off %x", *at(VA));
	cr4_set(cr4_get() | CR4_PGE);
	set(VA, a | PTE_P | PTE_W);
	invlpg(VA);
	print(", not global %x", *at(VA));
	set(VA, b | PTE_P | PTE_W);
	tlb_flush();
	print(", cr3 %x\n", *at(VA));
	cr4_set(cr4_get() & ~CR4_PGE);
}

/* Two address spaces with one linear page each on their own frame. */
static void spaces(void)
{
	u32 sum = 0;

	for (u32 i = 0; i < 1024; i++) {
		other_dir[i] = page_dir[i];
		other_table[i] = 0;
	}
	other_dir[WINDOW >> 22] = (u32)other_table | PTE_P | PTE_W | PTE_U;
	other_table[(VA - WINDOW) / PAGE] = b | PTE_P | PTE_W;
	set(VA, a | PTE_P | PTE_W);
	set(VA + PAGE, a | PTE_P | PTE_W);
	*at(a) = 0;
	*at(b) = 1000000;
	tlb_flush();
	for (u32 i = 0; i < 100; i++) {
		cr3_set(i & 1 ? (u32)other_dir : (u32)page_dir);
		*at(VA) += i;
		sum += *at(VA);
	}
	cr3_set((u32)other_dir);
	print("absent in the other: %x\n",
	      try_call(read_at, (void *)(VA + PAGE)) == NO_TRAP ? 0 : 0x100 | trap.error);
	other_table[(VA - WINDOW) / PAGE] = 0;
	cr3_set((u32)other_dir);
	print("taken away: %x\n",
	      try_call(read_at, (void *)VA) == NO_TRAP ? 0 : 0x100 | trap.error);
	cr3_set((u32)page_dir);
	print("two spaces: %u %u, sum %u, seen %u\n", *at(a), *at(b), sum, *at(VA));
}

/* The tables seen through themselves. */
static void self_map(void)
{
	u32 tables = SELF << 22;
	volatile u32 *pte = at(tables + (VA >> 12) * 4);

	page_dir[SELF] = (u32)page_dir | PTE_P | PTE_W;
	tlb_flush();
	*at(a) = 0x51;
	*at(b) = 0x52;
	*pte = a | PTE_P | PTE_W;
	invlpg(VA);
	print("self map: %x", *at(VA));
	*pte = b | PTE_P | PTE_W;
	invlpg(VA);
	print(" %x", *at(VA));
	print(", entry %03x", *pte & 0xfff);
	check((*pte & ~0xfffu) == b && *pte_of(VA) == *pte, " the same entry");
	check(at(tables + SELF * PAGE)[WINDOW >> 22] == page_dir[WINDOW >> 22], "the directory");
	page_dir[SELF] = 0;
	tlb_flush();
}

/* Another table behind the same directory entry. */
static void tables_swapped(void)
{
	set(VA, a | PTE_P | PTE_W);
	other_table[(VA - WINDOW) / PAGE] = b | PTE_P | PTE_W;
	*at(a) = 0x61;
	*at(b) = 0x62;
	tlb_flush();
	print("table one %x", *at(VA));
	page_dir[WINDOW >> 22] = (u32)other_table | PTE_P | PTE_W;
	invlpg(VA);
	print(", two %x", *at(VA));
	page_dir[WINDOW >> 22] = 0;
	tlb_flush();
	print(", none %x", try_call(read_at, (void *)VA) == 14 ? 0x100 | trap.error : 0);
	page_dir[WINDOW >> 22] = (u32)window_table | PTE_P | PTE_W | PTE_U;
	print(", present again without a flush %x\n", *at(VA));
}

/* Many pages in an order that no range covers, then in another. */
static void many(void)
{
	static u32 frames[MANY];
	u32 wrong = 0;

	for (u32 i = 0; i < MANY; i++) {
		frames[i] = page_alloc();
		*at(frames[i]) = i;
	}
	for (u32 round = 0; round < 4; round++) {
		u32 step = 2 * round + 1; /* odd: a permutation of 256 */

		for (u32 i = 0; i < MANY; i++)
			set(MANY_VA + i * PAGE, frames[(i * step * 77) % MANY] | PTE_P | PTE_W);
		tlb_flush();
		for (u32 i = 0; i < MANY; i++)
			wrong += *at(MANY_VA + i * PAGE) != (i * step * 77) % MANY;
		for (u32 i = 0; i < MANY; i++)
			at(MANY_VA + i * PAGE)[1 + round] = i;
	}
	check(wrong == 0, "256 pages in four orders");
	wrong = 0;
	for (u32 i = 0; i < MANY; i++)
		wrong += at(frames[(i * 77) % MANY])[1] != i;
	check(wrong == 0, "and their stores");
}

void guest_main(void)
{
	paging_init();
	a = page_alloc();
	b = page_alloc();
	remap();
	rights();
	alias();
	global();
	spaces();
	self_map();
	tables_swapped();
	many();
	guest_exit(0);
}
