/*
 * The FPU's registers: of a new machine; for fpu_give() and fpu_take_back() see handover.h.
 */
#ifndef PLEX86_EMULATOR_FPU_H
#define PLEX86_EMULATOR_FPU_H

/* As a process has them when it begins: the library's are all zero. */
void fpu_init(void);

#endif
