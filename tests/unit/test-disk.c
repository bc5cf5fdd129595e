/*
 * Unit tests of virtio-blk: requests of a driver, good and bad, on a backend made of an array that
 * finishes requests when the test says so.
 */
#include "disk-bench.h"

/* ----------------------------------------------------------------- tests ---- */

static void test_config(void **state)
{
	struct bench *b = bench_new(false, ALL);
	u64 capacity;
	u32 word;

	(void)state;
	driver_config(&b->d, 0, &capacity, 8);
	assert_int_equal(capacity, SECTORS);
	driver_config(&b->d, 12, &word, 4); /* seg_max */
	assert_int_equal(word, 254);
	driver_config(&b->d, 20, &word, 4); /* blk_size */
	assert_int_equal(word, 512);
	driver_config(&b->d, 40, &word, 4); /* max_discard_seg */
	assert_int_equal(word, 1);
	assert_true((driver_offered(&b->d) & ALL) == ALL);
	assert_false(driver_offered(&b->d) & F_RO);
	bench_free(b);

	b = bench_new(true, F_FLUSH | F_RO);
	assert_true(driver_offered(&b->d) & F_RO);
	assert_false(driver_offered(&b->d) & (F_DISCARD | F_WRITE_ZEROES));
	bench_free(b);
}

static void test_read_and_write(void **state)
{
	struct bench *b = bench_new(false, ALL);
	const u64 data = driver_alloc(&b->d, 2 * BLOCK_SECTOR, 1);
	u8 *bytes = driver_at(&b->d, data, 2 * BLOCK_SECTOR);
	u32 written;

	(void)state;
	assert_int_equal(request(b, IN, 3, data, 2 * BLOCK_SECTOR, &written), OK);
	assert_int_equal(written, 2 * BLOCK_SECTOR + 1);
	assert_memory_equal(bytes, b->mock.data + 3 * BLOCK_SECTOR, 2 * BLOCK_SECTOR);

	memset(bytes, 0x5a, 2 * BLOCK_SECTOR);
	assert_int_equal(request(b, OUT, SECTORS - 2, data, 2 * BLOCK_SECTOR, &written), OK);
	assert_int_equal(written, 1);
	assert_memory_equal(bytes, b->mock.data + (SECTORS - 2) * BLOCK_SECTOR, 2 * BLOCK_SECTOR);
	assert_int_equal(b->mock.submitted[BLOCK_FLUSH], 0);
	bench_free(b);
}

/* Version 1 devices may not care how a request is cut into descriptors. */
static void test_any_layout(void **state)
{
	struct bench *b = bench_new(false, ALL);
	const u64 all = driver_alloc(&b->d, 16 + BLOCK_SECTOR, 1);
	const u64 in = driver_alloc(&b->d, BLOCK_SECTOR + 1, 1);
	const u32 type = OUT;
	const u64 sector = 9;
	const struct driver_buffer out_parts[] = {
		{all, 5, false},	{all + 5, 0, false},	      {all + 5, 12, false},
		{all + 17, 511, false}, {in + BLOCK_SECTOR, 1, true},
	};
	const struct driver_buffer in_parts[] = {
		{all, 16, false},
		{in, 1, true},
		{in + 1, 500, true},
		{in + 501, 12, true}, /* the status ends the data's buffer */
	};
	u32 head, written;

	(void)state;
	memcpy(driver_at(&b->d, all, 4), &type, 4);
	memcpy(driver_at(&b->d, all + 8, 8), &sector, 8);
	memset(driver_at(&b->d, all + 16, BLOCK_SECTOR), 0xc3, BLOCK_SECTOR);
	driver_add_indirect(&b->d, 0, out_parts, 5);
	driver_notify(&b->d, 0);
	assert_true(driver_take(&b->d, 0, &head, &written));
	assert_memory_equal(b->mock.data + 9 * BLOCK_SECTOR,
			    driver_at(&b->d, all + 16, BLOCK_SECTOR), BLOCK_SECTOR);

	*(u8 *)driver_at(&b->d, all, 1) = IN;
	driver_add(&b->d, 0, in_parts, 4);
	driver_notify(&b->d, 0);
	assert_true(driver_take(&b->d, 0, &head, &written));
	assert_int_equal(written, 513);
	assert_int_equal(*(u8 *)driver_at(&b->d, in + 512, 1), OK);
	assert_memory_equal(b->mock.data + 9 * BLOCK_SECTOR, driver_at(&b->d, in, BLOCK_SECTOR),
			    BLOCK_SECTOR);
	bench_free(b);
}

