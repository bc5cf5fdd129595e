/*
 * Unit tests of phase1-user/hal/disk.c: disks in snapshots.
 */
#include "disk-bench.h"

/* As a snapshot does it. */
static bool save(struct bench *b, struct byte_writer *w)
{
	struct hal hal = {.device = {b->disk}, .count = 1};
	struct error e;

	return hal_save(&hal, w, &e);
}

static bool load(struct bench *b, const struct byte_writer *w)
{
	struct hal hal = {.device = {b->disk}, .count = 1};
	struct byte_reader r = {w->data, w->used, w->failed};
	struct error e;
	u64 bells;

	return hal_load(&hal, &r, &bells, &e) && bytes_all_read(&r);
}

/* Requests in flight end first; another disk like it, with the guest's RAM, goes on from there. */
static void test_snapshot(void **state)
{
	struct bench *b = bench_new(false, ALL), *other = bench_new(false, ALL);
	const u64 data = driver_alloc(&b->d, 512, 1);
	struct byte_writer w = {0};
	u32 head, written;

	(void)state;
	b->mock.changed = other->mock.changed = 99;
	b->mock.deferred = true;
	offer(b, IN, 3, data, 512);
	driver_notify(&b->d, 0);
	assert_true(save(b, &w));
	assert_int_equal(b->mock.waiting_count, 0);
	assert_int_equal(status(b), OK);
	assert_true(b->d.irq);

	memcpy(other->d.board.ram.base, b->d.board.ram.base, RAM);
	assert_true(load(other, &w));
	memcpy(other->d.queue, b->d.queue, sizeof(b->d.queue));
	other->d.allocated = b->d.allocated;
	other->d.irq = b->d.irq;
	other->status = b->status;
	assert_int_not_equal(driver_acknowledge(&other->d), 0);
	assert_true(driver_take(&other->d, 0, &head, &written));
	assert_int_equal(written, 513);
	assert_int_equal(request(other, IN, 5, data, 512, NULL), OK);
	assert_memory_equal(driver_at(&other->d, data, 512), other->mock.data + 5 * 512, 512);
	bytes_free(&w);
	bench_free(other);
	bench_free(b);
}

static void test_snapshot_of_another_disk(void **state)
{
	struct bench *b = bench_new(false, ALL), *other = bench_new(true, 0);
	struct byte_writer w = {0};

	(void)state;
	assert_false(save(b, &w));
	bytes_free(&w);
	b->mock.changed = 99;
	assert_true(save(b, &w));
	b->mock.changed = 100; /* it was written */
	assert_false(load(b, &w));
	other->mock.changed = 99; /* it cannot be written */
	assert_false(load(other, &w));
	b->mock.changed = 99;
	assert_true(load(b, &w));
	bytes_free(&w);
	bench_free(other);
	bench_free(b);
}

/* Any byte of it wrong: refused, or a state that a driver could have made; and cut off anywhere. */
static void test_snapshot_damaged(void **state)
{
	struct bench *b = bench_new(false, ALL), *other = bench_new(false, ALL);
	struct byte_writer w = {0};

	(void)state;
	b->mock.changed = other->mock.changed = 99;
	assert_true(save(b, &w));
	for (size_t i = 0; i < w.used; i++)
		for (unsigned bit = 0; bit < 8; bit++) {
			w.data[i] ^= 1u << bit;
			if (load(other, &w))
				driver_notify(&other->d, 0);
			w.data[i] ^= 1u << bit;
		}
	for (size_t size = w.used; size--;) {
		struct byte_writer cut = {malloc(size + 1), size, size, false};

		memcpy(cut.data, w.data, size);
		assert_false(load(other, &cut));
		bytes_free(&cut);
	}
	bytes_free(&w);
	bench_free(other);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_snapshot_of_another_disk),
		cmocka_unit_test(test_snapshot_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
