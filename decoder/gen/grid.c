/*
 * All ModRM bytes of one opcode: see grid.h.
 */
#include "grid.h"

#include <string.h>

#define ADDRESS 0x100000u

static bool has_66(const struct point *p)
{
	return p->at[BY_PREFIX] == PFX_66 || p->at[BY_PREFIX] >= PFX_66_F3;
}

static unsigned operand_size(const struct point *p)
{
	if (p->at[BY_MODE] == MODE_64 && (p->at[BY_W] || !has_66(p)))
		return 8;
	return (p->at[BY_MODE] == MODE_16) != has_66(p) ? 2 : 4;
}

static bool is_branch(enum insn_op op)
{
	return op == OP_JMP || op == OP_CALL || op == OP_JCC || op == OP_LOOP;
}

static bool is_near_branch(enum insn_op op)
{
	return is_branch(op) || op == OP_RET;
}

/*
 * `p` without prefixes that have no effect on an `op` but mislead Capstone: REX.W wins over 66, and
 * near branches in 64-bit mode ignore both (so Intel's processors; AMD's heed 66 there).
 */
static struct point without_idle_prefixes(const struct point *p, enum insn_op op)
{
	static const u8 without_66[PREFIX_STATES] = {PFX_NONE, PFX_NONE, PFX_F3,
						     PFX_F2,   PFX_F3,	 PFX_F2};
	struct point plain = *p;

	if (p->at[BY_MODE] != MODE_64 || p->map > MAP_0F)
		return plain;
	if (is_near_branch(op) || p->at[BY_W])
		plain.at[BY_PREFIX] = without_66[p->at[BY_PREFIX]];
	if (is_near_branch(op))
		plain.at[BY_W] = 0;
	return plain;
}

static const u8 without_rep[PREFIX_STATES] = {PFX_NONE, PFX_66, PFX_NONE, PFX_NONE, PFX_66, PFX_66};

/*
 * 0F 0D and 0F 18-1F are hints: prefetches, ENDBR, shadow stack reads, and NOPs for what they may
 * mean some day. None accesses memory (MPX, which did, is gone). Capstone knows only some of them,
 * so all are asked as the one it knows in every form, the NOP 0F 19 /0.
 */
static void ask_hint(struct point *p, u8 *tail)
{
	if (p->map != MAP_0F || (p->opcode != 0x0d && (p->opcode < 0x18 || p->opcode > 0x1f)))
		return;
	p->opcode = 0x19;
	tail[0] &= 0xc7;
	p->at[BY_PREFIX] = without_rep[p->at[BY_PREFIX]];
}

static unsigned ask_point(const struct point *p, struct prober *prober, bool rep_first,
			  const u8 *tail, unsigned tail_len, struct probe *out)
{
	struct point copy = *p;
	enum insn_mode mode = (enum insn_mode)p->at[BY_MODE];
	u8 bytes[32] = {0}, args[8] = {0};
	unsigned n = encode_opcode(p, rep_first, bytes), m;

	memcpy(args, tail, tail_len);
	ask_hint(&copy, args);
	m = encode_opcode(&copy, rep_first, bytes);

	/* VEX and EVEX mean the same in 16-bit mode, which has no SIB byte to ask with. */
	if (p->map >= MAP_VEX_0F && mode == MODE_16)
		mode = MODE_32;
	memcpy(bytes + m, args, sizeof(args));
	probe(prober, bytes, INSN_MAX, mode, ADDRESS, out);
	out->length = (u8)(out->length + n - m);
	return n;
}

/* Returns the number of bytes before `tail`. */
static unsigned ask(const struct point *p, struct prober *prober, bool rep_first, const u8 *tail,
		    unsigned tail_len, struct probe *out)
{
	unsigned n = ask_point(p, prober, rep_first, tail, tail_len, out);
	struct point plain = without_idle_prefixes(p, out->op);
	struct probe other;

	if (!out->valid || !memcmp(&plain, p, sizeof(plain)))
		return n;
	unsigned m = ask_point(&plain, prober, rep_first, tail, tail_len, &other);

	/* Where MMX and SSE share an id, 66 chooses the register file and counts. */
	if (other.valid && other.id == out->id && other.vector_size == out->vector_size) {
		*out = other;
		out->length = (u8)(out->length + n - m);
	}
	return n;
}

