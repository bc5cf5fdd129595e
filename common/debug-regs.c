/*
 * Registers as a debugger sets them: see debug.h. By itself, for the VMM uses it without the rest
 * of the core.
 */
#include "vm.h"

/* What a debugger may set of EFLAGS; IF and IOPL are virtual. */
#define REGS_FLAGS                                                                                 \
	(FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_TF | FLAG_DF | FLAG_OF | FLAG_NT | \
	 FLAG_RF | FLAG_AC | FLAG_ID)

void debug_set_regs(struct vm *vm, const struct debug_regs *regs)
{
	struct vcpu *cpu = &vm->cpu;

	for (unsigned i = 0; i < ARRAY_SIZE(regs->gpr); i++)
		cpu->gpr[i] = (u32)regs->gpr[i];
	if (cpu->rip != (u32)regs->rip)
		cpu->halted = false;
	cpu->rip = (u32)regs->rip;
	cpu->rflags = (cpu->rflags & ~(u64)REGS_FLAGS) | (regs->rflags & REGS_FLAGS);
}
