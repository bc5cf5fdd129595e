/*
 * Fuzzing virtio-net: hostile rings, hostile headers, frames for a guest that changes everything.
 *
 * The input is a list of operations on a card that a driver has started. The backend's mock aborts
 * when the card breaks its word (netdev.h); ASan sees what leaves guest RAM.
 */
#include <stdlib.h>
#include <string.h>
#include "../unit/mock-netdev.h"
#include "fuzz-driver.h"

#define ALL (MOCK_OFFLOADS | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_INDEX)

extern const struct hal_kind hal_net;

enum { RX, TX };

static void deliver(struct mock_netdev *m, struct fuzz_input *in)
{
	static const u8 frame[NETDEV_FRAME_MAX];
	const struct virtio_net_hdr header = {.flags = fuzz_take(in, 1)};
	u32 len = fuzz_take(in, 2);

	netdev_deliver(&m->dev, &header, frame, len);
	if (in->left & 1)
		netdev_delivered(&m->dev);
}

static void step(struct driver *d, struct mock_netdev *m, struct fuzz_input *in)
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
		fuzz_offer(d, fuzz_take(in, 1) & 1, in);
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

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct mock_netdev backend;
	struct fuzz_input in = {data, size};
	struct driver driver;
	struct hal_device *card;

	mock_netdev_init(&backend);
	card = net_create(&backend.dev, NULL, "fuzz");
	if (!card)
		return 0;
	driver_init(&driver, &card->virtio, FUZZ_RAM);
	driver_start(&driver, ALL & ~((u64)fuzz_take(&in, 4) << 1), 16);
	for (unsigned i = 0; i < FUZZ_STEPS && in.left; i++)
		step(&driver, &backend, &in);
	hal_net.destroy(card);
	driver_destroy(&driver);
	return 0;
}
