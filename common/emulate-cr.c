/*
 * Control and debug registers: mov cr/dr, clts, lmsw, smsw.
 *
 * Owns: which bits exist on this vcpu and what follows from changing them (SDM vol. 3, 2.5).
 */
#include "emulate.h"
#include "mem.h"
#include "paging.h"
#include "pv.h"

#define DR6_FIXED 0xffff0ff0u
#define DR7_FIXED 0x00000400u

static enum emu privileged(struct vm *vm)
{
	if (vm_cpl(vm) == 0)
		return EMU_NEXT;
	raise_error(vm, EXC_GP, 0);
	return EMU_FAULT;
}

static enum emu general_protection(struct vm *vm)
{
	raise_error(vm, EXC_GP, 0);
	return EMU_FAULT;
}

static enum emu undefined(struct vm *vm)
{
	raise(vm, EXC_UD);
	return EMU_FAULT;
}

static enum emu write_cr0(struct vm *vm, u32 value)
{
	u32 changed;

	value = (value & CR0_DEFINED) | CR0_ET;
	if (((value & CR0_PG) && !(value & CR0_PE)) || ((value & CR0_NW) && !(value & CR0_CD)))
		return general_protection(vm);
	if (!(value & CR0_PE) && !vm->levels) {
		vm->exit.kind = EXIT_FAULT;
		vm->exit.fault.reason = FAULT_MODE;
		vm->exit.fault.detail = value;
		return EMU_EXIT;
	}
	changed = (u32)vm->cpu.cr0 ^ value;
	vm->cpu.cr0 = value;
	if ((changed & (CR0_PG | CR0_CD | CR0_NW)) && !paging_load_pdptes(vm, vm->cpu.cr3)) {
		vm->cpu.cr0 ^= changed;
		return general_protection(vm);
	}
	if (changed & CR0_PG)
		return shadow_set_paging(vm) ? EMU_NEXT : EMU_EXIT;
	if (changed & CR0_WP)
		shadow_flush(vm);
	return EMU_NEXT;
}

static enum emu write_cr4(struct vm *vm, u32 value)
{
	u32 changed = (u32)vm->cpu.cr4 ^ value;

	if (value & ~(CR4_DEFINED | (vcpu_xcr0_mask(vm) ? CR4_OSXSAVE : 0)))
		return general_protection(vm);
	vm->cpu.cr4 = value;
	if ((changed & (CR4_PAE | CR4_PSE | CR4_PGE)) && !paging_load_pdptes(vm, vm->cpu.cr3)) {
		vm->cpu.cr4 ^= changed;
		return general_protection(vm);
	}
	if (changed & CR4_PAE)
		return shadow_set_format(vm) ? EMU_NEXT : EMU_EXIT;
	if (changed & (CR4_PSE | CR4_PGE))
		shadow_flush(vm);
	return EMU_NEXT;
}

static enum emu write_cr3(struct vm *vm, u32 value)
{
	if (!paging_load_pdptes(vm, value))
		return general_protection(vm);
	vm->cpu.cr3 = value;
	return shadow_load_cr3(vm) ? EMU_NEXT : EMU_EXIT;
}

enum emu emulate_mov_from_cr(struct vm *vm, const struct insn *insn)
{
	const struct vcpu *cpu = &vm->cpu;
	enum emu result = privileged(vm);
	u64 value;

	if (result != EMU_NEXT)
		return result;
	switch (insn->opnd[1].reg) {
	case 0:
		value = cpu->cr0;
		break;
	case 2:
		value = cpu->cr2;
		break;
	case 3:
		value = cpu->cr3;
		break;
	case 4:
		value = cpu->cr4;
		break;
	default:
		return undefined(vm);
	}
	reg_write(vm, &insn->opnd[0], value);
	return EMU_NEXT;
}

enum emu emulate_mov_to_cr(struct vm *vm, const struct insn *insn)
{
	u32 value = reg_read(vm, &insn->opnd[1]);
	enum emu result = privileged(vm);

	if (result != EMU_NEXT)
		return result;
	trace(vm, EV_CR, insn->opnd[0].reg, value);
	switch (insn->opnd[0].reg) {
	case 0:
		return write_cr0(vm, value);
	case 2:
		vm->cpu.cr2 = pv_page(vm)->cr2 = value;
		return EMU_NEXT;
	case 3:
		return write_cr3(vm, value);
	case 4:
		return write_cr4(vm, value);
	default:
		return undefined(vm);
	}
}

enum emu emulate_clts(struct vm *vm, const struct insn *insn)
{
	enum emu result = privileged(vm);

	(void)insn;
	if (result == EMU_NEXT)
		vm->cpu.cr0 &= ~(u64)CR0_TS;
	return result;
}

enum emu emulate_lmsw(struct vm *vm, const struct insn *insn)
{
	const u32 mask = CR0_PE | CR0_MP | CR0_EM | CR0_TS;
	enum emu result = privileged(vm);
	u64 value;

	if (result != EMU_NEXT)
		return result;
	if (!operand_read(vm, insn, 0, 2, &value))
		return EMU_FAULT;
	/* PE can be set but not cleared. */
	return write_cr0(vm, ((u32)vm->cpu.cr0 & ~mask) | (value & mask) | (vm->cpu.cr0 & CR0_PE));
}

enum emu emulate_smsw(struct vm *vm, const struct insn *insn)
{
	unsigned size = insn->opnd[0].kind == OPND_MEM ? 2 : insn->op_size;

	if (!operand_write(vm, insn, 0, size, vm->cpu.cr0))
		return EMU_FAULT;
	return EMU_NEXT;
}

/* DR4 and DR5 are DR6 and DR7 unless CR4.DE says otherwise. */
static bool debug_register(const struct vm *vm, unsigned *n)
{
	if (*n != 4 && *n != 5)
		return true;
	*n += 2;
	return !(vm->cpu.cr4 & CR4_DE);
}

enum emu emulate_mov_from_dr(struct vm *vm, const struct insn *insn)
{
	unsigned n = insn->opnd[1].reg;
	enum emu result = privileged(vm);

	if (result != EMU_NEXT)
		return result;
	if (!debug_register(vm, &n))
		return undefined(vm);
	reg_write(vm, &insn->opnd[0], vm->cpu.dr[n]);
	return EMU_NEXT;
}

/* The registers can be written and read; breakpoints in them do not fire. */
enum emu emulate_mov_to_dr(struct vm *vm, const struct insn *insn)
{
	u32 value = reg_read(vm, &insn->opnd[1]);
	unsigned n = insn->opnd[0].reg;
	enum emu result = privileged(vm);

	if (result != EMU_NEXT)
		return result;
	if (!debug_register(vm, &n))
		return undefined(vm);
	if (n == 6)
		value = (value & ~0x1000u) | DR6_FIXED;
	if (n == 7)
		value = (value & ~0xd000u) | DR7_FIXED;
	vm->cpu.dr[n] = value;
	return EMU_NEXT;
}
