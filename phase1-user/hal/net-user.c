/*
 * The network of an unprivileged user: libslirp turns the guest's connections into sockets of this
 * process.
 *
 * Owns: the Slirp instance, the set of its descriptors, and frames that wait for the guest. All of
 * it happens under the device lock: on the run thread when the guest sends, on the I/O thread when
 * a socket or the timer is ready. Slirp wants poll(); its descriptors are in an epoll set of our
 * own instead, which the I/O thread waits for as one descriptor and which changes only when what
 * Slirp asks for changes.
 */
#include "netdev.h"

#include <errno.h>
#include <slirp/libslirp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>
#include "net-checksum.h"
#include "net-user-options.h"

#define EVENTS	      64
#define ETH_FRAME_MIN 60u
#define WAITING_MAX   (4u << 20) /* bytes */
#define NS_PER_MS     1000000ull
#define NS_PER_S      1000000000ull

/* What is known of one descriptor; the table is indexed by it. */
struct watch {
	u32 wanted;  /* SLIRP_POLL_* of the last slirp_pollfds_fill() */
	u32 watched; /* those in the epoll set; 0: it is not in it */
	u32 ready;
};

struct frame {
	struct frame *next;
	size_t len;
	u8 data[];
};

struct net_user {
	struct netdev dev;
	Slirp *slirp;
	struct loop_source source; /* the epoll set */
	int timer;
	u64 armed; /* when the timer fires, CLOCK_MONOTONIC; 0: never */
	struct watch *watch;
	int watches;
	struct frame *waiting, **last; /* for the guest to take */
	size_t waiting_bytes;
	u8 packet[NETDEV_FRAME_MAX];
};

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* -------------------------------------------------------- to the guest ---- */

/* Slirp computes checksums itself; what it delivers has not left this machine. */
static bool deliver(struct net_user *u, const void *frame, size_t len)
{
	static const struct virtio_net_hdr header = {.flags = VIRTIO_NET_HDR_F_DATA_VALID};

	return netdev_deliver(&u->dev, &header, frame, len);
}

/* Keep a frame until the guest offers buffers. One that has no more room here is lost: TCP will
 * send it again. */
static void keep(struct net_user *u, const void *data, size_t len)
{
	struct frame *f;

	if (u->waiting_bytes + len > WAITING_MAX)
		return;
	f = malloc(sizeof(*f) + len);
	if (!f)
		return;
	f->next = NULL;
	f->len = len;
	memcpy(f->data, data, len);
	*u->last = f;
	u->last = &f->next;
	u->waiting_bytes += len;
}

static void drop_first(struct net_user *u)
{
	struct frame *f = u->waiting;

	u->waiting = f->next;
	u->waiting_bytes -= f->len;
	if (!u->waiting)
		u->last = &u->waiting;
	free(f);
}

static void user_resume(struct netdev *dev)
{
	struct net_user *u = (struct net_user *)dev;

	while (u->waiting && deliver(u, u->waiting->data, u->waiting->len))
		drop_first(u);
	netdev_delivered(dev);
}

static ssize_t send_packet(const void *data, size_t len, void *opaque)
{
	struct net_user *u = opaque;

	/* Nothing overtakes what waits. */
	if (u->waiting || !deliver(u, data, len))
		keep(u, data, len);
	return len;
}

/* ------------------------------------------------- descriptors, timer ---- */

static u32 to_epoll(u32 slirp)
{
	return (slirp & SLIRP_POLL_IN ? EPOLLIN : 0) | (slirp & SLIRP_POLL_OUT ? EPOLLOUT : 0) |
	       (slirp & SLIRP_POLL_PRI ? EPOLLPRI : 0);
}

static u32 from_epoll(u32 epoll)
{
	return (epoll & EPOLLIN ? SLIRP_POLL_IN : 0) | (epoll & EPOLLOUT ? SLIRP_POLL_OUT : 0) |
	       (epoll & EPOLLPRI ? SLIRP_POLL_PRI : 0) | (epoll & EPOLLERR ? SLIRP_POLL_ERR : 0) |
	       (epoll & EPOLLHUP ? SLIRP_POLL_HUP : 0);
}

/* A descriptor is not in the set unless something is wanted of it: hangups would be reported over
 * and over. */
static void update(struct net_user *u, int fd)
{
	struct watch *w = &u->watch[fd];
	struct epoll_event event = {.events = to_epoll(w->wanted), .data.fd = fd};
	int op = !w->wanted ? EPOLL_CTL_DEL : w->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (w->wanted == w->watched)
		return;
	if (!epoll_ctl(u->source.fd, op, fd, &event))
		w->watched = w->wanted;
}

