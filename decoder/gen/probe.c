/*
 * Asking Capstone about one encoding: see probe.h.
 *
 * Owns: the translation of Capstone's detail structures. What Capstone gets wrong is in errata.c.
 */
#include "errata.h"
#include "probe.h"

#include <string.h>

struct reg_name {
	u8 class; /* enum operand_kind; OPND_NONE: a register we do not describe */
	u8 number;
	bool high_byte;
};

static const struct {
	u8 number;
	x86_reg names[4];
} general[] = {
	{0, {X86_REG_AL, X86_REG_AX, X86_REG_EAX, X86_REG_RAX}},
	{1, {X86_REG_CL, X86_REG_CX, X86_REG_ECX, X86_REG_RCX}},
	{2, {X86_REG_DL, X86_REG_DX, X86_REG_EDX, X86_REG_RDX}},
	{3, {X86_REG_BL, X86_REG_BX, X86_REG_EBX, X86_REG_RBX}},
	{4, {X86_REG_SPL, X86_REG_SP, X86_REG_ESP, X86_REG_RSP}},
	{5, {X86_REG_BPL, X86_REG_BP, X86_REG_EBP, X86_REG_RBP}},
	{6, {X86_REG_SIL, X86_REG_SI, X86_REG_ESI, X86_REG_RSI}},
	{7, {X86_REG_DIL, X86_REG_DI, X86_REG_EDI, X86_REG_RDI}},
	{8, {X86_REG_R8B, X86_REG_R8W, X86_REG_R8D, X86_REG_R8}},
	{9, {X86_REG_R9B, X86_REG_R9W, X86_REG_R9D, X86_REG_R9}},
	{10, {X86_REG_R10B, X86_REG_R10W, X86_REG_R10D, X86_REG_R10}},
	{11, {X86_REG_R11B, X86_REG_R11W, X86_REG_R11D, X86_REG_R11}},
	{12, {X86_REG_R12B, X86_REG_R12W, X86_REG_R12D, X86_REG_R12}},
	{13, {X86_REG_R13B, X86_REG_R13W, X86_REG_R13D, X86_REG_R13}},
	{14, {X86_REG_R14B, X86_REG_R14W, X86_REG_R14D, X86_REG_R14}},
	{15, {X86_REG_R15B, X86_REG_R15W, X86_REG_R15D, X86_REG_R15}},
};

static const x86_reg segments[SEG_COUNT] = {X86_REG_ES, X86_REG_CS, X86_REG_SS,
					    X86_REG_DS, X86_REG_FS, X86_REG_GS};
static const x86_reg high_bytes[4] = {X86_REG_AH, X86_REG_CH, X86_REG_DH, X86_REG_BH};

static struct reg_name regs[X86_REG_ENDING];

static void name_registers(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(general); i++)
		for (unsigned j = 0; j < 4; j++)
			regs[general[i].names[j]] =
				(struct reg_name){OPND_REG, general[i].number, false};
	for (u8 i = 0; i < 4; i++)
		regs[high_bytes[i]] = (struct reg_name){OPND_REG, i, true};
	for (u8 i = 0; i < SEG_COUNT; i++)
		regs[segments[i]] = (struct reg_name){OPND_SEG, i, false};
	for (u8 i = 0; i < 16; i++) {
		regs[X86_REG_CR0 + i] = (struct reg_name){OPND_CR, i, false};
		regs[X86_REG_DR0 + i] = (struct reg_name){OPND_DR, i, false};
	}
	regs[X86_REG_RIP] = regs[X86_REG_EIP] = (struct reg_name){OPND_REG, REG_IP, false};
}

bool prober_open(struct prober *p)
{
	static const cs_mode modes[] = {CS_MODE_16, CS_MODE_32, CS_MODE_64};

	name_registers();
	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		if (cs_open(CS_ARCH_X86, modes[i], &p->handle[i]) != CS_ERR_OK)
			return false;
		cs_option(p->handle[i], CS_OPT_DETAIL, CS_OPT_ON);
	}
	p->insn = cs_malloc(p->handle[0]);
	return p->insn;
}

void prober_close(struct prober *p)
{
	cs_free(p->insn, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(p->handle); i++)
		cs_close(&p->handle[i]);
}

