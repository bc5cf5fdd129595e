/*
 * Fuzzing the virtqueue and the transport: any order of register accesses, any contents of RAM.
 *
 * The input is a list of operations on four devices: a copier made here, which looks at every chain
 * closely, and the balloon, the console and the guest's ear, whose parsers are short. ASan sees
 * what leaves guest RAM; what a device relies on is asserted.
 */
#include <stdlib.h>
#include <string.h>
#include "../../phase1-user/hal/agent.h"
#include "../../phase1-user/hal/virtio-console.h"
#include "../unit/virtio-driver.h"

#define RAM   (64u << 10)
#define STEPS 2000

extern const struct hal_kind hal_agent, hal_balloon, hal_console;

struct input {
	const u8 *data;
	size_t left;
};

static struct driver d;

static u32 take(struct input *in, unsigned bytes)
{
	u32 value = 0;

	for (unsigned i = 0; i < bytes && in->left; i++, in->left--)
		value |= (u32)*in->data++ << 8 * i;
	return value;
}

static void require(bool condition)
{
	if (!condition)
		abort();
}

/* ---- the copier: what it reads of a chain it writes back ---- */

static void check_chain(const struct virtq_chain *c)
{
	u64 bytes = 0;

	require(c->out_count + c->in_count <= VIRTQUEUE_MAX_SEGMENTS);
	for (unsigned i = 0; i < c->out_count + c->in_count; i++) {
		const u8 *base = c->segment[i].iov_base;

		require(base >= d.board.ram.base && base < d.board.ram.base + RAM);
		require(c->segment[i].iov_len <= (size_t)(d.board.ram.base + RAM - base));
		bytes += c->segment[i].iov_len;
	}
	require(bytes == c->out_bytes + c->in_bytes);
}

static void copier_notify(struct virtio_device *v, unsigned index)
{
	struct virtqueue *q = &v->queue[index];
	struct virtq_chain chain;
	u8 bytes[512];
	size_t n;
	unsigned chains = 0;

	require(virtio_running(v) && q->ready);
	virtqueue_disable_notify(q);
	/* A chain may rewrite the rings: then there is no end, but neither is there for a guest. */
	while (chains++ < 1000 && virtqueue_pop(q, &chain)) {
		check_chain(&chain);
		n = virtq_read(&chain, 0, bytes, sizeof(bytes));
		require(n <= chain.out_bytes);
		n = virtq_write(&chain, 0, bytes, n);
		require(n <= chain.in_bytes);
		virtqueue_push(q, chain.head, n);
	}
	virtqueue_enable_notify(q);
	virtio_signal(v, q);
	require(!q->broken || !virtio_running(v));
}

static void copier_start(struct virtio_device *v)
{
	/* Nothing runs on features that were not offered. */
	require(!(v->negotiated &
		  ~(1ull | VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_INDEX | VIRTIO_F_VERSION_1)));
	require(v->negotiated & VIRTIO_F_VERSION_1);
}

static const struct virtio_ops copier_ops = {
	.name = "virtio-copier",
	.guest_option = "",
	.notify = copier_notify,
	.start = copier_start,
};

/* ---- the others ---- */

static void release(void *opaque, u64 gpa, u64 len)
{
	(void)opaque;
	require(!(gpa % PAGE_SIZE_4K) && !(len % PAGE_SIZE_4K) && len);
	require(gpa < RAM && len <= RAM - gpa);
	memset(d.board.ram.base + gpa, 0, len);
}

static volatile u8 sink;

static void output(void *opaque, const u8 *data, size_t n)
{
	(void)opaque;
	for (size_t i = 0; i < n; i++)
		sink = data[i];
}

static void drained(void *opaque)
{
	static const u8 typed[] = "typed\x0f";
	struct hal_device *console = opaque;

	require(virtio_console_input(console, typed, sizeof(typed)) <= sizeof(typed));
}

static void changed(void *opaque, bool up)
{
	(void)opaque;
	(void)up;
}

/* ---- operations ---- */

static void scribble(struct input *in)
{
	u32 at = take(in, 2), len = take(in, 1);

	if (len > in->left)
		len = in->left;
	if (at + len > RAM)
		return;
	memcpy(d.board.ram.base + at, in->data, len);
	in->data += len;
	in->left -= len;
}

static void access(struct input *in)
{
	u32 reg = take(in, 2) % VIRTIO_MMIO_SIZE, size = 1u << (take(in, 1) & 3);
	u64 value = take(in, 4);

	bus_mmio(&d.bus, VIRTIO_MMIO_BASE + reg, size, reg & 1, &value);
}

/* A register at its place, so that set-ups are common. */
static void write_register(struct input *in)
{
	u32 reg = (take(in, 1) & 0x3f) * 4;

	driver_write(&d, reg, take(in, 2));
}

static void offer(struct input *in)
{
	unsigned queue = take(in, 1) % d.device->queue_count;
	struct driver_queue *q = &d.queue[queue];
	u16 index = take(in, 1), flags = take(in, 1), next = take(in, 1);
	u32 addr = take(in, 2), len = take(in, 2);

	if (!q->size)
		return;
	driver_set_desc(&d, queue, index % q->size, addr, len, flags & 0x7f, next);
	if (!(flags & 0x80))
		driver_offer(&d, queue, index % q->size);
	driver_notify(&d, queue);
}

static void step(struct input *in)
{
	switch (take(in, 1) % 6) {
	case 0:
		scribble(in);
		break;
	case 1:
		access(in);
		break;
	case 2:
		write_register(in);
		break;
	case 3:
		driver_notify(&d, take(in, 1) % d.device->queue_count);
		break;
	default:
		offer(in);
	}
}

static void run(struct virtio_device *v, struct input *in)
{
	u8 how = take(in, 1);

	driver_init(&d, v, RAM);
	d.board.release = release;
	if (how & 1)
		driver_start(&d,
			     (how & 2 ? VIRTIO_F_INDIRECT : 0) |
				     (how & 4 ? VIRTIO_F_EVENT_INDEX : 0),
			     1u << (how >> 3 & 3));
	for (unsigned i = 0; in->left && i < STEPS; i++)
		step(in);
	driver_destroy(&d);
}

static void run_kind(const struct hal_kind *kind, struct input *in)
{
	struct error e;
	struct hal_device *device = kind->open("", &e);
	const struct virtio_console_config callbacks = {output, drained, changed, device};

	require(device);
	if (kind == &hal_console)
		virtio_console_connect(device, &callbacks);
	if (kind == &hal_agent)
		agent_power_off(device);
	run(&device->virtio, in);
	kind->destroy(device);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size};
	u8 config[16] = {0};
	struct virtio_device copier = {
		.ops = &copier_ops,
		.id = VIRTIO_ID_RNG,
		.features = 1,
		.queue_count = 2,
		.config = config,
		.config_size = sizeof(config),
		.config_writable = 8,
	};

	switch (take(&in, 1) % 5) {
	case 0:
		run_kind(&hal_balloon, &in);
		break;
	case 1:
		run_kind(&hal_console, &in);
		break;
	case 4:
		run_kind(&hal_agent, &in);
		break;
	default:
		run(&copier, &in);
	}
	return 0;
}
