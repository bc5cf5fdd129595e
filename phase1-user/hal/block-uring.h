/*
 * Reads, writes and flushes of a file through io_uring, where the build and the host have it.
 *
 * Owns: one ring. Called with the device lock held. Without liburing at build time, or where the
 * host forbids io_uring, block_uring_create() returns NULL and nothing else may be called.
 */
#ifndef PLEX86_HAL_BLOCK_URING_H
#define PLEX86_HAL_BLOCK_URING_H

#include "block.h"

struct block_uring;

/* The outcome of a request that must be carried out by other means. */
#define BLOCK_URING_RETRY (-1)

/* `event_fd` becomes readable when requests finish. */
struct block_uring *block_uring_create(int event_fd);
/* Nothing may be in flight. */
void block_uring_destroy(struct block_uring *u);

/* False if the ring has no room or does not do such requests. */
bool block_uring_submit(struct block_uring *u, int fd, struct block_request *r);
/* Hand what has been submitted to the kernel. */
void block_uring_kick(struct block_uring *u);
/* The next request that has finished, or NULL. r->error: 0, errno or BLOCK_URING_RETRY. */
struct block_request *block_uring_collect(struct block_uring *u);
bool block_uring_busy(const struct block_uring *u);
/* Wait until block_uring_collect() has something. Something must be in flight. */
void block_uring_wait(struct block_uring *u);

#endif
