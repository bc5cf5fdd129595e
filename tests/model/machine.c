/*
 * A random protected-mode machine: see machine.h.
 */
#include "machine.h"

#include <string.h>

/* What the entries of the GDT are, and of the LDT; the odd ones aside. */
enum role { CODE, DATA, CONFORMING, ANYTHING, TASK_STATE, LOCAL_TABLE, CALL_GATE };
struct plan {
	enum role role;
	u8 dpl;
};
static const struct plan gdt_plan[MGDT_ENTRIES] = {
	{ANYTHING, 0}, {CODE, 0}, {DATA, 0},	 {CODE, 3},	  {DATA, 3},	    {CODE, 1},
	{DATA, 1},     {DATA, 2}, {CODE, 2},	 {TASK_STATE, 0}, {LOCAL_TABLE, 0}, {CALL_GATE, 3},
	{DATA, 3},     {DATA, 3}, {ANYTHING, 3}, {CONFORMING, 0},
};
static const struct plan ldt_plan[MLDT_ENTRIES] = {
	{CONFORMING, 0}, {DATA, 3},	 {CODE, 3},	{DATA, 0}, {CODE, 0}, {CONFORMING, 3},
	{CALL_GATE, 3},	 {CALL_GATE, 0}, {ANYTHING, 0}, {CODE, 1}, {DATA, 1}, {ANYTHING, 3},
};

static u32 frame_of(const struct contest *c, u32 page)
{
	return page < ARRAY_SIZE(c->frame) ? c->frame[page] : page;
}

void machine_put(struct contest *c, u32 la, u32 value, unsigned size)
{
	for (unsigned i = 0; i < size; i++) {
		const u32 at = la + i, pa = frame_of(c, at >> 12) << 12 | (at & 0xfff);

		if (pa < TABLES)
			c->model.ram[pa] = value >> 8 * i;
	}
}

static void put64(struct contest *c, u32 la, u64 value)
{
	machine_put(c, la, value, 4);
	machine_put(c, la + 4, value >> 32, 4);
}

/* --------------------------------------------------------- descriptors ---- */

static u32 random_base(struct dice *d)
{
	if (chance(d, 75))
		return 0;
	return PICK(d, 0x1000, 0x2000, 0x800, 0xfffff000, 0xffff8000, roll(d) & 0xffff);
}

static u64 random_segment(struct dice *d, u8 type, u8 dpl)
{
	const bool down = (type & 0xc) == 4, flat = chance(d, 70) && !down;
	const u8 access = 0x80 | 0x10 | dpl << 5 | type;
	u32 limit = PICK(d, 0xffff, 0xfffff, roll(d) & 0xffff, 0xbfff, 0x8fff, 0x1f);
	u8 flags = chance(d, 85) ? D_32 : 0;

	if (down)
		limit = PICK(d, 0, 0x7fff, 0x8fff, roll(d) & 0xffff);
	if (flat)
		return descriptor(random_base(d), 0xfffff, access, flags | D_4K);
	if (chance(d, 20)) {
		flags |= D_4K;
		limit >>= 12;
	}
	return descriptor(random_base(d), limit, access, flags);
}

static u16 planned_selector(struct contest *c, bool (*fits)(struct plan, unsigned), unsigned level)
{
	struct dice *d = &c->dice;

	for (;;) {
		const bool local = chance(d, 40);
		const u32 i = roll_below(d, local ? MLDT_ENTRIES : MGDT_ENTRIES);
		const struct plan plan = local ? ldt_plan[i] : gdt_plan[i];

		if (fits(plan, level) && (local || i))
			return i << 3 | (local ? 4 : 0) | level;
	}
}

static bool is_code_of(struct plan plan, unsigned level)
{
	return (plan.role == CODE && plan.dpl == level) ||
	       (plan.role == CONFORMING && plan.dpl <= level);
}

static bool is_code_for(struct plan plan, unsigned level)
{
	return (plan.role == CODE || plan.role == CONFORMING) && plan.dpl <= level;
}

static bool is_data_of(struct plan plan, unsigned level)
{
	return plan.role == DATA && plan.dpl == level;
}

u16 random_code_selector(struct contest *c, unsigned level)
{
	return chance(&c->dice, 6) ? random_selector(c) : planned_selector(c, is_code_of, level);
}

u16 random_stack_selector(struct contest *c, unsigned level)
{
	return chance(&c->dice, 6) ? random_selector(c) : planned_selector(c, is_data_of, level);
}

