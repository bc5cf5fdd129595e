/*
 * The instruction decoder: from bytes to struct insn, led by the generated tables.
 *
 * Owns: the walk through the tables, immediates, operands and sizes. May use nothing but bytes and
 * tables: see decode.h for the contract.
 */
#include "fetch.h"
#include "opcode-tables.h"

/* Walk the choices; ModRM is fetched only when a choice depends on it. */
static const struct form *find_form(struct decoding *d)
{
	u8 opcode = d->insn->opcode;

	/* 90 is NOP, but with REX.B it is XCHG of r8 like its neighbours. */
	if (d->map == MAP_ONE && opcode == 0x90 && d->rex & REX_B)
		opcode = 0x91;
	u16 at = opcode_roots[d->map][opcode];

	while (!(at & FORM_LEAF)) {
		enum choice by = (enum choice)opcode_nodes[at];

		if (by >= BY_MOD && !fetch_modrm(d))
			return NULL;
		at = opcode_nodes[at + 1 + d->at[by]];
	}
	return &opcode_forms[at & ~FORM_LEAF];
}

static void set_sizes(struct decoding *d, const struct form *form)
{
	struct insn *insn = d->insn;
	bool bytewise = insn->op >= OP_MOVS && insn->op <= OP_SCAS && !(insn->opcode & 1);
	bool io = insn->op >= OP_IN && insn->op <= OP_OUTS;

	insn->op_size = (d->mode == MODE_16) != d->opsize_prefix ? 2 : 4;
	if (d->mode == MODE_64) {
		if (form->flags & FORM_NEAR || d->rex & REX_W)
			insn->op_size = 8;
		else if (form->flags & FORM_STACK && !d->opsize_prefix)
			insn->op_size = 8;
	}
	insn->stack_size = insn->op_size;
	if (form->flags & FORM_REG_ONLY)
		insn->op_size = d->mode == MODE_64 ? 8 : 4;
	else if (bytewise || (io && !(insn->opcode & 1)))
		insn->op_size = 1;
	else if (io && insn->op_size == 8)
		insn->op_size = 4;
}

static u8 address_size(const struct decoding *d)
{
	if (d->mode == MODE_64)
		return d->addrsize_prefix ? 4 : 8;
	return (d->mode == MODE_16) != d->addrsize_prefix ? 2 : 4;
}

static bool take_memory(struct decoding *d, const struct form *form)
{
	struct insn *insn = d->insn;

	insn->has_modrm = form->flags & FORM_MODRM;
	if (insn->has_modrm && !fetch_modrm(d))
		return false;
	if (form->flags & FORM_IMPLICIT) {
		insn->mem.base = 7;
		insn->mem.seg = address_segment(d, 7);
		insn->has_mem = true;
	} else if (insn->has_modrm && insn->modrm < 0xc0 && !(form->flags & FORM_REG_ONLY)) {
		if (!decode_address(d, form))
			return false;
		insn->has_mem = true;
	}
	if (insn->has_mem || form->imm == IMM_MOFFS) {
		insn->mem.size = form->mem_size;
		insn->mem.access = form->mem_access;
	}
	return true;
}

static bool take_immediate(struct decoding *d, const struct form *form)
{
	struct insn *insn = d->insn;
	u64 selector, address;

	switch ((enum imm_form)form->imm) {
	case IMM_NONE:
		return true;
	case IMM_UNSIGNED:
		return fetch_number(d, form->imm_bytes, &insn->imm);
	case IMM_SIGNED:
		if (!fetch_number(d, form->imm_bytes, &insn->imm))
			return false;
		insn->imm = sign_extend(insn->imm, form->imm_bytes);
		return true;
	case IMM_FAR:
		if (!fetch_number(d, form->imm_bytes - 2u, &insn->imm) ||
		    !fetch_number(d, 2, &selector))
			return false;
		insn->far_selector = (u16)selector;
		return true;
	case IMM_MOFFS:
		if (!fetch_number(d, insn->addr_size, &address))
			return false;
		insn->mem.disp = (s64)address;
		insn->mem.seg = address_segment(d, REG_NONE);
		insn->has_mem = true;
		return true;
	case IMM_SKIP:
		return fetch_number(d, form->imm_bytes, &address);
	}
	return false;
}

