/*
 * What owns a disk's backend in tests: carries requests out one by one, on an image of its own.
 *
 * Owns: the image in a temporary directory, a loop, and io_uring's absence, if a test wants that.
 */
#ifndef PLEX86_TEST_BLOCK_OWNER_H
#define PLEX86_TEST_BLOCK_OWNER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "../../phase1-user/hal/block.h"

struct owner {
	struct loop loop;
	struct block *block;
	unsigned done, batches;
	pthread_cond_t batch;
};

/* Does the host refuse io_uring? Needs -Wl,--wrap=io_uring_queue_init. */
extern bool no_uring;
extern char image_dir[64], image[80];

struct owner *owner_new(const char *name, struct block_options options);
void owner_free(struct owner *o);

/* Carry out one request to its end, told by the I/O thread; returns its error. */
int carry_out(struct owner *o, struct block_request *r);
/* The same for the request described; `data` may be NULL. */
int transfer(struct owner *o, enum block_op op, u64 offset, void *data, u64 length);

/* The image anew, with fill(..., 1) in it. */
void make_image(u64 size);
void fill(u8 *p, u64 length, unsigned seed);

/* run() with a directory for the image, which goes away at the end. */
int run_tests_with_image(int (*run)(void));

#endif
