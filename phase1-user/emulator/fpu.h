/*
 * The FPU's registers: in the emulated CPU, or in the memory that all sides share.
 *
 * Owns: which of the two has them. Under the hybrid engine they come in that memory and stay there
 * until an instruction needs them, since most of what a kernel does needs none: the emulated CPU is
 * told that there is no FPU (EMULATED_TS), and what it says then ends here.
 */
#ifndef PLEX86_EMULATOR_FPU_H
#define PLEX86_EMULATOR_FPU_H

#include "../../common/types.h"

/* As a process has them when it begins: the library's are all zero. */
void fpu_init(void);

/* The guest comes from, or goes to, a vcpu process. */
void fpu_left(void);
void fpu_pass(void);
bool fpu_is_here(void);
/* The registers in the shared memory are others now: they are the ones that count. */
void fpu_replaced(void);
/* An instruction found no FPU. True: that was because of us, and now there is one. */
bool fpu_fetch(void);

#endif