/* disp8 forms without SIB; what needs a vector index is asked again with one. */
static void ask_memory(struct grid *g, struct prober *prober, bool rep_first, unsigned reg)
{
	u8 plain[] = {(u8)(0x40 | reg << 3), 1};
	u8 sib[] = {(u8)(0x44 | reg << 3), 0x08, 1};
	struct probe indexed;

	g->opcode_len = ask(g->point, prober, rep_first, plain, sizeof(plain), &g->mem[reg]);
	g->mem_len[reg] = g->opcode_len + sizeof(plain);
	if (g->point->map < MAP_VEX_0F)
		return;
	ask(g->point, prober, rep_first, sib, sizeof(sib), &indexed);
	if (!indexed.vsib)
		return;
	g->mem[reg] = indexed;
	g->mem_len[reg] = g->opcode_len + sizeof(sib);
}

/* ModRM.rm chooses no VEX or EVEX instruction, and ModRM.mod means the same in all of them. */
static void ask_all(struct grid *g, struct prober *prober, bool rep_first)
{
	bool vector = g->point->map >= MAP_VEX_0F;

	memset(g->reg_only, 0, sizeof(g->reg_only));
	for (unsigned reg = 0; reg < 8; reg++) {
		u8 longer[] = {(u8)(0x80 | reg << 3), 1, 0, 0, 0};
		u8 mod3 = (u8)(0xc0 | reg << 3);
		struct probe other;

		ask_memory(g, prober, rep_first, reg);
		if (vector) {
			ask(g->point, prober, false, &mod3, 1, &g->reg[reg][0]);
			continue;
		}
		ask(g->point, prober, rep_first, longer, sizeof(longer), &other);
		g->reg_only[reg] = other.valid && other.length == g->mem[reg].length;
		for (unsigned rm = 0; rm < 8; rm++) {
			u8 modrm = (u8)(0xc0 | reg << 3 | rm);

			ask(g->point, prober, rep_first, &modrm, 1, &g->reg[reg][rm]);
		}
	}
}

static bool same(const struct probe *a, const struct probe *b)
{
	if (a->valid != b->valid)
		return false;
	if (!a->valid)
		return true;
	if (a->length != b->length || a->id != b->id || a->nopnds != b->nopnds ||
	    a->has_mem != b->has_mem || a->base != b->base)
		return false;
	for (unsigned i = 0; i < a->nopnds; i++)
		if (a->opnd[i].kind != b->opnd[i].kind || a->opnd[i].reg != b->opnd[i].reg ||
		    a->opnd[i].high_byte != b->opnd[i].high_byte)
			return false;
	return true;
}

/* An opcode without ModRM means the same whatever byte follows. */
static bool has_modrm(const struct grid *g)
{
	for (unsigned reg = 0; reg < 8; reg++) {
		if (!same(&g->mem[0], &g->mem[reg]))
			return true;
		for (unsigned rm = 0; rm < g->rms; rm++)
			if (!same(&g->mem[0], &g->reg[reg][rm]))
				return true;
	}
	return false;
}

static unsigned encoded_number(const struct probe_operand *o)
{
	return o->reg + (o->high_byte ? 4u : 0u);
}

/*
 * Is operand i the register in the opcode's low three bits? Then the same operation one bit away
 * names the register one bit away.
 */
static void follow_opcode(struct grid *g, struct prober *prober)
{
	struct point p = *g->point;
	u8 tail[8] = {0};
	unsigned alike[8] = {0}, different[8] = {0};

	for (unsigned bit = 1; bit < 8; bit <<= 1) {
		struct probe q;

		p.opcode = g->point->opcode ^ (u8)bit;
		ask(&p, prober, false, tail, sizeof(tail), &q);
		if (!is_opcode(&p) || q.op != g->mem[0].op)
			continue;
		for (unsigned i = 0; i < q.nopnds; i++) {
			if (q.opnd[i].kind != OPND_REG)
				continue;
			if (encoded_number(&q.opnd[i]) == (p.opcode & 7u))
				alike[i]++;
			else
				different[i]++;
		}
	}
	for (unsigned i = 0; i < 8; i++)
		g->opcode_names[i] = alike[i] && !different[i];
}

