/*
 * The native side of the hybrid engine: user code runs on the CPU, all else of the guest elsewhere.
 *
 * Owns: which code may run natively, and the host's segment registers of a guest that has no
 * regard for them: its selectors mean other things in the host's tables.
 */
#ifndef PLEX86_NATIVE_H
#define PLEX86_NATIVE_H

#include "core.h"

/* The first of the host's LDT entries, one for each segment register, for segments that cannot have
 * one that tells the guest's selector. */
static inline unsigned native_spare(const struct vm *vm)
{
	return vm->native_ldt - SEG_COUNT;
}

/* May the host's LDT still have `desc` there? Registers may name it; and user code may have read
 * its selector and kept it, where it is no segment of the guest's LDT. */
bool native_keeps(struct vm *vm, unsigned entry, u64 desc);

/* Can the CPU run what vm->cpu says, as user code of a host process? */
bool native_runs(const struct vm *vm);
/* Somebody else has run the guest, up to code that is ours to run: have the host's segment
 * registers hold what vm->cpu.seg[] does. CORE_EXIT: vm->exit says why not. */
enum core_next native_enter(struct vm *vm);

enum native_loads {
	NATIVE_NONE,	/* of no consequence */
	NATIVE_CHANGED, /* a register holds something else now: a fault may be due to that */
	NATIVE_FAULT,	/* vm->exc: the load should have faulted, and did not */
};
/* Take note of the selectors that user code has loaded without a trap: those that the host has as
 * well. `hw`: the hardware's, as of the last trap. */
enum native_loads native_take_selectors(struct vm *vm, const u16 hw[SEG_COUNT]);
/* Deliver that. */
enum core_next native_fault(struct vm *vm);

#endif
