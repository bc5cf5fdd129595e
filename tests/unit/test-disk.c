/*
 * Unit tests of virtio-blk: requests of a driver, good and bad, on a backend made of an array that
 * finishes requests when the test says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../phase1-user/hal/disk.h"
#include "virtio-driver.h"

#define SECTORS 64u
#define RAM	(2u << 20)

enum { IN = 0, OUT = 1, FLUSH = 4, GET_ID = 8, DISCARD = 11, WRITE_ZEROES = 13 };
enum { OK = 0, IOERR = 1, UNSUPP = 2, UNTOUCHED = 0xee };

#define F_RO	       (1ull << 5)
#define F_FLUSH	       (1ull << 9)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)
#define ALL	       (F_FLUSH | F_DISCARD | F_WRITE_ZEROES | VIRTIO_F_EVENT_INDEX | VIRTIO_F_INDIRECT)

/* ------------------------------------------------------ the mock backend ---- */

struct mock {
	struct block block;
	u8 data[SECTORS * BLOCK_SECTOR];
	struct block_request *waiting[512];
	unsigned waiting_count;
	bool deferred; /* finish requests in mock_finish(), not at once */
	int error;     /* what requests end with */
	unsigned submitted[5], kicks, drains, closed;
	bool last_unmap;
	u64 changed; /* what tells it from another; 0: nothing does */
};

static void carry_out(struct mock *m, struct block_request *r)
{
	u64 at = r->offset;

	for (unsigned i = 0; i < r->segments && !m->error; i++) {
		if (r->op == BLOCK_READ)
			memcpy(r->segment[i].iov_base, m->data + at, r->segment[i].iov_len);
		else
			memcpy(m->data + at, r->segment[i].iov_base, r->segment[i].iov_len);
		at += r->segment[i].iov_len;
	}
	if (r->op == BLOCK_WRITE_ZEROES || r->op == BLOCK_DISCARD)
		memset(m->data + r->offset, 0, r->length);
	r->error = m->error;
	m->block.owner.done(m->block.owner.opaque, r);
}

static bool mock_start(struct block *b, struct loop *loop, struct error *e)
{
	(void)b, (void)loop, (void)e;
	return true;
}

static void mock_submit(struct block *b, struct block_request *r)
{
	struct mock *m = (struct mock *)b;
	u64 bytes = 0;

	/* What every backend may rely on. */
	assert_true(r->offset % BLOCK_SECTOR == 0 && r->length % BLOCK_SECTOR == 0);
	assert_true(r->offset <= b->size && r->length <= b->size - r->offset);
	for (unsigned i = 0; i < r->segments; i++)
		bytes += r->segment[i].iov_len;
	if (r->op == BLOCK_READ || r->op == BLOCK_WRITE)
		assert_int_equal(bytes, r->length);
	m->submitted[r->op]++;
	m->last_unmap = r->may_unmap;
	if (m->deferred)
		m->waiting[m->waiting_count++] = r;
	else
		carry_out(m, r);
}

static void finish_waiting(struct mock *m, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		carry_out(m, m->waiting[i]);
	memmove(m->waiting, m->waiting + count, (m->waiting_count - count) * sizeof(m->waiting[0]));
	m->waiting_count -= count;
}

/* The first `count` that wait, as one batch. */
static void mock_finish(struct mock *m, unsigned count)
{
	finish_waiting(m, count);
	m->block.owner.batch(m->block.owner.opaque);
}

static void mock_kick(struct block *b)
{
	((struct mock *)b)->kicks++;
}

static void mock_drain(struct block *b)
{
	struct mock *m = (struct mock *)b;

	m->drains++;
	while (m->waiting_count)
		finish_waiting(m, m->waiting_count);
}

static void mock_close(struct block *b)
{
	((struct mock *)b)->closed++;
}

static bool mock_identify(struct block *b, struct block_identity *id, const char **why)
{
	const struct mock *m = (const struct mock *)b;

	*why = "the mock will not have it";
	*id = (struct block_identity){.size = b->size, .changed_ns = m->changed};
	return m->changed;
}

static const struct block_ops mock_ops = {mock_start, mock_submit, mock_kick,
					  mock_drain, mock_close,  mock_identify};

/* ------------------------------------------------------------- the bench ---- */

struct bench {
	struct mock mock;
	struct hal_device *disk;
	struct driver d;
	u64 status; /* of the last request */
};

static struct bench *bench_new(bool read_only, u64 features)
{
	struct bench *b = calloc(1, sizeof(*b));
	struct error e;

	b->mock.block.ops = &mock_ops;
	b->mock.block.size = sizeof(b->mock.data);
	b->mock.block.read_only = read_only;
	b->mock.block.can_discard = b->mock.block.can_write_zeroes = !read_only;
	for (size_t i = 0; i < sizeof(b->mock.data); i++)
		b->mock.data[i] = i / BLOCK_SECTOR * 7 + i;
	b->disk = disk_create(&b->mock.block, "/images/a-rather-long-name.img", &e);
	assert_non_null(b->disk);
	b->disk->kind = &hal_disk;
	b->disk->virtio.irq = 5;
	driver_init(&b->d, &b->disk->virtio, RAM);
	driver_start(&b->d, features, 256);
	return b;
}

static void bench_free(struct bench *b)
{
	b->disk->kind->destroy(b->disk);
	assert_int_equal(b->mock.closed, 1);
	driver_destroy(&b->d);
	free(b);
}

static u64 make_header(struct bench *b, u32 type, u64 sector)
{
	struct {
		u32 type, reserved;
		u64 sector;
	} header = {type, 0, sector};

	return driver_bytes(&b->d, &header, sizeof(header));
}

static u64 make_status(struct bench *b)
{
	const u8 untouched = UNTOUCHED;

	b->status = driver_bytes(&b->d, &untouched, 1);
	return b->status;
}

static u8 status(struct bench *b)
{
	return *(u8 *)driver_at(&b->d, b->status, 1);
}

/* Offer a request of a header, one buffer unless `len` is 0, and a status. */
static void offer(struct bench *b, u32 type, u64 sector, u64 data, u32 len)
{
	struct driver_buffer parts[3] = {{make_header(b, type, sector), 16, false}};
	unsigned n = 1;

	if (len)
		parts[n++] = (struct driver_buffer){data, len, type == IN || type == GET_ID};
	parts[n++] = (struct driver_buffer){make_status(b), 1, true};
	driver_add(&b->d, 0, parts, n);
}

/* One request from offer to used element; returns its status. */
static u8 request(struct bench *b, u32 type, u64 sector, u64 data, u32 len, u32 *written)
{
	u32 head, count;

	offer(b, type, sector, data, len);
	driver_notify(&b->d, 0);
	assert_true(driver_take(&b->d, 0, &head, &count));
	if (written)
		*written = count;
	return status(b);
}

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
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_read_and_write),
		cmocka_unit_test(test_any_layout),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_id),
		cmocka_unit_test(test_flush_waits),
		cmocka_unit_test(test_write_through),
		cmocka_unit_test(test_host_errors),
		cmocka_unit_test(test_nonsense_breaks),
		cmocka_unit_test(test_batches),
		cmocka_unit_test(test_too_much_in_flight),
		cmocka_unit_test(test_reset_drains),
		cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_snapshot_of_another_disk),
		cmocka_unit_test(test_snapshot_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
