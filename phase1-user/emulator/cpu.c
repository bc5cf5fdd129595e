/*
 * The guest's registers into the emulated CPU and back: see cpu.h.
 */
#include "cpu.h"
#include "../../common/core.h"
#include "../../common/pv.h"
#include "../../common/segment.h"
#include "fpu.h"
#include "unicorn-internals.h"

#define ATTR_SHIFT   8
#define ATTR_DEFINED 0xf0ffu
#define TSS_BUSY     2u

/* What a Linux host's processes run with. */
#define HOST_CR0   (CR0_PE | CR0_MP | CR0_ET | CR0_NE | CR0_WP | CR0_PG)
#define HOST_CR4   (CR4_PAE | CR4_PSE | CR4_PGE | CR4_OSFXSR | CR4_OSXMMEXCPT)
#define GDT_BYTES  0x80u
#define LDT_OFFSET 0x400u
#define LDT_BYTES  (HOST_SLOT_TLS0 * 8u)
#define TSS_OFFSET 0x800u
#define LDT_BIT	   4u
#define FLAT_CODE  0x00cffb000000ffffull
#define FLAT_DATA  0x00cff3000000ffffull

/* ---- segments ---- */

static void put_segment(struct emulated_segment *e, const struct segment *s)
{
	*e = (struct emulated_segment){
		.selector = s->selector,
		.base = s->base,
		.limit = s->limit,
		.flags = (u32)s->attr << ATTR_SHIFT,
	};
}

static void get_segment(struct segment *s, const struct emulated_segment *e)
{
	*s = (struct segment){
		.selector = e->selector,
		.base = (u32)e->base,
		.limit = e->limit,
		.attr = e->flags >> ATTR_SHIFT & ATTR_DEFINED,
	};
}

/* The library has TR's type without the busy bit, and aborts if it is there. */
static void put_task(struct emulated_segment *e, const struct segment *s)
{
	put_segment(e, s);
	e->flags &= ~(TSS_BUSY << ATTR_SHIFT);
}

static void get_task(struct segment *s, const struct emulated_segment *e)
{
	get_segment(s, e);
	if (s->attr & SEG_P)
		s->attr |= TSS_BUSY;
}

static void put_table(struct emulated_segment *e, const struct table_register *t)
{
	*e = (struct emulated_segment){.base = t->base, .limit = t->limit};
}

static void get_table(struct table_register *t, const struct emulated_segment *e)
{
	*t = (struct table_register){.base = (u32)e->base, .limit = e->limit};
}

/* ---- the machine without privilege levels ---- */

static u64 *descriptor_at(u16 selector)
{
	return (u64 *)(emulated_tables() + (selector & LDT_BIT ? LDT_OFFSET : 0) +
		       (selector & ~7u));
}

void cpu_set_descriptor(u16 selector, u64 descriptor)
{
	const u64 dpl = 3ull << 45;

	*descriptor_at(selector) = descriptor ? descriptor | dpl : 0;
}

static void put_host_tables(struct emulated_cpu *c)
{
	c->gdt = (struct emulated_segment){.base = CPU_TABLES, .limit = GDT_BYTES - 1};
	c->ldt = (struct emulated_segment){.selector = 8,
					   .base = CPU_TABLES + LDT_OFFSET,
					   .limit = LDT_BYTES - 1,
					   .flags = SEG_P << ATTR_SHIFT};
	c->idt = (struct emulated_segment){.base = CPU_TABLES};
	/* iret with NT set finds a null link there. */
	c->tr = (struct emulated_segment){.base = CPU_TABLES + TSS_OFFSET,
					  .flags = SEG_P << ATTR_SHIFT};
	*descriptor_at(HOST_FLAT_CS) = FLAT_CODE;
	*descriptor_at(HOST_FLAT_DS) = FLAT_DATA;
}

