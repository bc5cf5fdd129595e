/*
 * What comes from the chips, at the moment that the guest is to run again.
 */
#ifndef PLEX86_INTERRUPT_H
#define PLEX86_INTERRUPT_H

#include "vm.h"

/* Look at the lines and the timer, and deliver what is due and allowed. False: vm->exit is set. */
bool interrupts_take(struct vm *vm);

/* A halted guest in a run whose waits cost no time: what ends the wait comes at once. False:
 * vm->exit is set. */
bool interrupts_skip_wait(struct vm *vm);

/* The PIT was touched at `now`, ns: when does it want attention next? */
void timer_update(struct vm *vm, u64 now);

#endif