static bool make_room(struct net_user *u, int fd)
{
	int count = fd + 64;
	struct watch *table;

	if (fd < u->watches)
		return true;
	table = realloc(u->watch, count * sizeof(*table));
	if (!table)
		return false;
	memset(table + u->watches, 0, (count - u->watches) * sizeof(*table));
	u->watch = table;
	u->watches = count;
	return true;
}

/* The index by which Slirp will ask for the events is the descriptor itself. */
static int add_poll(int fd, int events, void *opaque)
{
	struct net_user *u = opaque;

	if (!make_room(u, fd))
		return -1;
	u->watch[fd].wanted = events & (SLIRP_POLL_IN | SLIRP_POLL_OUT | SLIRP_POLL_PRI);
	return fd;
}

static int get_revents(int index, void *opaque)
{
	const struct net_user *u = opaque;

	return index >= 0 && index < u->watches ? u->watch[index].ready : 0;
}

/* Slirp has opened `fd`, or is about to close it: whatever is known of that number is old. */
static void forget(int fd, void *opaque)
{
	struct net_user *u = opaque;

	if (fd < 0 || fd >= u->watches)
		return;
	u->watch[fd].wanted = 0;
	update(u, fd);
	u->watch[fd] = (struct watch){0};
}

static void arm(struct net_user *u, u64 when)
{
	struct itimerspec t = {.it_value = {when / NS_PER_S, when % NS_PER_S}};

	/* Firing early does no harm, and setting it each time costs more. */
	if (u->armed && u->armed <= when)
		return;
	if (!timerfd_settime(u->timer, TFD_TIMER_ABSTIME, &t, NULL))
		u->armed = when;
}

/* Ask Slirp what to wait for now. Needed after everything that may have changed its mind. */
static void refresh(struct net_user *u)
{
	u32 timeout = UINT32_MAX;

	for (int fd = 0; fd < u->watches; fd++)
		u->watch[fd].wanted = 0;
	slirp_pollfds_fill(u->slirp, &timeout, add_poll, u);
	for (int fd = 0; fd < u->watches; fd++)
		update(u, fd);
	if (timeout != UINT32_MAX)
		arm(u, now_ns() + timeout * NS_PER_MS);
}

static void timer_fired(struct net_user *u)
{
	u64 times;

	/* A failing read only means that it has been set again since. */
	if (read(u->timer, &times, sizeof(times)) == sizeof(times))
		u->armed = 0;
}

static void ready(struct loop_source *source, u32 events)
{
	struct net_user *u =
		(struct net_user *)((char *)source - offsetof(struct net_user, source));
	struct epoll_event event[EVENTS];
	int n = epoll_wait(source->fd, event, EVENTS, 0);

	(void)events;
	for (int i = 0; i < n; i++) {
		if (event[i].data.fd == u->timer)
			timer_fired(u);
		else
			u->watch[event[i].data.fd].ready = from_epoll(event[i].events);
	}
	slirp_pollfds_poll(u->slirp, n < 0, get_revents, u);
	for (int i = 0; i < n; i++)
		if (event[i].data.fd < u->watches)
			u->watch[event[i].data.fd].ready = 0;
	netdev_delivered(&u->dev);
	refresh(u);
}

/* ------------------------------------------------------ from the guest ---- */

/* A frame to be segmented needs no cutting: Slirp takes packets of any length, and the sockets
 * behind it make segments of their own. */
static void user_send(struct netdev *dev, const struct virtio_net_hdr *header,
		      const struct iovec *frame, unsigned segments, size_t len)
{
	struct net_user *u = (struct net_user *)dev;

	if (len > sizeof(u->packet))
		return;
	len = netdev_flatten(u->packet, frame, segments);
	if (header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)
		net_checksum_complete(u->packet, len, header->csum_start, header->csum_offset);
	if (len < ETH_FRAME_MIN) {
		memset(u->packet + len, 0, ETH_FRAME_MIN - len);
		len = ETH_FRAME_MIN;
	}
	slirp_input(u->slirp, u->packet, len);
}

static void user_sent(struct netdev *dev)
{
	struct net_user *u = (struct net_user *)dev;

	netdev_delivered(dev);
	refresh(u);
}

/* --------------------------------------------------- opening, closing ---- */

/* What a guest does wrong in its packets is between it and Slirp. */
static void guest_error(const char *text, void *opaque)
{
	(void)text;
	(void)opaque;
}

static int64_t clock_get_ns(void *opaque)
{
	(void)opaque;
	return now_ns();
}

/* Both threads that call Slirp look for its wishes afterwards. */
static void slirp_notify(void *opaque)
{
	(void)opaque;
}

