/*
 * A private overlay: what the guest writes is kept beside the image and thrown away at the end.
 *
 * Owns: an unlinked temporary file and the map of the clusters that live in it. The base is only
 * read. All functions but create and destroy may be called from several threads at once.
 */
#ifndef PLEX86_HAL_BLOCK_COW_H
#define PLEX86_HAL_BLOCK_COW_H

#include "block.h"

#define BLOCK_COW_CLUSTER 4096u

struct block_cow;

/* An empty overlay for the `size` bytes of `base`, which stays the caller's. */
struct block_cow *block_cow_create(const char *name, int base, u64 size, struct error *e);
void block_cow_destroy(struct block_cow *c);
/* Carry out a request, blocking. Returns 0 or an errno value. */
int block_cow_execute(struct block_cow *c, const struct block_request *r);

#endif
