/*
 * See insn.h.
 *
 * Owns: the parts of an opcode and the table of flags.
 */
#include "insn.h"

#define CF  0x001u
#define PF  0x004u
#define AF  0x010u
#define ZF  0x040u
#define SF  0x080u
#define OF  0x800u
#define ALL (CF | PF | AF | ZF | SF | OF)

static _Bool is_prefix(unsigned char b)
{
	switch (b) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x66:
	case 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return 1;
	default:
		return 0;
	}
}

/* Length of ModRM, SIB and displacement (SDM vol. 2, tables 2-1 to 2-3). */
static unsigned modrm_length(const unsigned char *p, _Bool address16)
{
	const unsigned mod = p[0] >> 6, rm = p[0] & 7;

	if (mod == 3)
		return 1;
	if (address16)
		return 1 + (mod == 1 ? 1 : mod == 2 || rm == 6 ? 2 : 0);
	const unsigned sib = rm == 4;
	const _Bool no_base = rm == 5 || (sib && (p[1] & 7) == 5);

	return 1 + sib + (mod == 1 ? 1 : mod == 2 || no_base ? 4 : 0);
}

/* Those of which the immediate matters: shifts, and SSE's comparisons. */
static _Bool has_immediate(const struct key *k)
{
	if (k->map == MAP_0F && k->opcode == 0xc2)
		return 1;
	return (k->map == MAP_1 && (k->opcode & 0xfe) == 0xc0) ||
	       (k->map == MAP_0F && (k->opcode & 0xf7) == 0xa4);
}

_Bool insn_key(const unsigned char *p, struct key *k)
{
	unsigned n = 0;
	_Bool address16 = 0;

	*k = (struct key){.prefix = P_NONE};
	while (is_prefix(p[n])) {
		if (p[n] == 0x66)
			k->size16 = 1;
		if (p[n] == 0x67)
			address16 = 1;
		if (p[n] == 0xf0)
			k->lock = 1;
		if (p[n] == 0x2e)
			k->cs = 1;
		if ((p[n] == 0xf2 && k->prefix == P_F3) || (p[n] == 0xf3 && k->prefix == P_F2))
			k->f2_and_f3 = 1;
		if (p[n] == 0xf2)
			k->prefix = P_F2;
		if (p[n] == 0xf3)
			k->prefix = P_F3;
		if (++n > 10)
			return 0;
	}
	if (k->size16 && k->prefix == P_NONE)
		k->prefix = P_66;
	if (p[n] == 0x0f) {
		n++;
		k->map = p[n] == 0x38 ? MAP_0F38 : p[n] == 0x3a ? MAP_0F3A : MAP_0F;
		if (k->map != MAP_0F)
			n++;
	}
	k->opcode = p[n++];
	k->modrm = p[n];
	k->length = n;
	if (has_immediate(k) && n + 1 + 6 < 16)
		k->immediate = p[n + modrm_length(p + n, address16)];
	return 1;
}

/* ---- Flags ---- */

static struct flag_effect arithmetic(void)
{
	return (struct flag_effect){0, ALL, 0};
}

static struct flag_effect logic(void)
{
	return (struct flag_effect){0, ALL & ~AF, AF};
}

/* Of rotates and shifts by a count that is known, or not (255: in CL). */
static struct flag_effect shift(const struct key *k, unsigned kind, unsigned count, unsigned bits)
{
	const _Bool known = count != 255, rotate = kind < 4;
	struct flag_effect e = {0};

	if (kind == 2 || kind == 3)
		e.reads = CF;
	if (known && !(count & 31))
		return e;
	count &= 31;
	if (!known || count != 1)
		e.undefined = OF;
	if (!rotate) {
		e.undefined |= AF;
		/* SAR's is the sign, for SHL and SHR it is beyond the operand. */
		if (kind != 7 && (!known || count >= bits))
			e.undefined |= CF;
		e.defines = ZF | SF | PF;
	}
	e.defines |= CF | (known && count == 1 ? OF : 0);
	e.defines &= ~e.undefined;
	if (!known)
		e.defines = 0; /* by 0 nothing changes */
	(void)k;
	return e;
}

static struct flag_effect double_shift(const struct key *k, unsigned count)
{
	const unsigned bits = k->size16 ? 16 : 32;

	if (count == 255)
		return (struct flag_effect){0, 0, k->size16 ? ALL : AF | OF};
	if (!(count & 31))
		return (struct flag_effect){0};
	if ((count & 31) > bits)
		return (struct flag_effect){0, 0, ALL};
	if ((count & 31) == 1)
		return (struct flag_effect){0, ALL & ~AF, AF};
	return (struct flag_effect){0, ALL & ~(AF | OF), AF | OF};
}

/* What conditions 0 to 7 (and their negations) look at: o b e be s p l le. */
static unsigned condition(unsigned cc)
{
	static const unsigned reads[8] = {OF, CF, ZF, CF | ZF, SF, PF, SF | OF, ZF | SF | OF};

	return reads[cc >> 1 & 7];
}

static struct flag_effect one_byte_groups(const struct key *k)
{
	const unsigned op = k->opcode, reg = k->modrm >> 3 & 7,
		       bits = op & 1 ? k->size16 ? 16 : 32 : 8;

