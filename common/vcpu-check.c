/*
 * Checking a vcpu's state: see vcpu-check.h.
 */
#include "vcpu-check.h"
#include "segment.h"

/* FLAG_IF is said to have no meaning, and the virtual IOPL is a field of its own. */
#define FLAGS_DEFINED                                                                     \
	(FLAG_CF | FLAG_ONE | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_TF | FLAG_IF | \
	 FLAG_DF | FLAG_OF | FLAG_NT | FLAG_RF | FLAG_AC | FLAG_ID)
#define ATTR_DEFINED (SEG_TYPE | SEG_S | SEG_DPL | SEG_P | SEG_AVL | SEG_DB | SEG_G)
#define TYPE_LDT     2
#define TYPE_TSS     1 /* each of the two below, or both, may be set as well */
#define TYPE_BUSY    2
#define TYPE_32	     8

static bool within(u64 value, u64 mask)
{
	return !(value & ~mask);
}

static bool fits_32(const u64 *values, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (values[i] >> 32)
			return false;
	return true;
}

/* Present, and its base and limit are what a descriptor can say. */
static bool hidden_valid(const struct segment *s)
{
	const u32 low = s->limit & 0xfff;

	return within(s->attr, ATTR_DEFINED) && (s->attr & SEG_P) && !(s->base >> 32) &&
	       (s->attr & SEG_G ? low == 0xfff : s->limit <= 0xfffff);
}

static bool segment_valid(enum seg_reg reg, const struct segment *s)
{
	if (seg_is_null(s->selector))
		return reg != SEG_CS && reg != SEG_SS;
	return hidden_valid(s) && seg_is_loadable(reg, s);
}

static bool system_valid(const struct segment *s, u16 type, u16 ignored)
{
	if (seg_is_null(s->selector))
		return true;
	return hidden_valid(s) && (s->attr & (SEG_S | SEG_TYPE) & ~ignored) == type;
}

static bool segments_valid(const struct vcpu *cpu)
{
	for (unsigned reg = 0; reg < SEG_COUNT; reg++)
		if (!segment_valid(reg, &cpu->seg[reg]))
			return false;
	return system_valid(&cpu->ldtr, TYPE_LDT, 0) &&
	       system_valid(&cpu->tr, TYPE_TSS, TYPE_BUSY | TYPE_32) && !(cpu->gdtr.base >> 32) &&
	       !(cpu->idtr.base >> 32);
}

static bool control_valid(const struct vcpu *cpu)
{
	/* There is no real mode, with or without paging. */
	if (!within(cpu->cr0, CR0_DEFINED) || !(cpu->cr0 & CR0_PE))
		return false;
	if ((cpu->cr0 & CR0_NW) && !(cpu->cr0 & CR0_CD))
		return false;
	return within(cpu->cr4, CR4_DEFINED | CR4_OSXSAVE) && !(cpu->cr2 >> 32) &&
	       !(cpu->cr3 >> 32) && within(cpu->efer, EFER_NXE) &&
	       within(cpu->xcr0, XCR0_DEFINED) && (cpu->xcr0 & XCR0_X87);
}

bool vcpu_valid(const struct vcpu *cpu)
{
	return fits_32(cpu->gpr, GPR_COUNT) && !(cpu->rip >> 32) &&
	       within(cpu->rflags, FLAGS_DEFINED) && (cpu->rflags & FLAG_ONE) &&
	       segments_valid(cpu) && control_valid(cpu) && fits_32(cpu->dr, ARRAY_SIZE(cpu->dr)) &&
	       cpu->iopl <= 3 && bool_valid(&cpu->halted) && bool_valid(&cpu->shutdown);
}
