/*
 * The PV page as the core sees it, and the virtual IF and CPL that live there.
 *
 * Owns: struct pv_page. The guest kernel can write all of it at any time: every value read here
 * is masked, and nothing but the guest's own fate may depend on it.
 *
 * Where the CPU has the guest's privilege levels itself (vm->levels) no linear page is the PV page:
 * it holds copies of the CPU's IF and CPL while the core runs.
 */
#ifndef PLEX86_PV_H
#define PLEX86_PV_H

#include "../guest/include/plex86-abi.h"
#include "vm.h"

struct pv_page {
	u32 vif, cpl, version, flags, esp0, cr2, iret_site, ahead;
	u8 reserved[PLEX86_PV_STUB_IRET - 8 * 4];
	u8 stub_iret[PLEX86_PV_STUB_INT80 - PLEX86_PV_STUB_IRET];
	u8 stub_int80[PLEX86_PV_STUB_TRAP - PLEX86_PV_STUB_INT80];
	u8 stub_trap[PAGE_SIZE_4K - PLEX86_PV_STUB_TRAP];
};

static inline struct pv_page *pv_page(const struct vm *vm)
{
	return (struct pv_page *)(vm->ram + vm->ram_size);
}

static inline bool pv_is_page(const struct vm *vm, u64 la)
{
	return (la & PAGE_MASK_4K) == PLEX86_PV_PAGE && !vm->levels;
}

static inline unsigned vm_cpl(const struct vm *vm)
{
	return pv_page(vm)->cpl & 3;
}

static inline u32 vm_if(const struct vm *vm)
{
	return pv_page(vm)->vif & FLAG_IF;
}

static inline void vm_set_if(struct vm *vm, u32 flags)
{
	pv_page(vm)->vif = flags & FLAG_IF;
}

/* EFLAGS as the guest must see them: the hardware's, with the virtual IF and IOPL. */
static inline u32 vm_flags(const struct vm *vm)
{
	u32 hw = (u32)vm->cpu.rflags & ~(FLAG_IF | FLAG_IOPL);

	return hw | vm_if(vm) | (u32)vm->cpu.iopl << 12 | FLAG_ONE;
}

void pv_reset(struct vm *vm);

#endif
