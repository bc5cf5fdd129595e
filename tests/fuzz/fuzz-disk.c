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
#include "fuzz-driver.h"

#define SECTORS	  128u
#define IN_FLIGHT 256

/* --------------------------------------------------------- the backend ---- */

struct backend {
	struct block block;
	const struct driver *driver;
	u8 data[SECTORS * BLOCK_SECTOR];
	struct block_request *waiting[IN_FLIGHT];
	unsigned count;
};

static void check_segments(const struct backend *b, const struct block_request *r)
{
	const struct guest_ram *ram = &b->driver->board.ram;
	u64 bytes = 0;

	fuzz_require(r->segments <= BLOCK_SEGMENTS);
	for (unsigned i = 0; i < r->segments; i++) {
		const u8 *base = r->segment[i].iov_base;

		fuzz_require(base >= ram->base && r->segment[i].iov_len <= ram->size);
		fuzz_require(base + r->segment[i].iov_len <= ram->base + ram->size);
		bytes += r->segment[i].iov_len;
	}
	fuzz_require(bytes == r->length);
}

static void back_submit(struct block *block, struct block_request *r)
{
	struct backend *b = (struct backend *)block;

	fuzz_require(r->offset % BLOCK_SECTOR == 0 && r->length % BLOCK_SECTOR == 0);
	fuzz_require(r->offset <= block->size && r->length <= block->size - r->offset);
	fuzz_require(r->op == BLOCK_READ || r->op == BLOCK_FLUSH || !block->read_only);
	if (r->op == BLOCK_READ || r->op == BLOCK_WRITE)
		check_segments(b, r);
	for (unsigned i = 0; i < b->count; i++)
		fuzz_require(b->waiting[i] != r);
	fuzz_require(b->count < IN_FLIGHT);
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

static const struct block_ops back_ops = {
	.start = back_start,
	.submit = back_submit,
	.kick = back_kick,
	.drain = back_drain,
	.close = back_close,
};

/* -------------------------------------------------------- the driver ---- */

/* A request that may well make sense, at a place the input chooses. */
static void request(struct driver *d, struct fuzz_input *in)
{
	struct driver_queue *q = &d->queue[0];
	u32 at = fuzz_take(in, 2) % (FUZZ_RAM - 4096), type = fuzz_take(in, 1);
	u32 len = fuzz_take(in, 1);
	u64 sector = (s8)fuzz_take(in, 1);
	u16 first = fuzz_take(in, 1), flags = type & 0x10 ? DRIVER_DESC_WRITE : 0;

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

static void complete(struct backend *b, struct fuzz_input *in)
{
	unsigned how = fuzz_take(in, 1);

	for (unsigned i = 0; b->count && i <= how >> 4; i++)
		finish(b, how % b->count, how & 1 ? EIO : 0);
	b->block.owner.batch(b->block.owner.opaque);
}

static void step(struct driver *d, struct backend *b, struct fuzz_input *in)
{
	switch (fuzz_take(in, 1) % 8) {
	case 0:
		fuzz_scribble(d, in);
		break;
	case 1:
		fuzz_write_register(d, in, 4);
		break;
	case 2:
	case 3:
		request(d, in);
		break;
	case 4:
		fuzz_offer(d, 0, in);
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

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct backend b;
	struct fuzz_input in = {data, size};
	struct driver driver;
	struct hal_device *disk;
	struct error e;
	const bool read_only = fuzz_take(&in, 1) % 8 == 7;

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
	driver_init(&driver, &disk->virtio, FUZZ_RAM);
	driver_start(&driver, driver_offered(&driver) & ~((u64)fuzz_take(&in, 4) << 1), 16);
	for (unsigned i = 0; i < FUZZ_STEPS && in.left; i++)
		step(&driver, &b, &in);
	hal_disk.destroy(disk);
	driver_destroy(&driver);
	return 0;
}
