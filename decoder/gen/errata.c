/*
 * Where Capstone is wrong: see errata.h.
 *
 * Owns: the table of Capstone's known errors in what an instruction does to memory, each checked
 * against the SDM. The generator reads Capstone through it, so that the decoder follows the SDM;
 * the tests read Capstone through it and count how often each row mattered.
 */
#include "errata.h"

enum size_rule {
	SIZE_KEEP,
	SIZE_NONE,  /* no access, or one whose extent is not fixed */
	SIZE_FIXED, /* erratum.size */
	SIZE_ENV,   /* x87 environment: 14 or 28 bytes by operand size */
	SIZE_STATE, /* x87 state: 94 or 108 bytes */
	SIZE_FAR,   /* far pointer: a selector and an offset of operand size */
};

#define KEEP 0xff
#define RW   (ACCESS_READ | ACCESS_WRITE)

struct erratum {
	const char *what;
	enum size_rule rule;
	u16 size;
	u8 access;
	u16 ids[40];
};

/* Undefined by the SDM, or never in an Intel processor. In the order of enum undefined. */
static const char *const undefined_names[] = {
	"MOV to CS",
	"MOV to or from CR1, CR5-CR7, CR9-CR15",
	"DR8-DR15",
	"3DNow! (also gone from AMD's processors)",
	"XOP and LWP (AMD's 15h family only)",
	"gather without a vector index",
	"EVEX gather or scatter without a mask",
	"EVEX.z without a mask",
	"EVEX.L'L of 3 without rounding control",
};

enum undefined { UD_CS, UD_CR, UD_DR, UD_3DNOW, UD_XOP, UD_GATHER, UD_UNMASKED, UD_Z, UD_LL,
		 UNDEFINED_ROWS };

static const struct erratum table[] = {
	{"stores said to be loads", SIZE_KEEP, 0, ACCESS_WRITE,
	 {X86_INS_FST, X86_INS_FSTP, X86_INS_FIST, X86_INS_FISTP, X86_INS_FISTTP, X86_INS_MOVNTI,
	  X86_INS_SETAE, X86_INS_SETA, X86_INS_SETBE, X86_INS_SETB, X86_INS_SETE, X86_INS_SETGE,
	  X86_INS_SETG, X86_INS_SETLE, X86_INS_SETL, X86_INS_SETNE, X86_INS_SETNO, X86_INS_SETNP,
	  X86_INS_SETNS, X86_INS_SETO, X86_INS_SETP, X86_INS_SETS, X86_INS_PEXTRB,
	  X86_INS_PEXTRW, X86_INS_PEXTRD, X86_INS_PEXTRQ, X86_INS_EXTRACTPS}},
	{"read-modify-write said to be a load", SIZE_KEEP, 0, RW,
	 {X86_INS_ROL, X86_INS_ROR, X86_INS_RCL, X86_INS_RCR, X86_INS_CMPXCHG,
	  X86_INS_CMPXCHG8B, X86_INS_CMPXCHG16B, X86_INS_ARPL}},
	{"TEST said to write", SIZE_KEEP, 0, ACCESS_READ, {X86_INS_TEST}},
	{"an address that is not accessed", SIZE_NONE, 0, ACCESS_NONE,
	 {X86_INS_LEA, X86_INS_NOP, X86_INS_PREFETCH, X86_INS_PREFETCHW, X86_INS_PREFETCHNTA,
	  X86_INS_PREFETCHT0, X86_INS_PREFETCHT1, X86_INS_PREFETCHT2, X86_INS_INVLPG}},
	{"x87 environment", SIZE_ENV, 0, KEEP, {X86_INS_FLDENV, X86_INS_FNSTENV}},
	{"x87 state load", SIZE_STATE, 0, ACCESS_READ, {X86_INS_FRSTOR}},
	{"x87 state store", SIZE_STATE, 0, ACCESS_WRITE, {X86_INS_FNSAVE}},
	{"FNSTSW m16", SIZE_FIXED, 2, ACCESS_WRITE, {X86_INS_FNSTSW}},
	{"FXSAVE and FXRSTOR areas", SIZE_FIXED, 512, KEEP,
	 {X86_INS_FXSAVE, X86_INS_FXSAVE64, X86_INS_FXRSTOR, X86_INS_FXRSTOR64}},
	{"scalar compares: m32", SIZE_FIXED, 4, KEEP, {X86_INS_COMISS, X86_INS_UCOMISS}},
	{"scalar compares: m64", SIZE_FIXED, 8, KEEP, {X86_INS_COMISD, X86_INS_UCOMISD}},
	{"far pointers", SIZE_FAR, 0, ACCESS_READ,
	 {X86_INS_LCALL, X86_INS_LJMP, X86_INS_LDS, X86_INS_LES, X86_INS_LFS, X86_INS_LGS,
	  X86_INS_LSS}},
	{"LSL r, r/m16", SIZE_FIXED, 2, KEEP, {X86_INS_LSL}},
};

