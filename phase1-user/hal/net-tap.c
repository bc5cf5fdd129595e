/*
 * A tap interface of the host: the guest is on whatever network the host puts it.
 *
 * Owns: the descriptor of /dev/net/tun. Offloads are the host kernel's: its header before each
 * frame is virtio-net's own.
 */
#include "netdev.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BATCH	 64
#define SEGMENTS (VIRTQUEUE_MAX_SEGMENTS + 1)
#define OFFLOADS (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)

struct net_tap {
	struct netdev dev;
	struct loop *loop;
	struct loop_source source;
	char name[IFNAMSIZ];
	/* A frame as it is read. If `held` is not 0, the guest had no room for it; the descriptor
	 * is then not watched and the host keeps or drops what follows. */
	struct {
		struct virtio_net_hdr header;
		u8 frame[NETDEV_FRAME_MAX];
	} __attribute__((packed)) packet;
	size_t held;
};

/* The header alone is no frame; 0: none there. */
static size_t read_frame(struct net_tap *t)
{
	ssize_t n = read(t->source.fd, &t->packet, sizeof(t->packet));

	return n > (ssize_t)sizeof(t->packet.header) ? n - sizeof(t->packet.header) : 0;
}

static bool deliver(struct net_tap *t, size_t len)
{
	struct virtio_net_hdr header = t->packet.header;

	return netdev_deliver(&t->dev, &header, t->packet.frame, len);
}

static void ready(struct loop_source *source, u32 events)
{
	struct net_tap *t = (struct net_tap *)((char *)source - offsetof(struct net_tap, source));

	(void)events;
	for (unsigned i = 0; i < BATCH && !t->held; i++) {
		size_t len = read_frame(t);

		if (!len)
			break;
		if (!deliver(t, len))
			t->held = len;
	}
	netdev_delivered(&t->dev);
	if (t->held)
		loop_unwatch(t->loop, source);
}

static void tap_resume(struct netdev *dev)
{
	struct net_tap *t = (struct net_tap *)dev;

	if (!t->held || !deliver(t, t->held))
		return;
	t->held = 0;
	netdev_delivered(dev);
	loop_watch(t->loop, &t->source, EPOLLIN);
}

static void tap_send(struct netdev *dev, const struct virtio_net_hdr *header,
		     const struct iovec *frame, unsigned segments, size_t len)
{
	struct net_tap *t = (struct net_tap *)dev;
	struct iovec part[SEGMENTS] = {{(void *)header, sizeof(*header)}};

	(void)len;
	memcpy(part + 1, frame, segments * sizeof(*frame));
	/* The host refuses frames that make no sense, and all while its end is down. */
	if (writev(t->source.fd, part, segments + 1) < 0)
		return;
}

/* What the guest can take, the host may send. */
static void tap_negotiated(struct netdev *dev, u64 features)
{
	struct net_tap *t = (struct net_tap *)dev;
	unsigned offload = 0;

	/* Without checksums nothing else is possible. */
	if (features & VIRTIO_NET_F_GUEST_CSUM) {
		offload |= TUN_F_CSUM;
		if (features & VIRTIO_NET_F_GUEST_TSO4)
			offload |= TUN_F_TSO4;
		if (features & VIRTIO_NET_F_GUEST_TSO6)
			offload |= TUN_F_TSO6;
		if ((features & VIRTIO_NET_F_GUEST_ECN) && offload != TUN_F_CSUM)
			offload |= TUN_F_TSO_ECN;
	}
	ioctl(t->source.fd, TUNSETOFFLOAD, offload);
}

static bool tap_start(struct netdev *dev, struct loop *loop, struct error *e)
{
	struct net_tap *t = (struct net_tap *)dev;

	t->loop = loop;
	if (loop_watch(loop, &t->source, EPOLLIN))
		return true;
	return error_set(e, "net 'tap=%s': watching it: %s", t->name, strerror(errno));
}

static void tap_destroy(struct netdev *dev)
{
	struct net_tap *t = (struct net_tap *)dev;

	if (t->source.fd >= 0)
		close(t->source.fd);
	free(t);
}

static const struct netdev_ops tap_ops = {
	.start = tap_start,
	.negotiated = tap_negotiated,
	.send = tap_send,
	.resume = tap_resume,
	.destroy = tap_destroy,
};

/* ------------------------------------------------------------ opening ---- */

static bool attach(struct net_tap *t, struct error *e)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};

	strcpy(request.ifr_name, t->name);
	if (!ioctl(t->source.fd, TUNSETIFF, &request))
		return true;
	switch (errno) {
	case EPERM:
		return error_set(e,
				 "net 'tap=%s': it belongs to another user (as root: ip tuntap add "
				 "dev %s mode tap user NAME; -n user needs no rights)",
				 t->name, t->name);
	case EBUSY:
		return error_set(e, "net 'tap=%s': another program uses it", t->name);
	case EINVAL:
		return error_set(e, "net 'tap=%s': not a tap interface, or one with many queues",
				 t->name);
	}
	return error_set(e, "net 'tap=%s': %s", t->name, strerror(errno));
}

static u16 mtu_of(const char *name)
{
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool known;

	strcpy(request.ifr_name, name);
	known = fd >= 0 && !ioctl(fd, SIOCGIFMTU, &request);
	if (fd >= 0)
		close(fd);
	return known && request.ifr_mtu <= 0xffff ? request.ifr_mtu : 1500;
}

static bool open_tap(struct net_tap *t, struct error *e)
{
	/* The host would make a missing one, for root, and take it away again at the end. */
	if (!if_nametoindex(t->name))
		return error_set(e,
				 "net 'tap=%s': there is no such interface (as root: ip tuntap add "
				 "dev %s mode tap user NAME, and ip link set %s up)",
				 t->name, t->name, t->name);
	t->source.fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (t->source.fd < 0)
		return error_set(e,
				 "net 'tap=%s': opening /dev/net/tun: %s (as root: modprobe tun, "
				 "chmod 666 /dev/net/tun; -n user needs no rights)",
				 t->name, strerror(errno));
	if (!attach(t, e))
		return false;
	t->dev.mtu = mtu_of(t->name);
	t->dev.features = VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4 | VIRTIO_NET_F_HOST_TSO6 |
			  VIRTIO_NET_F_HOST_ECN;
	if (!ioctl(t->source.fd, TUNSETOFFLOAD, OFFLOADS))
		t->dev.features |= VIRTIO_NET_F_GUEST_CSUM | VIRTIO_NET_F_GUEST_TSO4 |
				   VIRTIO_NET_F_GUEST_TSO6 | VIRTIO_NET_F_GUEST_ECN;
	ioctl(t->source.fd, TUNSETOFFLOAD, 0);
	return true;
}

struct netdev *net_tap_open(char **word, unsigned words, struct error *e)
{
	const char *name = word[0] + strlen("tap=");
	struct net_tap *t;

	if (!name[0] || strlen(name) >= IFNAMSIZ) {
		error_set(e, "net '%s': not the name of an interface: 1 to %d characters", word[0],
			  IFNAMSIZ - 1);
		return NULL;
	}
	if (words > 1) {
		error_set(e, "net '%s': unknown option '%s' (there is mac=)", word[0], word[1]);
		return NULL;
	}
	t = calloc(1, sizeof(*t));
	if (!t) {
		error_set(e, "net '%s': out of memory", word[0]);
		return NULL;
	}
	strcpy(t->name, name);
	t->dev.ops = &tap_ops;
	t->source.fd = -1;
	t->source.ready = ready;
	if (open_tap(t, e))
		return &t->dev;
	tap_destroy(&t->dev);
	return NULL;
}
