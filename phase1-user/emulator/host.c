/*
 * The host services of common/host.h, made of the emulated CPU: its memory is what the shadow's
 * records say, and its descriptor tables are memory of ours.
 */
#include "../vcpu/handover.h"
#include "cpu.h"
#include "kmod.h"
#include "mmu.h"
#include "unicorn-internals.h"

#include <cpuid.h>

enum host_error host_map(struct vm *vm, u64 la, u64 gpa, u64 len, unsigned prot)
{
	if (vm->native)
		return kmod_map(vm, la, gpa, len, prot);
	mmu_forget(la, len);
	if (shared->hybrid.on)
		hybrid_forget(&shared->hybrid, vm->pool.active, la, len);
	return HOST_OK;
}

enum host_error host_protect(struct vm *vm, u64 la, u64 len, unsigned prot)
{
	if (vm->native)
		return kmod_protect(vm, la, len, prot);
	if (!(prot & HOST_WRITE))
		return host_map(vm, la, 0, len, prot);
	/* For the others a right that they do not know of comes to light when it is used. */
	mmu_forget(la, len);
	return HOST_OK;
}

enum host_error host_unmap(struct vm *vm, u64 la, u64 len)
{
	return vm->native ? kmod_unmap(vm, la, len) : host_map(vm, la, 0, len, 0);
}

enum host_error host_activate(struct vm *vm, unsigned index)
{
	(void)vm;
	(void)index;
	emulated_flush();
	return HOST_OK;
}

enum host_error host_set_segment(struct vm *vm, enum host_slot slot, u64 descriptor)
{
	if (vm->native)
		return kmod_set_segment(slot, descriptor);
	if (vm->levels)
		return HOST_OK;
	if (slot >= HOST_SLOT_TLS0)
		cpu_set_descriptor((HOST_TLS_ENTRY + slot - HOST_SLOT_TLS0) << 3, descriptor);
	else
		cpu_set_descriptor(HOST_LDT_SELECTOR(slot), descriptor);
	return HOST_OK;
}

#define LEAF_POWER 0x80000007u /* the TSC's invariance, which is the host's */

#define BIT(n)		  (1u << (n))
#define LEAF1_ECX_VECTORS (BIT(12) | BIT(26) | BIT(27) | BIT(28) | BIT(29)) /* FMA to F16C */
#define LEAF7_EBX_VECTORS (BIT(5) | BIT(16) | BIT(17) | BIT(21) | BIT(28) | BIT(30) | BIT(31))

/* Beside vcpu processes: what the host has as well as the emulated CPU; and the vector registers,
 * which user code finds on the host and the guest's kernel is to keep for it (xsave.c). */
static void hybrid_cpuid(u32 leaf, u32 subleaf, const u32 emulated[4], u32 out[4])
{
	if (!__get_cpuid_count(leaf, subleaf, &out[0], &out[1], &out[2], &out[3]))
		mem_set(out, 0, 4 * sizeof(out[0]));
	switch (leaf) {
	case 1:
		out[2] &= emulated[2] | LEAF1_ECX_VECTORS;
		out[3] &= emulated[3];
		break;
	case 7:
		out[1] &= emulated[1] | LEAF7_EBX_VECTORS;
		out[2] &= emulated[2];
		out[3] &= emulated[3];
		break;
	case 0x80000001u:
		out[2] &= emulated[2];
		out[3] &= emulated[3];
		break;
	}
}

void host_cpuid(struct vm *vm, u32 leaf, u32 subleaf, u32 out[4])
{
	u32 emulated[4];

	/* User code finds the host's, and cpu_identify() is to say so. */
	if (vm->native) {
		if (!__get_cpuid_count(leaf, subleaf, &out[0], &out[1], &out[2], &out[3]))
			mem_set(out, 0, 4 * sizeof(out[0]));
		return;
	}
	emulated_cpuid(leaf, subleaf, emulated);
	mem_copy(out, emulated, sizeof(emulated));
	if (shared->hybrid.on)
		hybrid_cpuid(leaf, subleaf, emulated, out);
	else if (leaf == LEAF_POWER)
		__get_cpuid(LEAF_POWER, &out[0], &out[1], &out[2], &out[3]);
}