void grid_fill(struct grid *g, struct prober *prober, const struct point *p)
{
	g->point = p;
	g->rms = p->map >= MAP_VEX_0F ? 1 : 8;
	ask_all(g, prober, p->map == MAP_ONE);
	g->modrm = has_modrm(g);
	follow_opcode(g, prober);
}

static const struct probe *cell(const struct grid *g, bool mod3, unsigned reg, unsigned rm)
{
	return mod3 ? &g->reg[reg][rm] : &g->mem[reg];
}

/* Does operand i's number equal the field that varies, wherever the instruction is the same? */
static bool follows(const struct grid *g, bool mod3, unsigned reg, unsigned rm, unsigned i,
		    bool vary_reg)
{
	const struct probe *here = cell(g, mod3, reg, rm);
	unsigned alike = 0;

	for (unsigned v = 0; v < 8; v++) {
		const struct probe *c = vary_reg ? cell(g, mod3, v, rm) : cell(g, mod3, reg, v);

		if (!c->valid || c->op != here->op || c->nopnds <= i ||
		    c->opnd[i].kind != here->opnd[i].kind)
			continue;
		if (encoded_number(&c->opnd[i]) != v)
			return false;
		alike++;
	}
	return alike > 1;
}

static u8 register_source(const struct grid *g, bool mod3, unsigned reg, unsigned rm, unsigned i)
{
	const struct probe_operand *o = &cell(g, mod3, reg, rm)->opnd[i];

	if (o->kind == OPND_CR)
		return SRC_CR_REG;
	if (o->kind == OPND_DR)
		return SRC_DR_REG;
	if (g->modrm && follows(g, mod3, reg, rm, i, true))
		return o->kind == OPND_SEG ? SRC_SEG_REG : SRC_GPR_REG;
	if (o->kind == OPND_SEG)
		return (u8)(SRC_SEG_FIXED + o->reg);
	if (g->modrm && (mod3 || g->reg_only[reg]) && follows(g, true, reg, rm, i, false))
		return SRC_GPR_RM;
	if (!g->modrm && g->opcode_names[i] && encoded_number(o) == (g->point->opcode & 7u))
		return SRC_GPR_OPCODE;
	return (u8)(SRC_GPR_FIXED + encoded_number(o));
}

/* Operations whose operands, if Capstone lists any, are all implicit. */
static bool implicit_operands(enum insn_op op)
{
	switch (op) {
	case OP_OTHER:
	case OP_INS:
	case OP_OUTS:
	case OP_MOVS:
	case OP_STOS:
	case OP_LODS:
	case OP_CMPS:
	case OP_SCAS:
	case OP_MONITOR:
	case OP_MWAIT:
	case OP_UD:
		return true;
	default:
		return false;
	}
}

/* The size an immediate is used in: its own, or that of what it is extended to. */
static unsigned immediate_size(const struct grid *g, const struct form *f, unsigned n)
{
	if (f->imm == IMM_UNSIGNED)
		return f->imm_bytes;
	return n ? f->opnd[0].size : operand_size(g->point);
}

static void form_operands(const struct grid *g, bool mod3, unsigned reg, unsigned rm,
			  struct form *f)
{
	const struct probe *c = cell(g, mod3, reg, rm);
	unsigned n = 0;

	if (implicit_operands(c->op))
		return;
	for (unsigned i = 0; i < c->nopnds && n < 3; i++) {
		const struct probe_operand *o = &c->opnd[i];
		struct form_operand *d = &f->opnd[n++];

		d->size = o->size;
		d->access = (u8)op_access(c->op, i);
		if (o->kind == OPND_MEM) {
			d->source = SRC_MEM;
			d->size = (u8)c->mem_size;
			continue;
		}
		if (o->kind != OPND_IMM) {
			d->source = register_source(g, mod3, reg, rm, i);
			continue;
		}
		d->source = is_branch(c->op) ? SRC_REL : SRC_IMM;
		d->size = (u8)immediate_size(g, f, i);
		if (c->op == OP_LJMP || c->op == OP_LCALL) {
			d->source = SRC_FAR;
			d->size = (u8)f->imm_bytes;
			break;
		}
	}
}

