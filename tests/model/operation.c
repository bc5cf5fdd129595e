/*
 * Random instructions of segmentation: see operation.h.
 */
#include "operation.h"

#include <stdio.h>

/* --------------------------------------------------------------- bytes ---- */

struct code {
	u8 bytes[16];
	unsigned n;
};

static void emit(struct code *code, u8 byte)
{
	code->bytes[code->n++] = byte;
}

static void emit_value(struct code *code, u32 value, unsigned size)
{
	for (unsigned i = 0; i < size; i++)
		emit(code, value >> 8 * i);
}

/* AX, or an absolute address of 32 bits. */
static void emit_modrm(struct code *code, const struct operation *o, u8 reg)
{
	emit(code, o->in_memory ? reg << 3 | 5 : 0xc0 | reg << 3);
	if (o->in_memory)
		emit_value(code, o->offset, 4);
}

static void emit_prefixes(const struct contest *c, struct code *code, const struct operation *o)
{
	static const u8 override[] = {
		[SEG_ES] = 0x26, [SEG_CS] = 0x2e, [SEG_SS] = 0x36,
		[SEG_DS] = 0x3e, [SEG_FS] = 0x64, [SEG_GS] = 0x65,
	};
	const bool code32 = c->model.r.seg[SEG_CS].big;

	if (code32 != (o->size == 4))
		emit(code, 0x66);
	if (!o->in_memory)
		return;
	if (!code32)
		emit(code, 0x67);
	emit(code, override[o->seg]);
}

/* The number of a segment register in ModRM, and in the opcode of pop. */
static u8 seg_number(enum seg_reg reg)
{
	static const u8 numbers[] = {
		[SEG_ES] = 0, [SEG_CS] = 1, [SEG_SS] = 2, [SEG_DS] = 3, [SEG_FS] = 4, [SEG_GS] = 5,
	};

	return numbers[reg];
}

static void emit_pop(struct code *code, enum seg_reg reg)
{
	if (reg == SEG_FS || reg == SEG_GS)
		emit(code, 0x0f);
	emit(code, reg == SEG_FS ? 0xa1 : reg == SEG_GS ? 0xa9 : seg_number(reg) << 3 | 7);
}

static void emit_load_far(struct code *code, enum seg_reg reg)
{
	static const u8 opcodes[] = {
		[SEG_ES] = 0xc4, [SEG_DS] = 0xc5, [SEG_SS] = 0xb2, [SEG_FS] = 0xb4, [SEG_GS] = 0xb5,
	};

	if (reg != SEG_ES && reg != SEG_DS)
		emit(code, 0x0f);
	emit(code, opcodes[reg]);
}

static void emit_far(struct code *code, const struct operation *o, u8 direct, u8 extension)
{
	if (o->in_memory) {
		emit(code, 0xff);
		emit_modrm(code, o, extension);
		return;
	}
	emit(code, direct);
	emit_value(code, o->target, o->size);
	emit_value(code, o->selector, 2);
}

static struct code encode(const struct contest *c, const struct operation *o)
{
	struct code code = {.n = 0};

	emit_prefixes(c, &code, o);
	switch (o->kind) {
	case MOV_SEG:
		emit(&code, 0x8e);
		emit_modrm(&code, o, seg_number(o->reg));
		break;
	case POP_SEG:
		emit_pop(&code, o->reg);
		break;
	case LOAD_FAR:
		emit_load_far(&code, o->reg);
		emit_modrm(&code, o, GPR_DX);
		break;
	case FAR_JUMP:
		emit_far(&code, o, 0xea, 5);
		break;
	case FAR_CALL:
		emit_far(&code, o, 0x9a, 3);
		break;
	case FAR_RETURN:
		emit(&code, o->release ? 0xca : 0xcb);
		if (o->release)
			emit_value(&code, o->release, 2);
		break;
	case LOAD_LDT:
	case LOAD_TR:
		emit(&code, 0x0f);
		emit(&code, 0x00);
		emit_modrm(&code, o, o->kind == LOAD_LDT ? 2 : 3);
		break;
	case IRET:
		emit(&code, 0xcf);
		break;
	case KINDS:
		break;
	}
	return code;
}

