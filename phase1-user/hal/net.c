/*
 * virtio-net: a network card (virtio 1.2, section 5.1).
 *
 * Owns: the receive and the transmit queue, the header before each frame, the MAC address, and the
 * part of the -n option that is the same for all backends. Where frames come from and go to is a
 * backend's business (netdev.h). There is no control queue: the card is always promiscuous.
 */
#include "netdev.h"
#include "../../common/fnv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RX, TX, QUEUES };

#define HEADER	   sizeof(struct full_header)
#define ETH_HEADER 14u
#define WORDS_MAX  64
#define RECORDED   "recorded," /* what `plex86 replay` puts before it */
#define FEATURES \
	(VIRTIO_NET_F_MTU | VIRTIO_NET_F_MAC | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_STATUS)

/* In the queues the header is one field longer. */
struct full_header {
	struct virtio_net_hdr net;
	u16 num_buffers;
};

/* The configuration space (5.1.4). */
struct config {
	u8 mac[6];
	u16 status;
	u16 max_virtqueue_pairs;
	u16 mtu;
};

#define STATUS_LINK_UP 1

struct net {
	struct hal_device hal;
	struct netdev *backend;
	struct net_gate gate;
	bool up;	/* between DRIVER_OK and reset */
	bool delivered; /* the receive queue has news for the driver */
	bool fixed_mac;
	u32 spec_hash;
	struct config config;
	struct virtq_chain first, chain;
	struct virtq_used used[VIRTQUEUE_MAX_SIZE], sent[VIRTQUEUE_MAX_SIZE];
};

static struct net *net_of(struct virtio_device *v)
{
	return (struct net *)((char *)v - offsetof(struct net, hal.virtio));
}

static bool has(const struct net *n, u64 feature)
{
	return n->hal.virtio.negotiated & feature;
}

static bool running(const struct net *n)
{
	return n->up && virtio_running(&n->hal.virtio);
}

/* ----------------------------------------------------------- transmit ---- */

