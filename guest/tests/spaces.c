/*
 * Test guest: more address spaces than an engine keeps at hand, taking turns: remapping, protection
 * as after a fork, invlpg, global pages, page directories used again, and what a change of CR3 must
 * leave alone: FPU, segment registers, pending interrupts (SDM vol. 3, 4.10.4).
 *
 * What may be stale is never looked at: the CPU is free there.
 */
#include "guest.h"

#define SPACES	 24
#define PAGES	 16 /* of each space's own, at WINDOW */
#define FRAMES	 64
#define SHARED	 (WINDOW + 0x400000) /* mapped by one table for all spaces, as a kernel is */
#define ABSENT	 0xff
#define ROUNDS	 40
#define TICKS	 20
#define SEG_BASE 0x8000

static u32 *dir[SPACES], *table[SPACES], *shared_table;
static u32 frame[FRAMES], value[FRAMES];
static u8 owned[SPACES][PAGES], shared[PAGES]; /* the frame of each page */
static bool writable[SPACES][PAGES];
static u32 wrong, faults;

static u32 random(void)
{
	static u32 x = 2463534242u;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return x;
}

static volatile u32 *at(u32 linear)
{
	return (volatile u32 *)linear;
}

static void enter(unsigned space)
{
	cr3_set((u32)dir[space]);
}

static void read_at(void *linear)
{
	*at((u32)linear);
}

static void write_at(void *linear)
{
	*at((u32)linear) = 0xdead;
}

static void map(unsigned space, unsigned page, u8 f, bool write)
{
	owned[space][page] = f;
	writable[space][page] = write;
	table[space][page] = f == ABSENT ? 0 : frame[f] | PTE_P | PTE_U | (write ? PTE_W : 0);
}

static void build(unsigned space)
{
	for (unsigned i = 0; i < 1024; i++)
		dir[space][i] = page_dir[i];
	dir[space][WINDOW >> 22] = (u32)table[space] | PTE_P | PTE_W | PTE_U;
	dir[space][SHARED >> 22] = (u32)shared_table | PTE_P | PTE_W;
	for (unsigned page = 0; page < PAGES; page++)
		map(space, page, random() % 4 ? random() % FRAMES : ABSENT, true);
}

/* Every page of the space in force is what it should be. */
static void look(unsigned space)
{
	for (unsigned page = 0; page < PAGES; page++) {
		const u32 la = WINDOW + page * PAGE;
		const u8 f = owned[space][page];

		if (f == ABSENT) {
			if (try_call(read_at, (void *)la) != 14)
				wrong++;
			faults++;
			continue;
		}
		wrong += *at(la) != value[f];
		if (writable[space][page]) {
			*at(la) = value[f] = random();
		} else {
			if (try_call(write_at, (void *)la) != 14)
				wrong++;
			faults++;
		}
	}
	for (unsigned page = 0; page < PAGES; page++)
		wrong += *at(SHARED + page * PAGE) != value[shared[page]];
}

static void report(const char *what)
{
	u32 sum = 0;

	for (unsigned f = 0; f < FRAMES; f++)
		sum = sum * 31 + *at(frame[f]);
	print("%s: sum %08x, %u faults\n", what, sum, faults);
	check(wrong == 0, what);
	wrong = faults = 0;
}

static void turns(void)
{
	for (unsigned round = 0; round < 3; round++)
		for (unsigned i = 0; i < SPACES; i++) {
			enter(i);
			look(i);
		}
	/* Two of them for a while. */
	for (unsigned i = 0; i < 100; i++) {
		enter(i & 1);
		look(i & 1);
	}
	report("turns");
}

/* Tables edited while their space sleeps, and in force, where it takes an invlpg. */
static void remap(void)
{
	for (unsigned i = 0; i < ROUNDS * SPACES; i++) {
		const unsigned here = random() % SPACES, there = random() % SPACES;
		const unsigned page = random() % PAGES;

		enter(here);
		if (there != here)
			map(there, random() % PAGES, random() % FRAMES, random() % 4);
		if (i % 3 == 0)
			table[here][page] &= ~(PTE_A | PTE_D);
		map(here, page, random() % 8 ? random() % FRAMES : ABSENT, random() % 4);
		invlpg(WINDOW + page * PAGE);
		look(here);
		if (i % 7 == 0) {
			enter(there);
			look(there);
		}
	}
	report("remap");
}

/* As fork does it: a copy of the tables, both sides read-only, and then copied page by page. */
static void fork(void)
{
	for (unsigned i = 0; i < 2 * SPACES; i++) {
		const unsigned parent = i % SPACES, child = (i + 1 + random() % 5) % SPACES;

		enter(parent);
		look(parent);
		for (unsigned page = 0; page < PAGES; page++) {
			map(parent, page, owned[parent][page], false);
			map(child, page, owned[parent][page], false);
		}
		tlb_flush();
		look(parent);
		enter(child);
		look(child);
		for (unsigned page = i % 4; page < PAGES; page += 4) {
			map(child, page, random() % FRAMES, true);
			invlpg(WINDOW + page * PAGE);
		}
		look(child);
		enter(parent);
		look(parent);
	}
	report("fork");
}

/* A directory and its table become another address space's. */
static void reuse(void)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		const unsigned space = random() % SPACES, next = random() % SPACES;

		enter(space);
		look(space);
		enter((space + 1) % SPACES);
		build(space);
		if (i % 2) {
			u32 *other = dir[space];

			dir[space] = dir[next];
			dir[next] = other;
			build(space);
			build(next);
		}
		enter(space);
		look(space);
	}
	report("reuse");
}