static void test_refused(void **state)
{
	struct bench *b = bench_new(false, ALL);
	const u64 data = driver_alloc(&b->d, 4 * BLOCK_SECTOR, 1);
	u32 written;

	(void)state;
	for (u32 type = IN; type <= OUT; type++) {
		assert_int_equal(request(b, type, 0, data, 511, &written), IOERR);
		assert_int_equal(written, 0);
		assert_int_equal(request(b, type, 0, data, 513, NULL), IOERR);
		assert_int_equal(request(b, type, SECTORS, data, 512, NULL), IOERR);
		assert_int_equal(request(b, type, SECTORS - 1, data, 1024, NULL), IOERR);
		assert_int_equal(request(b, type, ~0ull, data, 512, NULL), IOERR);
		assert_int_equal(request(b, type, 1ull << 55, data, 512, NULL), IOERR);
	}
	assert_int_equal(b->mock.submitted[BLOCK_READ] + b->mock.submitted[BLOCK_WRITE], 0);
	assert_int_equal(request(b, 2, 0, data, 512, NULL), UNSUPP);
	assert_int_equal(request(b, 0x80000000u, 0, data, 512, NULL), UNSUPP);
	assert_int_equal(b->d.warnings, 0);
	bench_free(b);

	b = bench_new(true, F_FLUSH | F_RO);
	assert_int_equal(request(b, OUT, 0, driver_alloc(&b->d, 512, 1), 512, NULL), IOERR);
	assert_int_equal(b->mock.submitted[BLOCK_WRITE], 0);
	bench_free(b);
}

static u8 range_request(struct bench *b, u32 type, u64 sector, u32 sectors, u32 flags, u32 len)
{
	struct {
		u64 sector;
		u32 sectors, flags;
	} range[2] = {{sector, sectors, flags}, {sector, sectors, flags}};

	return request(b, type, 0, driver_bytes(&b->d, range, len), len, NULL);
}

static void test_ranges(void **state)
{
	struct bench *b = bench_new(false, ALL);

	(void)state;
	assert_int_equal(range_request(b, DISCARD, 8, 8, 0, 16), OK);
	assert_int_equal(b->mock.data[8 * BLOCK_SECTOR + 1], 0);
	assert_int_equal(range_request(b, WRITE_ZEROES, 20, 3, 1, 16), OK);
	assert_true(b->mock.last_unmap);
	assert_int_equal(b->mock.data[22 * BLOCK_SECTOR + 1], 0);
	assert_int_equal(range_request(b, WRITE_ZEROES, 30, 1, 0, 16), OK);
	assert_false(b->mock.last_unmap);
	assert_int_equal(b->mock.submitted[BLOCK_DISCARD], 1);
	assert_int_equal(b->mock.submitted[BLOCK_WRITE_ZEROES], 2);

	assert_int_equal(range_request(b, DISCARD, 0, 1, 1, 16), UNSUPP);
	assert_int_equal(range_request(b, WRITE_ZEROES, 0, 1, 2, 16), UNSUPP);
	assert_int_equal(range_request(b, DISCARD, SECTORS - 1, 2, 0, 16), IOERR);
	assert_int_equal(range_request(b, DISCARD, ~0ull, 2, 0, 16), IOERR);
	assert_int_equal(range_request(b, DISCARD, 0, ~0u, 0, 16), IOERR);
	assert_int_equal(range_request(b, DISCARD, 0, 1, 0, 32), IOERR);
	assert_int_equal(range_request(b, DISCARD, 0, 1, 0, 15), IOERR);
	assert_int_equal(b->mock.submitted[BLOCK_DISCARD], 1);
	bench_free(b);

	b = bench_new(false, F_FLUSH);
	assert_int_equal(range_request(b, DISCARD, 0, 1, 0, 16), UNSUPP);
	assert_int_equal(range_request(b, WRITE_ZEROES, 0, 1, 0, 16), UNSUPP);
	bench_free(b);
}

