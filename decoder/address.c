/*
 * Memory operands: ModRM, SIB and displacement.
 *
 * Owns: the addressing forms of SDM vol. 2, tables 2-1 to 2-3, and the default segments.
 */
#include "fetch.h"

enum { BX = 3, SP, BP, SI, DI };

u8 address_segment(const struct decoding *d, u8 base)
{
	if (d->seg_used != REG_NONE)
		return d->seg_used;
	return base == BP || base == SP ? SEG_SS : SEG_DS;
}

static bool displacement(struct decoding *d, unsigned bytes)
{
	u64 disp;

	if (!fetch_number(d, bytes, &disp))
		return false;
	d->insn->mem.disp = (s64)sign_extend(disp, bytes);
	return true;
}

/* The one-byte displacement, which EVEX scales. */
static bool displacement_8(struct decoding *d, const struct form *form)
{
	if (!displacement(d, 1))
		return false;
	d->insn->mem.disp *= 1 << form->disp8;
	return true;
}

static bool address_16(struct decoding *d, const struct form *form)
{
	static const u8 bases[8] = {BX, BX, BP, BP, SI, DI, BP, BX};
	static const u8 indexes[8] = {SI, DI, SI, DI, REG_NONE, REG_NONE, REG_NONE, REG_NONE};
	struct mem_operand *m = &d->insn->mem;
	unsigned mod = d->insn->modrm >> 6, rm = d->insn->modrm & 7;

	if (mod == 0 && rm == 6)
		return displacement(d, 2);
	m->base = bases[rm];
	m->index = indexes[rm];
	if (mod == 1)
		return displacement_8(d, form);
	return mod ? displacement(d, 2) : true;
}

/* SIB; `vector` if the index is a vector register, which then is not described. */
static bool sib(struct decoding *d, bool vector, unsigned mod)
{
	struct mem_operand *m = &d->insn->mem;
	u8 byte;

	if (!fetch(d, &byte))
		return false;
	unsigned index = (byte >> 3 & 7u) | (d->rex & REX_X ? 8u : 0);

	m->scale = (u8)(1 << (byte >> 6));
	if (index != SP && !vector)
		m->index = (u8)index;
	if ((byte & 7) != BP || mod)
		m->base = (u8)((byte & 7) | (d->rex & REX_B ? 8 : 0));
	return true;
}

static bool address_32(struct decoding *d, const struct form *form)
{
	struct mem_operand *m = &d->insn->mem;
	unsigned mod = d->insn->modrm >> 6, rm = d->insn->modrm & 7;

	if (rm == SP) {
		if (!sib(d, form->flags & FORM_VSIB, mod))
			return false;
		if (mod == 0 && m->base == REG_NONE)
			return displacement(d, 4);
	} else if (mod == 0 && rm == BP) {
		if (d->mode == MODE_64)
			m->base = REG_IP;
		return displacement(d, 4);
	} else {
		m->base = (u8)(rm | (d->rex & REX_B ? 8 : 0));
	}
	if (mod == 2)
		return displacement(d, 4);
	return mod ? displacement_8(d, form) : true;
}

bool decode_address(struct decoding *d, const struct form *form)
{
	struct mem_operand *m = &d->insn->mem;

	/* A vector index needs a SIB byte, which 16-bit addressing has not. */
	if (form->flags & FORM_VSIB && (d->insn->addr_size == 2 || (d->insn->modrm & 7) != SP)) {
		d->error = DECODE_INVALID;
		return false;
	}
	if (d->insn->addr_size == 2 ? !address_16(d, form) : !address_32(d, form))
		return false;
	m->seg = address_segment(d, m->base);
	return true;
}