static bool names(const struct erratum *e, unsigned id)
{
	for (unsigned i = 0; i < ARRAY_SIZE(e->ids) && e->ids[i]; i++)
		if (e->ids[i] == id)
			return true;
	return false;
}

static const u8 *after_prefixes(const u8 *b, enum insn_mode mode)
{
	const u8 *end = b + INSN_MAX - 1;

	while (b < end && (*b == 0x66 || *b == 0x67 || *b == 0xf0 || *b == 0xf2 || *b == 0xf3 ||
			   *b == 0x26 || *b == 0x2e || *b == 0x36 || *b == 0x3e || *b == 0x64 ||
			   *b == 0x65 || (mode == MODE_64 && (*b & 0xf0) == 0x40)))
		b++;
	return b;
}

static unsigned operand_size(const u8 *bytes, enum insn_mode mode)
{
	const u8 *opcode = after_prefixes(bytes, mode);
	bool prefix_66 = false;

	if (mode == MODE_64 && opcode > bytes && (opcode[-1] & 0xf8) == 0x48)
		return 8;
	for (const u8 *b = bytes; b < opcode; b++)
		prefix_66 |= *b == 0x66;
	return (mode == MODE_16) != prefix_66 ? 2 : 4;
}

static bool reserved_control_register(const struct probe_operand *o)
{
	return o->kind == OPND_CR && o->reg != 0 && (o->reg < 2 || o->reg > 4) && o->reg != 8;
}

static bool is_gather(unsigned id)
{
	switch (id) {
	case X86_INS_VGATHERDPD:
	case X86_INS_VGATHERDPS:
	case X86_INS_VGATHERQPD:
	case X86_INS_VGATHERQPS:
	case X86_INS_VPGATHERDD:
	case X86_INS_VPGATHERDQ:
	case X86_INS_VPGATHERQD:
	case X86_INS_VPGATHERQQ:
		return true;
	default:
		return false;
	}
}

/* The row of undefined_names that `p` falls under; UNDEFINED_ROWS if it is defined. */
static enum undefined why_undefined(const struct probe *p, const u8 *bytes, enum insn_mode mode)
{
	const u8 *opcode = after_prefixes(bytes, mode);

	if (p->op == OP_MOV_TO_SEG && p->opnd[0].reg == SEG_CS)
		return UD_CS;
	for (unsigned i = 0; i < p->nopnds; i++)
		if (reserved_control_register(&p->opnd[i]))
			return UD_CR;
	for (unsigned i = 0; i < p->nopnds; i++)
		if (p->opnd[i].kind == OPND_DR && p->opnd[i].reg > 7)
			return UD_DR;
	if (opcode[0] == 0x0f && opcode[1] == 0x0f)
		return UD_3DNOW;
	if (opcode[0] == 0x8f && p->op != OP_POP)
		return UD_XOP;
	if (is_gather(p->id) && !p->vsib)
		return UD_GATHER;
	if (opcode[0] != 0x62 || (mode != MODE_64 && opcode[1] < 0xc0))
		return UNDEFINED_ROWS;
	if (p->vsib && !(opcode[3] & 7))
		return UD_UNMASKED;
	if (opcode[3] & 0x80 && !(opcode[3] & 7))
		return UD_Z;
	if ((opcode[3] & 0x60) == 0x60 && !(opcode[3] & 0x10 && !p->has_mem))
		return UD_LL;
	return UNDEFINED_ROWS;
}

static unsigned corrected_size(const struct erratum *e, const struct probe *p,
			       unsigned operand_size)
{
	switch (e->rule) {
	case SIZE_NONE:
		return 0;
	case SIZE_FIXED:
		return e->size;
	case SIZE_ENV:
		return operand_size == 2 ? 14 : 28;
	case SIZE_STATE:
		return operand_size == 2 ? 94 : 108;
	case SIZE_FAR:
		return 2 + operand_size;
	default:
		return p->mem_size;
	}
}

void errata_apply(struct probe *p, const u8 *bytes, enum insn_mode mode)
{
	enum undefined undefined = why_undefined(p, bytes, mode);

	if (undefined != UNDEFINED_ROWS) {
		*p = (struct probe){.id = p->id, .errata = 1ull << (ARRAY_SIZE(table) + undefined)};
		return;
	}
	if (!p->has_mem)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		if (!names(&table[i], p->id))
			continue;
		unsigned size = corrected_size(&table[i], p, operand_size(bytes, mode));
		unsigned access = table[i].access == KEEP ? p->mem_access : table[i].access;

		if (size == p->mem_size && access == p->mem_access)
			continue;
		p->mem_size = size;
		p->mem_access = access;
		p->errata |= 1ull << i;
	}
}

const char *errata_name(unsigned n)
{
	if (n < ARRAY_SIZE(table))
		return table[n].what;
	n -= ARRAY_SIZE(table);
	return n < UNDEFINED_ROWS ? undefined_names[n] : NULL;
}