/* For a gate: of any level that can be entered from this one. */
static u16 random_handler_selector(struct contest *c, unsigned level)
{
	return chance(&c->dice, 4) ? random_selector(c) : planned_selector(c, is_code_for, level);
}

u16 random_selector(struct contest *c)
{
	struct dice *d = &c->dice;
	const bool local = chance(d, 40);
	const u32 i = roll_below(d, local ? MLDT_ENTRIES : MGDT_ENTRIES);
	const struct plan plan = local ? ldt_plan[i] : gdt_plan[i];

	if (chance(d, 4))
		return roll_below(d, 4);
	if (chance(d, 4))
		return roll(d);
	return i << 3 | (local ? 4 : 0) |
	       PICK(d, plan.dpl, plan.dpl, c->model.r.cpl, roll_below(d, 4));
}

u32 random_eip(struct contest *c)
{
	struct dice *d = &c->dice;

	return chance(d, 75) ? 0x10 + roll_below(d, 8)
			     : PICK(d, roll(d) & 0xffff, roll(d), 0xbfff, 0xc000);
}

static u64 random_call_gate(struct contest *c, u8 dpl)
{
	struct dice *d = &c->dice;
	const u8 parameters = chance(d, 50) ? 0 : roll_below(d, 32);

	return gate_descriptor(random_handler_selector(c, c->model.r.cpl), random_eip(c),
			       (chance(d, 60) ? D_CALL32 : D_CALL16) | dpl << 5, parameters);
}

static u64 random_system(struct contest *c)
{
	struct dice *d = &c->dice;

	switch (roll_below(d, 4)) {
	case 0: /* any type, and any of its bytes */
		return (u64)roll(d) << 32 | roll(d);
	case 1:
		return gate_descriptor(0x48 | roll_below(d, 4), 0, D_TASK | roll_below(d, 4) << 5,
				       0);
	case 2: /* TSS and LDT, of each type */
		return descriptor(AT_MTSS, 0x67,
				  0x80 | PICK(d, 1, 2, 3, 9, 11) | roll_below(d, 4) << 5, 0);
	default:
		return random_call_gate(c, roll_below(d, 4));
	}
}

static u64 random_descriptor(struct contest *c, struct plan plan)
{
	struct dice *d = &c->dice;

	switch (plan.role) {
	case CODE:
		return random_segment(d, PICK(d, 8, 9, 10, 11), plan.dpl);
	case CONFORMING:
		return random_segment(d, PICK(d, 12, 13, 14, 15), plan.dpl);
	case DATA:
		return random_segment(d, chance(d, 88) ? PICK(d, 2, 3) : PICK(d, 6, 7), plan.dpl);
	case TASK_STATE:
		return descriptor(AT_MTSS, 0x67, PICK(d, D_TSS, D_TSS, D_TSS_BUSY, 0x81, 0x83), 0);
	case LOCAL_TABLE:
		return descriptor(AT_MLDT, MLDT_ENTRIES * 8 - 1, D_LDT, 0);
	case CALL_GATE:
		return random_call_gate(c, plan.dpl);
	case ANYTHING:
		break;
	}
	if (chance(d, 50))
		return random_system(c);
	return random_segment(d, roll_below(d, 16), roll_below(d, 4));
}

/* Something of a right entry is not. */
static u64 spoil(struct dice *d, u64 desc)
{
	switch (roll_below(d, 4)) {
	case 0:
		return desc & ~(1ull << 47); /* P */
	case 1:
		return desc ^ 1ull << (40 + roll_below(d, 8));
	case 2:
		return desc ^ 1ull << (45 + roll_below(d, 2)); /* DPL */
	default:
		return (desc & ~0xffffull) | roll_below(d, 0x100); /* the limit */
	}
}

static void make_table(struct contest *c, u32 at, const struct plan *plan, unsigned n, u32 odd)
{
	for (unsigned i = 0; i < n; i++) {
		u64 desc = random_descriptor(c, plan[i]);

		put64(c, at + i * 8, odd >> i & 1 ? spoil(&c->dice, desc) : desc);
	}
}

