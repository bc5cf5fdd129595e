/*
 * Descriptor-table registers and segment-register loads that trapped.
 */
#include "emulate.h"
#include "mem.h"
#include "pv.h"
#include "segment.h"

static bool at_cpl0(struct vm *vm)
{
	return vm_cpl(vm) == 0 || raise_error(vm, EXC_GP, 0);
}

enum emu emulate_table_load(struct vm *vm, const struct insn *insn)
{
	struct table_register table = {0};
	u64 la;
	u32 base = 0;

	if (!at_cpl0(vm) || !mem_linear(vm, insn->mem.seg, mem_offset(vm, insn), 6, false, &la) ||
	    !mem_read(vm, la, &table.limit, 2, false) ||
	    !mem_read(vm, (u32)(la + 2), &base, 4, false))
		return EMU_FAULT;
	table.base = insn->op_size == 2 ? base & 0xffffff : base;
	trace(vm, EV_TABLE, insn->op, table.base);
	if (insn->op == OP_LGDT)
		vm->cpu.gdtr = table;
	else
		vm->cpu.idtr = table;
	return EMU_NEXT;
}

enum emu emulate_table_store(struct vm *vm, const struct insn *insn)
{
	const struct table_register *t = insn->op == OP_SGDT ? &vm->cpu.gdtr : &vm->cpu.idtr;
	u32 base = t->base;
	u8 image[6];
	u64 la;

	mem_copy(image, &t->limit, 2);
	mem_copy(image + 2, &base, 4);
	if (!mem_linear(vm, insn->mem.seg, mem_offset(vm, insn), 6, true, &la) ||
	    !mem_write(vm, la, image, 6, vm_cpl(vm) == 3))
		return EMU_FAULT;
	return EMU_NEXT;
}

/* LDT and TSS descriptors lie in the GDT only. */
static bool fetch_system(struct vm *vm, u16 selector, u64 *desc)
{
	if (selector & 4)
		return raise_error(vm, EXC_GP, selector & ~3u);
	return seg_fetch(vm, selector, EXC_GP, 0, desc);
}

enum emu emulate_lldt(struct vm *vm, const struct insn *insn)
{
	struct segment ldt = {0};
	u64 selector, desc;

	if (!at_cpl0(vm) || !operand_read(vm, insn, 0, 2, &selector))
		return EMU_FAULT;
	if (!seg_is_null(selector)) {
		if (!fetch_system(vm, selector, &desc))
			return EMU_FAULT;
		seg_unpack(desc, selector, &ldt);
		if ((ldt.attr & (SEG_S | SEG_TYPE)) != 2) {
			raise_error(vm, EXC_GP, selector & ~3u);
			return EMU_FAULT;
		}
		if (!(ldt.attr & SEG_P)) {
			raise_error(vm, EXC_NP, selector & ~3u);
			return EMU_FAULT;
		}
	}
	ldt.selector = selector;
	vm->cpu.ldtr = ldt;
	trace(vm, EV_TABLE, insn->op, ldt.base);
	return seg_sync_ldt(vm) ? EMU_NEXT : EMU_EXIT;
}

enum emu emulate_ltr(struct vm *vm, const struct insn *insn)
{
	const u16 available16 = 1, available32 = 9, busy = 2;
	struct segment tss;
	u64 selector, desc;
	u16 type;
	u8 byte;

	if (!at_cpl0(vm) || !operand_read(vm, insn, 0, 2, &selector))
		return EMU_FAULT;
	if (seg_is_null(selector)) {
		raise_error(vm, EXC_GP, 0);
		return EMU_FAULT;
	}
	if (!fetch_system(vm, selector, &desc))
		return EMU_FAULT;
	seg_unpack(desc, selector, &tss);
	type = tss.attr & (SEG_S | SEG_TYPE);
	if (type != available16 && type != available32) {
		raise_error(vm, EXC_GP, selector & ~3u);
		return EMU_FAULT;
	}
	if (!(tss.attr & SEG_P)) {
		raise_error(vm, EXC_NP, selector & ~3u);
		return EMU_FAULT;
	}
	byte = (desc >> 40 & 0xff) | busy;
	if (!mem_write(vm, (u32)(vm->cpu.gdtr.base + (selector & ~7u) + 5), &byte, 1, false))
		return EMU_FAULT;
	tss.attr |= busy;
	vm->cpu.tr = tss;
	trace(vm, EV_TABLE, insn->op, tss.base);
	return EMU_NEXT;
}

