/*
 * Unit tests of disks in files: what is read and written, what flush, discard and write-zeroes
 * leave in the file, overlays, and every way an image can be refused. Run twice: with io_uring if
 * the host has it, and with threads alone (an argument).
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>
#include "block-owner.h"

#define SIZE (1u << 20)

static int zero(struct owner *o, u64 offset, u64 length, bool may_unmap)
{
	struct block_request *r = calloc(1, sizeof(*r));
	int error;

	*r = (struct block_request){.op = BLOCK_WRITE_ZEROES,
				    .may_unmap = may_unmap,
				    .offset = offset,
				    .length = length};
	error = carry_out(o, r);
	free(r);
	return error;
}

/* ------------------------------------------------------------- the image ---- */

static void read_image(u64 offset, void *out, u64 length)
{
	int fd = open(image, O_RDONLY);

	assert_int_equal(pread(fd, out, length, offset), length);
	close(fd);
}

static u64 image_space(void)
{
	struct stat st;

	assert_int_equal(stat(image, &st), 0);
	return st.st_blocks * 512ull;
}

static bool is_zero(const u8 *p, u64 length)
{
	while (length--)
		if (*p++)
			return false;
	return true;
}

/* ----------------------------------------------------------------- tests ---- */

static void test_read_write(void **state)
{
	static u8 expected[128 << 10], got[128 << 10];
	struct owner *o;

	(void)state;
	make_image(SIZE);
	o = owner_new(image, (struct block_options){0});
	assert_int_equal(o->block->size, SIZE);
	for (u64 length = 512; length <= sizeof(got); length *= 2) {
		read_image(512 * 3, expected, length);
		memset(got, 0, sizeof(got));
		assert_int_equal(transfer(o, BLOCK_READ, 512 * 3, got, length), 0);
		assert_memory_equal(got, expected, length);
		fill(expected, length, length);
		assert_int_equal(transfer(o, BLOCK_WRITE, 512 * 5, expected, length), 0);
		read_image(512 * 5, got, length);
		assert_memory_equal(got, expected, length);
	}
	assert_int_equal(transfer(o, BLOCK_FLUSH, 0, NULL, 0), 0);
	owner_free(o);
}

/* Many at once, from a driver that never waits: each is told of once. */
static void test_many(void **state)
{
	enum { COUNT = 400, LENGTH = 4096 };
	static struct block_request r[COUNT];
	static u8 bytes[LENGTH];
	struct owner *o;

	(void)state;
	make_image(SIZE);
	fill(bytes, LENGTH, 99);
	o = owner_new(image, (struct block_options){0});
	loop_lock(&o->loop);
	for (unsigned i = 0; i < COUNT; i++) {
		r[i] = (struct block_request){.op = BLOCK_WRITE,
					      .offset = i % 250 * LENGTH,
					      .length = LENGTH,
					      .segments = 1,
					      .segment[0] = {bytes, LENGTH},
					      .error = -1};
		o->block->ops->submit(o->block, &r[i]);
	}
	o->block->ops->kick(o->block);
	o->block->ops->drain(o->block);
	assert_int_equal(o->done, COUNT);
	loop_unlock(&o->loop);
	for (unsigned i = 0; i < COUNT; i++)
		assert_int_equal(r[i].error, 0);
	for (unsigned i = 0; i < 250; i++) {
		u8 got[LENGTH];

		read_image(i * LENGTH, got, LENGTH);
		assert_memory_equal(got, bytes, LENGTH);
	}
	owner_free(o);
}

static void test_zero_and_discard(void **state)
{
	static u8 got[SIZE], before[SIZE];
	struct owner *o;
	u64 space;

	(void)state;
	make_image(SIZE);
	read_image(0, before, SIZE);
	o = owner_new(image, (struct block_options){0});
	assert_int_equal(zero(o, 512, 3 * 512, false), 0);
	assert_int_equal(zero(o, 64 << 10, 512 << 10, true), 0);
	read_image(0, got, SIZE);
	assert_true(is_zero(got + 512, 3 * 512));
	assert_true(is_zero(got + (64 << 10), 512 << 10));
	assert_memory_equal(got, before, 512);
	assert_memory_equal(got + 2048, before + 2048, (64 << 10) - 2048);
	assert_memory_equal(got + (576 << 10), before + (576 << 10), SIZE - (576 << 10));
	space = image_space();
	assert_int_equal(transfer(o, BLOCK_DISCARD, 640 << 10, NULL, 256 << 10), 0);
	assert_true(image_space() < space);
	owner_free(o);
}

static void test_host_errors(void **state)
{
	static u8 bytes[8192];
	struct owner *o;

	(void)state;
	make_image(SIZE);
	o = owner_new(image, (struct block_options){0});
	assert_int_equal(truncate(image, 4096), 0); /* somebody else does */
	assert_int_equal(transfer(o, BLOCK_READ, SIZE / 2, bytes, sizeof(bytes)), EIO);
	owner_free(o);

	make_image(SIZE);
	o = owner_new(image, (struct block_options){.read_only = true});
	assert_true(o->block->read_only);
	assert_int_equal(transfer(o, BLOCK_WRITE, 0, bytes, sizeof(bytes)), EBADF);
	owner_free(o);
}

