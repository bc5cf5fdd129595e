/*
 * Prefixes, escapes and VEX/EVEX: everything before and including the opcode byte.
 *
 * Owns: which bytes are prefixes in which mode, and what they select in the tables.
 */
#include "fetch.h"

static bool legacy_prefix(struct decoding *d, u8 byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
		d->insn->seg_override = byte >> 3 & 3;
		/* Only FS and GS have a base in 64-bit mode; the others are ignored. */
		if (d->mode != MODE_64)
			d->seg_used = d->insn->seg_override;
		return true;
	case 0x64:
	case 0x65:
		d->seg_used = d->insn->seg_override = SEG_FS + (byte & 1);
		return true;
	case 0x66:
		d->opsize_prefix = true;
		return true;
	case 0x67:
		d->addrsize_prefix = true;
		return true;
	case 0xf0:
		d->insn->lock = true;
		return true;
	case 0xf2:
	case 0xf3:
		d->insn->rep = byte;
		return true;
	default:
		return false;
	}
}

static void choose_by_prefixes(struct decoding *d)
{
	static const u8 states[3][2] = {
		{PFX_NONE, PFX_66}, {PFX_F3, PFX_66_F3}, {PFX_F2, PFX_66_F2}};
	unsigned rep = d->insn->rep == 0xf3 ? 1 : d->insn->rep == 0xf2 ? 2 : 0;

	d->at[BY_PREFIX] = states[rep][d->opsize_prefix];
	d->at[BY_W] = !!(d->rex & REX_W);
}

/* R, X and B of the byte after C4 or 62 are stored inverted; they do nothing outside 64-bit mode.
 */
static void take_rxb(struct decoding *d, u8 byte)
{
	if (d->mode == MODE_64)
		d->rex = (byte >> 5 & 7) ^ 7;
	d->at[BY_R] = !!(d->rex & REX_R);
}

/*
 * vvvv is inverted: all ones for no register, also outside 64-bit mode, where its high bit does
 * nothing else.
 */
static void take_vvvv(struct decoding *d, u8 byte)
{
	unsigned number = (byte >> 3 & 15u) ^ 15u;

	d->at[BY_VVVV] = (u8)(number > 7 && d->mode == MODE_64 ? 2 : !!number);
	d->at[BY_PP] = byte & 3;
}

/* C5: R, vvvv, L, pp. */
static bool vex2(struct decoding *d)
{
	u8 byte;

	if (!fetch(d, &byte))
		return false;
	take_rxb(d, byte | 0x60);
	take_vvvv(d, byte);
	d->at[BY_L] = byte >> 2 & 1;
	d->map = MAP_VEX_0F;
	return true;
}

/* C4: R, X, B and the map; then W, vvvv, L, pp. */
static bool vex3(struct decoding *d)
{
	u8 rxb, byte;

	if (!fetch(d, &rxb) || !fetch(d, &byte))
		return false;
	take_rxb(d, rxb);
	take_vvvv(d, byte);
	d->at[BY_W] = byte >> 7;
	d->at[BY_L] = byte >> 2 & 1;
	d->map = MAP_VEX_0F - 1 + (rxb & 31);
	if ((rxb & 31) >= 1 && (rxb & 31) <= 3)
		return true;
	d->error = DECODE_INVALID;
	return false;
}

/* 62: R, X, B, R', 00 and the map; W, vvvv, 1, pp; z, L'L, b, V', aaa. */
static bool evex(struct decoding *d)
{
	u8 p0, p1, p2;

	if (!fetch(d, &p0) || !fetch(d, &p1) || !fetch(d, &p2))
		return false;
	take_rxb(d, p0);
	take_vvvv(d, p1);
	d->at[BY_W] = p1 >> 7;
	d->at[BY_LL] = p2 >> 5 & 3;
	d->at[BY_BCAST] = p2 >> 4 & 1;
	/* R' and V' are the inverted bits 4 of what R and vvvv begin. */
	if (d->mode == MODE_64) {
		d->at[BY_R] |= !(p0 & 0x10);
		if (!(p2 & 8))
			d->at[BY_VVVV] = 2;
	}
	d->at[BY_MASK] = (u8)(p2 & 0x80 ? (p2 & 7 ? 2 : 3) : !!(p2 & 7));
	d->map = MAP_EVEX_0F - 1 + (p0 & 3);
	if (!(p0 & 0x0c) && (p0 & 3) && (p1 & 4) && (d->mode == MODE_64 || p2 & 8))
		return true;
	d->error = DECODE_INVALID;
	return false;
}

/*
 * C4, C5 and 62 begin VEX and EVEX in 64-bit mode. Elsewhere they are LES, LDS and BOUND when a
 * memory form of ModRM follows, which needs a look at the next byte.
 */
static bool vector_prefix(struct decoding *d, u8 opcode, bool *found)
{
	u8 next;

	*found = false;
	if (opcode != 0xc4 && opcode != 0xc5 && opcode != 0x62)
		return true;
	if (d->mode != MODE_64) {
		if (!fetch(d, &next))
			return false;
		d->pos--;
		if (next < 0xc0)
			return true;
	}
	*found = d->vex = true;
	/* These replace 66, F2, F3 and REX; together with them they are undefined (SDM 2.3.2). */
	if (d->opsize_prefix || d->insn->rep || d->insn->lock || d->rex_present) {
		d->error = DECODE_INVALID;
		return false;
	}
	d->insn->prefix_len = (u8)(d->pos - 1);
	if (opcode == 0xc5 ? !vex2(d) : opcode == 0xc4 ? !vex3(d) : !evex(d))
		return false;
	return fetch(d, &d->insn->opcode);
}

static bool escapes(struct decoding *d, u8 opcode)
{
	d->map = MAP_ONE;
	if (opcode == 0x0f) {
		if (!fetch(d, &opcode))
			return false;
		d->map = opcode == 0x38 ? MAP_0F38 : opcode == 0x3a ? MAP_0F3A : MAP_0F;
		if (d->map != MAP_0F && !fetch(d, &opcode))
			return false;
	}
	d->insn->opcode = opcode;
	return true;
}

bool decode_prefixes(struct decoding *d)
{
	bool vector;
	u8 byte;

	for (;;) {
		if (!fetch(d, &byte))
			return false;
		if (d->mode == MODE_64 && byte >= 0x40 && byte <= 0x4f) {
			d->rex = byte & 15;
			d->rex_present = true;
		} else if (legacy_prefix(d, byte)) {
			/* REX counts only right before the opcode. */
			d->rex = 0;
			d->rex_present = false;
		} else {
			break;
		}
	}
	d->insn->prefix_len = (u8)(d->pos - 1);
	d->at[BY_MODE] = d->mode;
	choose_by_prefixes(d);
	if (!vector_prefix(d, byte, &vector))
		return false;
	return vector || escapes(d, byte);
}