static void make_idt(struct contest *c)
{
	struct dice *d = &c->dice;
	const bool good = chance(d, 60);

	for (unsigned i = 0; i <= SYSCALL_VECTOR;
	     i = i + 1 == MIDT_ENTRIES ? SYSCALL_VECTOR : i + 1) {
		u8 access = PICK(d, 0x8e, 0x8e, 0x8f, 0x86, 0x87) |
			    PICK(d, 3, 3, c->model.r.cpl, roll_below(d, 4)) << 5;

		if (!good && chance(d, 12))
			access = chance(d, 50) ? access & 0x7f : chance(d, 40) ? 0x85 : roll(d);
		put64(c, AT_MIDT + i * 8,
		      gate_descriptor(random_handler_selector(c, c->model.r.cpl), random_eip(c),
				      access, 0));
	}
}

/* -------------------------------------------------------------- stacks ---- */

u32 random_esp(struct contest *c, u32 base, u32 limit)
{
	struct dice *d = &c->dice;
	const u32 pages = (AT_STACKS_END - AT_STACKS) >> 12;
	u32 la = AT_STACKS + ((1 + roll_below(d, pages - 1)) << 12);

	if (chance(d, 8))
		return limit + 1 + 2 * roll_below(d, 16) - 16; /* near the end of the segment */
	if (chance(d, 3))
		return PICK(d, 0, 2, 4, 12, 0x10000, 0x10008, 0xfffffffc) + (roll(d) & 3);
	la += chance(d, 50) ? 0x800 : 4 * roll_below(d, 14) - 24;
	return la - base + (chance(d, 5) ? roll_below(d, 4) : 0);
}

static void make_tss(struct contest *c)
{
	struct m_segment *tr = &c->model.r.tr;
	struct dice *d = &c->dice;
	const bool is16 = chance(d, 20);

	tr->selector = 9 << 3;
	tr->base = AT_MTSS;
	tr->limit = chance(d, 92) ? 0x67 : roll_below(d, 0x20);
	tr->type = is16 ? 3 : 11;
	tr->present = true;
	machine_put(c, AT_MTSS, chance(d, 50) ? 9 << 3 : random_selector(c), 2);
	for (unsigned level = 0; level < 3; level++) {
		const u16 ss = random_stack_selector(c, level);
		const u32 esp = random_esp(c, 0, 0xffff),
			  at = AT_MTSS + (is16 ? 2 + 4 * level : 4 + 8 * level);

		machine_put(c, at, esp, is16 ? 2 : 4);
		machine_put(c, at + (is16 ? 2 : 4), ss, 2);
	}
}

/* ----------------------------------------------------------- registers ---- */

static void load_data(struct contest *c, enum seg_reg reg)
{
	struct dice *d = &c->dice;
	const unsigned cpl = c->model.r.cpl, dpl = cpl + roll_below(d, 4 - cpl);
	struct m_segment *seg = &c->model.r.seg[reg];

	if (chance(d, 12)) {
		*seg = (struct m_segment){.selector = roll_below(d, 4), .null = true};
		return;
	}
	*seg = m_unpack(random_segment(d, PICK(d, 1, 3, 3, 7, 11), dpl),
			roll_below(d, 16) << 3 | 4 | cpl);
	if (chance(d, 10)) { /* conforming: its DPL may be any */
		seg->type = 15;
		seg->dpl = roll_below(d, 4);
	}
}

static void make_registers(struct contest *c)
{
	struct m_registers *r = &c->model.r;
	struct dice *d = &c->dice;
	struct m_segment *cs = &r->seg[SEG_CS], *ss = &r->seg[SEG_SS];

	r->cr0 = CR0_PE | CR0_ET;
	for (unsigned i = 0; i < 8; i++)
		r->gpr[i] = roll(d);
	r->eflags = (roll(d) & (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_IF |
				FLAG_DF | FLAG_OF | FLAG_IOPL | FLAG_ID)) |
		    FLAG_ONE;
	r->cr2 = roll(d);
	*cs = m_unpack(random_segment(d, 11, r->cpl), roll_below(d, 16) << 3 | r->cpl | 8);
	cs->limit = 0xffffffff;
	cs->granular = true;
	if (chance(d, 15)) {
		cs->type = 15;
		cs->dpl = roll_below(d, r->cpl + 1);
	}
	r->eip = AT_MCODE - cs->base;
	*ss = m_unpack(random_segment(d, chance(d, 90) ? 3 : 7, r->cpl),
		       roll_below(d, 16) << 3 | r->cpl | 8);
	r->gpr[GPR_SP] = random_esp(c, ss->base, ss->limit);
	load_data(c, SEG_DS);
	load_data(c, SEG_ES);
	load_data(c, SEG_FS);
	load_data(c, SEG_GS);
	r->gdtr = (struct m_table){AT_MGDT, chance(d, 90) ? MGDT_ENTRIES * 8 - 1
							  : roll_below(d, MGDT_ENTRIES * 8)};
	r->idtr = (struct m_table){AT_MIDT, chance(d, 90) ? SYSCALL_VECTOR * 8 + 7
							  : roll_below(d, MIDT_ENTRIES * 8)};
	r->ldtr = m_unpack(descriptor(AT_MLDT, MLDT_ENTRIES * 8 - 1, D_LDT, 0), 10 << 3);
	if (chance(d, 6))
		r->ldtr.limit = roll_below(d, MLDT_ENTRIES * 8);
	if (chance(d, 4))
		r->ldtr = (struct m_segment){.null = true};
}

