/*
 * Running the guest in the emulated CPU.
 *
 * Owns: what becomes of each stop of the emulated CPU. How to use it, also beside another engine:
 *
 *   run_open(vm)                    once, with shared memory and guest RAM in place
 *   core_start(vm), or whatever else gives an enum core_next for the registers in vm->cpu
 *   run_until_resume(next)          hand-overs to the VMM until the guest can run (handover.h)
 *   reason = run_guest(vm, until)   runs it from vm->cpu until `reason`; vm->cpu is up to date then
 *
 *   RUN_EXIT    vm->exit is for the VMM: go on with run_until_resume(CORE_EXIT)
 *   RUN_KICKED  the VMM wants something: go on with run_until_resume(CORE_RESUME)
 *   RUN_USER    if asked for (`until_user`): the guest has come to user code that can run natively,
 *               and none of it has run. Somebody else may run it from vm->cpu, or run_guest()
 * again, with until_user false for as long as it is to stay here.
 *
 * Between two calls anything may be done to vm->cpu, and to guest RAM if run_others_wrote() is
 * called then. Page-table accessed and dirty bits are in the guest's tables, as always; the FPU's
 * registers are in the emulated CPU: fpu_give() and fpu_take_back() move them (fpu.c).
 */
#ifndef PLEX86_EMULATOR_RUN_H
#define PLEX86_EMULATOR_RUN_H

#include "../../common/core.h"

enum run_reason { RUN_EXIT, RUN_KICKED, RUN_USER };

/* NULL, or why there can be no emulated CPU here. */
const char *run_open(struct vm *vm);
enum run_reason run_guest(struct vm *vm, bool until_user);
/* run_until_resume(), and what is to be done if devices have written guest RAM meanwhile. */
void run_until_ready(struct vm *vm, enum core_next next);
/* Emulate the guest until it is at user code that can run natively. */
void run_until_native(struct vm *vm);
/* The guest goes to who runs such code, and comes back: then devices may have written guest RAM. */
void run_given_away(const struct vm *vm);
void run_taken_back(const struct vm *vm);
/* Guest RAM has been written by others than this CPU and the core. */
void run_others_wrote(void);
/* From a signal handler: something has happened. */
void run_poke(void);

#endif
