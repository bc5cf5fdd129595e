/*
 * Page tables that point where no table or page should be: at the ends of RAM, what lies behind it,
 * device windows, themselves.
 *
 * Owns: `pages SEED ROUNDS [run]`, `pages-pae SEED ROUNDS` and `cr3 VALUE [CR4]`.
 */
#include "escape.h"

#define AREA	     0x50000000u /* linear: 16 directory entries of our own from here */
#define AREA_ENTRIES 16
#define CR4_PAE	     0x20u
#define CODE_BYTES   0x00c3c3c3u /* ret, should it be run */

static u32 odd_table[1024] __attribute__((aligned(4096)));

/* Where entries point. */
static u32 place(u32 *seed)
{
	const u32 places[] = {0,
			      PAGE,
			      0xa0000,
			      (u32)page_dir,
			      (u32)window_table,
			      (u32)odd_table,
			      RAM_END - PAGE,
			      RAM_END,
			      RAM_END + PAGE,
			      RAM_END + 2 * PAGE,
			      RAM_END + 0x100000,
			      DEVICES,
			      DEVICES + PAGE,
			      DEVICES + 0x40000,
			      0xfec00000,
			      0xfee00000,
			      0x7ffff000,
			      0x80000000,
			      0xffc00000,
			      PHYS_TOP};

	return places[random(seed) % ARRAY_SIZE(places)];
}

static u32 entry(u32 *seed)
{
	const u32 how = random(seed);

	return place(seed) | (how % 16 ? PTE_P : 0) | (how >> 4 & 0xff6) |
	       (how >> 20 & 1 ? PTE_W | PTE_U : 0);
}

static void touch(void *at)
{
	volatile u32 *const p = at;

	(void)*p;
}

static void store(void *at)
{
	volatile u32 *const p = at;

	*p = CODE_BYTES;
}

static void exchange(void *at)
{
	asm volatile("lock xaddl %0, (%1)" : : "r"(0), "r"(at) : "memory");
}

static void copy(void *at)
{
	asm volatile("rep movsb" : : "S"(at), "D"((u32)at + PAGE - 8), "c"(32) : "memory");
}

static void run(void *at)
{
	asm volatile("call *%0" : : "r"(at) : "eax", "ecx", "edx", "memory");
}

static void (*const accesses[])(void *) = {touch, store, exchange, copy, run};
UCODE(u_touch, "", "movl (%ebx), %eax; movl %eax, (%ebx)");
static u32 faults, went_through;
static bool may_run; /* what it finds there is mostly the end of it */

/* What lets us live; what was written over it by way of the odd tables is put back. */
static u32 kept_dir[AREA >> 22], kept_identity[RAM_SIZE / PAGE];

static void keep(u32 *to, const u32 *from, u32 n)
{
	while (n--)
		to[n] = from[n];
}

static void access(u32 *seed)
{
	const u32 how = random(seed);
	u32 la = AREA + how % (AREA_ENTRIES << 22);
	u32 vector;

	if (how >> 26 & 1)
		la |= 0xffe; /* over the end of a page */
	if (how >> 27 & 1) {
		struct user_state s = user_state(u_touch);

		s.ebx = la;
		vector = run_user_state(&s);
	} else {
		vector = try_call(accesses[(how >> 28) % (ARRAY_SIZE(accesses) - !may_run)],
				  (void *)la);
	}
	keep(page_dir, kept_dir, ARRAY_SIZE(kept_dir));
	keep(pte_of(0), kept_identity, ARRAY_SIZE(kept_identity));
	faults += vector == 14;
	went_through += vector == NO_TRAP || vector == VEC_DONE;
}

void pages(unsigned first)
{
	u32 seed = number_of(first + 1, 1), rounds = number_of(first + 2, 100);

	may_run = first + 3 < words;
	paging_init();
	keep(kept_dir, page_dir, ARRAY_SIZE(kept_dir));
	keep(kept_identity, pte_of(0), ARRAY_SIZE(kept_identity));
	cr4_set(cr4_get() | CR4_PSE);
	for (; rounds; rounds--) {
		for (unsigned i = 0; i < 1024; i++)
			odd_table[i] = entry(&seed);
		for (unsigned i = 0; i < AREA_ENTRIES; i++)
			page_dir[(AREA >> 22) + i] =
				i & 1 ? entry(&seed) : (u32)odd_table | PTE_P | PTE_W | PTE_U;
		tlb_flush();
		for (unsigned i = 0; i < 16; i++)
			access(&seed);
	}
	print("held: %u faults, %u went through\n", faults, went_through);
}

/* ---- The same with PAE ---- */
static u64 pdpt[4] __attribute__((aligned(32)));
static u64 pd[4][512] __attribute__((aligned(4096)));
static u64 odd_pt[512] __attribute__((aligned(4096)));

static u64 entry_pae(u32 *seed)
{
	const u32 how = random(seed);
	u64 e = entry(seed);

	if (how % 3 == 0)
		e |= (u64)(how >> 8 & 0xf) << 32; /* beyond 4 GiB */
	if (how % 17 == 0)
		e |= (u64)random(seed) << 32; /* reserved bits, NX */
	return e;
}

static void load_cr3(void *value)
{
	cr3_set((u32)value);
}

void pages_pae(unsigned first)
{
	u32 seed = number_of(first + 1, 1), rounds = number_of(first + 2, 100);

	for (u32 i = 0; i < RAM_SIZE >> 21; i++)
		pd[0][i] = i << 21 | PTE_P | PTE_W | PTE_U | PTE_PS;
	for (u32 i = 0; i < 4; i++)
		pdpt[i] = (u32)pd[i] | PTE_P;
	cr4_set(cr4_get() | CR4_PAE);
	cr3_set((u32)pdpt);
	cr0_set(cr0_get() | CR0_PG | CR0_WP);
	for (; rounds; rounds--) {
		for (unsigned i = 0; i < 512; i++)
			odd_pt[i] = entry_pae(&seed);
		for (unsigned i = 0; i < AREA_ENTRIES * 2; i++)
			pd[1][(AREA >> 21 & 511) + i] =
				i & 1 ? entry_pae(&seed) : (u32)odd_pt | PTE_P | PTE_W | PTE_U;
		pdpt[2] = random(&seed) & 1 ? entry_pae(&seed) & ~0x1e6ull : 0;
		pdpt[3] = random(&seed) & 1 ? (u32)pdpt | PTE_P : 0;
		if (try_call(load_cr3, pdpt) != NO_TRAP)
			pdpt[2] = pdpt[3] = 0;
		for (unsigned i = 0; i < 16; i++)
			access(&seed);
	}
	print("held: %u faults, %u went through\n", faults, went_through);
}

/* All there is by such a CR3: mostly the end. */
void cr3(unsigned first)
{
	const u32 value = number_of(first + 1, 0);

	paging_init();
	cr4_set(cr4_get() | number_of(first + 2, 0));
	cr3_set(value);
	print("held: with CR3 %08x\n", value);
}
