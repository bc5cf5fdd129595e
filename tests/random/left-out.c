/*
 * What is not compared: see insn.h.
 *
 * Owns: the table of instructions left out, and of what an error of the emulator is about.
 */
#include "insn.h"

#define MEM    1
#define REG    2
#define ANY    3
#define EXT(n) (1u << (n))
#define EXTS   255u

struct rule {
	unsigned char map, first, last, prefix, ext, mod;
	unsigned char why;
};

static const struct rule rules[] = {
	/* What depends on the host's descriptors, tables and counters, or is ruled out by
	   ROADMAP.md. */
	{MAP_1, 0x8e, 0x8e, P_ANY, EXTS, ANY, OUT_HOST}, /* loads of segment registers */
	{MAP_1, 0x07, 0x07, P_ANY, EXTS, ANY, OUT_HOST},
	{MAP_1, 0x17, 0x17, P_ANY, EXTS, ANY, OUT_HOST},
	{MAP_1, 0x1f, 0x1f, P_ANY, EXTS, ANY, OUT_HOST},
	{MAP_1, 0x9a, 0x9a, P_ANY, EXTS, ANY, OUT_HOST}, /* far transfers */
	{MAP_1, 0xca, 0xcb, P_ANY, EXTS, ANY, OUT_HOST},
	{MAP_1, 0xcf, 0xcf, P_ANY, EXTS, ANY, OUT_HOST},
	{MAP_1, 0xea, 0xea, P_ANY, EXTS, ANY, OUT_HOST},
	{MAP_1, 0xff, 0xff, P_ANY, EXT(3) | EXT(5), ANY, OUT_HOST},
	{MAP_1, 0xc4, 0xc5, P_ANY, EXTS, ANY, OUT_HOST},  /* les, lds; VEX */
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
	{MAP_1, 0x62, 0x62, P_ANY, EXTS, REG, OUT_NEW},	  /* EVEX */
	{MAP_1, 0x8f, 0x8f, P_ANY, 0xfe, ANY, OUT_NEW},	  /* XOP */
	{MAP_1, 0xc6, 0xc7, P_ANY, EXT(7), REG, OUT_NEW}, /* xabort, xbegin */
	{MAP_1, 0x90, 0x90, P_F3, EXTS, ANY, OUT_NEW},	  /* pause may be intercepted */
	{MAP_0F, 0x0d, 0x0f, P_ANY, EXTS, ANY, OUT_NEW},  /* 3DNow! */
	{MAP_0F, 0x18, 0x1f, P_ANY, EXTS, ANY, OUT_NEW},  /* hints that became others */
	{MAP_0F, 0x24, 0x27, P_ANY, EXTS, ANY, OUT_NEW},
	{MAP_0F, 0x36, 0x36, P_ANY, EXTS, ANY, OUT_NEW},
	{MAP_0F, 0x39, 0x39, P_ANY, EXTS, ANY, OUT_NEW},
	{MAP_0F, 0x3b, 0x3f, P_ANY, EXTS, ANY, OUT_NEW},
	{MAP_0F, 0x7c, 0x7d, P_NONE | P_F3, EXTS, ANY, OUT_NEW},
	{MAP_0F, 0x78, 0x79, P_ANY, EXTS, ANY, OUT_NEW}, /* SSE4A */
	{MAP_0F, 0x2b, 0x2b, P_F2 | P_F3, EXTS, ANY, OUT_NEW},
	{MAP_0F, 0xa6, 0xa7, P_ANY, EXTS, ANY, OUT_NEW}, /* PadLock */
	{MAP_0F, 0xae, 0xae, P_ANY, EXT(0) | EXT(4) | EXT(6) | EXT(7), MEM,
	 OUT_NEW}, /* FXSAVE image, XSAVE */
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
	{MAP_1, 0x63, 0x63, P_ANY, EXTS, MEM, BUG_ARPL},
	{MAP_1, 0xd9, 0xd9, P_ANY, EXT(5), MEM, BUG_FLDCW},
	{MAP_0F, 0xc7, 0xc7, P_ANY, EXT(1), MEM, BUG_CMPXCHG8B},
	{MAP_1, 0x6c, 0x6f, P_ANY, EXTS, ANY, BUG_INS},
	{MAP_1, 0xd9, 0xd9, P_ANY, EXT(5), REG, BUG_CONSTANT},
	{MAP_1, 0xdb, 0xdb, P_ANY, EXT(1) | EXT(2) | EXT(3), MEM, BUG_FIST},
	{MAP_1, 0xdf, 0xdf, P_ANY, EXT(1) | EXT(2) | EXT(3), MEM, BUG_FIST},
	{MAP_1, 0xdf, 0xdf, P_ANY, EXT(6), MEM, BUG_FIST}, /* fbstp */
	{MAP_1, 0xe0, 0xe1, P_ANY, EXTS, ANY, BUG_LOOPE},
	{MAP_0F, 0x60, 0x62, P_NONE, EXTS, MEM, BUG_PUNPCKL},
	{MAP_0F, 0xae, 0xae, P_ANY, EXT(2), MEM, BUG_MXCSR_RESERVED},
	{MAP_1, 0xc2, 0xc2, P_ANY, EXTS, ANY, BUG_RET_IMM},
	{MAP_0F, 0xf7, 0xf7, P_ANY, EXTS, ANY, BUG_LONG}, /* maskmov: byte by byte */
	{MAP_1, 0xdd, 0xdd, P_ANY, EXT(1), MEM, BUG_FIST},
	{MAP_1, 0xd9, 0xd9, P_ANY, EXT(0), MEM, BUG_FLD},
	{MAP_1, 0xdd, 0xdd, P_ANY, EXT(0), MEM, BUG_FLD},
	{MAP_1, 0xdb, 0xdb, P_ANY, EXT(5), MEM, BUG_FLD},
	{MAP_0F, 0x2c, 0x2d, P_NONE, EXTS, MEM, BUG_PUNPCKL},
	{MAP_1, 0xf1, 0xf1, P_ANY, EXTS, ANY, BUG_INT1},
	{MAP_1, 0xdb, 0xdb, P_ANY, EXT(5) | EXT(6), REG, BUG_FCOMI},
	{MAP_1, 0xdf, 0xdf, P_ANY, EXT(5) | EXT(6), REG, BUG_FCOMI},
	/* Results that are approximations, and images with the last FPU instruction's address. */
	{MAP_0F, 0x52, 0x53, P_NONE | P_F3, EXTS, ANY, OUT_IMPL},   /* rsqrt, rcp */
	{MAP_1, 0xf6, 0xf7, P_ANY, EXT(1), ANY, OUT_IMPL},	    /* test, if anything */
	{MAP_0F, 0x2a, 0x2a, P_NONE | P_66, EXTS, MEM, OUT_IMPL},   /* does it switch to MMX? */
	{MAP_1, 0xd9, 0xd9, P_ANY, EXT(6), ANY, OUT_IMPL},	    /* fnstenv; f2xm1 ... */
	{MAP_1, 0xd9, 0xd9, P_ANY, EXT(7), REG, OUT_IMPL},	    /* fprem ... fcos */
	{MAP_1, 0xd9, 0xd9, P_ANY, EXT(4), MEM, OUT_IMPL},	    /* fldenv */
	{MAP_1, 0xdd, 0xdd, P_ANY, EXT(4) | EXT(6), MEM, OUT_IMPL}, /* frstor, fnsave */
};

