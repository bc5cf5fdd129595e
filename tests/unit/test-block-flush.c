/*
 * A flush is done when the host has done it, and not before: on its way through io_uring and
 * through threads. The host's fdatasync() and io_uring's submission are watched, and can be held
 * up or made to fail.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "block-owner.h"

#define SIZE (1u << 20)

/* The host as the test wants it. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned syncs; /* asked for, of the image */
	bool held, failing;
} host = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static bool is_image(int fd)
{
	struct stat of_fd, of_image;

	return !fstat(fd, &of_fd) && !stat(image, &of_image) && of_fd.st_ino == of_image.st_ino &&
	       of_fd.st_dev == of_image.st_dev;
}

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int __wrap_fdatasync(int fd)
{
	bool failing;

	pthread_mutex_lock(&host.lock);
	host.syncs += is_image(fd);
	pthread_cond_broadcast(&host.changed);
	while (host.held)
		pthread_cond_wait(&host.changed, &host.lock);
	failing = host.failing;
	pthread_mutex_unlock(&host.lock);
	if (!failing)
		return __real_fdatasync(fd);
	errno = EIO;
	return -1;
}

#ifdef HAVE_LIBURING

#include <liburing.h>

int __real_io_uring_submit(struct io_uring *ring);
int __wrap_io_uring_submit(struct io_uring *ring);

/* Called with the device lock held: it cannot wait, but the kernel may have no room just now. */
int __wrap_io_uring_submit(struct io_uring *ring)
{
	int result = 0;

	pthread_mutex_lock(&host.lock);
	for (unsigned i = ring->sq.sqe_head; i != ring->sq.sqe_tail; i++) {
		struct io_uring_sqe *sqe = &ring->sq.sqes[i & *ring->sq.kring_mask];

		if (sqe->opcode != IORING_OP_FSYNC)
			continue;
		if (host.held)
			result = -EBUSY;
		host.syncs += is_image(sqe->fd) && sqe->fsync_flags == IORING_FSYNC_DATASYNC;
		if (host.failing)
			sqe->fd = -1;
	}
	pthread_cond_broadcast(&host.changed);
	pthread_mutex_unlock(&host.lock);
	return result ? result : __real_io_uring_submit(ring);
}

#endif

static void set_host(bool held, bool failing)
{
	pthread_mutex_lock(&host.lock);
	host.held = held;
	host.failing = failing;
	host.syncs = 0;
	pthread_cond_broadcast(&host.changed);
	pthread_mutex_unlock(&host.lock);
}

/* For as long as no host needs, so that the test ends. */
static void wait_for_sync(void)
{
	struct timespec limit;
	int error = 0;

	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 60;
	pthread_mutex_lock(&host.lock);
	while (!host.syncs && !error)
		error = pthread_cond_timedwait(&host.changed, &host.lock, &limit);
	pthread_mutex_unlock(&host.lock);
	if (error)
		fail_msg("the host was not asked to flush anything");
}

static void test_flush_waits_for_the_host(void **state)
{
	struct block_request r = {.op = BLOCK_FLUSH};
	static u8 bytes[8192];
	struct owner *o;

	(void)state;
	make_image(SIZE);
	set_host(false, false);
	o = owner_new(image, (struct block_options){0});
	assert_int_equal(transfer(o, BLOCK_WRITE, 0, bytes, sizeof(bytes)), 0);
	assert_int_equal(host.syncs, 0);

	set_host(true, false);
	loop_lock(&o->loop);
	o->done = 0;
	o->block->ops->submit(o->block, &r);
	o->block->ops->kick(o->block);
	wait_for_sync();
	assert_int_equal(o->done, 0);
	set_host(false, false);
	o->block->ops->kick(o->block);
	while (!o->done)
		pthread_cond_wait(&o->batch, &o->loop.lock);
	assert_int_equal(o->done, 1);
	assert_int_equal(r.error, 0);
	loop_unlock(&o->loop);
	owner_free(o);
}

/* One for each, however soon one follows the other: no flush is taken for another. */
static void test_each_flush_is_one(void **state)
{
	static u8 bytes[8192];
	struct owner *o;

	(void)state;
	make_image(SIZE);
	o = owner_new(image, (struct block_options){0});
	set_host(false, false);
	for (unsigned i = 1; i <= 20; i++) {
		assert_int_equal(transfer(o, BLOCK_WRITE, i * 8192, bytes, sizeof(bytes)), 0);
		assert_int_equal(transfer(o, BLOCK_FLUSH, 0, NULL, 0), 0);
		assert_int_equal(host.syncs, i);
	}
	owner_free(o);
}

static void test_failing_flush(void **state)
{
	struct owner *o;

	(void)state;
	make_image(SIZE);
	o = owner_new(image, (struct block_options){0});
	set_host(false, true);
	assert_int_not_equal(transfer(o, BLOCK_FLUSH, 0, NULL, 0), 0);
	assert_int_equal(host.syncs, 1);
	set_host(false, false);
	assert_int_equal(transfer(o, BLOCK_FLUSH, 0, NULL, 0), 0);
	owner_free(o);
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flush_waits_for_the_host),
		cmocka_unit_test(test_each_flush_is_one),
		cmocka_unit_test(test_failing_flush),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	(void)argv;
	no_uring = argc > 1;
	return run_tests_with_image(run);
}
