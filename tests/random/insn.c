/*
 * See insn.h.
 *
 * Owns: the table of undefined flags and the table of instructions left out.
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
	const unsigned op = k->opcode, reg = k->modrm >> 3 & 7, bits = op & 1 ? k->size16 ? 16 : 32 : 8;

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
	if ((k->map == MAP_0F38 && k->opcode == 0x17) || (k->map == MAP_0F3A && (k->opcode & 0xfc) == 0x60))
		return arithmetic(); /* ptest, pcmpxstrx */
	return (struct flag_effect){0};
}

/* ---- What is left out ---- */

#define MEM 1
#define REG 2
#define ANY 3
#define LOCKED 4 /* with a lock only */
#define EXT(n) (1u << (n))
#define EXTS   255u

struct rule {
	unsigned char map, first, last, prefix, ext, mod;
	unsigned char why;
};

static const struct rule rules[] = {
	/* What depends on the host's descriptors, tables and counters, or is ruled out by ROADMAP.md. */
	{MAP_1, 0x8e, 0x8e, P_ANY, EXTS, ANY, OUT_HOST}, /* loads of segment registers */
	{MAP_1, 0x07, 0x07, P_ANY, EXTS, ANY, OUT_HOST},
	{MAP_1, 0x17, 0x17, P_ANY, EXTS, ANY, OUT_HOST},
	{MAP_1, 0x1f, 0x1f, P_ANY, EXTS, ANY, OUT_HOST},
	{MAP_1, 0x9a, 0x9a, P_ANY, EXTS, ANY, OUT_HOST}, /* far transfers */
	{MAP_1, 0xca, 0xcb, P_ANY, EXTS, ANY, OUT_HOST},
	{MAP_1, 0xcf, 0xcf, P_ANY, EXTS, ANY, OUT_HOST},
	{MAP_1, 0xea, 0xea, P_ANY, EXTS, ANY, OUT_HOST},
	{MAP_1, 0xff, 0xff, P_ANY, EXT(3) | EXT(5), ANY, OUT_HOST},
	{MAP_1, 0xc4, 0xc5, P_ANY, EXTS, ANY, OUT_HOST}, /* les, lds; VEX */
	{MAP_0F, 0x00, 0x03, P_ANY, EXTS, ANY, OUT_HOST}, /* sldt ... lsl, vmcall */
	{MAP_0F, 0x05, 0x05, P_ANY, EXTS, ANY, OUT_HOST}, /* syscall, sysenter */
	{MAP_0F, 0x07, 0x07, P_ANY, EXTS, ANY, OUT_HOST},
	{MAP_0F, 0x31, 0x35, P_ANY, EXTS, ANY, OUT_HOST},
	{MAP_0F, 0x37, 0x37, P_ANY, EXTS, ANY, OUT_HOST},
	{MAP_0F, 0xa1, 0xa2, P_ANY, EXTS, ANY, OUT_HOST}, /* pop fs, cpuid, pop gs */
	{MAP_0F, 0xa9, 0xaa, P_ANY, EXTS, ANY, OUT_HOST},
	{MAP_0F, 0xb2, 0xb2, P_ANY, EXTS, ANY, OUT_HOST}, /* lss, lfs, lgs */
	{MAP_0F, 0xb4, 0xb5, P_ANY, EXTS, ANY, OUT_HOST},
	/* Extensions. */
	{MAP_1, 0x62, 0x62, P_ANY, EXTS, REG, OUT_NEW}, /* EVEX */
	{MAP_1, 0x8f, 0x8f, P_ANY, 0xfe, ANY, OUT_NEW}, /* XOP */
	{MAP_1, 0x90, 0x90, P_F3, EXTS, ANY, OUT_NEW},	/* pause may be intercepted */
	{MAP_0F, 0x0d, 0x0f, P_ANY, EXTS, ANY, OUT_NEW}, /* 3DNow! */
	{MAP_0F, 0x18, 0x1f, P_ANY, EXTS, ANY, OUT_NEW}, /* hints that became others */
	{MAP_0F, 0x24, 0x27, P_ANY, EXTS, ANY, OUT_NEW},
	{MAP_0F, 0x36, 0x36, P_ANY, EXTS, ANY, OUT_NEW},
	{MAP_0F, 0x39, 0x39, P_ANY, EXTS, ANY, OUT_NEW},
	{MAP_0F, 0x3b, 0x3f, P_ANY, EXTS, ANY, OUT_NEW},
	{MAP_0F, 0x78, 0x79, P_ANY, EXTS, ANY, OUT_NEW}, /* SSE4A */
	{MAP_0F, 0x2b, 0x2b, P_F2 | P_F3, EXTS, ANY, OUT_NEW},
	{MAP_0F, 0xa6, 0xa7, P_ANY, EXTS, ANY, OUT_NEW}, /* PadLock */
	{MAP_0F, 0xae, 0xae, P_ANY, EXT(0) | EXT(4) | EXT(6) | EXT(7), MEM, OUT_NEW}, /* FXSAVE image, XSAVE */
	{MAP_0F, 0xae, 0xae, P_ANY, EXTS, REG, OUT_NEW},
	{MAP_0F, 0xae, 0xae, P_ANY, EXT(1) | EXT(5), MEM, OUT_NEW},
	{MAP_0F, 0xb8, 0xb8, P_ANY, EXTS, ANY, OUT_NEW}, /* popcnt; jmpe */
	{MAP_0F, 0xbc, 0xbd, P_F3, EXTS, ANY, OUT_NEW},	 /* tzcnt, lzcnt */
	{MAP_0F, 0xc7, 0xc7, P_ANY, 0xfd, ANY, OUT_NEW},
	{MAP_0F, 0xc7, 0xc7, P_ANY, EXTS, REG, OUT_NEW},
	{MAP_0F, 0xff, 0xff, P_ANY, EXTS, ANY, OUT_NEW}, /* ud0: with or without ModRM */
	{MAP_0F38, 0x00, 0xff, P_ANY, EXTS, ANY, OUT_NEW},
	{MAP_0F3A, 0x00, 0xff, P_ANY, EXTS, ANY, OUT_NEW},
	/* Errors of the emulator: docs/emulator-bugs.md. */
	{MAP_0F, 0xa3, 0xa3, P_ANY, EXTS, ANY | LOCKED, BUG_LOCK_BIT},
	{MAP_0F, 0xba, 0xba, P_ANY, EXT(4), ANY | LOCKED, BUG_LOCK_BIT},
	{MAP_0F, 0xab, 0xab, P_ANY, EXTS, REG | LOCKED, BUG_LOCK_BIT},
	{MAP_0F, 0xb3, 0xb3, P_ANY, EXTS, REG | LOCKED, BUG_LOCK_BIT},
	{MAP_0F, 0xba, 0xba, P_ANY, EXTS, REG | LOCKED, BUG_LOCK_BIT},
	{MAP_0F, 0xbb, 0xbb, P_ANY, EXTS, REG | LOCKED, BUG_LOCK_BIT},
	{MAP_1, 0x63, 0x63, P_ANY, EXTS, MEM, BUG_ARPL},
	{MAP_1, 0xd9, 0xd9, P_ANY, EXT(5), MEM, BUG_FLDCW},
	{MAP_0F, 0xc7, 0xc7, P_ANY, EXT(1), MEM, BUG_CMPXCHG8B},
	{MAP_1, 0x6c, 0x6f, P_ANY, EXTS, ANY, BUG_INS},
	{MAP_1, 0xf6, 0xf7, P_ANY, EXT(3), MEM | LOCKED, BUG_LOCK_NEG},
	{MAP_1, 0xd9, 0xd9, P_ANY, EXT(5), REG, BUG_CONSTANT},
	{MAP_1, 0xdb, 0xdb, P_ANY, EXT(1) | EXT(2) | EXT(3), MEM, BUG_FIST},
	{MAP_1, 0xdf, 0xdf, P_ANY, EXT(1) | EXT(2) | EXT(3), MEM, BUG_FIST},
	{MAP_1, 0xf1, 0xf1, P_ANY, EXTS, ANY, BUG_INT1},
	{MAP_1, 0xdb, 0xdb, P_ANY, EXT(5) | EXT(6), REG, BUG_FCOMI},
	{MAP_1, 0xdf, 0xdf, P_ANY, EXT(5) | EXT(6), REG, BUG_FCOMI},
	/* Results that are approximations, and images with the last FPU instruction's address. */
	{MAP_0F, 0x52, 0x53, P_NONE | P_F3, EXTS, ANY, OUT_IMPL}, /* rsqrt, rcp */
	{MAP_1, 0xf6, 0xf7, P_ANY, EXT(1), ANY, OUT_IMPL},	  /* test, if anything */
	{MAP_0F, 0x2a, 0x2a, P_NONE | P_66, EXTS, MEM, OUT_IMPL}, /* does it switch to MMX? */
	{MAP_1, 0xd9, 0xd9, P_ANY, EXT(6), ANY, OUT_IMPL},	  /* fnstenv; f2xm1 ... */
	{MAP_1, 0xd9, 0xd9, P_ANY, EXT(7), REG, OUT_IMPL},	  /* fprem ... fcos */
	{MAP_1, 0xd9, 0xd9, P_ANY, EXT(4), MEM, OUT_IMPL},	  /* fldenv */
	{MAP_1, 0xdd, 0xdd, P_ANY, EXT(4) | EXT(6), MEM, OUT_IMPL}, /* frstor, fnsave */
};

