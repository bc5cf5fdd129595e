/*
 * Fuzzing virtio-blk: hostile rings, hostile requests, a backend that finishes them in any order
 * or not at all.
 *
 * The input is a list of operations on a disk that a driver has started. The backend aborts when
 * the disk breaks its word (block.h); ASan sees what leaves guest RAM.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "../../phase1-user/hal/disk.h"
#include "../unit/virtio-driver.h"

#define RAM	  (64u << 10)
#define SECTORS	  128u
#define STEPS	  2000
#define IN_FLIGHT 256

struct input {
	const u8 *data;
	size_t left;
};

static u32 take(struct input *in, unsigned bytes)
{
	u32 value = 0;

	for (unsigned i = 0; i < bytes && in->left; i++, in->left--)
		value |= (u32)*in->data++ << 8 * i;
	return value;
}

/* --------------------------------------------------------- the backend ---- */

struct backend {
	struct block block;
	const struct driver *driver;
	u8 data[SECTORS * BLOCK_SECTOR];
	struct block_request *waiting[IN_FLIGHT];
	unsigned count;
};

static void require(bool kept)
{
	if (!kept)
		abort();
}

static void check_segments(const struct backend *b, const struct block_request *r)
{
	const struct guest_ram *ram = &b->driver->board.ram;
	u64 bytes = 0;

	require(r->segments <= BLOCK_SEGMENTS);
	for (unsigned i = 0; i < r->segments; i++) {
		const u8 *base = r->segment[i].iov_base;

		require(base >= ram->base && r->segment[i].iov_len <= ram->size);
		require(base + r->segment[i].iov_len <= ram->base + ram->size);
		bytes += r->segment[i].iov_len;
	}
	require(bytes == r->length);
}

static void back_submit(struct block *block, struct block_request *r)
{
	struct backend *b = (struct backend *)block;

	require(r->offset % BLOCK_SECTOR == 0 && r->length % BLOCK_SECTOR == 0);
	require(r->offset <= block->size && r->length <= block->size - r->offset);
	require(r->op == BLOCK_READ || r->op == BLOCK_FLUSH || !block->read_only);
	if (r->op == BLOCK_READ || r->op == BLOCK_WRITE)
		check_segments(b, r);
	for (unsigned i = 0; i < b->count; i++)
		require(b->waiting[i] != r);
	require(b->count < IN_FLIGHT);
	b->waiting[b->count++] = r;
}

static void finish(struct backend *b, unsigned index, int error)
{
	struct block_request *r = b->waiting[index];
	u8 *at = b->data + r->offset;

	b->waiting[index] = b->waiting[--b->count];
	for (unsigned i = 0; i < r->segments && !error; i++) {
		struct iovec *s = &r->segment[i];

		/* Segments may overlap each other: it is the guest's memory, all of it. */
		if (r->op == BLOCK_READ)
			memcpy(s->iov_base, at, s->iov_len);
		else
			memcpy(at, s->iov_base, s->iov_len);
		at += s->iov_len;
	}
	r->error = error;
	b->block.owner.done(b->block.owner.opaque, r);
}

static bool back_start(struct block *block, struct loop *loop, struct error *e)
{
	(void)block, (void)loop, (void)e;
	return true;
}

static void back_kick(struct block *block)
{
	(void)block;
}

static void back_drain(struct block *block)
{
	struct backend *b = (struct backend *)block;

	while (b->count)
		finish(b, 0, 0);
}

static void back_close(struct block *block)
{
	(void)block;
}

static const struct block_ops back_ops = {back_start, back_submit, back_kick, back_drain,
					  back_close};

/* -------------------------------------------------------- the driver ---- */

/* Overwrite guest memory: rings, tables, requests, data. */
static void scribble(struct driver *d, struct input *in)
{
	u32 at = take(in, 2), len = take(in, 1);

	if (len > in->left)
		len = in->left;
	if (at + len > RAM)
		return;
	memcpy(d->board.ram.base + at, in->data, len);
	in->data += len;
	in->left -= len;
}

/* A request that may well make sense, at a place the input chooses. */
static void request(struct driver *d, struct input *in)
{
	struct driver_queue *q = &d->queue[0];
	u32 at = take(in, 2) % (RAM - 4096), type = take(in, 1), len = take(in, 1);
	u64 sector = (s8)take(in, 1);
	u16 first = take(in, 1), flags = type & 0x10 ? DRIVER_DESC_WRITE : 0;

	if (!q->size)
		return;
	type &= 15;
	first %= q->size;
	memcpy(d->board.ram.base + at, &type, sizeof(type));
	memcpy(d->board.ram.base + at + 8, &sector, sizeof(sector));
	driver_set_desc(d, 0, first, at, 16, DRIVER_DESC_NEXT, (first + 1) % q->size);
	driver_set_desc(d, 0, (first + 1) % q->size, at + 16, len * 16, flags | DRIVER_DESC_NEXT,
			(first + 2) % q->size);
	driver_set_desc(d, 0, (first + 2) % q->size, at, 1, DRIVER_DESC_WRITE, 0);
	driver_offer(d, 0, first);
}

static void offer(struct driver *d, struct input *in)
{
	struct driver_queue *q = &d->queue[0];
	u16 index = take(in, 1), flags = take(in, 1), next = take(in, 1);
	u32 addr = take(in, 2), len = take(in, 2);

	if (!q->size)
		return;
	driver_set_desc(d, 0, index % q->size, addr, len, flags, next);
	if (!(flags & 0x80))
		driver_offer(d, 0, index % q->size);
}

static void complete(struct backend *b, struct input *in)
{
	unsigned how = take(in, 1);

	for (unsigned i = 0; b->count && i <= how >> 4; i++)
		finish(b, how % b->count, how & 1 ? EIO : 0);
	b->block.owner.batch(b->block.owner.opaque);
}

static void step(struct driver *d, struct backend *b, struct input *in)
{
	u32 reg;

	switch (take(in, 1) % 8) {
	case 0:
		scribble(d, in);
		break;
	case 1:
		reg = take(in, 1) * 4;
		driver_write(d, reg, take(in, 4));
		break;
	case 2:
	case 3:
		request(d, in);
		break;
	case 4:
		offer(d, in);
		break;
	case 5:
		driver_notify(d, 0);
		break;
	case 6:
		complete(b, in);
		break;
	case 7:
		driver_acknowledge(d);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct backend b;
	struct input in = {data, size};
	struct driver driver;
	struct hal_device *disk;
	struct error e;
	const bool read_only = take(&in, 1) % 8 == 7;

	memset(&b, 0, sizeof(b));
	b.block = (struct block){.ops = &back_ops,
				 .size = sizeof(b.data),
				 .read_only = read_only,
				 .can_discard = true,
				 .can_write_zeroes = true};
	b.driver = &driver;
	disk = disk_create(&b.block, "fuzz.img", &e);
	if (!disk)
		return 0;
	driver_init(&driver, &disk->virtio, RAM);
	driver_start(&driver, driver_offered(&driver) & ~((u64)take(&in, 4) << 1), 16);
	for (unsigned i = 0; i < STEPS && in.left; i++)
		step(&driver, &b, &in);
	hal_disk.destroy(disk);
	driver_destroy(&driver);
	return 0;
}
