/*
 * The guest's registers into the emulated CPU and back.
 *
 * Owns: what of struct vcpu the emulated CPU holds while it runs, and how. There are two machines:
 * one whose CPU has the guest's own privilege levels (vm->levels), and, for kernels made for
 * plex86, one that runs everything at CPL 3 with the selectors that a host process has, as
 * plex86-vcpu does: the same kernel then does the same, trap by trap.
 */
#ifndef PLEX86_EMULATOR_CPU_H
#define PLEX86_EMULATOR_CPU_H

#include "../../common/vm.h"

void cpu_load(struct vm *vm);
void cpu_save(struct vm *vm);

/* Of the second machine: descriptor `selector` of its tables is now this (SDM format; 0: none). */
void cpu_set_descriptor(u16 selector, u64 descriptor);
/* Where they are, in linear addresses that only the processor's own accesses reach. */
#define CPU_TABLES 0xfffe0000u

#endif
