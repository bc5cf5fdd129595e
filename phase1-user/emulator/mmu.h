/*
 * The emulated CPU's view of memory: the core's shadow, and device memory.
 *
 * Owns: which physical page the emulated CPU finds at a linear address, and the accesses to those
 * that are devices'. What the shadow does not have is for the core to fill in.
 */
#ifndef PLEX86_EMULATOR_MMU_H
#define PLEX86_EMULATOR_MMU_H

#include "../../common/vm.h"
#include "unicorn-internals.h"

/* The shadow no longer has, or has otherwise, `len` bytes at `la`. */
void mmu_forget(u64 la, u64 len);

/* struct emulated_owner's. */
bool mmu_page(u32 la, bool write, bool fetch, bool user, struct emulated_mapping *m);
u64 mmu_device_read(u64 gpa, unsigned size);
void mmu_device_write(u64 gpa, unsigned size, u64 value);

#endif
