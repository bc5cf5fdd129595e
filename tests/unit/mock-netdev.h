/*
 * A network backend that only remembers, for tests of virtio-net.
 *
 * Owns: what the card has sent, and what it was told.
 */
#ifndef PLEX86_TEST_MOCK_NETDEV_H
#define PLEX86_TEST_MOCK_NETDEV_H

#include "../../phase1-user/hal/netdev.h"

struct mock_netdev {
	struct netdev dev;
	u8 frame[NETDEV_FRAME_MAX]; /* the last one */
	size_t len;
	struct virtio_net_hdr header;
	unsigned frames, batches, resumes, destroyed;
	u64 negotiated;
};

/* Every offload there is. */
#define MOCK_OFFLOADS                                                                \
	(VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 |     \
	 VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_GUEST_ECN | VIRTIO_NET_F_HOST_TSO4 | \
	 VIRTIO_NET_F_HOST_TSO6 | VIRTIO_NET_F_HOST_ECN)

/* It is the caller's memory: destroying the card only counts. */
void mock_netdev_init(struct mock_netdev *m);

#endif