static bool gso_allowed(const struct net *n, const struct virtio_net_hdr *h)
{
	if (h->gso_type == VIRTIO_NET_HDR_GSO_NONE)
		return true;
	/* Each piece needs a checksum of its own, and a length. */
	if (!(h->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) || !h->gso_size)
		return false;
	if ((h->gso_type & VIRTIO_NET_HDR_GSO_ECN) && !has(n, VIRTIO_NET_F_HOST_ECN))
		return false;
	switch (h->gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return has(n, VIRTIO_NET_F_HOST_TSO4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return has(n, VIRTIO_NET_F_HOST_TSO6);
	}
	return false;
}

/* Does a frame of `len` bytes ask only for what was negotiated, and only within itself? */
static bool header_allowed(const struct net *n, const struct virtio_net_hdr *h, size_t len)
{
	if (h->flags & ~VIRTIO_NET_HDR_F_NEEDS_CSUM)
		return false;
	if (h->flags && (!has(n, VIRTIO_NET_F_CSUM) || h->csum_start < ETH_HEADER ||
			 (size_t)h->csum_start + h->csum_offset + sizeof(u16) > len))
		return false;
	return gso_allowed(n, h);
}

/* Cut `bytes`, which are there, off the front of a list of segments. */
static struct iovec *skip(struct iovec *segment, unsigned *count, size_t bytes)
{
	while (*count && bytes >= segment->iov_len) {
		bytes -= segment->iov_len;
		segment++;
		--*count;
	}
	if (bytes) {
		segment->iov_base = (u8 *)segment->iov_base + bytes;
		segment->iov_len -= bytes;
	}
	return segment;
}

/* A frame no card could send is dropped, as a card would. */
static void send_chain(struct net *n, struct virtq_chain *c)
{
	unsigned count = c->out_count;
	struct full_header header;
	struct iovec *frame;
	size_t len;

	if (c->out_bytes < HEADER + ETH_HEADER || c->out_bytes > HEADER + NETDEV_FRAME_MAX)
		return;
	len = c->out_bytes - HEADER;
	/* Read once: the guest may change it while it is looked at. */
	virtq_read(c, 0, &header, HEADER);
	if (!header_allowed(n, &header.net, len))
		return;
	frame = skip(c->segment, &count, HEADER);
	n->backend->ops->send(n->backend, &header.net, frame, count, len);
}

/* Send what there is, at most `budget` frames, and give it back in one go. Returns how many. */
static unsigned send_batch(struct net *n, struct virtqueue *q, unsigned budget)
{
	unsigned count = 0;

	while (count < budget && virtqueue_pop(q, &n->chain)) {
		n->sent[count++] = (struct virtq_used){n->chain.head, 0};
		send_chain(n, &n->chain);
	}
	virtqueue_push_all(q, n->sent, count);
	return count;
}

/* The guest may go on sending meanwhile, and then does without notifying us; but others want their
 * turn with the device lock. */
static void transmit(struct net *n)
{
	struct virtqueue *q = &n->hal.virtio.queue[TX];
	unsigned budget = q->size;
	bool more;

	virtqueue_disable_notify(q);
	do {
		budget -= send_batch(n, q, budget);
		more = virtqueue_enable_notify(q);
	} while (more && budget);
	if (n->backend->ops->sent)
		n->backend->ops->sent(n->backend);
	if (more)
		virtio_again(&n->hal.virtio, TX);
	virtio_signal(&n->hal.virtio, q);
}

/* ------------------------------------------------------------ receive ---- */

/* Take a buffer; if there is none, be told of the next. */
static bool take_buffer(struct virtqueue *q, struct virtq_chain *c)
{
	return virtqueue_pop(q, c) || (virtqueue_enable_notify(q) && virtqueue_pop(q, c));
}

static void give_back(struct virtqueue *q, unsigned count)
{
	while (count--)
		virtqueue_unpop(q);
}

/* What the driver must know of a frame, as far as it has agreed to being told. */
static struct full_header rx_header(const struct net *n, const struct virtio_net_hdr *from)
{
	struct full_header h = {.num_buffers = 1};

	if (has(n, VIRTIO_NET_F_GUEST_CSUM))
		h.net = *from;
	return h;
}

enum placed { PLACED, NO_ROOM, DROPPED };

/* Put the frame into as many buffers as it takes. The first one is in n->first; the driver sees
 * none of this before they are pushed. Sets how many were taken, also if they do not suffice. */
static enum placed place(struct net *n, struct full_header *header, const u8 *frame, size_t len,
			 unsigned *count)
{
	struct virtqueue *q = &n->hal.virtio.queue[RX];
	size_t done = 0;

	for (*count = 0; done < len; ++*count) {
		struct virtq_chain *c = *count ? &n->chain : &n->first;
		size_t skipped = *count ? 0 : HEADER, part;

		if (*count && !has(n, VIRTIO_NET_F_MRG_RXBUF))
			return DROPPED; /* longer than the driver's buffers */
		if (*count == q->size)
			return DROPPED;
		if (!take_buffer(q, c))
			return NO_ROOM;
		if (c->out_count || c->in_bytes <= skipped) {
			++*count;
			virtio_break(&n->hal.virtio, "a receive buffer is not writable or shorter "
						     "than its header");
			return DROPPED;
		}
		part = virtq_write(c, skipped, frame + done, len - done);
		n->used[*count] = (struct virtq_used){c->head, skipped + part};
		done += part;
	}
	header->num_buffers = *count;
	virtq_write(&n->first, 0, header, HEADER);
	return PLACED;
}

static bool deliver(struct net *n, const struct virtio_net_hdr *from, const void *frame, size_t len)
{
	struct virtqueue *q = &n->hal.virtio.queue[RX];
	struct full_header header;
	enum placed placed;
	unsigned count;

	if (!running(n) || !q->ready || !len)
		return true;
	header = rx_header(n, from);
	placed = place(n, &header, frame, len, &count);
	if (placed == PLACED) {
		virtqueue_push_all(q, n->used, count);
		n->delivered = true;
		return true;
	}
	give_back(q, count);
	if (q->broken)
		virtio_signal(&n->hal.virtio, q);
	return placed == DROPPED || !running(n);
}

bool netdev_deliver(struct netdev *backend, const struct virtio_net_hdr *from, const void *frame,
		    size_t len)
{
	struct net *n = backend->net;

	if (n->gate.arrived)
		return n->gate.arrived(n->gate.opaque, from, frame, len);
	return deliver(n, from, frame, len);
}

void net_set_gate(struct hal_device *d, const struct net_gate *gate)
{
	((struct net *)d)->gate = *gate;
}

void net_receive(struct hal_device *d, const struct virtio_net_hdr *header, const void *frame,
		 size_t len)
{
	struct net *n = (struct net *)d;

	deliver(n, header, frame, len);
	netdev_delivered(n->backend);
}

void net_resume(struct hal_device *d)
{
	struct net *n = (struct net *)d;

	n->backend->ops->resume(n->backend);
}

size_t netdev_flatten(u8 *to, const struct iovec *segment, unsigned segments)
{
	size_t len = 0;

	for (unsigned i = 0; i < segments; i++) {
		memcpy(to + len, segment[i].iov_base, segment[i].iov_len);
		len += segment[i].iov_len;
	}
	return len;
}

void netdev_delivered(struct netdev *backend)
{
	struct net *n = backend->net;

	if (!n->delivered)
		return;
	n->delivered = false;
	virtio_signal(&n->hal.virtio, &n->hal.virtio.queue[RX]);
}

/* --------------------------------------------------------- the device ---- */

static void notify(struct virtio_device *v, unsigned index)
{
	struct net *n = net_of(v);

	if (index == TX) {
		transmit(n);
		return;
	}
	/* New buffers matter only while frames wait for them. */
	virtqueue_disable_notify(&v->queue[RX]);
	n->backend->ops->resume(n->backend);
}

static void driver_ok(struct virtio_device *v)
{
	struct net *n = net_of(v);

	n->up = true;
	if (n->backend->ops->negotiated)
		n->backend->ops->negotiated(n->backend, v->negotiated & n->backend->features);
}

static void reset(struct virtio_device *v)
{
	struct net *n = net_of(v);

	if (!n->up)
		return;
	n->up = n->delivered = false;
	/* What waited for buffers is dropped now. */
	n->backend->ops->resume(n->backend);
}

static const struct virtio_ops virtio_ops = {
	.name = "virtio-net",
	.guest_option = "CONFIG_VIRTIO_NET",
	.notify = notify,
	.start = driver_ok,
	.reset = reset,
};

/* An address of our own making: locally administered, the same in every run of the same command
 * line, and other for other taps, which may be on one bridge. Each user network has one guest. */
static void make_mac(struct net *n)
{
	u32 hash = n->spec_hash + n->hal.virtio.slot * 0x9e3779b9u;
	u8 *mac = n->config.mac;

	mac[0] = 0x52;
	mac[1] = n->hal.virtio.slot;
	memcpy(mac + 2, &hash, sizeof(hash));
}

static bool net_start(struct hal_device *d, struct loop *loop, struct error *e)
{
	struct net *n = (struct net *)d;

	if (!n->fixed_mac)
		make_mac(n);
	return !n->backend->ops->start || n->backend->ops->start(n->backend, loop, e);
}

/* What is on its way is lost, as on any wire, and so is what the backend knows of connections. */
static bool net_load(struct hal_device *d, struct byte_reader *r, struct error *e)
{
	(void)r, (void)e;
	if (virtio_running(&d->virtio))
		driver_ok(&d->virtio);
	return true;
}

void net_get_mac(const struct hal_device *d, u8 *mac)
{
	memcpy(mac, ((const struct net *)d)->config.mac, 6);
}

static void net_destroy(struct hal_device *d)
{
	struct net *n = (struct net *)d;

	n->backend->ops->destroy(n->backend);
	free(n);
}

struct hal_device *net_create(struct netdev *backend, const u8 *mac, const char *spec)
{
	struct net *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->backend = backend;
	backend->net = n;
	n->spec_hash = fnv32_text(spec);
	n->fixed_mac = mac;
	if (mac)
		memcpy(n->config.mac, mac, sizeof(n->config.mac));
	n->config.status = STATUS_LINK_UP;
	n->config.max_virtqueue_pairs = 1;
	n->config.mtu = backend->mtu;
	n->hal.virtio.ops = &virtio_ops;
	n->hal.virtio.id = VIRTIO_ID_NET;
	n->hal.virtio.features = FEATURES | backend->features;
	n->hal.virtio.queue_count = QUEUES;
	n->hal.virtio.bells = 1 << RX | 1 << TX;
	n->hal.virtio.config = (u8 *)&n->config;
	n->hal.virtio.config_size = sizeof(n->config);
	return &n->hal;
}

/* ---------------------------------------------------------- the option ---- */

static bool parse_mac(const char *text, u8 *mac, struct error *e)
{
	char end;

	if (strlen(text) != 17 || sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0],
					 &mac[1], &mac[2], &mac[3], &mac[4], &mac[5], &end) != 6)
		return error_set(e, "net: mac '%s': not an address like 52:54:00:12:34:56", text);
	if (mac[0] & 1 || !memcmp(mac, (u8[6]){0}, 6))
		return error_set(e,
				 "net: mac '%s': a group address or zero: no card can have it "
				 "(take one that begins with 52:54:00)",
				 text);
	return true;
}

