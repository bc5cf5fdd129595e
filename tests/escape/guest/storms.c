/*
 * Time bombs: what costs the host much and the guest little, without end.
 *
 * Owns: `storm KIND`. None of them comes back: whoever watches ends the guest.
 */
#include "escape.h"

#define SPACES	  64
#define MAP_AREA  0x20000000u /* linear: what is mapped page by page */
#define MAP_PAGES (256u * 1024)
#define IER	  (COM1 + 1)
#define IER_THRE  2

static u32 ticks;

static void tick(struct regs *r)
{
	(void)r;
	ticks++;
	pic_eoi(0);
}

/* The fastest timer there is. */
static void storm_timer(void)
{
	trap_handlers[VEC_IRQ] = tick;
	pit_mode(0, 2, 2);
	pic_mask(0xfffe);
	irq_on();
	for (;;)
		asm volatile("hlt");
}

static void not_acknowledged(struct regs *r)
{
	(void)r;
	ticks++;
	pic_eoi(4);
}

/* A line that stays high, and a handler that does not mind. */
static void storm_line(void)
{
	trap_handlers[VEC_IRQ + 4] = not_acknowledged;
	outb(0x4d0, 0x10); /* level-triggered, where that can be had */
	outb(IER, IER_THRE);
	pic_mask(0xffef);
	irq_on();
	for (;;) {
		outb(IER, 0);
		outb(IER, IER_THRE);
	}
}

CODE(s_ud, "", "ud2");
UCODE(s_uud, "", "ud2");
UCODE(s_int, "", "int $0x30");
UCODE(s_page, "", "movl 0x40000000, %eax");

static void storm_traps(void)
{
	paging_init();
	for (;;) {
		try(s_ud);
		run_user(s_uud);
		run_user(s_int);
		run_user(s_page);
	}
}

static void go_again(struct regs *r)
{
	(void)r;
}

/* A page fault that its handler does nothing about. */
static void storm_faults(void)
{
	paging_init();
	trap_handlers[14] = go_again;
	run_user(s_page);
}

/* Every second page of a large area, each to a page of RAM that its neighbour does not have: no two
 * of them are one mapping of the host's. More than a host's vm.max_map_count, again and again. */
static void storm_mappings(void)
{
	const u32 tables = MAP_PAGES / 1024;
	u32 pass = 0;

	paging_init();
	for (u32 t = 0; t < tables; t++)
		page_dir[(MAP_AREA >> 22) + t] = page_alloc() | PTE_P | PTE_W | PTE_U;
	for (;; pass++) {
		for (u32 i = 0; i < MAP_PAGES; i++) {
			u32 *const table = (u32 *)(page_dir[(MAP_AREA >> 22) + i / 1024] & ~0xfffu);
			const u32 page = (i * 7 + pass) % 2048 + 512;

			table[i % 1024] = page * PAGE | PTE_P | PTE_A | PTE_D | (i & 1 ? PTE_W : 0);
		}
		tlb_flush();
		for (u32 i = 0; i < MAP_PAGES; i++)
			(void)*(volatile u32 *)(MAP_AREA + i * PAGE);
	}
}

/* Address spaces, more than the host keeps. */
static void storm_spaces(void)
{
	static u32 dirs[SPACES];

	paging_init();
	for (u32 i = 0; i < SPACES; i++) {
		dirs[i] = page_alloc();
		for (u32 e = 0; e < 1024; e++)
			((u32 *)dirs[i])[e] = page_dir[e];
	}
	for (u32 n = 0;; n++) {
		cr3_set(dirs[n * 7 % SPACES]);
		for (u32 at = 0x200000; at < 0x300000; at += PAGE)
			(void)*(volatile u32 *)at;
		run_user(s_int);
		if (n % 97 == 0)
			tlb_flush();
	}
}

/* All the RAM there is, written again and again, and what it holds run as code. */
static void storm_memory(void)
{
	for (u32 n = 0;; n++)
		for (u32 at = 0x400000; at < RAM_END; at += PAGE)
			*(volatile u32 *)at = at ^ n;
}

static void storm_code(void)
{
	const u32 room = RAM_END - 0x400000;

	for (u32 n = 0;; n++) {
		const u32 at = 0x400000 + n * 64 % room;
		volatile u32 *const p = (u32 *)at;

		p[0] = 0x000000b8u | n << 8; /* mov $..., %eax */
		p[1] = 0xc3c3c300u;
		((void (*)(void))at)();
	}
}

static void storm_ports(void)
{
	for (u32 n = 0;; n++) {
		inb(0x60 + (n & 15));
		outb(0x70, n);
		inl(0xcf8);
		(void)*(volatile u32 *)(DEVICES + (n * 4 & 0xffff));
		*(volatile u32 *)(DEVICES + 0x50) = n;
	}
}

static void storm_output(void)
{
	for (;;)
		print("flood flood flood flood flood flood flood flood flood flood flood flood\n");
}

/* Interrupts off and on, halts that end at once, and a CPU that only looks busy. */
static void storm_halts(void)
{
	trap_handlers[VEC_IRQ] = tick;
	pit_mode(0, 2, 20);
	pic_mask(0xfffe);
	for (;;) {
		irq_wait();
		irq_on();
		irq_off();
		pic_mask(0xffff);
		pic_mask(0xfffe);
		pit_mode(0, 2, 20);
	}
}

static void storm_spin(void)
{
	irq_off();
	for (;;)
		asm volatile("");
}

static const struct {
	const char *name;
	void (*fn)(void);
} kinds[] = {{"timer", storm_timer},   {"line", storm_line},	     {"traps", storm_traps},
	     {"faults", storm_faults}, {"mappings", storm_mappings}, {"spaces", storm_spaces},
	     {"memory", storm_memory}, {"code", storm_code},	     {"ports", storm_ports},
	     {"output", storm_output}, {"halts", storm_halts},	     {"spin", storm_spin}};

void storm(unsigned first)
{
	for (unsigned i = 0; first + 1 < words && i < ARRAY_SIZE(kinds); i++)
		if (is(word[first + 1], kinds[i].name))
			kinds[i].fn();
}
