/*
 * virtio-balloon (virtio 1.2, section 5.5): idle guests give memory back.
 *
 * Owns: the inflate, deflate and reporting queues. With free page reporting the guest names what it
 * does not use, and the host takes those pages away until they are touched again; the guest waits
 * for our answer, so nothing it still needs is among them. Nobody asks for the balloon proper to
 * be filled (num_pages stays 0), but a driver that fills it is served.
 */
#include <stdlib.h>
#include <string.h>
#include "device.h"

/* Linux numbers only the queues of features that were negotiated. */
enum { QUEUE_INFLATE, QUEUE_DEFLATE, QUEUE_REPORTING, QUEUES };

#define F_DEFLATE_ON_OOM (1ull << 2)
#define F_REPORTING	 (1ull << 5)

#define PFN_SHIFT 12
#define PFN_BATCH 256u

struct config_space {
	u32 num_pages; /* wanted in the balloon */
	u32 actual;    /* are in it; written by the driver */
};

struct balloon {
	struct hal_device hal;
	struct config_space config;
};

/* The whole pages within [gpa, gpa + len). */
static void release(struct virtio_device *v, u64 gpa, u64 len)
{
	const struct virtio_board *board = v->board;
	u64 from = (gpa + PAGE_SIZE_4K - 1) & ~(u64)(PAGE_SIZE_4K - 1);
	u64 to = (gpa + len) & ~(u64)(PAGE_SIZE_4K - 1);

	if (board->release && from < to)
		board->release(board->opaque, from, to - from);
}

static void release_reported(struct virtio_device *v, const struct virtq_chain *c)
{
	const struct iovec *part = virtq_in(c);

	for (unsigned i = 0; i < c->in_count; i++)
		release(v, (u8 *)part[i].iov_base - v->board->ram.base, part[i].iov_len);
}

/* Frame numbers, neighbours taken together. The device gives up only what is RAM. */
static void release_frames(struct virtio_device *v, const u32 *pfn, unsigned count)
{
	u64 from = 0, to = 0;

	for (unsigned i = 0; i < count; i++) {
		const u64 gpa = (u64)pfn[i] << PFN_SHIFT;

		if (!guest_ram_at(&v->board->ram, gpa, PAGE_SIZE_4K))
			continue;
		if (gpa != to) {
			release(v, from, to - from);
			from = gpa;
		}
		to = gpa + PAGE_SIZE_4K;
	}
	release(v, from, to - from);
}

static void inflate(struct virtio_device *v, const struct virtq_chain *c)
{
	u32 pfn[PFN_BATCH];
	u64 offset = 0;
	size_t got;

	while ((got = virtq_read(c, offset, pfn, sizeof(pfn))) >= sizeof(pfn[0])) {
		release_frames(v, pfn, got / sizeof(pfn[0]));
		offset += got;
	}
}

static void serve(struct virtio_device *v, unsigned index, const struct virtq_chain *c)
{
	if (index == QUEUE_REPORTING)
		release_reported(v, c);
	else if (index == QUEUE_INFLATE)
		inflate(v, c);
	/* Deflated pages come back by being touched. */
}

static void notify(struct virtio_device *v, unsigned index)
{
	struct virtqueue *q = &v->queue[index];
	struct virtq_chain chain;

	do {
		virtqueue_disable_notify(q);
		while (virtqueue_pop(q, &chain)) {
			serve(v, index, &chain);
			virtqueue_push(q, chain.head, 0);
		}
	} while (virtqueue_enable_notify(q));
	virtio_signal(v, q);
}

static const struct virtio_ops ops = {
	.name = "virtio-balloon",
	.guest_option = "CONFIG_VIRTIO_BALLOON",
	.notify = notify,
};

static struct hal_device *balloon_open(const char *spec, struct error *e)
{
	struct balloon *b = calloc(1, sizeof(*b));

	(void)spec;
	if (!b) {
		error_set(e, "balloon: out of memory");
		return NULL;
	}
	b->hal.virtio.ops = &ops;
	b->hal.virtio.id = VIRTIO_ID_BALLOON;
	b->hal.virtio.features = F_DEFLATE_ON_OOM | F_REPORTING;
	b->hal.virtio.queue_count = QUEUES;
	b->hal.virtio.config = (u8 *)&b->config;
	b->hal.virtio.config_size = sizeof(b->config);
	b->hal.virtio.config_writable = sizeof(b->config);
	return &b->hal;
}

static void balloon_destroy(struct hal_device *d)
{
	free(d);
}

const struct hal_kind hal_balloon = {
	.option = "balloon",
	.quiet = true,
	.open = balloon_open,
	.save = hal_save_nothing,
	.load = hal_load_nothing,
	.destroy = balloon_destroy,
};
