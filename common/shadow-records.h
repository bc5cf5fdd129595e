/*
 * The shadows' records, as shadow.c, resync.c and spaces.c share them.
 *
 * Owns: the record format: that of a folded page-table entry, so that the two compare bit by bit.
 * All of it works on the active shadow.
 */
#ifndef PLEX86_SHADOW_RECORDS_H
#define PLEX86_SHADOW_RECORDS_H

#include "../guest/include/plex86-abi.h"
#include "paging.h"

#define SHADOW_PRESENT 0x001u
#define SHADOW_WRITE   0x002u
#define SHADOW_USER    0x004u
#define SHADOW_LARGE   0x080u /* from a large page */
#define SHADOW_GLOBAL  0x100u
#define SHADOW_NX      FOLDED_NX

/* Slots below the limit of the ABI's user segments. */
#define SHADOW_USER_SLOTS (PLEX86_USER_LIMIT / (SHADOW_SLOT * PAGE_SIZE_4K))

/* Pages of a slot that are the guest tables' to map: all but the PV page. */
static inline u32 shadow_slot_end(const struct vm *vm, u32 slot)
{
	return (slot + 1) * SHADOW_SLOT - (slot == SHADOW_SLOTS - 1 && !vm->levels);
}

/* Do directory entries differ in more than A and D? */
static inline bool shadow_pde_differs(u32 a, u32 b)
{
	return (a ^ b) & ~0x60u;
}

/* What makes an address space one: its tables, and bit 0 to tell it from none. */
static inline u32 shadow_space(const struct vm *vm)
{
	return ((u32)vm->cpu.cr3 & (paging_is_pae(vm) ? PAE_CR3_MASK : 0xfffff000u)) | 1;
}

/* With what rights the host has a page of this record. */
static inline unsigned shadow_rights(u32 record)
{
	return HOST_READ | (record & SHADOW_WRITE ? HOST_WRITE : 0) |
	       (record & SHADOW_NX ? 0 : HOST_EXEC) | (record & SHADOW_USER ? HOST_USER : 0);
}

/* The folded directory entry of a slot, as it is now. */
static inline void shadow_note_pde(struct shadow *s, u32 slot, u32 pde)
{
	if (shadow_pde_differs(s->pde[slot], pde))
		s->agreed[slot] = 0;
	s->pde[slot] = pde;
}

/* Set the record of linear page number `page`, keeping the counts; 0 forgets it. */
void shadow_record(struct vm *vm, u32 page, u32 value);
/* Forget and unmap linear pages [first, end). */
void shadow_drop(struct vm *vm, u32 first, u32 end);
void shadow_drop_slot(struct vm *vm, u32 slot);
void shadow_drop_all(struct vm *vm);
/* Correct what the tables no longer say; `all`: global pages as well. */
void shadow_resync(struct vm *vm, bool all);
/* Correct the slots that have other tables than when they were filled, global pages as well. */
void shadow_resync_moved(struct vm *vm);
/* What invlpg does to the active shadow alone. */
void shadow_invalidate(struct vm *vm, u64 la);
/* Bring what user code's fast return relies on in line with the active shadow. */
void shadow_tell_stubs(struct vm *vm);

#endif
