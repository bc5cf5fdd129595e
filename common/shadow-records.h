/*
 * The shadow's records, as shadow.c and resync.c share them.
 *
 * Owns: the record format: page-table layout, so that a record compares with a PTE bit by bit.
 */
#ifndef PLEX86_SHADOW_RECORDS_H
#define PLEX86_SHADOW_RECORDS_H

#include "../guest/include/plex86-abi.h"
#include "vm.h"

#define SHADOW_PRESENT 0x001u
#define SHADOW_WRITE   0x002u
#define SHADOW_USER    0x004u
#define SHADOW_LARGE   0x080u /* from a 4 MiB page */
#define SHADOW_GLOBAL  0x100u

/* Slots below the limit of the ABI's user segments. */
#define SHADOW_USER_SLOTS (PLEX86_USER_LIMIT / (SHADOW_SLOT * PAGE_SIZE_4K))

/* Set the record of linear page number `page`, keeping the counts; 0 forgets it. */
void shadow_record(struct vm *vm, u32 page, u32 value);
/* Forget and unmap linear pages [first, end). */
void shadow_drop(struct vm *vm, u32 first, u32 end);
void shadow_drop_slot(struct vm *vm, u32 slot);

#endif
