/*
 * What misleads Capstone: see decoder-exemptions.h.
 */
#include "decoder-exemptions.h"

struct prefixes read_prefixes(const u8 *bytes, enum insn_mode mode)
{
	struct prefixes p = {0};

	for (; p.length < INSN_MAX; p.length++) {
		u8 b = bytes[p.length];
		bool rex = mode == MODE_64 && (b & 0xf0) == 0x40;

		if (b == 0x64 || b == 0x65)
			p.segment = b;
		else if (b == 0x26 || b == 0x2e || b == 0x36 || b == 0x3e)
			p.segment = mode == MODE_64 ? p.segment : b;
		else if (b == 0xf2 || b == 0xf3)
			p.rep = b;
		else if (b == 0x66)
			p.opsize = true;
		else if (b == 0x67)
			p.addrsize = true;
		else if (b == 0xf0)
			p.lock = true;
		else if (!rex)
			break;
		p.rex = rex ? b : 0;
	}
	return p;
}

static bool any(const struct trial *t)
{
	(void)t;
	return true;
}

static void strip_nothing(struct prefixes *p)
{
	(void)p;
}

static bool is_near_branch_64(const struct trial *t)
{
	return t->mode == MODE_64 && t->result == DECODE_OK && t->insn.op >= OP_JMP &&
	       t->insn.op <= OP_JCC && !t->insn.has_mem;
}

/* The same with so many prefixes that the displacement ends behind the 15th byte. */
static bool is_long_branch_64(const struct trial *t)
{
	const u8 *b = t->opcode;

	return t->mode == MODE_64 && t->result == DECODE_INVALID &&
	       (b[0] == 0xe8 || b[0] == 0xe9 || (b[0] == 0x0f && (b[1] & 0xf0) == 0x80));
}

static bool is_near_indirect_64(const struct trial *t)
{
	return t->mode == MODE_64 && t->result == DECODE_OK && t->insn.has_mem &&
	       (t->insn.op == OP_JMP || t->insn.op == OP_CALL);
}

static void strip_sizes(struct prefixes *p)
{
	p->opsize = p->addrsize = false;
	p->rex &= ~8;
}

static void strip_operand_size(struct prefixes *p)
{
	p->opsize = false;
	p->rex &= ~8;
}

static bool is_ud0(const struct trial *t)
{
	return t->insn.op == OP_UD && t->insn.opcode == 0xff;
}

static void strip_all(struct prefixes *p)
{
	*p = (struct prefixes){.length = p->length};
}

static bool is_segment_move_64(const struct trial *t)
{
	return t->mode == MODE_64 && (t->insn.op == OP_MOV_TO_SEG || t->insn.op == OP_MOV_FROM_SEG);
}

static void strip_rex_r(struct prefixes *p)
{
	p->rex &= ~4;
}

static bool has_rex_w(const struct trial *t)
{
	return t->prefixes.rex & 8;
}

static void strip_66(struct prefixes *p)
{
	p->opsize = false;
}

static void strip_67(struct prefixes *p)
{
	p->addrsize = false;
}

static void strip_66_67(struct prefixes *p)
{
	p->opsize = p->addrsize = false;
}

static bool is_evex_v(const struct trial *t)
{
	return t->result == DECODE_OK && t->mode == MODE_64 && t->opcode[0] == 0x62 &&
	       t->insn.has_mem && !(t->bytes[t->prefixes.length + 3] & 8);
}

static void set_evex_v(u8 *opcode, struct insn *insn)
{
	(void)insn;
	opcode[3] |= 8;
}

static bool is_evex_x(const struct trial *t)
{
	return t->result == DECODE_OK && t->mode == MODE_64 && t->opcode[0] == 0x62 &&
	       t->insn.has_mem && !(t->opcode[1] & 0x40);
}

/* Without X, the index is one of the lower eight, and 4 means none. */
static void set_evex_x(u8 *opcode, struct insn *insn)
{
	opcode[1] |= 0x40;
	if (insn->mem.index != REG_NONE)
		insn->mem.index &= 7;
	if (insn->mem.index == 4)
		insn->mem.index = REG_NONE;
}

