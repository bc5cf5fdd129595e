/*
 * Fuzzing the virtqueue and the transport: any order of register accesses, any contents of RAM.
 *
 * The input is a list of operations on a copier, a device made here that looks at every chain
 * closely. ASan sees what leaves guest RAM; what a device relies on is asserted.
 */
#include <string.h>
#include "fuzz-driver.h"

static struct driver d;

/* ---- the copier: what it reads of a chain it writes back ---- */

static void check_chain(const struct virtq_chain *c)
{
	u64 bytes = 0;

	fuzz_require(c->out_count + c->in_count <= VIRTQUEUE_MAX_SEGMENTS);
	for (unsigned i = 0; i < c->out_count + c->in_count; i++) {
		const u8 *base = c->segment[i].iov_base;

		fuzz_require(base >= d.board.ram.base && base < d.board.ram.base + FUZZ_RAM);
		fuzz_require(c->segment[i].iov_len <=
			     (size_t)(d.board.ram.base + FUZZ_RAM - base));
		bytes += c->segment[i].iov_len;
	}
	fuzz_require(bytes == c->out_bytes + c->in_bytes);
}

static void copier_notify(struct virtio_device *v, unsigned index)
{
	struct virtqueue *q = &v->queue[index];
	struct virtq_chain chain;
	u8 bytes[512];
	size_t n;
	unsigned chains = 0;

	fuzz_require(virtio_running(v) && q->ready);
	virtqueue_disable_notify(q);
	/* A chain may rewrite the rings: then there is no end, but neither is there for a guest. */
	while (chains++ < 1000 && virtqueue_pop(q, &chain)) {
		check_chain(&chain);
		n = virtq_read(&chain, 0, bytes, sizeof(bytes));
		fuzz_require(n <= chain.out_bytes);
		n = virtq_write(&chain, 0, bytes, n);
		fuzz_require(n <= chain.in_bytes);
		virtqueue_push(q, chain.head, n);
	}
	virtqueue_enable_notify(q);
	virtio_signal(v, q);
	fuzz_require(!q->broken || !virtio_running(v));
}

static void copier_start(struct virtio_device *v)
{
	/* Nothing runs on features that were not offered. */
	fuzz_require(!(v->negotiated &
		  ~(1ull | VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_INDEX | VIRTIO_F_VERSION_1)));
	fuzz_require(v->negotiated & VIRTIO_F_VERSION_1);
}

static const struct virtio_ops copier_ops = {
	.name = "virtio-copier",
	.guest_option = "",
	.notify = copier_notify,
	.start = copier_start,
};

/* ---- operations ---- */

static void access(struct fuzz_input *in)
{
	u32 reg = fuzz_take(in, 2) % VIRTIO_MMIO_SIZE, size = 1u << (fuzz_take(in, 1) & 3);
	u64 value = fuzz_take(in, 4);

	bus_mmio(&d.bus, VIRTIO_MMIO_BASE + reg, size, reg & 1, &value);
}

static void offer(struct fuzz_input *in)
{
	unsigned queue = fuzz_take(in, 1) % d.device->queue_count;

	fuzz_offer(&d, queue, in);
	driver_notify(&d, queue);
}

static void step(struct fuzz_input *in)
{
	switch (fuzz_take(in, 1) % 6) {
	case 0:
		fuzz_scribble(&d, in);
		break;
	case 1:
		access(in);
		break;
	case 2:
		fuzz_write_register(&d, in, 2);
		break;
	case 3:
		driver_notify(&d, fuzz_take(in, 1) % d.device->queue_count);
		break;
	default:
		offer(in);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_input in = {data, size};
	u8 how = fuzz_take(&in, 1), config[16] = {0};
	struct virtio_device copier = {
		.ops = &copier_ops,
		.id = VIRTIO_ID_RNG,
		.features = 1,
		.queue_count = 2,
		.config = config,
		.config_size = sizeof(config),
		.config_writable = 8,
	};

	driver_init(&d, &copier, FUZZ_RAM);
	if (how & 1)
		driver_start(&d,
			     (how & 2 ? VIRTIO_F_INDIRECT : 0) |
				     (how & 4 ? VIRTIO_F_EVENT_INDEX : 0),
			     1u << (how >> 3 & 3));
	for (unsigned i = 0; in.left && i < FUZZ_STEPS; i++)
		step(&in);
	driver_destroy(&d);
	return 0;
}
