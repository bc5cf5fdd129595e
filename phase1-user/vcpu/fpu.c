/*
 * The guest's FPU and vector registers for the VMM, at the exits where it may want them.
 *
 * Owns: struct vcpu_fpu in the shared memory. Nothing in the monitor touches these registers. In a
 * signal handler the guest's are in the signal's frame, and ours mean nothing until it returns;
 * otherwise they are in the CPU.
 */
#include "vcpu.h"
#include <cpuid.h>

#define XSAVE_LEAF   0xd
#define LEGACY_BYTES 464 /* of the frame: what follows is the kernel's */

static void save(void *area, u64 mask)
{
	__asm__ volatile("xsave64 (%0)" : : "r"(area), "a"((u32)mask), "d"(0) : "memory");
}

static void load(const void *area, u64 mask)
{
	__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"((u32)mask), "d"(0) : "memory");
}

/* XSAVE writes of an area what `mask` names, and nothing of what the kernel keeps there. */
static void copy(void *to, const void *from, u64 mask)
{
	if (!mask) {
		mem_copy(to, from, LEGACY_BYTES);
		return;
	}
	load(from, mask);
	save(to, mask);
}

void fpu_give(void)
{
	struct vcpu_fpu *fpu = &shared->fpu;

	fpu->changed = false;
	if (shared->baton.fpu)
		save(fpu->area, fpu->mask);
	else
		copy(fpu->area, (const void *)fpu->frame, fpu->mask);
}

void fpu_take_back(void)
{
	struct vcpu_fpu *fpu = &shared->fpu;

	if (!fpu->changed)
		return;
	if (shared->baton.fpu)
		load(fpu->area, fpu->mask);
	else
		copy((void *)fpu->frame, fpu->area, fpu->mask);
}

/* Those of our components that XSAVE has here, and that end within the area. */
void fpu_setup(void)
{
	const u32 osxsave = 1u << 27;
	u32 eax, ebx, ecx, edx, enabled;

	__cpuid_count(1, 0, eax, ebx, ecx, edx);
	if (!(ecx & osxsave))
		return;
	__asm__ volatile("xgetbv" : "=a"(enabled) : "c"(0) : "edx");
	for (u32 i = 0; i < 32; i++) {
		if (!((FPU_COMPONENTS & enabled) >> i & 1))
			continue;
		__cpuid_count(XSAVE_LEAF, i, eax, ebx, ecx, edx);
		if (i < 2 || ebx + eax <= FPU_AREA)
			shared->fpu.mask |= 1u << i;
	}
}
