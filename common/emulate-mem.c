/*
 * Accesses to memory that the hardware cannot make for the guest: device memory, pages below the
 * host's mmap_min_addr, and stores to the PV page while it is read-only.
 *
 * Owns: executing mov-like, arithmetic and string instructions on one memory operand. RAM is
 * reached through mem.h; device memory becomes EXIT_MMIO, one exit a read and one a write, but for
 * the stores that device-page.c takes.
 */
#include "alu.h"
#include "emulate.h"
#include "mem.h"
#include "paging.h"
#include "pv.h"

/* A value already read for this instruction by an EXIT_MMIO. */
struct supplied {
	bool valid, used;
	u64 value;
};

static u64 low_bytes(u64 value, unsigned size)
{
	return size == 8 ? value : value & ((1ull << (8 * size)) - 1);
}

static enum emu unsupported(struct vm *vm)
{
	vm->exit.kind = EXIT_FAULT;
	vm->exit.fault.reason = FAULT_INSN;
	vm->exit.fault.detail = vm->cpu.rip;
	return EMU_EXIT;
}

static enum emu exit_mmio(struct vm *vm, const struct insn *insn, u64 gpa, unsigned size,
			  bool write, u64 value)
{
	trace(vm, EV_MMIO, gpa, value);
	vm->exit = (struct vm_exit){.kind = EXIT_MMIO};
	vm->exit.mmio.gpa = gpa;
	vm->exit.mmio.size = size;
	vm->exit.mmio.write = write;
	vm->exit.mmio.value = write ? low_bytes(value, size) : ~0ull;
	vm->pending.kind = PENDING_MMIO;
	vm->pending.insn = *insn;
	return EMU_EXIT;
}

static enum emu read_value(struct vm *vm, const struct insn *insn, u64 la, unsigned size,
			   struct supplied *supplied, u64 *value)
{
	bool user = vm_cpl(vm) == 3;
	u64 gpa;
	u8 *ptr;

	*value = 0;
	switch (mem_translate(vm, la, false, user, &ptr, &gpa)) {
	case MEM_FAULT:
		return EMU_FAULT;
	case MEM_DEVICE:
		if (!supplied->valid)
			return exit_mmio(vm, insn, gpa, size, false, 0);
		if (supplied->used)
			return unsupported(vm); /* cmps with device memory on both sides */
		supplied->used = true;
		*value = low_bytes(supplied->value, size);
		return EMU_NEXT;
	case MEM_RAM:
		break;
	}
	return mem_read(vm, la, value, size, user) ? EMU_NEXT : EMU_FAULT;
}

static enum emu write_value(struct vm *vm, const struct insn *insn, u64 la, unsigned size,
			    u64 value)
{
	bool user = vm_cpl(vm) == 3;
	u64 gpa;
	u8 *ptr;

	switch (mem_translate(vm, la, true, user, &ptr, &gpa)) {
	case MEM_FAULT:
		return EMU_FAULT;
	case MEM_DEVICE:
		if (device_page_write(vm, gpa, size, low_bytes(value, size)))
			return EMU_NEXT;
		return exit_mmio(vm, insn, gpa, size, true, value);
	case MEM_RAM:
		break;
	}
	if (pv_is_page(vm, la) && !user)
		trace(vm, EV_PV_STORE, la & 0xfff, value);
	return mem_write(vm, la, &value, size, user) ? EMU_NEXT : EMU_FAULT;
}

/* ------------------------------------------------- one memory operand ---- */

static int memory_operand(const struct insn *insn)
{
	for (int i = 0; i < insn->nopnds; i++)
		if (insn->opnd[i].kind == OPND_MEM)
			return i;
	return -1;
}

static bool bit_op(enum insn_op op, u64 value, unsigned bit, u64 *result, u64 *flags)
{
	*flags = (*flags & ~(u64)FLAG_CF) | (value >> bit & 1);
	switch (op) {
	case OP_BT:
		*result = value;
		return true;
	case OP_BTS:
		*result = value | 1ull << bit;
		return true;
	case OP_BTR:
		*result = value & ~(1ull << bit);
		return true;
	case OP_BTC:
		*result = value ^ 1ull << bit;
		return true;
	default:
		return false;
	}
}

/* What a read-modify-write leaves: in memory, in the register operand, in the flags. */
struct rmw {
	u64 memory, flags;
	bool write_reg;
	struct operand reg;
	u64 reg_value;
};