static struct netdev *open_backend(char **word, unsigned words, u8 *mac, bool *has_mac,
				   struct error *e)
{
	if (!strcmp(word[0], "user"))
		return net_user_open(word, words, e);
	if (!strcmp(word[0], "recorded"))
		return net_recorded_open(word + 1, words - 1, e);
	if (!strncmp(word[0], "tap=", 4))
		return net_tap_open(word, words, e);
	if (!strncmp(word[0], "lan=", 4))
		return net_lan_open(word, words, mac, has_mac, e);
	error_set(e,
		  "net '%s': no such network: write user[,OPTION...], lan=DIR[,OPTION...] or "
		  "tap=NAME[,OPTION...]",
		  word[0]);
	return NULL;
}

/* Sort the words of the spec: ours from the backend's. */
static struct netdev *parse(char *text, u8 *mac, bool *has_mac, struct error *e)
{
	char *rest = text, *word[WORDS_MAX], *next;
	unsigned words = 0;

	while ((next = hal_next_word(&rest))) {
		if (words && !strncmp(next, "mac=", 4)) {
			if (!parse_mac(next + 4, mac, e))
				return NULL;
			*has_mac = true;
			continue;
		}
		if (words == WORDS_MAX) {
			error_set(e, "net '%s': too many options", word[0]);
			return NULL;
		}
		word[words++] = next;
	}
	return open_backend(word, words, mac, has_mac, e);
}

/* The spec that an address is made of: a replay's is that of the recorded run. */
static const char *address_spec(const char *spec)
{
	const size_t n = sizeof(RECORDED) - 1;

	return strncmp(spec, RECORDED, n) ? spec : spec + n;
}

static struct hal_device *net_open(const char *spec, struct error *e)
{
	char *text = strdup(spec);
	struct hal_device *d = NULL;
	struct netdev *backend;
	bool has_mac = false;
	u8 mac[6];

	backend = text ? parse(text, mac, &has_mac, e) : NULL;
	if (backend)
		d = net_create(backend, has_mac ? mac : NULL, address_spec(spec));
	if (backend && !d)
		backend->ops->destroy(backend);
	if (!text || (backend && !d))
		error_set(e, "net '%s': out of memory", spec);
	free(text);
	return d;
}

const struct hal_kind hal_net = {
	.option = "net",
	.open = net_open,
	.start = net_start,
	.save = hal_save_nothing,
	.load = net_load,
	.destroy = net_destroy,
};
