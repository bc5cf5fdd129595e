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
	SIZE_NONE,    /* no access, or one whose extent is not fixed */
	SIZE_FIXED,   /* erratum.size */
	SIZE_ENV,     /* x87 environment: 14 or 28 bytes by operand size */
	SIZE_STATE,   /* x87 state: 94 or 108 bytes */
	SIZE_PINSR,   /* four bytes outside 64-bit mode */
	SIZE_MMX_LOW, /* four bytes if the registers are MMX */
	SIZE_FAR,     /* far pointer: a selector and an offset of operand size */
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

enum undefined {
	UD_CS,
	UD_CR,
	UD_DR,
	UD_3DNOW,
	UD_XOP,
	UD_GATHER,
	UD_UNMASKED,
	UD_Z,
	UD_LL,
	UNDEFINED_ROWS
};

/* In the order of enum computed. */
static const char *const computed_names[] = {
	"direction of vector loads and stores, and of MOVBE",
	"size and displacement scale of EVEX memory operands",
};

enum computed { COMPUTED_VECTOR, COMPUTED_EVEX, COMPUTED_ROWS };

static const struct erratum table[] = {
	{"stores said to be loads",
	 SIZE_KEEP,
	 0,
	 ACCESS_WRITE,
	 {X86_INS_FST,	  X86_INS_FSTP,	     X86_INS_FIST,    X86_INS_FISTP,   X86_INS_FISTTP,
	  X86_INS_MOVNTI, X86_INS_SETAE,     X86_INS_SETA,    X86_INS_SETBE,   X86_INS_SETB,
	  X86_INS_SETE,	  X86_INS_SETGE,     X86_INS_SETG,    X86_INS_SETLE,   X86_INS_SETL,
	  X86_INS_SETNE,  X86_INS_SETNO,     X86_INS_SETNP,   X86_INS_SETNS,   X86_INS_SETO,
	  X86_INS_SETP,	  X86_INS_SETS,	     X86_INS_PEXTRB,  X86_INS_PEXTRW,  X86_INS_PEXTRD,
	  X86_INS_PEXTRQ, X86_INS_EXTRACTPS, X86_INS_STMXCSR, X86_INS_VSTMXCSR}},
	{"conversions to general registers, said not to access memory",
	 SIZE_KEEP,
	 0,
	 ACCESS_READ,
	 {X86_INS_CVTSS2SI, X86_INS_CVTSD2SI, X86_INS_VCVTSS2SI, X86_INS_VCVTSD2SI,
	  X86_INS_VCVTSS2USI, X86_INS_VCVTSD2USI}},
	{"read-modify-write said to be a load",
	 SIZE_KEEP,
	 0,
	 RW,
	 {X86_INS_ROL, X86_INS_ROR, X86_INS_RCL, X86_INS_RCR, X86_INS_CMPXCHG, X86_INS_CMPXCHG8B,
	  X86_INS_CMPXCHG16B, X86_INS_ARPL}},
	{"TEST said to write", SIZE_KEEP, 0, ACCESS_READ, {X86_INS_TEST}},
	{"an address that is not accessed",
	 SIZE_NONE,
	 0,
	 ACCESS_NONE,
	 {X86_INS_LEA, X86_INS_NOP, X86_INS_PREFETCH, X86_INS_PREFETCHW, X86_INS_PREFETCHNTA,
	  X86_INS_PREFETCHT0, X86_INS_PREFETCHT1, X86_INS_PREFETCHT2, X86_INS_INVLPG}},
	{"VPEXTRD and VPINSRD with VEX.W outside 64-bit mode",
	 SIZE_PINSR,
	 0,
	 KEEP,
	 {X86_INS_VPEXTRD, X86_INS_VPEXTRQ, X86_INS_VPINSRD, X86_INS_VPINSRQ}},
	{"x87 environment", SIZE_ENV, 0, KEEP, {X86_INS_FLDENV, X86_INS_FNSTENV}},
	{"x87 state load", SIZE_STATE, 0, ACCESS_READ, {X86_INS_FRSTOR}},
	{"x87 state store", SIZE_STATE, 0, ACCESS_WRITE, {X86_INS_FNSAVE}},
	{"FNSTSW m16", SIZE_FIXED, 2, ACCESS_WRITE, {X86_INS_FNSTSW}},
	{"FXSAVE and FXRSTOR areas",
	 SIZE_FIXED,
	 512,
	 KEEP,
	 {X86_INS_FXSAVE, X86_INS_FXSAVE64, X86_INS_FXRSTOR, X86_INS_FXRSTOR64}},
	{"scalar compares: m32",
	 SIZE_FIXED,
	 4,
	 KEEP,
	 {X86_INS_COMISS, X86_INS_UCOMISS, X86_INS_VCOMISS, X86_INS_VUCOMISS}},
	{"scalar compares: m64",
	 SIZE_FIXED,
	 8,
	 KEEP,
	 {X86_INS_COMISD, X86_INS_UCOMISD, X86_INS_VCOMISD, X86_INS_VUCOMISD}},
	{"XSAVE areas, whose size is in XCR0",
	 SIZE_NONE,
	 0,
	 ACCESS_WRITE,
	 {X86_INS_XSAVE, X86_INS_XSAVE64, X86_INS_XSAVEC, X86_INS_XSAVEC64, X86_INS_XSAVEOPT,
	  X86_INS_XSAVEOPT64, X86_INS_XSAVES, X86_INS_XSAVES64}},
	{"XRSTOR areas",
	 SIZE_NONE,
	 0,
	 ACCESS_READ,
	 {X86_INS_XRSTOR, X86_INS_XRSTOR64, X86_INS_XRSTORS, X86_INS_XRSTORS64}},
	{"low halves of MMX: m32",
	 SIZE_MMX_LOW,
	 0,
	 KEEP,
	 {X86_INS_PUNPCKLBW, X86_INS_PUNPCKLWD, X86_INS_PUNPCKLDQ}},
	{"far pointers",
	 SIZE_FAR,
	 0,
	 ACCESS_READ,
	 {X86_INS_LCALL, X86_INS_LJMP, X86_INS_LDS, X86_INS_LES, X86_INS_LFS, X86_INS_LGS,
	  X86_INS_LSS}},
	{"gathers and scatters of four bytes by eight-byte indices",
	 SIZE_FIXED,
	 4,
	 KEEP,
	 {X86_INS_VPGATHERQD, X86_INS_VGATHERQPS, X86_INS_VPSCATTERQD, X86_INS_VSCATTERQPS}},
	{"LSL r, r/m16", SIZE_FIXED, 2, KEEP, {X86_INS_LSL}},
};