static bool compute(struct vm *vm, const struct insn *insn, int mem, u64 value, struct rmw *out)
{
	const struct operand *other = &insn->opnd[!mem];
	unsigned size = insn->opnd[mem].size;
	struct operand ax = {.kind = OPND_REG, .reg = GPR_AX, .size = size};
	u64 operand = 0, difference;

	out->flags = vm->cpu.rflags;
	out->write_reg = false;
	if (insn->nopnds > 1)
		operand = other->kind == OPND_REG ? reg_read(vm, other) : insn->imm;
	switch (insn->op) {
	case OP_MOV:
		out->memory = operand;
		return true;
	case OP_XCHG:
	case OP_XADD:
		out->memory = operand;
		if (insn->op == OP_XADD)
			alu(OP_ADD, size, value, operand, &out->memory, &out->flags);
		out->write_reg = true;
		out->reg = *other;
		out->reg_value = value;
		return true;
	case OP_CMPXCHG:
		alu(OP_SUB, size, reg_read(vm, &ax), value, &difference, &out->flags);
		out->memory = difference ? value : operand;
		out->write_reg = difference;
		out->reg = ax;
		out->reg_value = value;
		return true;
	case OP_NOT:
		out->memory = ~value;
		return true;
	case OP_BT:
	case OP_BTS:
	case OP_BTR:
	case OP_BTC:
		/* Register bit offsets reach beyond the operand: not for these pages. */
		return other->kind == OPND_IMM &&
		       bit_op(insn->op, value, operand & (size * 8 - 1), &out->memory, &out->flags);
	default:
		return alu(insn->op, size, value, operand, &out->memory, &out->flags);
	}
}

/* The memory operand is the source: a register takes the value or the result. */
static enum emu to_register(struct vm *vm, const struct insn *insn, u64 value)
{
	const struct operand *dst = &insn->opnd[0];
	unsigned size = insn->opnd[1].size;
	u64 flags = vm->cpu.rflags, result = value;

	switch (insn->op) {
	case OP_MOV:
	case OP_MOVZX:
		break;
	case OP_MOVSX:
		result = size == 1 ? (u64)(s64)(s8)value : (u64)(s64)(s16)value;
		break;
	default:
		if (!alu(insn->op, size, reg_read(vm, dst), value, &result, &flags))
			return unsupported(vm);
		vm->cpu.rflags = flags;
		break;
	}
	reg_write(vm, dst, result);
	return EMU_NEXT;
}

static enum emu one_operand(struct vm *vm, const struct insn *insn, struct supplied *supplied)
{
	int mem = memory_operand(insn);
	u64 la, value = 0;
	enum emu result;
	struct rmw rmw;
	unsigned size;

	if (mem < 0 || mem > 1)
		return unsupported(vm);
	size = insn->opnd[mem].size;
	if (!mem_linear(vm, insn->mem.seg, mem_offset(vm, insn), size,
			insn->mem.access & ACCESS_WRITE, &la))
		return EMU_FAULT;
	if (insn->mem.access & ACCESS_READ) {
		result = read_value(vm, insn, la, size, supplied, &value);
		if (result != EMU_NEXT)
			return result;
	}
	if (mem == 1 && insn->op != OP_XCHG && insn->op != OP_TEST)
		return to_register(vm, insn, value);
	if (!compute(vm, insn, mem, value, &rmw))
		return unsupported(vm);
	result = EMU_NEXT;
	if (insn->mem.access & ACCESS_WRITE)
		result = write_value(vm, insn, la, size, rmw.memory);
	if (result == EMU_FAULT)
		return result;
	vm->cpu.rflags = rmw.flags;
	if (rmw.write_reg)
		reg_write(vm, &rmw.reg, rmw.reg_value);
	return result;
}

/* --------------------------------------------------- push, pop, strings ---- */

static u32 stack_pointer_mask(const struct vm *vm)
{
	return vm->cpu.seg[SEG_SS].attr & SEG_DB ? 0xffffffffu : 0xffffu;
}

static enum emu push(struct vm *vm, const struct insn *insn)
{
	u32 mask = stack_pointer_mask(vm), sp = vm->cpu.gpr[GPR_SP];
	unsigned size = insn->stack_size;
	enum emu result;
	u64 la, value;

	if (!operand_read(vm, insn, 0, size, &value) ||
	    !mem_linear(vm, SEG_SS, (sp - size) & mask, size, true, &la))
		return EMU_FAULT;
	result = write_value(vm, insn, la, size, value);
	if (result == EMU_NEXT || result == EMU_EXIT)
		vm->cpu.gpr[GPR_SP] = (sp & ~mask) | ((sp - size) & mask);
	return result;
}

static enum emu pop(struct vm *vm, const struct insn *insn, struct supplied *supplied)
{
	u32 mask = stack_pointer_mask(vm), sp = vm->cpu.gpr[GPR_SP];
	unsigned size = insn->stack_size;
	enum emu result;
	u64 la, value;

	if (!mem_linear(vm, SEG_SS, sp & mask, size, false, &la))
		return EMU_FAULT;
	result = read_value(vm, insn, la, size, supplied, &value);
	if (result != EMU_NEXT)
		return result;
	/* The pointer moves before the destination's address is computed, and before it is itself
	 * the destination. */
	vm->cpu.gpr[GPR_SP] = (sp & ~mask) | ((sp + size) & mask);
	if (operand_write(vm, insn, 0, size, value))
		return EMU_NEXT;
	vm->cpu.gpr[GPR_SP] = sp;
	return EMU_FAULT;
}

struct string_op {
	bool reads_si, reads_di, writes_di, compares;
};