static void test_id(void **state)
{
	struct bench *b = bench_new(false, ALL);
	const u64 data = driver_alloc(&b->d, 20, 1);
	u32 written;

	(void)state;
	assert_int_equal(request(b, GET_ID, 0, data, 20, &written), OK);
	assert_int_equal(written, 21);
	assert_memory_equal(driver_at(&b->d, data, 20), "a-rather-long-name.img", 20);
	memset(driver_at(&b->d, data, 20), 0, 20);
	assert_int_equal(request(b, GET_ID, 0, data, 8, &written), OK);
	assert_memory_equal(driver_at(&b->d, data, 9), "a-rather\0", 9);
	bench_free(b);
}

static void test_flush_waits(void **state)
{
	struct bench *b = bench_new(false, ALL);
	u32 head, written;

	(void)state;
	b->mock.deferred = true;
	offer(b, FLUSH, 0, 0, 0);
	driver_notify(&b->d, 0);
	assert_int_equal(b->mock.submitted[BLOCK_FLUSH], 1);
	assert_int_equal(b->mock.kicks, 1);
	assert_int_equal(status(b), UNTOUCHED);
	assert_false(driver_take(&b->d, 0, &head, &written));
	mock_finish(&b->mock, 1);
	assert_true(driver_take(&b->d, 0, &head, &written));
	assert_int_equal(status(b), OK);
	assert_int_equal(b->d.interrupts, 1);
	bench_free(b);
}

/* Where nothing may depend on how fast the host is, one after the other, and all before notify
 * returns. */
static void test_at_once(void **state)
{
	struct bench *b = bench_new(false, ALL);
	const u64 data = driver_alloc(&b->d, 512, 1);
	unsigned before;
	u32 head, written;

	(void)state;
	b->mock.deferred = true;
	before = b->mock.drains;
	b->d.board.at_once = true;
	offer(b, IN, 1, data, 512);
	offer(b, FLUSH, 0, 0, 0);
	driver_notify(&b->d, 0);
	assert_int_equal(b->mock.drains, before + 2);
	assert_int_equal(b->mock.waiting_count, 0);
	assert_true(driver_take(&b->d, 0, &head, &written));
	assert_int_equal(written, 513);
	assert_true(driver_take(&b->d, 0, &head, &written));
	assert_int_equal(written, 1);
	assert_memory_equal(driver_at(&b->d, data, 512), b->mock.data + 512, 512);
	assert_int_equal(b->d.interrupts, 1);
	bench_free(b);
}

static void test_write_through(void **state)
{
	struct bench *b = bench_new(false, 0);
	u32 head, written;

	(void)state;
	b->mock.deferred = true;
	offer(b, OUT, 1, driver_alloc(&b->d, 512, 1), 512);
	driver_notify(&b->d, 0);
	mock_finish(&b->mock, 1);
	assert_false(driver_take(&b->d, 0, &head, &written));
	assert_int_equal(b->mock.submitted[BLOCK_FLUSH], 1);
	mock_finish(&b->mock, 1);
	assert_true(driver_take(&b->d, 0, &head, &written));
	assert_int_equal(status(b), OK);
	assert_int_equal(request(b, GET_ID, 0, driver_alloc(&b->d, 20, 1), 20, NULL), OK);
	bench_free(b);
}

static void test_host_errors(void **state)
{
	struct bench *b = bench_new(false, ALL);
	const u64 data = driver_alloc(&b->d, 512, 1);
	u32 written;

	(void)state;
	b->mock.error = ENOSPC;
	assert_int_equal(request(b, IN, 1, data, 512, &written), IOERR);
	assert_int_equal(written, 0);
	assert_int_equal(request(b, OUT, 1, data, 512, NULL), IOERR);
	assert_int_equal(request(b, FLUSH, 0, 0, 0, NULL), IOERR);
	assert_int_equal(range_request(b, DISCARD, 0, 1, 0, 16), IOERR);
	assert_int_equal(b->d.warnings, 1); /* the user hears of the first */
	assert_non_null(strstr(b->d.warning, strerror(ENOSPC)));
	b->mock.error = 0;
	assert_int_equal(request(b, OUT, 1, data, 512, NULL), OK);
	bench_free(b);
}