static bool is_evex_xv(const struct trial *t)
{
	return is_evex_x(t) && is_evex_v(t);
}

static void set_evex_xv(u8 *opcode, struct insn *insn)
{
	set_evex_x(opcode, insn);
	set_evex_v(opcode, insn);
}

static bool is_vex_b(const struct trial *t)
{
	return t->result == DECODE_OK && t->mode == MODE_64 && t->opcode[0] == 0xc4 &&
	       !t->insn.has_mem && !(t->opcode[1] & 0x20);
}

static void set_vex_b(u8 *opcode, struct insn *insn)
{
	(void)insn;
	opcode[1] |= 0x20;
}

static bool is_evex_r_32(const struct trial *t)
{
	return t->result == DECODE_OK && t->mode != MODE_64 && t->opcode[0] == 0x62 &&
	       !(t->opcode[1] & 0x10);
}

static void set_evex_r(u8 *opcode, struct insn *insn)
{
	(void)insn;
	opcode[1] |= 0x10;
}

/* Prefetches, ENDBR and NOPs with ModRM: Capstone knows some of them. */
static bool is_hint(const struct trial *t)
{
	u8 opcode = t->insn.opcode;

	return t->result == DECODE_OK && t->insn.map == 1 && t->opcode[0] == 0x0f &&
	       (opcode == 0x0d || (opcode >= 0x18 && opcode <= 0x1f));
}

static void strip_rep(struct prefixes *p)
{
	p->rep = 0;
}

static void make_nop(u8 *opcode, struct insn *insn)
{
	(void)insn;
	opcode[1] = 0x19;
	opcode[2] &= 0xc7;
}

const struct exemption exemptions[] = {
	/* SDM vol. 2, 2.1: one prefix of a group counts, in any order; REX only before the opcode.
	 */
	{"prefixes repeated, reordered or REX not last", any, strip_nothing, NULL},
	/* SDM vol. 2, CALL, JMP, Jcc, RET: operand size is 64 bits; no part of it depends on 67. */
	{"66, 67 or REX.W on near branches in 64-bit mode", is_near_branch_64, strip_sizes, NULL},
	{"the same, too long", is_long_branch_64, strip_sizes, NULL},
	{"66 or REX.W on near indirect branches in 64-bit mode", is_near_indirect_64,
	 strip_operand_size, NULL},
	/* SDM vol. 2, 2.2.1.2: REX.W wins over 66. */
	{"66 together with REX.W", has_rex_w, strip_66, NULL},
	/* An error in its handling of 67. */
	{"67 together with REX.W taken for 66", has_rex_w, strip_67, NULL},
	{"66 and 67 together with REX.W", has_rex_w, strip_66_67, NULL},
	{"prefixes on UD0", is_ud0, strip_all, NULL},
	/* SDM vol. 2, table A-3: the reserved NOPs; settled on a processor, too. */
	{"hints taken for undefined or for MPX", is_hint, strip_rep, make_nop},
	/* There are six segment registers; REX.R is ignored (SDM vol. 2, 2.2.1.2, MOV). */
	{"REX.R with a segment register", is_segment_move_64, strip_rex_r, NULL},
	/* The next four were settled by running them on a processor with AVX-512. */
	{"EVEX.X added to a base register", is_evex_x, strip_nothing, set_evex_x},
	{"VEX.B with an opmask register", is_vex_b, strip_nothing, set_vex_b},
	{"EVEX.R' outside 64-bit mode", is_evex_r_32, strip_nothing, set_evex_r},
	/* V' is bit 4 of the index only where that is a vector (SDM vol. 2, table 2-31). */
	{"EVEX.V' added to a general index register", is_evex_v, strip_nothing, set_evex_v},
	{"the same with EVEX.X", is_evex_xv, strip_nothing, set_evex_xv},
};

const unsigned exemption_count = ARRAY_SIZE(exemptions);
