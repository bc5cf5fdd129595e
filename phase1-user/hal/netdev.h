/*
 * What a network card is plugged into: the border between virtio-net and its backends.
 *
 * Owns: struct netdev. A backend knows nothing of queues and guest memory, virtio-net (net.c)
 * nothing of sockets. All functions are called with the device lock held (phase1-user/loop.h).
 */
#ifndef PLEX86_HAL_NETDEV_H
#define PLEX86_HAL_NETDEV_H

#include <sys/uio.h>
#include "device.h"

/* The longest frame either way: Ethernet header, VLAN tag and the longest IP packet. */
#define NETDEV_FRAME_MAX (14u + 4 + 65535)

/* Features of virtio-net (virtio 1.2, 5.1.3); those a backend may offer are HOST_*, what the guest
 * may send, GUEST_*, what it may be sent, and CSUM, checksums left to the card. */
#define VIRTIO_NET_F_CSUM	(1ull << 0)
#define VIRTIO_NET_F_GUEST_CSUM (1ull << 1)
#define VIRTIO_NET_F_MTU	(1ull << 3)
#define VIRTIO_NET_F_MAC	(1ull << 5)
#define VIRTIO_NET_F_GUEST_TSO4 (1ull << 7)
#define VIRTIO_NET_F_GUEST_TSO6 (1ull << 8)
#define VIRTIO_NET_F_GUEST_ECN	(1ull << 9)
#define VIRTIO_NET_F_HOST_TSO4	(1ull << 11)
#define VIRTIO_NET_F_HOST_TSO6	(1ull << 12)
#define VIRTIO_NET_F_HOST_ECN	(1ull << 13)
#define VIRTIO_NET_F_MRG_RXBUF	(1ull << 15)
#define VIRTIO_NET_F_STATUS	(1ull << 16)

/* What stands before a frame (5.1.6), without the count of buffers. Linux's tap has the same. */
struct virtio_net_hdr {
	u8 flags, gso_type;
	u16 hdr_len, gso_size;
	u16 csum_start, csum_offset;
};

enum { VIRTIO_NET_HDR_F_NEEDS_CSUM = 1, VIRTIO_NET_HDR_F_DATA_VALID = 2 };

enum {
	VIRTIO_NET_HDR_GSO_NONE = 0,
	VIRTIO_NET_HDR_GSO_TCPV4 = 1,
	VIRTIO_NET_HDR_GSO_TCPV6 = 4,
	VIRTIO_NET_HDR_GSO_ECN = 0x80, /* a flag besides */
};

struct netdev;

struct netdev_ops {
	/* The machine is built: watch descriptors. May be NULL. */
	bool (*start)(struct netdev *n, struct loop *loop, struct error *e);
	/* Of what the backend offers, the driver has taken `features`. May be NULL. */
	void (*negotiated)(struct netdev *n, u64 features);
	/* A frame from the guest, at most NETDEV_FRAME_MAX bytes. `header` has been checked against
	 * the features and the length, the frame itself has not, and the guest may be changing it.
	 * It is gone when this returns: what cannot be sent is dropped. */
	void (*send)(struct netdev *n, const struct virtio_net_hdr *header,
		     const struct iovec *frame, unsigned segments, size_t len);
	/* That was the last one of a batch. May be NULL. */
	void (*sent)(struct netdev *n);
	/* The guest takes frames again, after netdev_deliver() has refused one. */
	void (*resume)(struct netdev *n);
	/* The I/O thread is gone, and its descriptors with it: close, free. */
	void (*destroy)(struct netdev *n);
};

/* The head of every backend's own structure. */
struct netdev {
	const struct netdev_ops *ops;
	u64 features; /* VIRTIO_NET_F_*: the offloads that it can do */
	u16 mtu;
	struct net *net; /* the card; not the backend's */
};

/* A frame for the guest. False: it has no room for it now; offer it again after resume(). True if
 * it was delivered or, as by a card without a driver, dropped. */
bool netdev_deliver(struct netdev *n, const struct virtio_net_hdr *header, const void *frame,
		    size_t len);
/* That was the last one of a batch: the guest is interrupted if it wants to know. */
void netdev_delivered(struct netdev *n);

/* Copy a frame that send() was given into `to`, which has room for all of it; returns its length.
 */
size_t netdev_flatten(u8 *to, const struct iovec *segment, unsigned segments);

/* A card with the backend `n`, which it destroys in the end. `mac` may be NULL: one is made from
 * `spec`. NULL: no memory, and `n` is as it was. */
struct hal_device *net_create(struct netdev *n, const u8 *mac, const char *spec);

/* A card of a recorded run: what comes for it goes to `arrived`, which returns what
 * netdev_deliver() does; from there it comes to the card by net_receive(), which drops what there
 * is no room for. After `arrived` has refused a frame, net_resume(). Of a device of kind "net". */
struct net_gate {
	bool (*arrived)(void *opaque, const struct virtio_net_hdr *header, const void *frame,
			size_t len);
	void *opaque;
};
void net_set_gate(struct hal_device *d, const struct net_gate *gate);
void net_receive(struct hal_device *d, const struct virtio_net_hdr *header, const void *frame,
		 size_t len);
void net_resume(struct hal_device *d);

/* Six bytes, of a device of kind "net" that has been attached. */
void net_get_mac(const struct hal_device *d, u8 *mac);

/* The backends. `word` are the parts of the spec that net.c does not know, the backend's name
 * first; they may be written to. NULL: `e` says what is wrong. */
struct netdev *net_user_open(char **word, unsigned words, struct error *e);
#define NET_USER_FEATURES (VIRTIO_NET_F_CSUM | VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_HOST_TSO4)
/* The words of the recorded run's. */
struct netdev *net_recorded_open(char **word, unsigned words, struct error *e);
struct netdev *net_tap_open(char **word, unsigned words, struct error *e);
/* Chooses an address if the user has not. */
struct netdev *net_lan_open(char **word, unsigned words, u8 *mac, bool *has_mac, struct error *e);

#endif
