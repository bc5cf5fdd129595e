/*
 * A guest that stands still, as phase1-user's observers see one: RAM with paging off, and
 * registers.
 */
#ifndef GUEST_RAM_H
#define GUEST_RAM_H

#include <stdlib.h>
#include <string.h>
#include "../../common/pv.h"

static inline struct vm *guest_make(u32 ram_size)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	vm->ram = calloc(1, ram_size + PAGE_SIZE_4K); /* and the PV page */
	vm->ram_size = ram_size;
	vm->cpu.cr0 = CR0_PE;
	return vm;
}

static inline void guest_free(struct vm *vm)
{
	free(vm->ram);
	free(vm);
}

static inline void guest_put32(struct vm *vm, u32 at, u32 value)
{
	memcpy(vm->ram + at, &value, sizeof(value));
}

#endif
