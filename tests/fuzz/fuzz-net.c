/*
 * Fuzzing virtio-net: hostile rings, hostile headers, frames for a guest that changes everything.
 *
 * The input is a list of operations on a card that a driver has started. The backend's mock aborts
 * when the card breaks its word (netdev.h); ASan sees what leaves guest RAM.
 */
#include <stdlib.h>
#include <string.h>
#include "../unit/mock-netdev.h"
#include "../unit/virtio-driver.h"

#define RAM   (64u << 10)
#define ALL   (MOCK_OFFLOADS | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_INDEX)
#define STEPS 2000

extern const struct hal_kind hal_net;

enum { RX, TX };

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

/* Overwrite guest memory: rings, tables, buffers. */
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

/* A descriptor and its place in the ring, so that chains are common. */
static void offer(struct driver *d, struct input *in)
{
	unsigned queue = take(in, 1) & 1;
	struct driver_queue *q = &d->queue[queue];
	u16 index = take(in, 1), flags = take(in, 1), next = take(in, 1);
	u32 addr = take(in, 2), len = take(in, 2);

	if (!q->size)
		return;
	driver_set_desc(d, queue, index % q->size, addr, len, flags, next);
	if (!(flags & 0x80))
		driver_offer(d, queue, index % q->size);
}

static void deliver(struct mock_netdev *m, struct input *in)
{
	static const u8 frame[NETDEV_FRAME_MAX];
	const struct virtio_net_hdr header = {.flags = take(in, 1)};
	u32 len = take(in, 2);

	netdev_deliver(&m->dev, &header, frame, len);
	if (in->left & 1)
		netdev_delivered(&m->dev);
}

static void step(struct driver *d, struct mock_netdev *m, struct input *in)
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
		offer(d, in);
		break;
	case 4:
		deliver(m, in);
		break;
	case 5:
		driver_notify(d, RX);
		break;
	case 6:
		driver_notify(d, TX);
		break;
	case 7:
		driver_acknowledge(d);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct mock_netdev backend;
	struct input in = {data, size};
	struct driver driver;
	struct hal_device *card;

	mock_netdev_init(&backend);
	card = net_create(&backend.dev, NULL, "fuzz");
	if (!card)
		return 0;
	driver_init(&driver, &card->virtio, RAM);
	driver_start(&driver, ALL & ~((u64)take(&in, 4) << 1), 16);
	for (unsigned i = 0; i < STEPS && in.left; i++)
		step(&driver, &backend, &in);
	hal_net.destroy(card);
	driver_destroy(&driver);
	return 0;
}
