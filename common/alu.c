/*
 * Integer arithmetic with EFLAGS: see alu.h.
 */
#include "alu.h"

#define ARITHMETIC (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

static u64 result_flags(u64 result, unsigned bits)
{
	u64 flags = 0;

	if (!(__builtin_popcount((u8)result) & 1))
		flags |= FLAG_PF;
	if (!result)
		flags |= FLAG_ZF;
	if (result >> (bits - 1) & 1)
		flags |= FLAG_SF;
	return flags;
}

/* Flags of a + b + carry = r or, by `sub`, of a - b - borrow = r, from the carries of each bit. */
static u64 carry_flags(u64 a, u64 b, u64 r, unsigned bits, bool sub)
{
	u64 carries = sub ? (~a & b) | ((~a | b) & r) : (a & b) | ((a | b) & ~r);
	u64 flags = 0;

	if (carries >> (bits - 1) & 1)
		flags |= FLAG_CF;
	if (carries >> 3 & 1)
		flags |= FLAG_AF;
	if ((carries >> (bits - 1) ^ carries >> (bits - 2)) & 1)
		flags |= FLAG_OF;
	return flags;
}

bool alu(enum insn_op op, unsigned size, u64 a, u64 b, u64 *result, u64 *flags)
{
	unsigned bits = size * 8;
	u64 mask = bits == 64 ? ~0ull : (1ull << bits) - 1, keep = 0, extra = 0, r;
	u64 carry = *flags & FLAG_CF;

	a &= mask;
	b &= mask;
	switch (op) {
	case OP_INC:
		keep = FLAG_CF;
		b = 1;
		/* fall through */
	case OP_ADD:
		r = (a + b) & mask;
		extra = carry_flags(a, b, r, bits, false);
		break;
	case OP_ADC:
		r = (a + b + carry) & mask;
		extra = carry_flags(a, b, r, bits, false);
		break;
	case OP_DEC:
		keep = FLAG_CF;
		b = 1;
		/* fall through */
	case OP_SUB:
	case OP_CMP:
		r = (a - b) & mask;
		extra = carry_flags(a, b, r, bits, true);
		break;
	case OP_NEG:
		r = -a & mask;
		extra = carry_flags(0, a, r, bits, true);
		break;
	case OP_SBB:
		r = (a - b - carry) & mask;
		extra = carry_flags(a, b, r, bits, true);
		break;
	case OP_AND:
	case OP_TEST:
		r = a & b;
		break;
	case OP_OR:
		r = a | b;
		break;
	case OP_XOR:
		r = a ^ b;
		break;
	default:
		return false;
	}
	*flags = (*flags & (~(u64)ARITHMETIC | keep)) | ((result_flags(r, bits) | extra) & ~keep);
	*result = op == OP_CMP || op == OP_TEST ? a : r;
	return true;
}