	switch (op) {
	case 0x80 ... 0x83:
		if (reg == 1 || reg == 4 || reg == 6)
			return logic();
		return (struct flag_effect){reg == 2 || reg == 3 ? CF : 0, ALL, 0};
	case 0xc0:
	case 0xc1:
		return shift(k, reg, k->immediate & 31, bits);
	case 0xd0:
	case 0xd1:
		return shift(k, reg, 1, bits);
	case 0xd2:
	case 0xd3:
		return shift(k, reg, 255, bits);
	case 0xf6:
	case 0xf7:
		if (reg < 2)
			return logic();
		if (reg == 2)
			return (struct flag_effect){0};
		if (reg == 3)
			return arithmetic();
		if (reg < 6)
			return (struct flag_effect){0, CF | OF, SF | ZF | AF | PF};
		return (struct flag_effect){0, 0, ALL};
	case 0xfe:
	case 0xff:
		return (struct flag_effect){0, reg < 2 ? ALL & ~CF : 0, 0};
	default:
		return (struct flag_effect){0};
	}
}

static struct flag_effect one_byte(const struct key *k)
{
	const unsigned op = k->opcode;

	if (op < 0x40 && (op & 7) < 6) {
		const unsigned kind = op >> 3;

		if (kind == 1 || kind == 4 || kind == 6)
			return logic();
		return (struct flag_effect){kind == 2 || kind == 3 ? CF : 0, ALL, 0};
	}
	switch (op) {
	case 0x27: /* daa, das */
	case 0x2f:
		return (struct flag_effect){CF | AF, ALL & ~OF, OF};
	case 0x37: /* aaa, aas */
	case 0x3f:
		return (struct flag_effect){AF, CF | AF, OF | SF | ZF | PF};
	case 0x40 ... 0x4f:
		return (struct flag_effect){0, ALL & ~CF, 0};
	case 0x63: /* arpl */
		return (struct flag_effect){0, ZF, 0};
	case 0x69: /* imul */
	case 0x6b:
		return (struct flag_effect){0, CF | OF, SF | ZF | AF | PF};
	case 0x70 ... 0x7f:
		return (struct flag_effect){condition(op & 15), 0, 0};
	case 0x84: /* test */
	case 0x85:
	case 0xa8:
	case 0xa9:
		return logic();
	case 0x9c: /* pushf */
		return (struct flag_effect){ALL, 0, 0};
	case 0x9d: /* popf */
		return arithmetic();
	case 0x9e: /* sahf */
		return (struct flag_effect){0, ALL & ~OF, 0};
	case 0x9f: /* lahf */
		return (struct flag_effect){ALL & ~OF, 0, 0};
	case 0xa6: /* cmps, scas; repeated no times they change nothing */
	case 0xa7:
	case 0xae:
	case 0xaf:
		return (struct flag_effect){0, k->prefix & (P_F2 | P_F3) ? 0 : ALL, 0};
	case 0xce: /* into */
		return (struct flag_effect){OF, 0, 0};
	case 0xd4: /* aam, aad */
	case 0xd5:
		return (struct flag_effect){0, SF | ZF | PF, OF | AF | CF};
	case 0xd6: /* salc */
	case 0xf5: /* cmc */
		return (struct flag_effect){CF, 0, 0};
	case 0xda: /* fcmov */
	case 0xdb:
		return (struct flag_effect){k->modrm >= 0xc0 ? CF | ZF | PF : 0, 0, 0};
	case 0xe0: /* loopne, loope */
	case 0xe1:
		return (struct flag_effect){ZF, 0, 0};
	case 0xf8: /* clc, stc */
	case 0xf9:
		return (struct flag_effect){0, CF, 0};
	default:
		return one_byte_groups(k);
	}
}

static struct flag_effect two_byte(const struct key *k)
{
	const unsigned op = k->opcode;

	switch (op) {
	case 0x40 ... 0x4f: /* cmov, j, set */
	case 0x80 ... 0x9f:
		return (struct flag_effect){condition(op & 15), 0, 0};
	case 0x02: /* lar, lsl */
	case 0x03:
		return (struct flag_effect){0, ZF, 0};
	case 0x2e: /* ucomis, comis */
	case 0x2f:
	case 0xb0: /* cmpxchg */
	case 0xb1:
	case 0xc0: /* xadd */
	case 0xc1:
		return arithmetic();
	case 0xa3: /* bt and its kin */
	case 0xab:
	case 0xb3:
	case 0xbb:
	case 0xba:
		return (struct flag_effect){0, CF, OF | SF | AF | PF};
	case 0xa4: /* shld, shrd */
	case 0xac:
		return double_shift(k, k->immediate & 31);
	case 0xa5:
	case 0xad:
		return double_shift(k, 255);
	case 0xaf:
		return (struct flag_effect){0, CF | OF, SF | ZF | AF | PF};
	case 0xb8: /* popcnt */
		return arithmetic();
	case 0xbc: /* bsf, bsr; tzcnt, lzcnt */
	case 0xbd:
		if (k->prefix == P_F3)
			return (struct flag_effect){0, CF | ZF, OF | SF | PF | AF};
		return (struct flag_effect){0, ZF, CF | OF | SF | AF | PF};
	default:
		return (struct flag_effect){0};
	}
}

struct flag_effect insn_flags(const struct key *k)
{
	if (k->map == MAP_1)
		return one_byte(k);
	if (k->map == MAP_0F)
		return two_byte(k);
	if ((k->map == MAP_0F38 && k->opcode == 0x17) ||
	    (k->map == MAP_0F3A && (k->opcode & 0xfc) == 0x60))
		return arithmetic(); /* ptest, pcmpxstrx */
	return (struct flag_effect){0};
}
