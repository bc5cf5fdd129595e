/*
 * Emulation: fetch, dispatch and operands: see emulate.h.
 */
#include "emulate.h"
#include "mem.h"
#include "pv.h"
#include "reflect.h"

static emu_fn *const handlers[OP_COUNT] = {
	[OP_IN] = emulate_in,
	[OP_OUT] = emulate_out,
	[OP_INS] = emulate_ins,
	[OP_OUTS] = emulate_outs,
	[OP_HLT] = emulate_hlt,
	[OP_CLI] = emulate_cli,
	[OP_STI] = emulate_sti,
	[OP_IRET] = emulate_iret,
	[OP_MOV_FROM_CR] = emulate_mov_from_cr,
	[OP_MOV_TO_CR] = emulate_mov_to_cr,
	[OP_MOV_FROM_DR] = emulate_mov_from_dr,
	[OP_MOV_TO_DR] = emulate_mov_to_dr,
	[OP_CLTS] = emulate_clts,
	[OP_LMSW] = emulate_lmsw,
	[OP_SMSW] = emulate_smsw,
	[OP_LGDT] = emulate_table_load,
	[OP_LIDT] = emulate_table_load,
	[OP_SGDT] = emulate_table_store,
	[OP_SIDT] = emulate_table_store,
	[OP_LLDT] = emulate_lldt,
	[OP_LTR] = emulate_ltr,
	[OP_SLDT] = emulate_sldt,
	[OP_STR] = emulate_str,
	[OP_INVLPG] = emulate_invlpg,
	[OP_WBINVD] = emulate_wbinvd,
	[OP_INVD] = emulate_invd,
	[OP_RDMSR] = emulate_rdmsr,
	[OP_WRMSR] = emulate_wrmsr,
	[OP_RDTSC] = emulate_rdtsc,
	[OP_CPUID] = emulate_cpuid,
	[OP_XSETBV] = emulate_xsetbv,
	[OP_XGETBV] = emulate_xgetbv,
	[OP_INT] = emulate_int,
	[OP_INT3] = emulate_int3,
	[OP_INTO] = emulate_into,
	[OP_INT1] = emulate_int1,
	[OP_LJMP] = emulate_ljmp,
	[OP_LCALL] = emulate_lcall,
	[OP_LRET] = emulate_lret,
	[OP_MOV_TO_SEG] = emulate_mov_to_seg,
	[OP_POP_SEG] = emulate_pop_seg,
	[OP_LDS] = emulate_load_far,
	[OP_LES] = emulate_load_far,
	[OP_LFS] = emulate_load_far,
	[OP_LGS] = emulate_load_far,
	[OP_LSS] = emulate_load_far,
};

bool fetch_insn(struct vm *vm, struct insn *insn, bool *undefined)
{
	enum insn_mode mode = vm->cpu.seg[SEG_CS].attr & SEG_DB ? MODE_32 : MODE_16;
	u8 bytes[INSN_MAX];
	unsigned n = mem_fetch(vm, bytes, sizeof(bytes));

	*undefined = false;
	if (!n)
		return false;
	switch (insn_decode(bytes, n, mode, insn)) {
	case DECODE_OK:
		return true;
	case DECODE_TRUNCATED:
		/* mem_fetch() stopped at a page or limit that cannot be read: vm->exc holds why,
		 * unless it was the limit. */
		if (n == sizeof(bytes))
			break;
		if (vm->cpu.seg[SEG_CS].limit - (u32)vm->cpu.rip < n)
			raise_error(vm, EXC_GP, 0);
		return false;
	case DECODE_INVALID:
		break;
	}
	*undefined = true;
	return false;
}

void insn_skip(struct vm *vm, const struct insn *insn)
{
	vm->cpu.rip = (u32)(vm->cpu.rip + insn->length);
}

enum emu emulate(struct vm *vm, const struct trap *trap)
{
	bool undefined;
	struct insn insn;
	emu_fn *handler;

