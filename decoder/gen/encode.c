/*
 * Writing the encodings to probe: see encode.h.
 */
#include "encode.h"

static unsigned legacy(const struct point *p, bool rep_first, u8 *b)
{
	static const u8 prefixes[PREFIX_STATES][2] = {{0},    {0x66},	    {0xf3},
						      {0xf2}, {0x66, 0xf3}, {0x66, 0xf2}};
	static const u8 escapes[][2] = {{0}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}};
	const u8 *pfx = prefixes[p->at[BY_PREFIX]];
	unsigned n = 0;

	for (unsigned i = 0; i < 2; i++)
		if (pfx[i ^ (unsigned)(rep_first && pfx[1])])
			b[n++] = pfx[i ^ (unsigned)(rep_first && pfx[1])];
	if (p->at[BY_MODE] == MODE_64 && p->at[BY_W])
		b[n++] = 0x48;
	for (unsigned i = 0; i < 2; i++)
		if (escapes[p->map][i])
			b[n++] = escapes[p->map][i];
	b[n++] = p->opcode;
	return n;
}

/* vvvv is stored inverted: 1111b names none, 1110b register 1, 0111b register 8. */
static u8 vvvv(const struct point *p)
{
	static const u8 values[] = {0x78, 0x70, 0x38};

	return values[p->at[BY_VVVV]];
}

/* R is stored inverted, and outside 64-bit mode makes the byte an LES or BOUND if set. */
static u8 rxb(const struct point *p)
{
	return p->at[BY_R] && p->at[BY_MODE] == MODE_64 ? 0x60 : 0xe0;
}

static unsigned vex(const struct point *p, u8 *b)
{
	b[0] = 0xc4;
	b[1] = (u8)(rxb(p) | (p->map - MAP_VEX_0F + 1));
	b[2] = (u8)(p->at[BY_W] << 7 | vvvv(p) | p->at[BY_L] << 2 | p->at[BY_PP]);
	b[3] = p->opcode;
	return 4;
}

static unsigned evex(const struct point *p, u8 *b)
{
	static const u8 masks[] = {0, 1, 0x81, 0x80};

	b[0] = 0x62;
	b[1] = (u8)(rxb(p) | 0x10 | (p->map - MAP_EVEX_0F + 1));
	b[2] = (u8)(p->at[BY_W] << 7 | vvvv(p) | 4 | p->at[BY_PP]);
	b[3] = (u8)(p->at[BY_LL] << 5 | p->at[BY_BCAST] << 4 | 8 | masks[p->at[BY_MASK]]);
	b[4] = p->opcode;
	return 5;
}

unsigned encode_opcode(const struct point *p, bool rep_first, u8 *bytes)
{
	if (p->map >= MAP_EVEX_0F)
		return evex(p, bytes);
	if (p->map >= MAP_VEX_0F)
		return vex(p, bytes);
	return legacy(p, rep_first, bytes);
}

bool is_opcode(const struct point *p)
{
	u8 op = p->opcode;

	if (p->map == MAP_0F)
		return op != 0x38 && op != 0x3a;
	if (p->map != MAP_ONE)
		return true;
	if (op == 0x0f || op == 0xf0 || op == 0xf2 || op == 0xf3 || (op >= 0x64 && op <= 0x67))
		return false;
	if (op == 0x26 || op == 0x2e || op == 0x36 || op == 0x3e)
		return false;
	if (p->at[BY_MODE] == MODE_64)
		return op < 0x40 || op > 0x4f;
	return true;
}
