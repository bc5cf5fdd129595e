/*
 * What must hold of the shadows at any time, and right after all of them has been invalidated.
 *
 * Owns: a page walk of its own, written from the SDM's tables, and the comparison of records, their
 * counts, and what the mock host has mapped. Differences fail cmocka's way.
 */
#ifndef PLEX86_SHADOW_CHECK_H
#define PLEX86_SHADOW_CHECK_H

#include "mock-host.h"

/* What the tables say of a page; `present` false: nothing, and a reserved bit may be why. */
struct translation {
	bool present, write, user, exec, accessed, dirty, global, large;
	u32 gpa;
};

/* Walk for linear page number `page`, with the PDPTEs of the last load of CR3. */
struct translation shadow_translate(const struct vm *vm, u32 page);

/* In all spaces that were ever in force: the records are what the host has mapped, and the counts
 * are those of the records. */
void shadow_check_records(const struct vm *vm);
/* In the space in force nothing is mapped, and no right given, but by the tables as they are, with
 * A set, and D for what may be written: after CR3 and CR4 said that nothing is known any more. */
void shadow_check_tables(const struct vm *vm);

#endif