	if (vm_cpl(vm) == 3 && limit_fetch_fault(vm, (u32)vm->cpu.rip))
		return EMU_FAULT;
	if (!fetch_insn(vm, &insn, &undefined)) {
		/* What cannot be decoded is the hardware's to judge. */
		if (undefined)
			raise_error(vm, trap->vector, trap->error);
		else if (vm->exc.vector == EXC_GP && vm_cpl(vm) == 3)
			limit_fetch_fault(vm, PLEX86_USER_LIMIT); /* it straddles the limit */
		return EMU_FAULT;
	}
	handler = handlers[insn.op];
	if (handler) {
		enum emu result = handler(vm, &insn);

		if (result == EMU_NEXT || result == EMU_SHADOW)
			insn_skip(vm, &insn);
		if (result != EMU_OTHER)
			return result;
	}
	if (limit_fault(vm, &insn))
		return EMU_FAULT;
	raise_error(vm, trap->vector, trap->error);
	return EMU_FAULT;
}

/* -------------------------------------------------------- operands ---- */

static u64 size_mask(unsigned size)
{
	return size >= 8 ? ~0ull : (1ull << (size * 8)) - 1;
}

u64 reg_read(const struct vm *vm, const struct operand *o)
{
	u64 value = vm->cpu.gpr[o->reg];

	if (o->high_byte)
		value >>= 8;
	return value & size_mask(o->size);
}

void reg_write(struct vm *vm, const struct operand *o, u64 value)
{
	u64 mask = size_mask(o->size), *reg = &vm->cpu.gpr[o->reg];
	unsigned shift = o->high_byte ? 8 : 0;

	if (o->size >= 4)
		*reg = value & mask;
	else
		*reg = (*reg & ~(mask << shift)) | (value & mask) << shift;
}

u64 mem_offset(const struct vm *vm, const struct insn *insn)
{
	const struct mem_operand *m = &insn->mem;
	u64 offset = m->disp;

	if (m->base == REG_IP)
		offset += vm->cpu.rip + insn->length;
	else if (m->base != REG_NONE)
		offset += vm->cpu.gpr[m->base];
	if (m->index != REG_NONE)
		offset += vm->cpu.gpr[m->index] * m->scale;
	return offset & size_mask(insn->addr_size);
}

static bool operand_linear(struct vm *vm, const struct insn *insn, unsigned size, bool write,
			   u64 *la)
{
	return mem_linear(vm, insn->mem.seg, mem_offset(vm, insn), size, write, la);
}

bool operand_read(struct vm *vm, const struct insn *insn, unsigned i, unsigned size, u64 *value)
{
	const struct operand *o = &insn->opnd[i];
	u64 la;

	*value = 0;
	if (o->kind == OPND_MEM)
		return operand_linear(vm, insn, size, false, &la) &&
		       mem_read(vm, la, value, size, vm_cpl(vm) == 3);
	*value = (o->kind == OPND_REG ? reg_read(vm, o) : insn->imm) & size_mask(size);
	return true;
}

bool operand_write(struct vm *vm, const struct insn *insn, unsigned i, unsigned size, u64 value)
{
	const struct operand *o = &insn->opnd[i];
	struct operand reg = *o;
	u64 la;

	if (o->kind == OPND_MEM)
		return operand_linear(vm, insn, size, true, &la) &&
		       mem_write(vm, la, &value, size, vm_cpl(vm) == 3);
	reg.size = size;
	reg_write(vm, &reg, value);
	return true;
}

static bool stack_linear(struct vm *vm, u32 depth, unsigned size, u64 *la)
{
	u32 mask = vm->cpu.seg[SEG_SS].attr & SEG_DB ? 0xffffffffu : 0xffffu;

	return mem_linear(vm, SEG_SS, ((u32)vm->cpu.gpr[GPR_SP] + depth) & mask, size, false, la);
}

bool stack_holds(struct vm *vm, u32 depth, unsigned n, unsigned size)
{
	u64 la;

	for (unsigned i = 0; i < n; i++)
		if (!stack_linear(vm, depth + i * size, size, &la))
			return false;
	return true;
}

bool stack_peek(struct vm *vm, u32 depth, unsigned size, u32 *value)
{
	u64 la;

	*value = 0;
	return stack_linear(vm, depth, size, &la) && mem_read(vm, la, value, size, vm_cpl(vm) == 3);
}