/* A general register; 4-7 are AH, CH, DH, BH in byte operands without REX. */
static void take_register(const struct decoding *d, struct operand *o, u8 number, u8 high_bit)
{
	o->kind = OPND_REG;
	o->reg = number | high_bit;
	if (o->size == 1 && !d->rex_present && number >= 4) {
		o->reg = number - 4;
		o->high_byte = true;
	}
}

static void take_operand(const struct decoding *d, const struct form_operand *from,
			 struct operand *o)
{
	u8 r = d->rex & REX_R ? 8 : 0, b = d->rex & REX_B ? 8 : 0;
	static const u8 plain[] = {[SRC_MEM] = OPND_MEM,
				   [SRC_IMM] = OPND_IMM,
				   [SRC_REL] = OPND_REL,
				   [SRC_FAR] = OPND_FAR};

	o->size = from->size;
	o->access = from->access;
	switch (from->source) {
	case SRC_GPR_REG:
		take_register(d, o, d->at[BY_REG], r);
		break;
	case SRC_GPR_RM:
		take_register(d, o, d->at[BY_RM], b);
		break;
	case SRC_GPR_OPCODE:
		take_register(d, o, d->insn->opcode & 7, b);
		break;
	case SRC_SEG_REG:
		o->kind = OPND_SEG;
		o->reg = d->at[BY_REG];
		break;
	case SRC_CR_REG:
	case SRC_DR_REG:
		o->kind = from->source == SRC_CR_REG ? OPND_CR : OPND_DR;
		o->reg = d->at[BY_REG] | r;
		break;
	case SRC_MEM:
	case SRC_IMM:
	case SRC_REL:
	case SRC_FAR:
		o->kind = plain[from->source];
		break;
	default:
		o->kind = from->source >= SRC_SEG_FIXED ? OPND_SEG : OPND_REG;
		o->reg = from->source & 7;
	}
}

static void take_operands(struct decoding *d, const struct form *form)
{
	struct insn *insn = d->insn;

	for (unsigned i = 0; i < ARRAY_SIZE(form->opnd) && form->opnd[i].source; i++)
		take_operand(d, &form->opnd[i], &insn->opnd[insn->nopnds++]);
}

/* REX.R reaches no control register but CR8 and no debug register (the tables know the others). */
static bool system_registers_exist(const struct insn *insn)
{
	for (unsigned i = 0; i < insn->nopnds; i++) {
		if (insn->opnd[i].kind == OPND_CR && insn->opnd[i].reg > 8)
			return false;
		if (insn->opnd[i].kind == OPND_DR && insn->opnd[i].reg > 7)
			return false;
	}
	return true;
}

enum decode_result insn_decode(const u8 *bytes, unsigned avail, enum insn_mode mode,
			       struct insn *insn)
{
	struct decoding d = {.bytes = bytes, .avail = avail, .mode = mode, .insn = insn};

	mem_set(insn, 0, sizeof(*insn));
	insn->seg_override = d.seg_used = REG_NONE;
	insn->mem.base = insn->mem.index = REG_NONE;
	insn->mem.scale = 1;
	insn->mem.seg = SEG_DS;
	if (!decode_prefixes(&d))
		return d.error;
	insn->map = (u8)(d.map < MAP_VEX_0F ? d.map : (d.map - MAP_VEX_0F) % 3 + 1);
	const struct form *form = find_form(&d);

	if (!form)
		return d.error;
	if (!(form->flags & FORM_VALID))
		return DECODE_INVALID;
	insn->op = form->op;
	insn->addr_size = address_size(&d);
	set_sizes(&d, form);
	if (!take_memory(&d, form) || !take_immediate(&d, form))
		return d.error;
	/* LOCK is for the read-modify-write instructions with a memory destination. */
	if (insn->lock && !(form->flags & FORM_LOCK && insn->has_mem))
		return DECODE_INVALID;
	take_operands(&d, form);
	if (!system_registers_exist(insn))
		return DECODE_INVALID;
	insn->length = (u8)d.pos;
	return DECODE_OK;
}