/* ------------------------------------------------------------- random ---- */

static void put_stack(struct contest *c, unsigned depth, u32 value, unsigned size)
{
	struct m_stack stack = m_present_stack(&c->model);

	m_stack_move(&stack, depth);
	machine_put(c, stack.ss.base + (stack.ss.big ? stack.esp : stack.esp & 0xffff), value,
		    size);
}

/* What far returns and iret find there: mostly a level that they can return to. */
static void put_return_frame(struct contest *c, const struct operation *o)
{
	struct dice *d = &c->dice;
	const unsigned cpl = c->model.r.cpl, size = o->size;
	const unsigned level = chance(d, 50) ? cpl : cpl + roll_below(d, 4 - cpl);
	u32 flags = roll(d) & ~FLAG_VM;
	unsigned depth = 0;

	if (chance(d, 2))
		flags |= FLAG_VM;
	put_stack(c, depth, random_eip(c), size);
	put_stack(c, depth += size, random_code_selector(c, level) | (roll(d) & 0xffff0000u), size);
	if (o->kind == IRET)
		put_stack(c, depth += size, flags, size);
	depth += o->release;
	put_stack(c, depth += size, random_esp(c, 0, 0xffff), size);
	put_stack(c, depth + size, random_stack_selector(c, level), size);
}

static u16 operand_selector(struct contest *c, const struct operation *o)
{
	struct dice *d = &c->dice;

	switch (o->kind) {
	case FAR_JUMP:
	case FAR_CALL:
		/* Code of this level, a gate, or anything. */
		return chance(d, 35)   ? random_code_selector(c, c->model.r.cpl)
		       : chance(d, 50) ? PICK(d, 11 << 3, 6 << 3 | 4, 7 << 3 | 4) | roll_below(d, 4)
				       : random_selector(c);
	case LOAD_LDT:
		return chance(d, 60) ? 10 << 3 : random_selector(c);
	case LOAD_TR:
		return chance(d, 60) ? 9 << 3 : random_selector(c);
	default:
		if (o->reg == SEG_SS && chance(d, 60))
			return random_stack_selector(c, c->model.r.cpl);
		return random_selector(c);
	}
}

static void put_operand(struct contest *c, struct operation *o)
{
	static const enum seg_reg segs[] = {SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS};
	const bool far = o->kind == FAR_JUMP || o->kind == FAR_CALL || o->kind == LOAD_FAR;
	struct dice *d = &c->dice;
	const u32 la = AT_OPERAND + (chance(d, 50) ? 0x100 : roll_below(d, 8) - 6);

	o->selector = operand_selector(c, o);
	o->target = o->kind == LOAD_FAR ? roll(d) : random_eip(c);
	if (o->size == 2)
		o->target &= 0xffff;
	if (!o->in_memory) {
		c->model.r.gpr[GPR_AX] = (roll(d) & 0xffff0000u) | o->selector;
		return;
	}
	o->seg = segs[roll_below(d, ARRAY_SIZE(segs))];
	o->offset = la - c->model.r.seg[o->seg].base;
	if (far)
		machine_put(c, la, o->target, o->size);
	machine_put(c, la + (far ? o->size : 0), o->selector, 2);
}

struct operation random_operation(struct contest *c, enum kind kind)
{
	static const enum seg_reg regs[] = {SEG_ES, SEG_SS, SEG_SS, SEG_DS, SEG_FS, SEG_GS};
	struct dice *d = &c->dice;
	struct operation o = {.kind = kind, .size = chance(d, 70) ? 4 : 2};
	struct code code;

	o.reg = regs[roll_below(d, ARRAY_SIZE(regs))];
	if (kind == FAR_RETURN && chance(d, 30))
		o.release = chance(d, 80) ? 4 * roll_below(d, 8) : roll(d) & 0xffff;
	o.in_memory = kind == LOAD_FAR ||
		      (kind != POP_SEG && kind != FAR_RETURN && kind != IRET && chance(d, 40));
	if (kind == FAR_RETURN || kind == IRET) {
		put_return_frame(c, &o);
	} else {
		put_operand(c, &o);
		if (kind == POP_SEG)
			put_stack(c, 0, o.selector | (roll(d) & 0xffff0000u), o.size);
	}
	code = encode(c, &o);
	o.length = code.n;
	for (unsigned i = 0; i < code.n; i++)
		machine_put(c, AT_MCODE + i, code.bytes[i], 1);
	return o;
}