static bool names(const struct erratum *e, unsigned id)
{
	for (unsigned i = 0; i < ARRAY_SIZE(e->ids) && e->ids[i]; i++)
		if (e->ids[i] == id)
			return true;
	return false;
}

const u8 *errata_opcode(const u8 *b, enum insn_mode mode)
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
	const u8 *opcode = errata_opcode(bytes, mode);
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
	const u8 *opcode = errata_opcode(bytes, mode);

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

/* Rows that are not in the table follow it: undefined_names, then computed_names. */
static u64 row(int computed)
{
	return 1ull << ((int)ARRAY_SIZE(table) + UNDEFINED_ROWS + computed);
}

/* The displacement scales Capstone has wrong (SDM vol. 2, 2.7.5 and the instructions' tuple types).
 */
static unsigned evex_scale(const u8 *evex, unsigned scale, enum insn_mode mode)
{
	unsigned map = evex[1] & 3, w = evex[2] >> 7, pp = evex[2] & 3, opcode = evex[4];

	/* a broadcast element */
	if (evex[3] & 0x10)
		return w ? 8 : 4;
	/* VMOVD, and VMOVQ only in 64-bit mode */
	if (map == 1 && pp == 1 && (opcode == 0x6e || opcode == 0x7e))
		return w && mode == MODE_64 ? 8 : 4;
	/* VCMPSS, VCMPSD */
	if (map == 1 && opcode == 0xc2 && pp >= 2)
		return pp == 2 ? 4 : 8;
	/* VPSRLV, VPSRAV, VPSLLV of 512 bits from memory */
	if (map == 2 && opcode >= 0x45 && opcode <= 0x47 && (evex[3] & 0x70) == 0x40)
		return 64;
	/* VPCMPEQB/W, VPCMPGTB/W: whole vectors, whatever W */
	if (map == 1 && (opcode == 0x64 || opcode == 0x65 || opcode == 0x74 || opcode == 0x75))
		return 16u << (evex[3] >> 5 & 3);
	/* scalar VRCP14, VRSQRT14, VFMADD and kin, VRCP28, VRSQRT28 */
	if (map == 2 && opcode & 1 &&
	    (opcode == 0x4d || opcode == 0x4f || opcode == 0xcb || opcode == 0xcd ||
	     ((opcode >> 4) - 9u < 3 && (opcode & 15) >= 9)))
		return w ? 8 : 4;
	return scale;
}

void errata_evex(struct probe *p, const u8 *evex, unsigned scale, enum insn_mode mode,
		 unsigned right)
{
	right = evex_scale(evex, right, mode);

	if (!scale || (right == scale && p->mem_size == scale))
		return;
	if (evex[5] >> 6 == 1)
		p->disp = p->disp / (s64)scale * (s64)right;
	p->mem_size = right;
	p->errata |= row(COMPUTED_EVEX);
}

/* MMX, vector and opmask instructions and MOVBE write memory that is their destination. */
static unsigned vector_access(const struct probe *p)
{
	return p->opnd[0].kind == OPND_MEM ? ACCESS_WRITE : ACCESS_READ;
}

static unsigned corrected_size(const struct erratum *e, const struct probe *p,
			       unsigned operand_size, enum insn_mode mode)
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
	case SIZE_PINSR:
		return mode == MODE_64 ? p->mem_size : 4;
	case SIZE_MMX_LOW:
		return p->vector_size == 8 ? 4 : p->mem_size;
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
		*p = (struct probe){.id = p->id, .errata = row((int)undefined - UNDEFINED_ROWS)};
		return;
	}
	if (!p->has_mem)
		return;
	if ((p->vector_size || p->id == X86_INS_MOVBE) && p->mem_access != vector_access(p)) {
		p->mem_access = vector_access(p);
		p->errata |= row(COMPUTED_VECTOR);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		if (!names(&table[i], p->id))
			continue;
		unsigned size = corrected_size(&table[i], p, operand_size(bytes, mode), mode);
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
	if (n < UNDEFINED_ROWS)
		return undefined_names[n];
	n -= UNDEFINED_ROWS;
	return n < COMPUTED_ROWS ? computed_names[n] : NULL;
}
