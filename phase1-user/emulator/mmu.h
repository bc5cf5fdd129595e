/*
 * The emulated CPU's view of memory: the core's shadow, and device memory.
 *
 * Owns: which physical page the emulated CPU finds at a linear address, and the accesses to those
 * that are devices'. What the shadow does not have is for the core to fill in.
 */
#ifndef PLEX86_EMULATOR_MMU_H
#define PLEX86_EMULATOR_MMU_H

#include "../../common/vm.h"

/* The shadow no longer has, or has otherwise, `len` bytes at `la`. */
void mmu_forget(u64 la, u64 len);

#endif