static void load_host_segments(const struct vm *vm, struct emulated_cpu *c)
{
	put_host_tables(c);
	for (unsigned i = 0; i < HOST_TLS_COUNT; i++)
		cpu_set_descriptor((HOST_TLS_ENTRY + i) << 3, vm->shadow[vm->pool.active].tls[i]);
	for (unsigned reg = 0; reg < SEG_COUNT; reg++) {
		const u16 selector = vm->cpu.hw_selector[reg];
		struct segment seg = {.selector = selector};

		if (!seg_is_null(selector))
			seg_unpack(*descriptor_at(selector), selector, &seg);
		put_segment(&c->seg[reg], &seg);
	}
	c->cr[0] = HOST_CR0;
	c->cr[4] = HOST_CR4;
}

static void save_host_segments(struct vm *vm, const struct emulated_cpu *c)
{
	u16 hw[SEG_COUNT];

	for (unsigned reg = 0; reg < SEG_COUNT; reg++)
		hw[reg] = c->seg[reg].selector;
	core_sync_selectors(vm, hw);
}

/* ---- the machine with them ---- */

static void load_levels(const struct vm *vm, struct emulated_cpu *c)
{
	const struct vcpu *cpu = &vm->cpu;

	for (unsigned reg = 0; reg < SEG_COUNT; reg++)
		put_segment(&c->seg[reg], &cpu->seg[reg]);
	put_segment(&c->ldt, &cpu->ldtr);
	put_task(&c->tr, &cpu->tr);
	put_table(&c->gdt, &cpu->gdtr);
	put_table(&c->idt, &cpu->idtr);
	c->cr[0] = cpu->cr0;
	c->cr[2] = cpu->cr2;
	c->cr[3] = cpu->cr3;
	c->cr[4] = cpu->cr4;
}

static void save_levels(struct vm *vm, const struct emulated_cpu *c)
{
	struct vcpu *cpu = &vm->cpu;

	for (unsigned reg = 0; reg < SEG_COUNT; reg++)
		get_segment(&cpu->seg[reg], &c->seg[reg]);
	get_segment(&cpu->ldtr, &c->ldt);
	get_task(&cpu->tr, &c->tr);
	get_table(&cpu->gdtr, &c->gdt);
	get_table(&cpu->idtr, &c->idt);
	cpu->cr0 = (u32)c->cr[0]; /* clts */
	cpu->iopl = (cpu->rflags & FLAG_IOPL) >> 12;
	vm_set_if(vm, cpu->rflags);
	/* Both have their place, and here are what they are in a process of the host. */
	cpu->rflags = (cpu->rflags & ~(u64)FLAG_IOPL) | FLAG_IF;
	pv_page(vm)->cpl = c->hflags & EMULATED_CPL;
	vm->user_view = (c->hflags & EMULATED_CPL) == 3;
}

/* ---- both ---- */

void cpu_load(struct vm *vm)
{
	struct emulated_cpu *c = emulated_cpu();

	mem_copy(c->gpr, vm->cpu.gpr, GPR_R8 * sizeof(u64));
	/* Behind sti and mov ss no interrupt comes, as long as that is where it is. */
	if (c->eip != vm->cpu.rip)
		c->hflags &= ~EMULATED_SHADOW;
	c->eip = vm->cpu.rip;
	if (vm->levels) {
		c->eflags = vm_flags(vm);
		load_levels(vm, c);
	} else {
		c->eflags = ((u32)vm->cpu.rflags & ~FLAG_IOPL) | FLAG_IF;
		load_host_segments(vm, c);
	}
	/* Linear addresses have 32 bits; the library adds 64. */
	if ((c->seg[SEG_CS].base + c->eip) >> 32)
		c->seg[SEG_CS].base -= 1ull << 32;
	/* It has no meaning here: no breakpoints are in the debug registers. */
	c->eflags &= ~(u64)FLAG_RF;
	emulated_derive();
	if (!fpu_is_here())
		c->hflags |= EMULATED_TS;
}

void cpu_save(struct vm *vm)
{
	const struct emulated_cpu *c = emulated_cpu();

	mem_copy(vm->cpu.gpr, c->gpr, GPR_R8 * sizeof(u64));
	vm->cpu.rip = (u32)c->eip;
	/* RF would be over: the library leaves it set until the end of a block. */
	vm->cpu.rflags = (u32)c->eflags & ~FLAG_RF;
	if (vm->levels)
		save_levels(vm, c);
	else
		save_host_segments(vm, c);
}
