/*
 * See fpu.h.
 *
 * Owns: the effect of each x87 opcode on the stack (SDM vol. 2, FADD ... FYL2XP1; vol. 1, 8.1.2).
 */
#include "fpu.h"

_Bool is_x87(const struct key *k)
{
	return k->map == MAP_1 && (k->opcode & 0xf8) == 0xd8;
}

_Bool is_mmx(const struct key *k)
{
	const unsigned op = k->opcode;

	if (k->map != MAP_0F)
		return 0;
	if (op == 0x2a || op == 0x2c || op == 0x2d)
		return k->prefix & (P_NONE | P_66);
	if (op == 0xd6)
		return k->prefix & (P_F2 | P_F3);
	if (k->prefix != P_NONE)
		return 0;
	return (op >= 0x60 && op <= 0x76) || op == 0x7e || op == 0x7f || op == 0xc4 || op == 0xc5 ||
	       op >= 0xd1;
}

static _Bool is_sse_arithmetic(const struct key *k)
{
	const unsigned op = k->opcode;

	return k->map == MAP_0F && (op == 0x2a || (op >= 0x2c && op <= 0x2f) ||
				    (op >= 0x51 && op <= 0x5f) || op == 0xc2 || op == 0xe6);
}

/* What an instruction does: it needs these registers, then pushes or pops. */
struct effect {
	unsigned char needs;
	signed char pops;
	_Bool no_x87_data; /* works whatever the registers are */
};

#define ST0	       1u
#define NEEDS(n, pops) ((struct effect){(n), (pops), 0})
#define CONTROL	       ((struct effect){0, 0, 1})

static struct effect memory_effect(unsigned op, unsigned reg)
{
	switch (op) {
	case 0xd8:
	case 0xda:
	case 0xdc:
	case 0xde:
		return NEEDS(ST0, reg == 3);
	case 0xd9:
		if (reg > 3)
			return CONTROL;
		return reg ? NEEDS(ST0, reg == 3) : NEEDS(0, -1);
	case 0xdb:
		return reg == 0 || reg == 5 ? NEEDS(0, -1) : NEEDS(ST0, reg != 2);
	case 0xdd:
		if (reg > 3)
			return CONTROL;
		return reg ? NEEDS(ST0, reg != 2) : NEEDS(0, -1);
	default: /* df */
		return reg == 0 || reg == 4 || reg == 5 ? NEEDS(0, -1) : NEEDS(ST0, reg != 2);
	}
}

static struct effect register_effect(unsigned op, unsigned reg, unsigned i)
{
	const unsigned both = ST0 | 1u << i;

	switch (op) {
	case 0xd8:
		return NEEDS(both, reg == 3);
	case 0xd9:
		if (reg == 0)
			return NEEDS(1u << i, -1);
		if (reg == 1)
			return NEEDS(both, 0);
		if (reg == 5)
			return NEEDS(0, -1);
		return NEEDS(ST0, reg == 3);
	case 0xda:
		return NEEDS(reg == 5 ? 3 : both, reg == 5 ? 2 : 0);
	case 0xdb:
		return reg == 4 ? CONTROL : NEEDS(both, 0);
	case 0xdc:
		return NEEDS(both, reg == 3);
	case 0xdd:
		if (reg == 2 || reg == 3)
			return NEEDS(ST0, reg == 3);
		return NEEDS(both, reg == 5);
	case 0xde:
		return NEEDS(reg == 3 ? 3 : both, reg == 3 ? 2 : 1);
	default: /* df */
		if (reg == 4)
			return CONTROL;
		return NEEDS(both, reg != 1);
	}
}

static void pop(struct fpu_track *t, int n)
{
	if (n < 0)
		t->valid = t->valid << 1 | 1;
	while (n-- > 0)
		t->valid = (t->valid & ~1u) >> 1;
}

/* Those that do not fit the scheme of effects. */
static _Bool special(struct fpu_track *t, const struct key *k, _Bool *good)
{
	const unsigned reg = k->modrm >> 3 & 7, i = k->modrm & 7;

	*good = 1;
	if (k->modrm < 0xc0)
		return 0;
	if (k->opcode == 0xdb && k->modrm == 0xe3) { /* fninit */
		t->valid = 0;
		t->mmx = 0;
		return 1;
	}
	if ((k->opcode == 0xdd && reg == 0) ||
	    (k->opcode == 0xdf && reg == 0)) { /* ffree, ffreep */
		*good = !t->mmx;
		t->valid &= ~(1u << i);
		if (k->opcode == 0xdf)
			t->valid = (t->valid & ~1u) >> 1;
		return 1;
	}
	if (k->opcode == 0xdd && reg == 2) { /* fst to a register that may be empty */
		*good = !t->mmx && (t->valid & 1) && (t->tags || (t->valid >> i & 1));
		t->valid |= 1u << i;
		return 1;
	}
	if ((k->opcode == 0xdd || k->opcode == 0xd9 || k->opcode == 0xdf) &&
	    (reg == 3 || (k->opcode == 0xdf && reg == 2))) {
		*good = !t->mmx && (t->valid & 1) && (t->tags || (t->valid >> i & 1));
		t->valid |= 1u << i;
		pop(t, 1);
		return 1;
	}
	return 0;
}

static _Bool x87_step(struct fpu_track *t, const struct key *k)
{
	const unsigned reg = k->modrm >> 3 & 7, i = k->modrm & 7;
	struct effect e;
	_Bool good;

	if (special(t, k, &good)) {
		t->used = 1;
		return good;
	}
	e = k->modrm < 0xc0 ? memory_effect(k->opcode, reg) : register_effect(k->opcode, reg, i);
	if (e.no_x87_data)
		return 1;
	if (t->mmx || (t->valid & e.needs) != e.needs || (e.pops < 0 && t->valid & 0x80))
		return 0;
	pop(t, e.pops);
	t->used = 1;
	return 1;
}

static _Bool try_step(struct fpu_track *t, const struct key *k)
{
	if (insn_reads_status(k) && (is_x87(k) ? t->used : t->sse))
		return 0;
	if (is_sse_arithmetic(k))
		t->sse = 1;
	if (k->map == MAP_0F &&
	    k->opcode == 0x77) { /* emms; what it does to TOP is the CPU's own */
		if (!t->mmx)
			return 0;
		t->valid = 0;
		t->mmx = 0;
	}
	if (is_mmx(k)) {
		t->valid = 0xff;
		t->mmx = 1;
	}
	return !is_x87(k) || x87_step(t, k);
}

_Bool fpu_step(struct fpu_track *t, const struct key *k)
{
	struct fpu_track after = *t;

	if (!try_step(&after, k))
		return 0;
	*t = after;
	return 1;
}
