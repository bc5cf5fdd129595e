/*
 * The native side of the hybrid engine: see native.h.
 */
#include "native.h"
#include "mem.h"
#include "pv.h"
#include "reflect.h"
#include "segment.h"

bool native_runs(const struct vm *vm)
{
	const struct vcpu *cpu = &vm->cpu;
	const u64 needed = CR0_PE | CR0_PG;

	/* With TS or EM the next FPU instruction is a trap, which the host's CPU would not take; at
	 * IOPL 3 popf changes IF, which it does not let it. */
	return vm_cpl(vm) == 3 && (cpu->cr0 & (needed | CR0_TS | CR0_EM)) == needed &&
	       !(cpu->rflags & FLAG_VM) && (cpu->seg[SEG_CS].attr & SEG_DB) && cpu->iopl < 3;
}

bool native_keeps(struct vm *vm, unsigned entry, u64 desc)
{
	const u64 accessed = 1ull << 40;
	u64 gdt;

	for (unsigned reg = 0; reg < SEG_COUNT; reg++)
		if ((vm->cpu.hw_selector[reg] ^ HOST_LDT_SELECTOR(entry)) < 4)
			return true;
	if (seg_ldt_has(vm, entry))
		return false;
	return entry >= native_spare(vm) ||
	       (seg_descriptor(vm, entry << 3, &gdt) && ((gdt ^ desc) & ~accessed) == 0);
}

static bool install(struct vm *vm, enum seg_reg reg, struct segment seg)
{
	if (!seg_is_null(seg.selector))
		return seg_install(vm, reg, &seg);
	seg_install_null(vm, reg, seg.selector);
	return true;
}

enum core_next native_enter(struct vm *vm)
{
	vm->exit.kind = EXIT_NONE;
	vm_shadow(vm)->repeats = 0; /* what has a record is not mapped here as yet */
	for (unsigned reg = 0; reg < SEG_COUNT; reg++)
		if (!install(vm, reg, vm->cpu.seg[reg]))
			return CORE_EXIT;
	shadow_fill_expected(vm);
	return core_kick(vm);
}

/* ---- loads without a trap ---- */

/* The load as the guest's tables have it. A far jump is none that user code of any system makes. */
static enum native_loads load(struct vm *vm, enum seg_reg reg, u16 selector)
{
	if (reg == SEG_CS) {
		raise_error(vm, EXC_GP, selector & ~3u);
		return NATIVE_FAULT;
	}
	trace(vm, EV_SEGMENT, reg, selector);
	if (seg_load(vm, reg, selector))
		return NATIVE_CHANGED;
	install(vm, reg, (struct segment){0});
	return NATIVE_FAULT;
}

/* What a selector of the host's LDT stands for that no register has held: user code has read it
 * before and kept it, unless it is the guest's own. */
static enum native_loads kept(struct vm *vm, enum seg_reg reg, u16 selector)
{
	const unsigned entry = selector >> 3;
	struct segment seg;

	if (seg_ldt_has(vm, entry))
		return load(vm, reg, selector);
	if (entry < native_spare(vm) || entry >= vm->native_ldt)
		return load(vm, reg, selector & ~4u);
	seg_unpack(vm->slot[entry - native_spare(vm)], selector, &seg);
	return install(vm, reg, seg) ? NATIVE_NONE : NATIVE_FAULT;
}

/* A selector of the host's LDT stands for what the register that held it had. */
static enum native_loads take_ours(struct vm *vm, const struct vcpu *before, enum seg_reg reg,
				   u16 selector)
{
	for (unsigned other = 0; other < SEG_COUNT; other++) {
		const struct segment *seg = &before->seg[other];

		if ((before->hw_selector[other] ^ selector) >= 4)
			continue;
		if (selector >> 3 < native_spare(vm))
			return load(vm, reg, (seg->selector & ~3u) | (selector & 3));
		return install(vm, reg, *seg) ? NATIVE_NONE : NATIVE_FAULT;
	}
	return kept(vm, reg, selector);
}

static enum native_loads take(struct vm *vm, const struct vcpu *before, enum seg_reg reg, u16 hw)
{
	if (seg_is_null(hw)) {
		seg_install_null(vm, reg, hw);
		return NATIVE_NONE;
	}
	return hw & 4 ? take_ours(vm, before, reg, hw) : load(vm, reg, hw);
}

enum native_loads native_take_selectors(struct vm *vm, const u16 hw[SEG_COUNT])
{
	enum native_loads result = NATIVE_NONE;
	struct vcpu before;

	if (!__builtin_memcmp(hw, vm->cpu.hw_selector, sizeof(vm->cpu.hw_selector)))
		return NATIVE_NONE;
	before = vm->cpu;
	vm->exit.kind = EXIT_NONE;
	for (unsigned reg = 0; reg < SEG_COUNT; reg++) {
		enum native_loads one = NATIVE_NONE;

		if (hw[reg] != before.hw_selector[reg])
			one = take(vm, &before, reg, hw[reg]);
		if (one > result)
			result = one;
	}
	return result;
}

enum core_next native_fault(struct vm *vm)
{
	if (vm->exit.kind != EXIT_NONE || !reflect_exception(vm))
		return CORE_EXIT;
	return core_kick(vm);
}
