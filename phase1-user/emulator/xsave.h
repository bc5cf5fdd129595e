/*
 * XSAVE and XRSTOR of the emulated CPU, which knows no AVX: of the registers in the shared memory,
 * where those of the host's CPU that it does not have stay.
 *
 * Owns: the standard format; the compacted one is not announced.
 */
#ifndef PLEX86_EMULATOR_XSAVE_H
#define PLEX86_EMULATOR_XSAVE_H

#include "../../common/types.h"

/* As struct emulated_owner has them. */
u8 xsave(u32 la, u64 mask, bool optimized, uintptr_t host_pc);
u8 xrstor(u32 la, u64 mask, uintptr_t host_pc);
u64 xsave_xcr0(void);

#endif
