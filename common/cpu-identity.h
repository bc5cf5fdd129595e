/*
 * What a guest may have learnt of its CPU, and rely on until it is reset.
 *
 * Owns: struct cpu_identity; state_check() compares two. Where user code's CPUID does not trap,
 * programs have seen the host's.
 */
#ifndef PLEX86_CPU_IDENTITY_H
#define PLEX86_CPU_IDENTITY_H

#include "types.h"

#define CPU_IDENTITY_WORDS	16
#define CPU_IDENTITY_COMPONENTS 8

struct cpu_identity {
	u32 told[CPU_IDENTITY_WORDS]; /* feature words of the guest's own CPUID */
	u32 seen[CPU_IDENTITY_WORDS]; /* and of the host's; 0: user code does not see them */
	/* What XSAVE areas in the guest's memory look like: components, and each one's place. */
	u64 components;
	u32 offset[CPU_IDENTITY_COMPONENTS], size[CPU_IDENTITY_COMPONENTS];
};

struct vm;
/* As of now; vm->cpuid_faults has been set. */
void cpu_identify(struct vm *vm, struct cpu_identity *id);

#endif