static u8 address_reg(x86_reg reg)
{
	/* EIZ and RIZ are how Capstone writes "no index". */
	if (reg == X86_REG_INVALID || reg == X86_REG_EIZ || reg == X86_REG_RIZ)
		return REG_NONE;
	return regs[reg].number;
}

static void take_memory(struct probe *out, const cs_x86_op *o)
{
	out->has_mem = true;
	out->base = address_reg(o->mem.base);
	out->vsib = o->mem.index >= X86_REG_XMM0 && o->mem.index <= X86_REG_ZMM31;
	out->index = out->vsib ? REG_NONE : address_reg(o->mem.index);
	out->scale = (u8)o->mem.scale;
	out->seg = o->mem.segment == X86_REG_INVALID ? REG_NONE : regs[o->mem.segment].number;
	out->disp = o->mem.disp;
	out->mem_size = o->size;
	out->mem_access = o->access & (CS_AC_READ | CS_AC_WRITE);
}

static void take_operand(struct probe *out, const cs_x86_op *o)
{
	struct probe_operand *d = &out->opnd[out->nopnds++];

	*d = (struct probe_operand){.size = o->size};
	if (o->type == X86_OP_IMM) {
		d->kind = OPND_IMM;
		d->imm = (u64)o->imm;
	} else if (o->type == X86_OP_MEM) {
		d->kind = OPND_MEM;
		if (!out->has_mem)
			take_memory(out, o);
	} else if (regs[o->reg].class == OPND_NONE) {
		d->kind = OPND_REG;
		d->vector = true;
		if (!out->vector_size)
			out->vector_size = o->size;
	} else {
		d->kind = (enum operand_kind)regs[o->reg].class;
		d->reg = regs[o->reg].number;
		d->high_byte = regs[o->reg].high_byte;
	}
}

/*
 * EVEX scales an 8-bit displacement by the size of the memory operand (SDM vol. 2, 2.7.5). Capstone
 * knows the scale better than the size: ask for [base + 1 * scale].
 */
static unsigned evex_scale(struct prober *p, const u8 *opcode, bool w, enum insn_mode mode)
{
	u8 bytes[INSN_MAX] = {0};
	const u8 *code = bytes;
	size_t size = sizeof(bytes);
	u64 address = 0;

	memcpy(bytes, opcode, 6);
	bytes[1] |= 0x60;
	bytes[2] = (u8)((opcode[2] & 0x7f) | w << 7);
	bytes[5] = (u8)((opcode[5] & 0x38) | 0x43);
	bytes[6] = 1;
	if (!cs_disasm_iter(p->handle[mode], &code, &size, &address, p->insn))
		return 0;
	const cs_x86 *x = &p->insn->detail->x86;

	for (unsigned i = 0; i < x->op_count; i++)
		if (x->operands[i].type == X86_OP_MEM)
			return (unsigned)x->operands[i].mem.disp;
	return 0;
}

static void set_evex_right(struct prober *p, struct probe *out, const u8 *opcode,
			   enum insn_mode mode)
{
	unsigned scale = evex_scale(p, opcode, opcode[2] >> 7, mode);
	bool ymm = (opcode[3] & 0x60) == 0x20;

	/* Capstone takes 256-bit instructions that ignore W for 128-bit ones if it is set. */
	errata_evex(out, opcode, scale, mode,
		    scale == 16 && ymm && evex_scale(p, opcode, false, mode) == 32 ? 32 : scale);
}

void probe(struct prober *p, const u8 *bytes, unsigned n, enum insn_mode mode, u64 address,
	   struct probe *out)
{
	const u8 *code = bytes;
	size_t size = n;

	memset(out, 0, sizeof(*out));
	out->base = out->index = out->seg = REG_NONE;
	if (!cs_disasm_iter(p->handle[mode], &code, &size, &address, p->insn))
		return;
	const cs_x86 *x = &p->insn->detail->x86;

	out->valid = true;
	out->length = (u8)p->insn->size;
	out->id = p->insn->id;
	out->op = capstone_op(p->insn);
	for (unsigned i = 0; i < x->op_count; i++)
		take_operand(out, &x->operands[i]);
	const u8 *opcode = errata_opcode(bytes, mode);

	if (out->has_mem && !out->vsib && opcode[0] == 0x62 && out->id != X86_INS_BOUND)
		set_evex_right(p, out, opcode, mode);
	errata_apply(out, bytes, mode);
}
