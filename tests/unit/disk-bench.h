/*
 * A disk on a backend that does what a test wants, and its driver.
 */
#ifndef PLEX86_DISK_BENCH_H
#define PLEX86_DISK_BENCH_H

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

static inline void carry_out(struct mock *m, struct block_request *r)
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

static inline bool mock_start(struct block *b, struct loop *loop, struct error *e)
{
	(void)b, (void)loop, (void)e;
	return true;
}

static inline void mock_submit(struct block *b, struct block_request *r)
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

static inline void finish_waiting(struct mock *m, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		carry_out(m, m->waiting[i]);
	memmove(m->waiting, m->waiting + count, (m->waiting_count - count) * sizeof(m->waiting[0]));
	m->waiting_count -= count;
}

/* The first `count` that wait, as one batch. */
static inline void mock_finish(struct mock *m, unsigned count)
{
	finish_waiting(m, count);
	m->block.owner.batch(m->block.owner.opaque);
}

static inline void mock_kick(struct block *b)
{
	((struct mock *)b)->kicks++;
}

static inline void mock_drain(struct block *b)
{
	struct mock *m = (struct mock *)b;

	m->drains++;
	while (m->waiting_count)
		finish_waiting(m, m->waiting_count);
}

static inline void mock_close(struct block *b)
{
	((struct mock *)b)->closed++;
}

static inline bool mock_identify(struct block *b, struct block_identity *id, const char **why)
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

static inline struct bench *bench_new(bool read_only, u64 features)
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

static inline void bench_free(struct bench *b)
{
	b->disk->kind->destroy(b->disk);
	assert_int_equal(b->mock.closed, 1);
	driver_destroy(&b->d);
	free(b);
}

static inline u64 make_header(struct bench *b, u32 type, u64 sector)
{
	struct {
		u32 type, reserved;
		u64 sector;
	} header = {type, 0, sector};

	return driver_bytes(&b->d, &header, sizeof(header));
}

static inline u64 make_status(struct bench *b)
{
	const u8 untouched = UNTOUCHED;

	b->status = driver_bytes(&b->d, &untouched, 1);
	return b->status;
}

static inline u8 status(struct bench *b)
{
	return *(u8 *)driver_at(&b->d, b->status, 1);
}

/* Offer a request of a header, one buffer unless `len` is 0, and a status. */
static inline void offer(struct bench *b, u32 type, u64 sector, u64 data, u32 len)
{
	struct driver_buffer parts[3] = {{make_header(b, type, sector), 16, false}};
	unsigned n = 1;

	if (len)
		parts[n++] = (struct driver_buffer){data, len, type == IN || type == GET_ID};
	parts[n++] = (struct driver_buffer){make_status(b), 1, true};
	driver_add(&b->d, 0, parts, n);
}

/* One request from offer to used element; returns its status. */
static inline u8 request(struct bench *b, u32 type, u64 sector, u64 data, u32 len, u32 *written)
{
	u32 head, count;

	offer(b, type, sector, data, len);
	driver_notify(&b->d, 0);
	assert_true(driver_take(&b->d, 0, &head, &count));
	if (written)
		*written = count;
	return status(b);
}

#endif
