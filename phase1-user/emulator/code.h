/*
 * Which of the guest's pages have been translated, and whether they still are what was translated.
 *
 * The emulated CPU's own stores are no concern here: they find translations by themselves. But the
 * VMM writes guest RAM as devices do, the core does on the guest's behalf, and under the hybrid
 * engine native code does. So each page with translations has a digest of its bytes, and is looked
 * at again before code in it is entered for the first time after anybody may have written.
 */
#ifndef PLEX86_EMULATOR_CODE_H
#define PLEX86_EMULATOR_CODE_H

#include "../../common/vm.h"

/* False: there is no memory for it. */
bool code_open(struct vm *vm);
/* Somebody else may have written guest RAM. */
void code_doubt(void);
/* Code in this page is going to run. */
void code_verify(struct vm *vm, u64 physical);

/* struct emulated_owner's. */
void code_hold(u64 physical, bool holds);
bool code_is_held(u64 physical);

#endif