/* SDM vol. 2, LOCK. */
static _Bool is_lockable(const struct key *k)
{
	const unsigned op = k->opcode, reg = k->modrm >> 3 & 7;

	if (k->modrm >= 0xc0)
		return 0;
	if (k->map == MAP_0F)
		return op == 0xab || op == 0xb3 || op == 0xbb || (op == 0xba && reg > 4) || op == 0xb0 || op == 0xb1 ||
		       op == 0xc0 || op == 0xc1 || (op == 0xc7 && reg == 1);
	if (k->map != MAP_1)
		return 0;
	if (op < 0x38)
		return (op & 7) < 2;
	return ((op & 0xfc) == 0x80 && reg != 7) || op == 0x86 || op == 0x87 ||
	       ((op == 0xf6 || op == 0xf7) && (reg == 2 || reg == 3)) || ((op == 0xfe || op == 0xff) && reg < 2);
}

/* Results of a shift by more than the operand's bits are undefined, not only flags. */
static _Bool is_wide_double_shift(const struct key *k)
{
	if (k->map != MAP_0F || (k->opcode & 0xf6) != 0xa4 || !k->size16)
		return 0;
	return (k->opcode & 1) || (k->immediate & 31) > 16;
}

unsigned insn_left_out(const struct key *k)
{
	if (is_wide_double_shift(k))
		return OUT_IMPL;
	if (k->map == MAP_1 && k->opcode == 0xc8 && k->size16)
		return BUG_ENTER16;
	if (k->map == MAP_0F && k->opcode == 0xc2 && k->immediate > 7)
		return BUG_CMPPS;
	if (k->cs && k->modrm < 0xc0)
		return BUG_LIMITS;
	const unsigned ext = 1u << (k->modrm >> 3 & 7), mod = k->modrm >= 0xc0 ? REG : MEM;

	for (unsigned i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *r = &rules[i];

		if (r->map == k->map && k->opcode >= r->first && k->opcode <= r->last &&
		    (r->prefix & k->prefix) && (r->ext & ext) && (r->mod & mod) &&
		    (!(r->mod & LOCKED) || k->lock))
			return r->why;
	}
	return k->lock && !is_lockable(k) ? BUG_LOCK : COMPARED;
}