static void map_shared(unsigned page, u8 f, u32 global)
{
	shared[page] = f;
	shared_table[page] = frame[f] | PTE_P | PTE_W | global;
}

/* The common pages are global: a change reaches all spaces by one invlpg, whichever is in force. */
static void global(void)
{
	cr4_set(cr4_get() | CR4_PGE);
	for (unsigned page = 0; page < PAGES; page++)
		map_shared(page, page, PTE_G);
	cr4_set(cr4_get() & ~CR4_PGE);
	cr4_set(cr4_get() | CR4_PGE);
	for (unsigned i = 0; i < ROUNDS * SPACES; i++) {
		const unsigned space = random() % SPACES, page = random() % PAGES;

		enter(space);
		look(space);
		if (i % 3 == 0) {
			map_shared(page, random() % FRAMES, PTE_G);
			invlpg(SHARED + page * PAGE);
		}
		if (i % 100 == 0) {
			/* Many at once, and a flush of everything. */
			for (unsigned n = 0; n < PAGES; n++)
				map_shared(n, random() % FRAMES, n % 2 ? PTE_G : 0);
			cr4_set(cr4_get() & ~CR4_PGE);
			enter(random() % SPACES);
			cr4_set(cr4_get() | CR4_PGE);
		}
		if (i % 150 == 0)
			for (unsigned n = 0; n < 100; n++)
				invlpg(SHARED + n % PAGES * PAGE);
	}
	cr4_set(cr4_get() & ~CR4_PGE);
	for (unsigned page = 0; page < PAGES; page++)
		map_shared(page, page, 0);
	tlb_flush();
	report("global");
}

UCODE(u_add, "movl $0x40000000, %ebx", "addl $3, (%ebx)");

static void user_code(void)
{
	for (unsigned i = 0; i < 3 * SPACES; i++) {
		const unsigned space = i * 7 % SPACES;

		enter(space);
		if (i < SPACES)
			map(space, 0, i, true);
		invlpg(WINDOW);
		wrong += run_user(u_add) != VEC_DONE;
		value[owned[space][0]] += 3;
		look(space);
	}
	report("user code");
}

/* FPU and segment registers are not the address space's: a segment of a host slot, and one of a GDT
 * entry that guest and host share, which each space has for itself. */
static void registers(void)
{
	const u32 control = 0x037f, tls = 0x63;
	double sum = 0, expected = 2 * SPACES;

	at(SEG_BASE)[0] = 0x5e9;
	at(SEG_BASE)[4] = 0x715;
	gdt[GDT_TEST] = descriptor(SEG_BASE, 0xfff, ACC_P | ACC_DATA_W, DESC_32);
	gdt[tls >> 3] = descriptor(SEG_BASE + 16, 0xfff, ACC_P | ACC_DPL(3) | ACC_DATA_W, DESC_32);
	asm volatile("fninit; fldcw %0" : : "m"(control));
	for (unsigned i = 0; i < 2 * SPACES; i++) {
		u32 seen, shared_seen, gs;

		asm volatile("movw %w0, %%fs; movw %w1, %%gs" : : "r"(TEST_SEL(0)), "r"(tls));
		asm volatile("fldl %0; fld1" : : "m"(sum));
		enter(i % SPACES);
		asm volatile("movl %%fs:0, %0; movl %%gs:0, %1" : "=r"(seen), "=r"(shared_seen));
		asm volatile("movl %%gs, %0" : "=r"(gs));
		asm volatile("faddp; fstpl %0" : "=m"(sum));
		wrong += seen != 0x5e9 || shared_seen != 0x715 || gs != tls;
		look(i % SPACES);
	}
	wrong += __builtin_memcmp(&sum, &expected, sizeof(sum)) != 0;
	asm volatile("movw %w0, %%fs; movw %w0, %%gs" : : "r"(0));
	report("registers");
}

static volatile u32 ticks;

static void tick(struct regs *r)
{
	(void)r;
	ticks++;
	pic_eoi(0);
}

/* Whichever space is in force when it is due, the timer's interrupt comes. */
static void interrupts(void)
{
	unsigned i = 0;

	trap_handlers[VEC_IRQ] = tick;
	pic_init();
	pic_mask(0xfffe);
	pit_mode(0, 2, 2000);
	irq_on();
	while (ticks < TICKS) {
		enter(i++ % SPACES);
		for (u32 n = ticks; i % 64 == 0 && ticks == n;)
			;
	}
	irq_off();
	pic_mask(0xffff);
	check(ticks >= TICKS, "ticks in all spaces");
	enter(0);
	look(0);
	wrong = faults = 0;
}

void guest_main(void)
{
	paging_init();
	shared_table = (u32 *)page_alloc();
	for (unsigned f = 0; f < FRAMES; f++) {
		frame[f] = page_alloc();
		*at(frame[f]) = value[f] = random();
	}
	for (unsigned space = 0; space < SPACES; space++) {
		dir[space] = (u32 *)page_alloc();
		table[space] = (u32 *)page_alloc();
		build(space);
	}
	for (unsigned page = 0; page < PAGES; page++)
		map_shared(page, page, 0);
	turns();
	remap();
	fork();
	reuse();
	global();
	user_code();
	registers();
	interrupts();
	guest_exit(0);
}
