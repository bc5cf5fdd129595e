/*
 * The emulator as one side of the hybrid engine: it runs the guest's kernel, and what else of the
 * guest the vcpu processes cannot.
 *
 * Owns: taking the guest from them and giving it back. What the sides share is in ../vcpu/hybrid.h.
 */
#ifndef PLEX86_EMULATOR_HYBRID_H
#define PLEX86_EMULATOR_HYBRID_H

#include "../../common/vm.h"

/* vm->ram is where this program has it. */
void hybrid_open(struct vm *vm);
/* Be that side, beginning with the word that all is ready. */
_Noreturn void hybrid_run(struct vm *vm);

#endif