/* Timers are for router advertisements of IPv6, which is off. */
static const SlirpCb callbacks = {
	.send_packet = send_packet,
	.guest_error = guest_error,
	.clock_get_ns = clock_get_ns,
	.register_poll_fd = forget,
	.unregister_poll_fd = forget,
	.notify = slirp_notify,
};

static Slirp *new_slirp(struct net_user *u, const struct net_user_options *o)
{
	const struct in_addr network = {htonl(o->network)};
	const SlirpConfig config = {
		.version = 1,
		.in_enabled = true,
		.vnetwork = network,
		.vnetmask = {htonl(o->mask)},
		.vhost = {htonl(o->network + 2)},
		.vnameserver = {htonl(o->network + 3)},
		.vdhcp_start = {htonl(o->network + 15)},
		.if_mtu = o->mtu,
		.if_mru = o->mtu,
	};

	return slirp_new(&config, &callbacks, u);
}

/* What to do about a port that cannot be had. */
static const char *remedy(int error)
{
	switch (error) {
	case EADDRINUSE:
		return " (take another port, or end what listens there: ss -tulnp names it)";
	case EACCES:
		return " (ports below 1024 are root's: take a higher one)";
	case EADDRNOTAVAIL:
		return " (not an address of this host: ip address shows them)";
	default:
		return "";
	}
}

static bool add_forward(struct net_user *u, const struct net_user_forward *f, struct error *e)
{
	char text[INET_ADDRSTRLEN];
	int error;

	errno = 0;
	if (!slirp_add_hostfwd(u->slirp, f->udp, f->host, f->host_port, f->guest, f->guest_port))
		return true;
	error = errno;
	inet_ntop(AF_INET, &f->host, text, sizeof(text));
	return error_set(e, "net 'user': cannot listen on %s:%u%s: %s%s", text, f->host_port,
			 f->udp ? " (UDP)" : "", error ? strerror(error) : "libslirp refuses",
			 remedy(error));
}

/* Slirp lets one connection wait to be accepted. Of more that come at once, those whose client
 * waits for the guest to speak first would hang. */
static void raise_backlogs(struct net_user *u)
{
	for (int fd = 0; fd < u->watches; fd++) {
		int listening = 0;
		socklen_t len = sizeof(listening);

		if (u->watch[fd].wanted &&
		    !getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len) && listening)
			listen(fd, SOMAXCONN);
	}
}

static bool user_start(struct netdev *dev, struct loop *loop, struct error *e)
{
	struct net_user *u = (struct net_user *)dev;

	if (loop_watch(loop, &u->source, EPOLLIN))
		return true;
	return error_set(e, "net 'user': watching its sockets: %s", strerror(errno));
}

static void user_destroy(struct netdev *dev)
{
	struct net_user *u = (struct net_user *)dev;

	if (u->slirp)
		slirp_cleanup(u->slirp);
	if (u->timer >= 0)
		close(u->timer);
	if (u->source.fd >= 0)
		close(u->source.fd);
	while (u->waiting)
		drop_first(u);
	free(u->watch);
	free(u);
}

static const struct netdev_ops user_ops = {
	.start = user_start,
	.send = user_send,
	.sent = user_sent,
	.resume = user_resume,
	.destroy = user_destroy,
};

static bool open_parts(struct net_user *u, const struct net_user_options *o, struct error *e)
{
	struct epoll_event event = {.events = EPOLLIN};

	u->source.fd = epoll_create1(EPOLL_CLOEXEC);
	u->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	event.data.fd = u->timer;
	if (u->source.fd < 0 || u->timer < 0 ||
	    epoll_ctl(u->source.fd, EPOLL_CTL_ADD, u->timer, &event))
		return error_set(e, "net 'user': creating its descriptors: %s", strerror(errno));
	u->slirp = new_slirp(u, o);
	if (!u->slirp)
		return error_set(e, "net 'user': libslirp %s does not start",
				 slirp_version_string());
	for (unsigned i = 0; i < o->forwards; i++)
		if (!add_forward(u, &o->forward[i], e))
			return false;
	refresh(u);
	raise_backlogs(u);
	return true;
}

struct netdev *net_user_open(char **word, unsigned words, struct error *e)
{
	struct net_user_options options;
	struct net_user *u;

	if (!net_user_parse(&options, word, words, e))
		return NULL;
	u = calloc(1, sizeof(*u));
	if (!u) {
		error_set(e, "net 'user': out of memory");
		return NULL;
	}
	u->dev.ops = &user_ops;
	u->dev.mtu = options.mtu;
	u->dev.features = NET_USER_FEATURES;
	u->source.fd = u->timer = -1;
	u->source.ready = ready;
	u->last = &u->waiting;
	if (open_parts(u, &options, e))
		return &u->dev;
	user_destroy(&u->dev);
	return NULL;
}