static struct string_op string_op(enum insn_op op)
{
	switch (op) {
	case OP_MOVS:
		return (struct string_op){.reads_si = true, .writes_di = true};
	case OP_STOS:
		return (struct string_op){.writes_di = true};
	case OP_LODS:
		return (struct string_op){.reads_si = true};
	case OP_CMPS:
		return (struct string_op){.reads_si = true, .reads_di = true, .compares = true};
	default: /* OP_SCAS */
		return (struct string_op){.reads_di = true, .compares = true};
	}
}

static void advance(struct vm *vm, const struct insn *insn, enum gpr reg)
{
	u32 mask = insn->addr_size == 2 ? 0xffffu : 0xffffffffu, old = vm->cpu.gpr[reg];
	u32 next = vm->cpu.rflags & FLAG_DF ? old - insn->op_size : old + insn->op_size;

	vm->cpu.gpr[reg] = (old & ~mask) | (next & mask);
}

/* One element is done: step the indices, count, and say whether the instruction goes on. */
static enum emu string_step(struct vm *vm, const struct insn *insn, const struct string_op *s)
{
	u32 mask = insn->addr_size == 2 ? 0xffffu : 0xffffffffu, count = vm->cpu.gpr[GPR_CX];
	bool zero = vm->cpu.rflags & FLAG_ZF;

	if (s->reads_si)
		advance(vm, insn, GPR_SI);
	if (s->reads_di || s->writes_di)
		advance(vm, insn, GPR_DI);
	if (!insn->rep)
		return EMU_NEXT;
	vm->cpu.gpr[GPR_CX] = (count & ~mask) | ((count - 1) & mask);
	if (!((count - 1) & mask) || (s->compares && zero != (insn->rep == 0xf3)))
		return EMU_NEXT;
	return EMU_DONE;
}

static enum emu string_element(struct vm *vm, const struct insn *insn, struct supplied *supplied)
{
	enum seg_reg seg = insn->seg_override == REG_NONE ? SEG_DS : insn->seg_override;
	u32 mask = insn->addr_size == 2 ? 0xffffu : 0xffffffffu;
	struct operand ax = {.kind = OPND_REG, .reg = GPR_AX, .size = insn->op_size};
	struct string_op s = string_op(insn->op);
	u64 si_la = 0, di_la = 0, first = reg_read(vm, &ax), second = 0, unused;
	unsigned size = insn->op_size;
	enum emu result = EMU_NEXT;

	if (insn->rep && !(vm->cpu.gpr[GPR_CX] & mask))
		return EMU_NEXT;
	if ((s.reads_si && !mem_linear(vm, seg, vm->cpu.gpr[GPR_SI] & mask, size, false, &si_la)) ||
	    ((s.reads_di || s.writes_di) &&
	     !mem_linear(vm, SEG_ES, vm->cpu.gpr[GPR_DI] & mask, size, s.writes_di, &di_la)))
		return EMU_FAULT;
	if (s.reads_si)
		result = read_value(vm, insn, si_la, size, supplied, &first);
	if (result == EMU_NEXT && s.reads_di)
		result = read_value(vm, insn, di_la, size, supplied, &second);
	if (result == EMU_NEXT && s.writes_di)
		result = write_value(vm, insn, di_la, size, first);
	if (result != EMU_NEXT)
		return result;
	if (s.compares)
		alu(OP_CMP, size, first, second, &unused, &vm->cpu.rflags);
	if (insn->op == OP_LODS)
		reg_write(vm, &ax, first);
	return string_step(vm, insn, &s);
}

/* ------------------------------------------------------------ entry ---- */

static enum emu run(struct vm *vm, const struct insn *insn, struct supplied *supplied)
{
	switch (insn->op) {
	/* clang-format off */
	case OP_MOVS: case OP_STOS: case OP_LODS: case OP_CMPS: case OP_SCAS:
		return string_element(vm, insn, supplied);
	case OP_PUSH:
		return push(vm, insn);
	case OP_POP:
		return pop(vm, insn, supplied);
	case OP_MOV: case OP_MOVZX: case OP_MOVSX: case OP_XCHG: case OP_ADD: case OP_OR:
	case OP_ADC: case OP_SBB: case OP_AND: case OP_SUB: case OP_XOR: case OP_CMP:
	case OP_TEST: case OP_INC: case OP_DEC: case OP_NOT: case OP_NEG: case OP_BT:
	case OP_BTS: case OP_BTR: case OP_BTC: case OP_XADD: case OP_CMPXCHG:
		return one_operand(vm, insn, supplied);
	/* clang-format on */
	default:
		return unsupported(vm);
	}
}

enum emu emulate_memory(struct vm *vm, const struct insn *insn)
{
	struct supplied nothing = {.valid = false};

	trace(vm, EV_EMULATE, insn->op, 0);
	return run(vm, insn, &nothing);
}

enum emu finish_mmio(struct vm *vm, const struct insn *insn, u64 value)
{
	struct supplied supplied = {.valid = true, .value = value};
	struct string_op s;

	if (!vm->exit.mmio.write)
		return run(vm, insn, &supplied);
	/* The write was the instruction's last act, but for a string's stepping. */
	if (insn->op != OP_MOVS && insn->op != OP_STOS)
		return EMU_NEXT;
	s = string_op(insn->op);
	return string_step(vm, insn, &s);
}