_Bool insn_reads_status(const struct key *k)
{
	const unsigned reg = k->modrm >> 3 & 7;
	const _Bool memory = k->modrm < 0xc0;

	if (k->map == MAP_0F)
		return k->opcode == 0xae && reg == 3 && memory;
	if (k->map != MAP_1)
		return 0;
	return (k->opcode == 0xdd && reg == 7 && memory) || (k->opcode == 0xdf && reg == 4 && !memory);
}

_Bool insn_wants_alignment(const struct key *k)
{
	const unsigned op = k->opcode;

	if (k->map != MAP_0F || k->modrm >= 0xc0)
		return 0;
	return (op >= 0x10 && op <= 0x17) || (op >= 0x28 && op <= 0x2f) || (op >= 0x50 && op <= 0x7f) ||
	       (op >= 0xc2 && op <= 0xc6) || op >= 0xd0;
}

_Bool insn_loses_flags(const struct key *k)
{
	const unsigned op = k->opcode, reg = k->modrm >> 3 & 7;

	if (k->map == MAP_0F)
		return k->modrm < 0xc0 && (op == 0xc7 || (op >= 0x90 && op <= 0x9f));
	return k->map == MAP_1 && k->modrm < 0xc0 && (op == 0xc0 || op == 0xc1 || (op >= 0xd0 && op <= 0xd3)) && (reg == 2 || reg == 3);
}

_Bool insn_is_m80(const struct key *k)
{
	const unsigned reg = k->modrm >> 3 & 7;

	return k->map == MAP_1 && k->modrm < 0xc0 &&
	       ((k->opcode == 0xdb && (reg == 5 || reg == 7)) || (k->opcode == 0xdf && (reg == 4 || reg == 6)));
}
