/*
 * See block-owner.h.
 */
#include "block-owner.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char image_dir[64], image[80];
bool no_uring;

#ifdef HAVE_LIBURING

#include <liburing.h>

int __real_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);
int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags);

int __wrap_io_uring_queue_init(unsigned entries, struct io_uring *ring, unsigned flags)
{
	return no_uring ? -ENOSYS : __real_io_uring_queue_init(entries, ring, flags);
}

#endif

static void on_done(void *opaque, struct block_request *r)
{
	struct owner *o = opaque;

	(void)r;
	o->done++;
}

static void on_batch(void *opaque)
{
	struct owner *o = opaque;

	o->batches++;
	pthread_cond_signal(&o->batch);
}

struct owner *owner_new(const char *name, struct block_options options)
{
	struct owner *o = calloc(1, sizeof(*o));
	struct error e;

	assert_true(loop_init(&o->loop, &e));
	pthread_cond_init(&o->batch, NULL);
	o->block = block_file_open(name, options, &e);
	if (!o->block)
		fail_msg("%s", e.text);
	o->block->owner = (struct block_owner){on_done, on_batch, o};
	assert_true(o->block->ops->start(o->block, &o->loop, &e));
	assert_true(loop_start(&o->loop, &e));
	return o;
}

void owner_free(struct owner *o)
{
	loop_stop(&o->loop);
	o->block->ops->drain(o->block);
	o->block->ops->close(o->block);
	loop_destroy(&o->loop);
	pthread_cond_destroy(&o->batch);
	free(o);
}

int carry_out(struct owner *o, struct block_request *r)
{
	loop_lock(&o->loop);
	o->done = 0;
	o->block->ops->submit(o->block, r);
	o->block->ops->kick(o->block);
	/* What is done at once is told of at once, by no batch. */
	while (!o->done)
		pthread_cond_wait(&o->batch, &o->loop.lock);
	assert_int_equal(o->done, 1);
	loop_unlock(&o->loop);
	return r->error;
}

int transfer(struct owner *o, enum block_op op, u64 offset, void *data, u64 length)
{
	struct block_request *r = calloc(1, sizeof(*r));
	int error;

	*r = (struct block_request){.op = op, .offset = offset, .length = length};
	if (data) { /* cut in two where no sector ends */
		r->segment[0] = (struct iovec){data, 100};
		r->segment[1] = (struct iovec){(u8 *)data + 100, length - 100};
		r->segments = 2;
	}
	error = carry_out(o, r);
	free(r);
	return error;
}

void fill(u8 *p, u64 length, unsigned seed)
{
	for (u64 i = 0; i < length; i++)
		p[i] = (i * 2654435761u >> 13) + i / 512 + seed;
}

void make_image(u64 size)
{
	u8 *bytes = malloc(size + 1);
	FILE *f = fopen(image, "w");

	fill(bytes, size, 1);
	assert_int_equal(fwrite(bytes, 1, size, f), size);
	fclose(f);
	free(bytes);
}

int run_tests_with_image(int (*run)(void))
{
	int failures;

	snprintf(image_dir, sizeof(image_dir), "/tmp/plex86-block-XXXXXX");
	if (!mkdtemp(image_dir))
		return 1;
	snprintf(image, sizeof(image), "%s/disk.img", image_dir);
	failures = run();
	unlink(image);
	rmdir(image_dir);
	return failures;
}