/* -------------------------------------------------------------- paging ---- */

static void put_entry(struct contest *c, u32 table, u32 index, u32 entry)
{
	const unsigned width = c->model.r.cr4 & CR4_PAE ? 8 : 4;

	memcpy(c->model.ram + table + index * width, &entry, sizeof(entry));
}

static void make_paging(struct contest *c, u32 odd)
{
	const u32 code_page = AT_MCODE >> 12;
	struct m_registers *r = &c->model.r;
	struct dice *d = &c->dice;

	r->cr0 |= CR0_PG | (chance(d, 75) ? CR0_WP : 0);
	r->cr4 |= chance(d, 40) ? CR4_PAE : 0;
	r->cr3 = TABLES;
	r->pdpte[0] = TABLES | PTE_P;
	put_entry(c, TABLES, 0, (TABLES + 0x1000) | PTE_P | PTE_W | PTE_U);
	for (u32 page = 0; page < TABLES >> 12; page++) {
		u32 entry =
			c->frame[page] << 12 | PTE_P | PTE_W | PTE_U | (roll(d) & (PTE_A | PTE_D));

		if (odd >> page & 1 && page != code_page)
			entry = PICK(d, entry & ~PTE_P, entry & ~PTE_W, entry & ~PTE_U,
				     entry & ~PTE_W);
		put_entry(c, TABLES + 0x1000, page, entry);
	}
}

/* A few bits of `n`, or none. */
static u32 random_odd(struct dice *d, unsigned n)
{
	u32 odd = 0;

	for (unsigned i = chance(d, 50) ? 1 + roll_below(d, 3) : 0; i > 0; i--)
		odd |= 1u << roll_below(d, n);
	return odd;
}

void machine_enter_vm86(struct contest *c)
{
	struct m_registers *r = &c->model.r;
	struct dice *d = &c->dice;

	r->cpl = 3;
	r->eflags |= FLAG_VM;
	for (unsigned i = 0; i < SEG_COUNT; i++) {
		const u16 selector =
			4 + roll_below(d, 0xfffc); /* none that would be null elsewhere */

		r->seg[i] = (struct m_segment){.selector = selector,
					       .base = selector << 4,
					       .limit = 0xffff,
					       .type = 3,
					       .dpl = 3,
					       .s = true,
					       .present = true};
	}
	r->seg[SEG_CS].type = 11; /* the core's code segments are code */
}

void machine_make(struct contest *c)
{
	struct dice *d = &c->dice;
	const u32 stacks = AT_STACKS >> 12;

	c->tables = TABLES;
	c->tables_end = MACHINE_RAM;
	c->descriptors = AT_MGDT & ~0xfffu;
	c->descriptors_end = AT_MIDT;
	for (u32 page = 0; page < ARRAY_SIZE(c->frame); page++)
		c->frame[page] = page;
	c->model.r.cpl = chance(d, 40) ? 0 : chance(d, 60) ? 3 : roll_below(d, 4);
	c->model.deprivileged = chance(d, 60);
	c->vm->levels = !c->model.deprivileged;
	make_registers(c);
	if (chance(d, 60)) {
		if (chance(d, 20)) {
			c->frame[stacks] = stacks + 2;
			c->frame[stacks + 2] = stacks;
		}
		make_paging(c, random_odd(d, TABLES >> 12));
	}
	make_table(c, AT_MGDT, gdt_plan, MGDT_ENTRIES, random_odd(d, MGDT_ENTRIES));
	make_table(c, AT_MLDT, ldt_plan, MLDT_ENTRIES, random_odd(d, MLDT_ENTRIES));
	make_idt(c);
	make_tss(c);
}
