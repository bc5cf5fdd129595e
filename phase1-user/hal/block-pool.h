/*
 * A few threads that carry out blocking requests.
 *
 * Owns: the threads, the requests waiting for them and those finished. Its threads never take the
 * device lock: finished requests wait until they are collected under it.
 */
#ifndef PLEX86_HAL_BLOCK_POOL_H
#define PLEX86_HAL_BLOCK_POOL_H

#include "block.h"

#define BLOCK_POOL_THREADS 4

struct block_pool {
	/* Carry out one request, blocking, on any thread; returns 0 or an errno value. */
	int (*execute)(void *opaque, struct block_request *r);
	void *opaque;
	int event_fd; /* readable when finished requests wait to be collected */

	pthread_mutex_t mutex;
	pthread_cond_t work, finished;
	struct block_request *waiting, **waiting_end, *done, **done_end;
	pthread_t thread[BLOCK_POOL_THREADS];
	unsigned threads, idle;
	unsigned in_flight; /* submitted and not collected */
	bool quit;
};

/* `event_fd` stays the caller's. */
void block_pool_init(struct block_pool *p, int event_fd,
		     int (*execute)(void *opaque, struct block_request *r), void *opaque);
/* Nothing may be in flight. */
void block_pool_destroy(struct block_pool *p);

void block_pool_submit(struct block_pool *p, struct block_request *r);
/* All requests that have finished, linked by `next`, each with its error. */
struct block_request *block_pool_collect(struct block_pool *p);
/* Wait until block_pool_collect() has something; not if nothing is in flight. */
void block_pool_wait(struct block_pool *p);

#endif