/* -------------------------------------------------------------- model ---- */

static u16 read_selector(struct model *m, const struct operation *o)
{
	return o->in_memory ? m_read(m, o->seg, o->offset, 2) : m->r.gpr[GPR_AX] & 0xffff;
}

/* m16:16 or m16:32: one operand as far as the limit goes. */
static void read_far_pointer(struct model *m, const struct operation *o, u16 *selector, u32 *offset)
{
	*selector = o->selector;
	*offset = o->target;
	if (!o->in_memory)
		return;
	m_check(m, o->seg, o->offset, o->size + 2);
	*offset = m_read(m, o->seg, o->offset, o->size);
	*selector = m_read(m, o->seg, o->offset + o->size, 2);
}

static void pop_segment(struct model *m, const struct operation *o)
{
	struct m_stack stack = m_present_stack(m);

	if (!m_stack_holds(&stack, 0, 1, o->size))
		fault(m, EXC_SS, 0);
	m_load_segment(m, o->reg, m_stack_read(m, &stack, 0, o->size));
	m_stack_move(&stack, o->size);
	m->r.gpr[GPR_SP] = stack.esp;
}

static void load_far(struct model *m, const struct operation *o)
{
	u16 selector;
	u32 offset;

	read_far_pointer(m, o, &selector, &offset);
	m_load_segment(m, o->reg, selector);
	m->r.gpr[GPR_DX] = o->size == 4 ? offset : (m->r.gpr[GPR_DX] & 0xffff0000u) | offset;
}

/* Behind the instruction, unless it is a transfer. */
static void run_load(struct model *m, const struct operation *o, u32 next)
{
	switch (o->kind) {
	case MOV_SEG:
		m_load_segment(m, o->reg, read_selector(m, o));
		break;
	case POP_SEG:
		pop_segment(m, o);
		break;
	case LOAD_FAR:
		load_far(m, o);
		break;
	case LOAD_LDT:
	case LOAD_TR:
		if (m->r.cpl != 0)
			fault(m, EXC_GP, 0);
		(o->kind == LOAD_LDT ? m_lldt : m_ltr)(m, read_selector(m, o));
		break;
	default:
		break;
	}
	m->r.eip = next;
}

void operation_run(struct model *m, const void *operation)
{
	const struct operation *o = operation;
	const u32 next = m->r.eip + o->length;
	u16 selector;
	u32 offset;

	/* Vol. 3, 5.3: what straddles the end of a segment of 4 GiB may fault or not. */
	if (next < m->r.eip)
		stop(m, M_OUT_OF_SCOPE);
	switch (o->kind) {
	case FAR_JUMP:
		read_far_pointer(m, o, &selector, &offset);
		m_far_jump(m, selector, offset);
		break;
	case FAR_CALL:
		read_far_pointer(m, o, &selector, &offset);
		m_far_call(m, selector, offset, o->size, next);
		break;
	case FAR_RETURN:
		m_far_return(m, o->size, o->release);
		break;
	case IRET:
		m_iret(m, o->size);
		break;
	default:
		run_load(m, o, next);
		break;
	}
}

void operation_describe(const struct operation *o, char *text, size_t size)
{
	static const char *const names[] = {
		[MOV_SEG] = "mov to", [POP_SEG] = "pop",    [LOAD_FAR] = "load far",
		[FAR_JUMP] = "ljmp",  [FAR_CALL] = "lcall", [FAR_RETURN] = "lret",
		[LOAD_LDT] = "lldt",  [LOAD_TR] = "ltr",    [IRET] = "iret",
	};

	snprintf(text, size,
		 "%s (register %u) %s%04x:%08x, operand size %u, seg %u offset %#x, release %u",
		 names[o->kind], o->reg, o->in_memory ? "from memory " : "", o->selector, o->target,
		 o->size, o->seg, o->offset, o->release);
}
