/*
 * Pages that the guest's kernel should make present besides the one that has faulted.
 */
#ifndef PLEX86_AHEAD_H
#define PLEX86_AHEAD_H

#include "vm.h"

/* The guest's kernel is going to be given a page fault at `la` with this error code: suggest to it
 * how many of the pages behind it to make present as well. Returns that number. */
u32 ahead_suggest(struct vm *vm, u64 la, u32 error);

#endif