static void test_nonsense_breaks(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct bench *b = bench_new(false, ALL);
		const u64 header = make_header(b, IN, 0);
		const struct driver_buffer parts[3][2] = {
			{{header, 16, false}, {make_status(b), 0, true}}, /* no status */
			{{header, 15, false}, {make_status(b), 1, true}}, /* half a header */
			{{make_status(b), 1, true}, {header, 16, true}},  /* no header */
		};
		u32 head, written;

		driver_add(&b->d, 0, parts[i], 2);
		driver_notify(&b->d, 0);
		assert_false(driver_take(&b->d, 0, &head, &written));
		assert_int_equal(b->d.warnings, 1);
		assert_true(driver_read(&b->d, DRIVER_REG_STATUS) & DRIVER_NEEDS_RESET);
		driver_start(&b->d, ALL, 8);
		assert_int_equal(request(b, FLUSH, 0, 0, 0, NULL), OK);
		bench_free(b);
	}
}

static void test_batches(void **state)
{
	struct bench *b = bench_new(false, ALL);
	u32 head, written;

	(void)state;
	b->mock.deferred = true;
	for (unsigned i = 0; i < 8; i++)
		offer(b, FLUSH, 0, 0, 0);
	driver_notify(&b->d, 0);
	assert_int_equal(b->mock.kicks, 1);
	assert_int_equal(driver_device_event(&b->d, 0), 8);
	mock_finish(&b->mock, 3);
	assert_int_equal(b->d.interrupts, 1);
	assert_int_equal(driver_acknowledge(&b->d), 1);
	/* The driver wants to hear of the seventh. */
	driver_want_interrupt_at(&b->d, 0, 6);
	mock_finish(&b->mock, 3);
	assert_false(b->d.irq);
	mock_finish(&b->mock, 2);
	assert_true(b->d.irq);
	assert_int_equal(b->d.interrupts, 2);
	for (unsigned i = 0; i < 8; i++)
		assert_true(driver_take(&b->d, 0, &head, &written));
	bench_free(b);
}

/* A driver that offers its descriptors again before they are used has more in flight than there
 * are: what the disk has no room for waits. */
static void test_too_much_in_flight(void **state)
{
	struct bench *b = bench_new(false, ALL);
	const struct driver_buffer parts[] = {{make_header(b, FLUSH, 0), 16, false},
					      {make_status(b), 1, true}};
	u16 head;

	(void)state;
	b->mock.deferred = true;
	head = driver_add(&b->d, 0, parts, 2);
	for (unsigned i = 1; i < 200; i++)
		driver_offer(&b->d, 0, head);
	driver_notify(&b->d, 0);
	for (unsigned i = 0; i < 200; i++)
		driver_offer(&b->d, 0, head);
	driver_notify(&b->d, 0);
	assert_int_equal(b->mock.waiting_count, 256);
	mock_finish(&b->mock, 100);
	assert_int_equal(b->mock.waiting_count, 256);
	mock_finish(&b->mock, 256);
	assert_int_equal(b->mock.waiting_count, 44);
	mock_finish(&b->mock, 44);
	assert_int_equal(b->mock.submitted[BLOCK_FLUSH], 400);
	assert_int_equal(b->d.warnings, 0);
	bench_free(b);
}

static void test_reset_drains(void **state)
{
	struct bench *b = bench_new(false, ALL);
	const u64 data = driver_alloc(&b->d, 512, 1);

	(void)state;
	b->mock.deferred = true;
	offer(b, IN, 0, data, 512);
	driver_notify(&b->d, 0);
	driver_reset(&b->d);
	assert_int_equal(b->mock.waiting_count, 0);
	assert_false(b->d.irq);
	b->mock.deferred = false;
	driver_start(&b->d, ALL, 16);
	assert_int_equal(request(b, IN, 0, data, 512, NULL), OK);
	bench_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_read_and_write),
		cmocka_unit_test(test_any_layout),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_id),
		cmocka_unit_test(test_flush_waits),
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(test_write_through),
		cmocka_unit_test(test_host_errors),
		cmocka_unit_test(test_nonsense_breaks),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_too_much_in_flight),
		cmocka_unit_test(test_reset_drains),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