/* Results of a shift by more than the operand's bits are undefined, not only flags. */
static _Bool is_wide_double_shift(const struct key *k)
{
	if (k->map != MAP_0F || (k->opcode & 0xf6) != 0xa4 || !k->size16)
		return 0;
	return (k->opcode & 1) || (k->immediate & 31) > 16;
}

unsigned insn_left_out(const struct key *k)
{
	/* Several mandatory prefixes: the SDM says nothing of them. */
	if (k->f2_and_f3 || (k->map != MAP_1 && k->size16 && (k->prefix & (P_F2 | P_F3))) ||
	    is_wide_double_shift(k))
		return OUT_IMPL;
	if (k->map == MAP_0F && (k->opcode & 0xf8) == 0xc8 && k->size16)
		return OUT_IMPL; /* bswap of 16 bits */
	if (k->map == MAP_0F && (k->opcode & 0xfd) == 0x20 && k->lock)
		return OUT_HOST; /* CR8 for CR0, on AMD's */
	if (k->map == MAP_1 && k->opcode == 0xc8 && k->size16)
		return BUG_ENTER16;
	if (k->map == MAP_1 && k->opcode == 0xc8)
		return BUG_ENTER;
	if (k->map == MAP_0F && k->opcode == 0xc2 && k->immediate > 7)
		return BUG_CMPPS;
	const unsigned ext = 1u << (k->modrm >> 3 & 7), mod = k->modrm >= 0xc0 ? REG : MEM;

	for (unsigned i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		const struct rule *r = &rules[i];

		if (r->map == k->map && k->opcode >= r->first && k->opcode <= r->last &&
		    (r->prefix & k->prefix) && (r->ext & ext) && (r->mod & mod))
			return r->why;
	}
	return k->cs ? BUG_LIMITS : COMPARED;
}