static void test_file_too_large(void **state)
{
	static u8 bytes[8192];
	struct rlimit old, small = {SIZE / 2, RLIM_INFINITY};
	struct owner *o;

	(void)state;
	make_image(SIZE);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	signal(SIGXFSZ, SIG_IGN);
	o = owner_new(image, (struct block_options){0});
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(transfer(o, BLOCK_WRITE, SIZE / 2, bytes, sizeof(bytes)), EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(transfer(o, BLOCK_WRITE, SIZE / 2, bytes, sizeof(bytes)), 0);
	owner_free(o);
}

/* An overlay against a model of the disk, with writes of every alignment. */
static void test_cow(void **state)
{
	enum { COW_SIZE = 65 * 512 + (64 << 10) }; /* ends within a cluster */
	static u8 model[COW_SIZE], got[COW_SIZE], bytes[16 << 10];
	struct owner *o;
	unsigned seed = 1;

	(void)state;
	make_image(COW_SIZE);
	read_image(0, model, COW_SIZE);
	o = owner_new(image, (struct block_options){.cow = true});
	assert_false(o->block->read_only);
	for (unsigned i = 0; i < 300; i++) {
		u64 offset, length;

		seed = seed * 1103515245 + 12345;
		offset = seed / 65536 % (COW_SIZE / 512) * 512;
		seed = seed * 1103515245 + 12345;
		length = (1 + seed / 65536 % 32) * 512;
		if (length > COW_SIZE - offset)
			length = COW_SIZE - offset;
		if (i % 4 == 3) {
			assert_int_equal(zero(o, offset, length, i % 8 == 3), 0);
			memset(model + offset, 0, length);
		} else {
			fill(bytes, length, i);
			assert_int_equal(transfer(o, BLOCK_WRITE, offset, bytes, length), 0);
			memcpy(model + offset, bytes, length);
		}
		if (i % 16 == 0 || i == 299) {
			assert_int_equal(transfer(o, BLOCK_READ, 0, got, COW_SIZE), 0);
			assert_memory_equal(got, model, COW_SIZE);
		}
	}
	assert_int_equal(transfer(o, BLOCK_FLUSH, 0, NULL, 0), 0);
	owner_free(o);
	fill(model, COW_SIZE, 1);
	read_image(0, got, COW_SIZE);
	assert_memory_equal(got, model, COW_SIZE);
}

static void refused(const char *name, struct block_options options, const char *words)
{
	struct error e = {""};

	assert_null(block_file_open(name, options, &e));
	if (!strstr(e.text, words))
		fail_msg("'%s' does not say '%s'", e.text, words);
	assert_non_null(strstr(e.text, name));
}

static void test_refused(void **state)
{
	const struct block_options plain = {0}, ro = {.read_only = true}, cow = {.cow = true};
	char name[80];

	(void)state;
	refused("/nowhere/x.img", plain, "No such file");
	refused(image_dir, plain, "is a directory");
	refused("/dev/null", plain, "neither a regular file nor a block device");
	make_image(0);
	refused(image, plain, "it is empty");
	make_image(1000);
	refused(image, plain, "not a multiple of 512 bytes (1000)");
	refused(image, cow, "not a multiple of 512 bytes (1000)");
	snprintf(name, sizeof(name), "%s/fifo", image_dir);
	assert_int_equal(mkfifo(name, 0600), 0);
	refused(name, ro, "neither a regular file");
	unlink(name);
	if (geteuid()) {
		make_image(SIZE);
		assert_int_equal(chmod(image, 0400), 0);
		refused(image, plain, "add ,ro");
		assert_int_equal(chmod(image, 0600), 0);
	}
}

#ifndef HAVE_LIBNBD
static void test_no_nbd(void **state)
{
	struct error e;

	(void)state;
	assert_null(block_nbd_open("nbd://x", (struct block_options){0}, &e));
	assert_non_null(strstr(e.text, "'nbd://x': this plex86 was built without libnbd"));
}
#endif

static void test_locks(void **state)
{
	const struct block_options plain = {0}, ro = {.read_only = true}, cow = {.cow = true};
	struct owner *a, *b;

	(void)state;
	make_image(SIZE);
	a = owner_new(image, plain);
	refused(image, plain, "already in use");
	refused(image, ro, "already in use");
	refused(image, cow, "already in use");
	owner_free(a);
	a = owner_new(image, ro);
	b = owner_new(image, cow);
	refused(image, plain, "already in use");
	owner_free(a);
	owner_free(b);
	owner_free(owner_new(image, plain));
}

static int run(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_write),	 cmocka_unit_test(test_many),
		cmocka_unit_test(test_zero_and_discard), cmocka_unit_test(test_host_errors),
		cmocka_unit_test(test_file_too_large),	 cmocka_unit_test(test_cow),
		cmocka_unit_test(test_refused),		 cmocka_unit_test(test_locks),
#ifndef HAVE_LIBNBD
		cmocka_unit_test(test_no_nbd),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

int main(int argc, char **argv)
{
	(void)argv;
	no_uring = argc > 1;
	return run_tests_with_image(run);
}
