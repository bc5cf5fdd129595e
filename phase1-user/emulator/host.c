/*
 * The host services of common/host.h, made of the emulated CPU: its memory is what the shadow's
 * records say, and its descriptor tables are memory of ours.
 */
#include "cpu.h"
#include "mmu.h"
#include "unicorn-internals.h"

#include <cpuid.h>

enum host_error host_map(struct vm *vm, u64 la, u64 gpa, u64 len, unsigned prot)
{
	(void)vm;
	(void)gpa;
	(void)prot;
	mmu_forget(la, len);
	return HOST_OK;
}

enum host_error host_protect(struct vm *vm, u64 la, u64 len, unsigned prot)
{
	return host_map(vm, la, 0, len, prot);
}

enum host_error host_unmap(struct vm *vm, u64 la, u64 len)
{
	return host_map(vm, la, 0, len, 0);
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
	if (vm->levels)
		return HOST_OK;
	if (slot >= HOST_SLOT_TLS0)
		cpu_set_descriptor((HOST_TLS_ENTRY + slot - HOST_SLOT_TLS0) << 3, descriptor);
	else
		cpu_set_descriptor(HOST_LDT_SELECTOR(slot), descriptor);
	return HOST_OK;
}

#define LEAF_POWER 0x80000007u /* the TSC's invariance, which is the host's */

void host_cpuid(struct vm *vm, u32 leaf, u32 subleaf, u32 out[4])
{
	(void)vm;
	emulated_cpuid(leaf, subleaf, out);
	if (leaf == LEAF_POWER)
		__get_cpuid(LEAF_POWER, &out[0], &out[1], &out[2], &out[3]);
}