_Bool insn_reads_status(const struct key *k)
{
	const unsigned reg = k->modrm >> 3 & 7;
	const _Bool memory = k->modrm < 0xc0;

	if (k->map == MAP_0F)
		return k->opcode == 0xae && reg == 3 && memory;
	if (k->map != MAP_1)
		return 0;
	return (k->opcode == 0xdd && reg == 7 && memory) ||
	       (k->opcode == 0xdf && reg == 4 && !memory);
}

/* Of SSE: some that need not be aligned are among them. */
static _Bool wants_alignment(const struct key *k)
{
	const unsigned op = k->opcode;

	if (k->map != MAP_0F || k->modrm >= 0xc0)
		return 0;
	return (op >= 0x10 && op <= 0x17) || (op >= 0x28 && op <= 0x2f) ||
	       (op >= 0x50 && op <= 0x7f) || (op >= 0xc2 && op <= 0xc6) || op >= 0xd0;
}

unsigned insn_left_out_of_soup(const struct key *k)
{
	const unsigned why = insn_left_out(k);

	if (why)
		return why;
	if (k->map == MAP_1 && k->opcode == 0x9d)
		return OUT_STEPS;
	if (k->map == MAP_1 && k->opcode == 0x60)
		return BUG_LONG;
	return wants_alignment(k) ? BUG_ALIGN : COMPARED;
}

/* 16 bytes that need not be aligned. */
static _Bool is_unaligned_move(const struct key *k)
{
	const unsigned op = k->opcode;

	if (k->map != MAP_0F || k->modrm >= 0xc0)
		return 0;
	return ((op == 0x10 || op == 0x11) && (k->prefix & (P_NONE | P_66))) ||
	       ((op == 0x6f || op == 0x7f) && k->prefix == P_F3) ||
	       (op == 0xf0 && k->prefix == P_F2);
}

int insn_loads_xmm(const struct key *k)
{
	if (!is_unaligned_move(k) || k->opcode == 0x11 || k->opcode == 0x7f)
		return -1;
	return k->modrm >> 3 & 7;
}

_Bool insn_is_popa(const struct key *k)
{
	return k->map == MAP_1 && k->opcode == 0x61;
}

_Bool insn_is_long(const struct key *k)
{
	const unsigned reg = k->modrm >> 3 & 7;

	if (k->map == MAP_1 &&
	    (k->opcode == 0x60 || k->opcode == 0x61 || (k->opcode & 0xfe) == 0xa6))
		return 1; /* pusha, popa, cmps */
	if (is_unaligned_move(k))
		return 1;
	return k->map == MAP_1 && k->modrm < 0xc0 &&
	       ((k->opcode == 0xdb && (reg == 5 || reg == 7)) ||
		(k->opcode == 0xdf && (reg == 4 || reg == 6)));
}
