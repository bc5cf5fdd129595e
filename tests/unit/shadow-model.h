/*
 * A guest that edits its page tables at will and changes between more address spaces than there are
 * shadows, and a model that says what a TLB may hold of them (SDM vol. 3, 4.10): after a CR3 load,
 * what the tables say, and global pages as they were when they were filled in, in whichever space,
 * unless they were invalidated since.
 *
 * Owns: what common/shadow.c, resync.c and spaces.c are compared with, step by step. Differences
 * fail cmocka's way. There is one such guest in a program.
 */
#ifndef PLEX86_SHADOW_MODEL_H
#define PLEX86_SHADOW_MODEL_H

#include "mock-host.h"

/* Three quarters of a page of 4 MiB, or one and a half of 2 MiB. */
#define SHADOW_MODEL_RAM 0x300000u

/* What the guest does is chosen by numbers from here: of each, the lower 16 bits at least count. */
typedef u32 shadow_model_choice(void *opaque);

/* Begin, with 2-level paging or PAE and NX: `vm` is one of vm_create(SHADOW_MODEL_RAM), new or as
 * shadow_model_end() has left it. */
void shadow_model_start(struct vm *vm, bool pae, shadow_model_choice *choice, void *opaque);
void shadow_model_step(struct vm *vm);
/* The counts must be those of the records, or slots would be skipped. */
void shadow_model_check(struct vm *vm);
/* Turn paging off: nothing may be left of what was mapped. Memory and shadows are as new then. */
void shadow_model_end(struct vm *vm);

#endif