static enum emu store_selector(struct vm *vm, const struct insn *insn, u16 selector)
{
	unsigned size = insn->opnd[0].kind == OPND_MEM ? 2 : insn->op_size;

	return operand_write(vm, insn, 0, size, selector) ? EMU_NEXT : EMU_FAULT;
}

enum emu emulate_sldt(struct vm *vm, const struct insn *insn)
{
	return store_selector(vm, insn, vm->cpu.ldtr.selector);
}

enum emu emulate_str(struct vm *vm, const struct insn *insn)
{
	return store_selector(vm, insn, vm->cpu.tr.selector);
}

/* seg_load() raised an exception, or the host refused the descriptor. */
static enum emu load(struct vm *vm, enum seg_reg reg, u16 selector)
{
	vm->exit.kind = EXIT_NONE;
	trace(vm, EV_SEGMENT, reg, selector);
	if (seg_load(vm, reg, selector))
		return EMU_NEXT;
	return vm->exit.kind == EXIT_NONE ? EMU_FAULT : EMU_EXIT;
}

enum emu emulate_mov_to_seg(struct vm *vm, const struct insn *insn)
{
	enum emu result;
	u64 selector;

	if (insn->opnd[0].reg == SEG_CS) {
		raise(vm, EXC_UD);
		return EMU_FAULT;
	}
	if (!operand_read(vm, insn, 1, 2, &selector))
		return EMU_FAULT;
	result = load(vm, insn->opnd[0].reg, selector);
	return result == EMU_NEXT && insn->opnd[0].reg == SEG_SS ? EMU_SHADOW : result;
}

enum emu emulate_pop_seg(struct vm *vm, const struct insn *insn)
{
	u32 mask = vm->cpu.seg[SEG_SS].attr & SEG_DB ? 0xffffffffu : 0xffffu;
	u32 sp = vm->cpu.gpr[GPR_SP], selector;
	enum emu result;

	if (!stack_peek(vm, 0, insn->stack_size, &selector))
		return EMU_FAULT;
	result = load(vm, insn->opnd[0].reg, selector);
	if (result == EMU_NEXT)
		vm->cpu.gpr[GPR_SP] = (sp & ~mask) | ((sp + insn->stack_size) & mask);
	return result == EMU_NEXT && insn->opnd[0].reg == SEG_SS ? EMU_SHADOW : result;
}

/* lds, les, lfs, lgs, lss: offset first, selector behind it. */
enum emu emulate_load_far(struct vm *vm, const struct insn *insn)
{
	static const u8 regs[] = {
		[OP_LDS - OP_LDS] = SEG_DS, [OP_LES - OP_LDS] = SEG_ES, [OP_LFS - OP_LDS] = SEG_FS,
		[OP_LGS - OP_LDS] = SEG_GS, [OP_LSS - OP_LDS] = SEG_SS,
	};
	unsigned size = insn->op_size;
	struct operand reg = insn->opnd[0];
	u32 offset = 0, selector = 0;
	bool user = vm_cpl(vm) == 3;
	enum emu result;
	u64 la;

	if (insn->mem.size == 0 || !insn->has_mem) {
		raise(vm, EXC_UD);
		return EMU_FAULT;
	}
	if (!mem_linear(vm, insn->mem.seg, mem_offset(vm, insn), size + 2, false, &la) ||
	    !mem_read(vm, la, &offset, size, user) ||
	    !mem_read(vm, (u32)(la + size), &selector, 2, user))
		return EMU_FAULT;
	result = load(vm, regs[insn->op - OP_LDS], selector);
	if (result != EMU_NEXT)
		return result;
	reg.size = size;
	reg_write(vm, &reg, offset);
	return EMU_NEXT;
}
