/*
 * System instructions without operands of their own: hlt, cli, sti, invlpg, cpuid, MSRs, caches.
 */
#include "emulate.h"
#include "mem.h"
#include "pv.h"

#define MSR_TSC	 0x10u
#define MSR_EFER 0xc0000080u

static bool at_cpl0(struct vm *vm)
{
	return vm_cpl(vm) == 0 || raise_error(vm, EXC_GP, 0);
}

enum emu emulate_hlt(struct vm *vm, const struct insn *insn)
{
	if (!at_cpl0(vm))
		return EMU_FAULT;
	trace(vm, EV_HLT, 0, 0);
	insn_skip(vm, insn);
	vm->cpu.halted = true;
	return EMU_DONE;
}

static bool may_change_if(struct vm *vm)
{
	return vm_cpl(vm) <= vm->cpu.iopl || raise_error(vm, EXC_GP, 0);
}

enum emu emulate_cli(struct vm *vm, const struct insn *insn)
{
	(void)insn;
	if (!may_change_if(vm))
		return EMU_FAULT;
	vm_set_if(vm, 0);
	return EMU_NEXT;
}

enum emu emulate_sti(struct vm *vm, const struct insn *insn)
{
	(void)insn;
	if (!may_change_if(vm))
		return EMU_FAULT;
	vm_set_if(vm, FLAG_IF);
	return EMU_NEXT;
}

enum emu emulate_invlpg(struct vm *vm, const struct insn *insn)
{
	if (!at_cpl0(vm))
		return EMU_FAULT;
	shadow_invlpg(vm, (u32)(vm->cpu.seg[insn->mem.seg].base + mem_offset(vm, insn)));
	return EMU_NEXT;
}

enum emu emulate_cpuid(struct vm *vm, const struct insn *insn)
{
	u32 out[4];

	(void)insn;
	vcpu_cpuid(vm, vm->cpu.gpr[GPR_AX], vm->cpu.gpr[GPR_CX], out);
	vm->cpu.gpr[GPR_AX] = out[0];
	vm->cpu.gpr[GPR_BX] = out[1];
	vm->cpu.gpr[GPR_CX] = out[2];
	vm->cpu.gpr[GPR_DX] = out[3];
	return EMU_NEXT;
}

/* `cs invd` is the ABI's CPUID; without the prefix it is what it says, and our caches are the
 * host's to keep coherent. */
enum emu emulate_invd(struct vm *vm, const struct insn *insn)
{
	if (insn->seg_override == SEG_CS)
		return emulate_cpuid(vm, insn);
	return at_cpl0(vm) ? EMU_NEXT : EMU_FAULT;
}

enum emu emulate_wbinvd(struct vm *vm, const struct insn *insn)
{
	(void)insn;
	return at_cpl0(vm) ? EMU_NEXT : EMU_FAULT;
}

static void set_edx_eax(struct vm *vm, u64 value)
{
	vm->cpu.gpr[GPR_AX] = (u32)value;
	vm->cpu.gpr[GPR_DX] = value >> 32;
}

/* MSRs that CPUID does not announce do not exist. */
enum emu emulate_rdmsr(struct vm *vm, const struct insn *insn)
{
	u32 index = vm->cpu.gpr[GPR_CX];

	(void)insn;
	if (!at_cpl0(vm))
		return EMU_FAULT;
	trace(vm, EV_MSR, index, 0);
	if (index == MSR_TSC) {
		set_edx_eax(vm, clock_tsc(vm));
		return EMU_NEXT;
	}
	if (index == MSR_EFER && vcpu_has_nx(vm)) {
		set_edx_eax(vm, vm->cpu.efer);
		return EMU_NEXT;
	}
	raise_error(vm, EXC_GP, 0);
	return EMU_FAULT;
}

enum emu emulate_wrmsr(struct vm *vm, const struct insn *insn)
{
	const u32 index = vm->cpu.gpr[GPR_CX];
	const u64 value = vm->cpu.gpr[GPR_DX] << 32 | (u32)vm->cpu.gpr[GPR_AX];

	(void)insn;
	if (!at_cpl0(vm))
		return EMU_FAULT;
	trace(vm, EV_MSR, index, value);
	if (index == MSR_EFER && vcpu_has_nx(vm) && !(value & ~(u64)EFER_NXE)) {
		vm->cpu.efer = value;
		shadow_flush(vm);
		return EMU_NEXT;
	}
	raise_error(vm, EXC_GP, 0);
	return EMU_FAULT;
}

enum emu emulate_rdtsc(struct vm *vm, const struct insn *insn)
{
	u64 value;

	(void)insn;
	if ((vm->cpu.cr4 & CR4_TSD) && !at_cpl0(vm))
		return EMU_FAULT;
	value = clock_tsc(vm);
	trace(vm, EV_TSC, value, 0);
	set_edx_eax(vm, value);
	return EMU_NEXT;
}

/* XCR0 values that the processor takes (SDM vol. 1, 13.3) and the host has. */
static bool xcr0_valid(struct vm *vm, u64 value)
{
	if (!(value & XCR0_X87) || (value & ~vcpu_xcr0_mask(vm)))
		return false;
	if ((value & XCR0_AVX) && !(value & XCR0_SSE))
		return false;
	if (!(value & XCR0_AVX512))
		return true;
	return (value & XCR0_AVX512) == XCR0_AVX512 && (value & XCR0_AVX);
}

/* The hardware's XCR0 is the host's and holds more: the guest's is only what it asked for. */
enum emu emulate_xsetbv(struct vm *vm, const struct insn *insn)
{
	u64 value = (u32)vm->cpu.gpr[GPR_AX] | vm->cpu.gpr[GPR_DX] << 32;

	(void)insn;
	if (!(vm->cpu.cr4 & CR4_OSXSAVE)) {
		raise(vm, EXC_UD);
		return EMU_FAULT;
	}
	if (!at_cpl0(vm))
		return EMU_FAULT;
	if ((u32)vm->cpu.gpr[GPR_CX] || !xcr0_valid(vm, value)) {
		raise_error(vm, EXC_GP, 0);
		return EMU_FAULT;
	}
	vm->cpu.xcr0 = value;
	return EMU_NEXT;
}

/* It traps only for a register that the host does not have. */
enum emu emulate_xgetbv(struct vm *vm, const struct insn *insn)
{
	(void)insn;
	if (vm->cpu.cr4 & CR4_OSXSAVE)
		return EMU_OTHER;
	raise(vm, EXC_UD);
	return EMU_FAULT;
}
