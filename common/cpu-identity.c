/*
 * What a guest may have learnt of its CPU: see cpu-identity.h.
 */
#include "cpu-identity.h"
#include "emulate.h"
#include "host.h"
#include "vm.h"

/* Registers with feature bits, all of which say that something is there. */
static const struct {
	u32 leaf, subleaf;
	u8 reg; /* EAX 0, EBX 1, ECX 2, EDX 3 */
	u32 ignored;
} words[] = {
	{1, 0, 2, 1u << 27}, /* OSXSAVE is the guest kernel's choice */
	{1, 0, 3, 0},		{7, 0, 1, 0},		{7, 0, 2, 0},
	{7, 0, 3, 0},		{7, 1, 0, 0},		{0xd, 1, 0, 0},
	{0x80000001u, 0, 2, 0}, {0x80000001u, 0, 3, 0}, {0x80000007u, 0, 3, 0},
};
_Static_assert(ARRAY_SIZE(words) <= CPU_IDENTITY_WORDS, "all have a place");

#define XSAVE_LEAF	0xd
#define FIRST_COMPONENT 2 /* the first two are where FXSAVE has them */

/* CPUs answer for the highest leaf if asked for one beyond it. */
static bool has_leaf(struct vm *vm, u32 leaf)
{
	u32 highest[4];

	host_cpuid(vm, leaf & 0x80000000u, 0, highest);
	return leaf <= highest[0];
}

void cpu_identify(struct vm *vm, struct cpu_identity *id)
{
	mem_set(id, 0, sizeof(*id));
	for (unsigned i = 0; i < ARRAY_SIZE(words); i++) {
		u32 told[4], seen[4];

		if (!has_leaf(vm, words[i].leaf))
			continue;
		vcpu_describe(vm, words[i].leaf, words[i].subleaf, told);
		host_cpuid(vm, words[i].leaf, words[i].subleaf, seen);
		id->told[i] = told[words[i].reg] & ~words[i].ignored;
		if (!vm->cpuid_faults)
			id->seen[i] = seen[words[i].reg] & ~words[i].ignored;
	}
	id->components = vcpu_xcr0_mask(vm);
	for (u32 i = FIRST_COMPONENT; i < CPU_IDENTITY_COMPONENTS; i++) {
		u32 part[4];

		if (!(id->components >> i & 1))
			continue;
		host_cpuid(vm, XSAVE_LEAF, i, part);
		id->size[i] = part[0];
		id->offset[i] = part[1];
	}
}
