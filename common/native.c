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

/* Is it a selector of ours, which user code has read from a register? */
static bool is_ours(u16 selector)
{
	const unsigned slot = selector >> 3;

	return (selector & 4) && slot >= HOST_SLOT_SEG0 && slot < HOST_SLOT_SEG0 + SEG_COUNT;
}

/* What it stands for: the segment of a register that holds it, or, if none does any more, what is
 * in the host's slot. */
static struct segment of_ours(const struct vm *vm, const struct vcpu *before, u16 selector)
{
	struct segment seg;

	for (unsigned reg = 0; reg < SEG_COUNT; reg++)
		if ((before->hw_selector[reg] ^ selector) < 4)
			return before->seg[reg];
	seg_unpack(vm->slot[(selector >> 3) - HOST_SLOT_SEG0], selector, &seg);
	return seg;
}

/* The guest's selector for one that has been read: of its GDT, where ours is of the LDT. */
static u16 guests_own(u16 selector)
{
	const unsigned slot = selector >> 3;

	return (selector & 4) && slot >= HOST_SLOT_GDT3 && slot < HOST_SLOT_SEG0 ? selector & ~4u
										 : selector;
}

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

static enum native_loads take(struct vm *vm, const struct vcpu *before, enum seg_reg reg, u16 hw)
{
	if (seg_is_null(hw)) {
		seg_install_null(vm, reg, hw);
		return NATIVE_NONE;
	}
	if (!is_ours(hw))
		return load(vm, reg, guests_own(hw));
	return install(vm, reg, of_ours(vm, before, hw)) ? NATIVE_NONE : NATIVE_FAULT;
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
