/*
 * Counting by name: a hash table of strings.
 *
 * Owns: the entries. Their number is bounded: what a guest does must not fill our memory.
 */
#ifndef PLEX86_TALLY_H
#define PLEX86_TALLY_H

#include "../../common/types.h"

#define TALLY_MAX 65536u

struct tally_entry {
	char *name;
	u64 count, more; /* two numbers; what they are is the owner's business */
};

/* Zero is an empty one. */
struct tally {
	struct tally_entry *entry; /* an open hash table: unused ones have no name */
	u32 size, used;
};

/* That of `name`, which is made if need be. NULL: there are too many, or no memory. Valid until the
 * next call. */
struct tally_entry *tally_find(struct tally *t, const char *name);
/* By falling count, then by name; the table can only be read after that, from entry[0] to
 * entry[used - 1]. */
void tally_sort(struct tally *t);
void tally_free(struct tally *t);

#endif