/* Immediates shorter than what they act on are sign-extended, but for ports and counts. */
static bool sign_extends(enum insn_op op)
{
	switch (op) {
	case OP_MOV:
	case OP_ADD:
	case OP_OR:
	case OP_ADC:
	case OP_SBB:
	case OP_AND:
	case OP_SUB:
	case OP_XOR:
	case OP_CMP:
	case OP_TEST:
		return true;
	default:
		return false;
	}
}

static void form_immediate(const struct grid *g, bool mod3, unsigned reg, const struct probe *c,
			   struct form *f)
{
	unsigned before = g->opcode_len;

	if (g->modrm)
		before = mod3 || g->reg_only[reg] ? before + 1 : g->mem_len[reg];
	f->imm_bytes = (u8)(c->length - before);
	if (!f->imm_bytes)
		f->imm = IMM_NONE;
	else if (!g->modrm && c->has_mem)
		f->imm = IMM_MOFFS;
	else if ((c->op == OP_LJMP || c->op == OP_LCALL) && !g->modrm)
		f->imm = IMM_FAR;
	else if (is_branch(c->op) || c->op == OP_PUSH)
		f->imm = IMM_SIGNED;
	else if (sign_extends(c->op) && f->imm_bytes < c->opnd[0].size)
		f->imm = IMM_SIGNED;
	else
		f->imm = c->op == OP_OTHER ? IMM_SKIP : IMM_UNSIGNED;
}

static bool lockable(const struct probe *c)
{
	if (c->nopnds < 1 || c->opnd[0].kind != OPND_MEM)
		return c->op == OP_XCHG && c->has_mem; /* Capstone may list the register first */
	if (c->id == X86_INS_CMPXCHG8B || c->id == X86_INS_CMPXCHG16B)
		return true;
	return c->op >= OP_XCHG && c->op <= OP_CMPXCHG && c->op != OP_CMP && c->op != OP_TEST &&
	       c->op != OP_BT;
}

static u8 form_flags(const struct grid *g, const struct probe *c, unsigned reg)
{
	u8 flags = FORM_VALID;

	if (g->modrm)
		flags |= FORM_MODRM;
	if (g->modrm && g->reg_only[reg])
		flags |= FORM_REG_ONLY;
	if (lockable(c))
		flags |= FORM_LOCK;
	if (c->vsib)
		flags |= FORM_VSIB;
	if (is_near_branch(c->op))
		flags |= FORM_NEAR;
	if (c->op == OP_PUSH || c->op == OP_POP || c->op == OP_PUSHF || c->op == OP_POPF ||
	    c->op == OP_PUSH_SEG || c->op == OP_POP_SEG || c->id == X86_INS_ENTER ||
	    c->id == X86_INS_LEAVE)
		flags |= FORM_STACK;
	return flags;
}

void grid_form(const struct grid *g, bool mod3, unsigned reg, unsigned rm, struct form *form)
{
	const struct probe *c = cell(g, mod3, reg, rm);

	memset(form, 0, sizeof(*form));
	if (!c->valid || !is_opcode(g->point))
		return;
	form->op = (u8)c->op;
	form->flags = form_flags(g, c, reg);
	form_immediate(g, mod3, reg, c, form);
	form_operands(g, mod3, reg, rm, form);
	if (c->has_mem && !(form->flags & FORM_REG_ONLY)) {
		form->mem_size = (u16)c->mem_size;
		form->mem_access = (u8)c->mem_access;
	}
	if (c->id == X86_INS_MASKMOVQ || c->id == X86_INS_MASKMOVDQU ||
	    c->id == X86_INS_VMASKMOVDQU) {
		form->flags |= FORM_IMPLICIT;
		form->mem_size = c->id == X86_INS_MASKMOVQ ? 8 : 16;
		form->mem_access = ACCESS_WRITE;
	}
	if (g->point->map >= MAP_EVEX_0F && !mod3)
		while (form->disp8 < 6 && (1 << form->disp8) < c->disp)
			form->disp8++;
}
