/*
 * Handing the guest over to the VMM and waiting for it. Of use to every program that speaks the
 * protocol of shared.h: it needs system calls and nothing else.
 */
#ifndef PLEX86_VCPU_HANDOVER_H
#define PLEX86_VCPU_HANDOVER_H

#include "../../common/core.h"
#include "shared.h"

/* The process's one piece of global state: signal handlers get no argument. All other statics that
 * change are each process's own on purpose. */
extern struct vcpu_shared *shared;

/* Give vm->exit to the VMM and wait until it has dealt with it. */
void hand_over(void);
/* The hybrid engine's: give the guest to the other side, and wait to be given it again. */
void pass_guest(enum vcpu_turn mine, enum vcpu_turn other);
/* Follow the core's wishes until the guest can run. */
void run_until_resume(enum core_next next);

/* The program's own: the guest stands still: its FPU registers for the VMM, and what that made of
 * them. */
void fpu_give(void);
void fpu_take_back(void);

#endif
