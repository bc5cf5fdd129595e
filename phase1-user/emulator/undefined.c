/*
 * See undefined.h. tests/random has found them; docs/emulator-bugs.md.
 */
#include "undefined.h"
#include "../../decoder/decode.h"

#define NONE 1u /* mandatory prefixes */
#define P66  2u
#define PF3  4u
#define PF2  8u
#define ANY  15u

#define EXT(n) (1u << (n))
#define EXTS   255u

enum { NO_MODRM, MEM, REG, BOTH };

#define NO_LOCK (~0u)

struct prefixes {
	unsigned length, lock, mandatory;
};

struct row {
	u8 first, last;
	u8 prefixes, ext, mod;
};

static const struct row one_byte[] = {
	{0xc6, 0xc7, ANY, EXTS & ~EXT(0), BOTH},
	{0xfe, 0xfe, ANY, EXTS & ~(EXT(0) | EXT(1)), BOTH},
	{0xff, 0xff, ANY, EXT(7), BOTH},
};

static const struct row two_bytes[] = {
	{0x12, 0x13, P66, EXTS, REG},
	{0x13, 0x15, PF2 | PF3, EXTS, BOTH},
	{0x16, 0x17, P66, EXTS, REG},
	{0x17, 0x17, PF2 | PF3, EXTS, BOTH},
	{0x20, 0x20, ANY, EXT(1) | EXT(5) | EXT(6) | EXT(7), BOTH},
	{0x22, 0x22, ANY, EXT(1) | EXT(5) | EXT(6) | EXT(7), BOTH},
	{0x28, 0x29, PF2 | PF3, EXTS, BOTH},
	{0x2e, 0x2f, PF2 | PF3, EXTS, BOTH},
	{0x50, 0x50, PF2 | PF3, EXTS, BOTH},
	{0x52, 0x53, P66 | PF2, EXTS, BOTH},
	{0x54, 0x57, PF2 | PF3, EXTS, BOTH},
	{0x5b, 0x5b, PF2, EXTS, BOTH},
	{0x60, 0x6e, PF2 | PF3, EXTS, BOTH},
	{0x6f, 0x6f, PF2, EXTS, BOTH},
	{0x71, 0x76, PF2 | PF3, EXTS, BOTH},
	{0x77, 0x77, PF2 | PF3, EXTS, NO_MODRM},
	{0x7e, 0x7f, PF2, EXTS, BOTH},
	{0xae, 0xae, P66 | PF2 | PF3, EXT(0) | EXT(1) | EXT(2) | EXT(3), BOTH},
	{0xba, 0xba, ANY, EXT(0) | EXT(1) | EXT(2) | EXT(3), BOTH},
	{0xc3, 0xc6, PF2 | PF3, EXTS, BOTH},
	{0xd1, 0xd5, PF2 | PF3, EXTS, BOTH},
	{0xd7, 0xe5, PF2 | PF3, EXTS, BOTH},
	{0xe7, 0xef, PF2 | PF3, EXTS, BOTH},
	{0xf1, 0xfe, PF2 | PF3, EXTS, BOTH},
};

#define LENGTH(a) (sizeof(a) / sizeof((a)[0]))

static bool take_prefix(struct prefixes *p, u8 b)
{
	switch (b) {
	case 0xf0:
		p->lock = p->length;
		return true;
	case 0xf3:
		p->mandatory = PF3;
		return true;
	case 0xf2:
		p->mandatory = PF2;
		return true;
	case 0x66:
		if (p->mandatory == NONE)
			p->mandatory = P66;
		return true;
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64:
	case 0x65:
	case 0x67:
		return true;
	default:
		return false;
	}
}

/* May it be locked, if its operand is in memory? */
static bool takes_lock(bool two, u8 op, unsigned ext)
{
	if (two)
		return op == 0xab || op == 0xb3 || op == 0xbb || (op == 0xba && ext > 4) ||
		       op == 0xb0 || op == 0xb1 || op == 0xc0 || op == 0xc1 ||
		       (op == 0xc7 && ext == 1);
	if (op < 0x38)
		return (op & 7) < 2;
	return ((op & 0xfc) == 0x80 && ext != 7) || op == 0x86 || op == 0x87 ||
	       ((op & 0xfe) == 0xf6 && (ext == 2 || ext == 3)) || ((op & 0xfe) == 0xfe && ext < 2);
}

/* Could it, with the right ModRM? Then it has one. */
static bool may_take_lock(bool two, u8 op)
{
	for (unsigned ext = 0; ext < 8; ext++)
		if (takes_lock(two, op, ext))
			return true;
	return false;
}

static const struct row *find_row(bool two, u8 op, unsigned mandatory)
{
	const struct row *rows = two ? two_bytes : one_byte;
	const unsigned n = two ? LENGTH(two_bytes) : LENGTH(one_byte);

	for (unsigned i = 0; i < n; i++)
		if (op >= rows[i].first && op <= rows[i].last && (rows[i].prefixes & mandatory))
			return &rows[i];
	return 0;
}

static bool is_undefined(const struct row *row, u8 modrm)
{
	return row && (row->ext & EXT(modrm >> 3 & 7)) && (row->mod & (modrm >= 0xc0 ? REG : MEM));
}

static enum verdict judge_lock(bool two, u8 op, u8 modrm)
{
	if (modrm >= 0xc0 || !takes_lock(two, op, modrm >> 3 & 7))
		return INSN_UNDEFINED;
	return !two && (op & 0xfe) == 0xf6 && (modrm >> 3 & 7) == 3 ? INSN_UNLOCKED : INSN_AS_IT_IS;
}

enum verdict undefined_judge(u8 (*byte)(u64 start, unsigned n), u64 start, struct judged *j)
{
	struct prefixes p = {.lock = NO_LOCK, .mandatory = NONE};
	const struct row *row;
	bool two, locked;
	u8 op = byte(start, 0), modrm;

	while (take_prefix(&p, op)) {
		/* With ModRM it would be too long: #GP. */
		if (++p.length > INSN_MAX - 3)
			return INSN_AS_IT_IS;
		op = byte(start, p.length);
	}
	j->lock = p.lock;
	locked = p.lock != NO_LOCK;
	j->length = p.length + 1;
	two = op == 0x0f;
	if (two)
		op = byte(start, j->length++);
	row = find_row(two, op, p.mandatory);
	if ((locked && !may_take_lock(two, op)) || (row && row->mod == NO_MODRM))
		return INSN_UNDEFINED;
	if (!locked && !row)
		return INSN_AS_IT_IS;
	modrm = byte(start, j->length++);
	if (is_undefined(row, modrm))
		return INSN_UNDEFINED;
	return locked ? judge_lock(two, op, modrm) : INSN_AS_IT_IS;
}
