/*
 * A network of guests of one user, with no program in the middle: a directory.
 *
 * Each card is a Unix datagram socket in it, named by its MAC address, and a frame is one datagram,
 * as in QEMU's -netdev dgram. So the directory is the switch's table: a frame goes to the socket
 * its destination names, or if there is none, or it is for a group, to all. Who may write the
 * sockets is on the network.
 *
 * Owns: the card's own socket there, and one to send from. What other members do is not trusted.
 */
#include "netdev.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BATCH	    64
#define ETH_HEADER  14u
#define MAC_BYTES   6
#define NAME_LENGTH 17 /* 52:54:00:12:34:56 */
#define MTU_DEFAULT 1500
#define MTU_MIN	    576
#define MTU_MAX	    65520

struct net_lan {
	struct netdev dev;
	struct loop *loop;
	struct loop_source source; /* the card's socket */
	int sender;
	DIR *members;
	struct sockaddr_un self; /* bound, if its path is not empty */
	size_t stem;		 /* bytes of a path before the name */
	u8 out[NETDEV_FRAME_MAX];
	/* If `held` is not 0, the guest had no room for this frame; the socket is then not watched,
	 * and when it is full others drop what they have for it. */
	u8 in[NETDEV_FRAME_MAX];
	size_t held;
};

static void set_name(struct sockaddr_un *a, size_t stem, const u8 *mac)
{
	snprintf(a->sun_path + stem, NAME_LENGTH + 1, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0],
		 mac[1], mac[2], mac[3], mac[4], mac[5]);
}

static bool is_name(const char *text)
{
	return strspn(text, "0123456789abcdef:") == NAME_LENGTH && !text[NAME_LENGTH];
}

/* -------------------------------------------------------- to the guest ---- */

/* A frame into l->in; 0: none there. */
static size_t read_frame(struct net_lan *l)
{
	ssize_t n;

	do {
		n = recv(l->source.fd, l->in, sizeof(l->in), MSG_TRUNC);
	} while (n >= 0 && (n < (ssize_t)ETH_HEADER || n > (ssize_t)sizeof(l->in)));
	return n < 0 ? 0 : n;
}

static bool deliver(struct net_lan *l, size_t len)
{
	static const struct virtio_net_hdr header;

	return netdev_deliver(&l->dev, &header, l->in, len);
}

static void ready(struct loop_source *source, u32 events)
{
	struct net_lan *l = (struct net_lan *)((char *)source - offsetof(struct net_lan, source));

	(void)events;
	for (unsigned i = 0; i < BATCH && !l->held; i++) {
		size_t len = read_frame(l);

		if (!len)
			break;
		if (!deliver(l, len))
			l->held = len;
	}
	netdev_delivered(&l->dev);
	if (l->held)
		loop_unwatch(l->loop, source);
}

static void lan_resume(struct netdev *dev)
{
	struct net_lan *l = (struct net_lan *)dev;

	if (!l->held || !deliver(l, l->held))
		return;
	l->held = 0;
	netdev_delivered(dev);
	loop_watch(l->loop, &l->source, EPOLLIN);
}

/* ------------------------------------------------------ from the guest ---- */

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* What a member does not read counts against the socket it came from: one that has stopped must not
 * use up what there is for all. Take another socket; the frames sent from the old one outlive it.
 */
static bool renew_sender(struct net_lan *l)
{
	int unread, fd;

	if (ioctl(l->sender, SIOCOUTQ, &unread) || !unread)
		return false;
	fd = new_socket();
	if (fd < 0)
		return false;
	close(l->sender);
	l->sender = fd;
	return true;
}

/* Send l->out. 0, or an errno value: a member whose socket is full, or who is dead, misses it. */
static int send_to(struct net_lan *l, const struct sockaddr_un *to, size_t len)
{
	const struct sockaddr *a = (const struct sockaddr *)to;

	if (sendto(l->sender, l->out, len, 0, a, sizeof(*to)) >= 0)
		return 0;
	if (errno == EAGAIN && renew_sender(l) &&
	    sendto(l->sender, l->out, len, 0, a, sizeof(*to)) >= 0)
		return 0;
	return errno;
}

static void send_to_all(struct net_lan *l, size_t len)
{
	struct sockaddr_un to = l->self;
	const struct dirent *entry;

	rewinddir(l->members);
	while ((entry = readdir(l->members))) {
		if (!is_name(entry->d_name) || !strcmp(entry->d_name, l->self.sun_path + l->stem))
			continue;
		strcpy(to.sun_path + l->stem, entry->d_name);
		send_to(l, &to, len);
	}
}

/* No offload is offered, so `header` asks for nothing. */
static void lan_send(struct netdev *dev, const struct virtio_net_hdr *header,
		     const struct iovec *frame, unsigned segments, size_t len)
{
	struct net_lan *l = (struct net_lan *)dev;
	struct sockaddr_un to = l->self;

	(void)header;
	if (len > sizeof(l->out))
		return;
	len = netdev_flatten(l->out, frame, segments);
	set_name(&to, l->stem, l->out);
	if ((l->out[0] & 1) || send_to(l, &to, len) == ENOENT)
		send_to_all(l, len);
}

/* ------------------------------------------------------------- joining ---- */

/* A socket without an owner is what a killed plex86 leaves behind. Other files refuse connections
 * as well and are not ours to remove. */
static void remove_dead(const struct sockaddr_un *a)
{
	struct stat st;
	int fd;

	if (lstat(a->sun_path, &st) || !S_ISSOCK(st.st_mode))
		return;
	fd = new_socket();
	if (fd < 0)
		return;
	if (connect(fd, (const struct sockaddr *)a, sizeof(*a)) && errno == ECONNREFUSED)
		unlink(a->sun_path);
	close(fd);
}

static bool bind_as(struct net_lan *l, const u8 *mac)
{
	set_name(&l->self, l->stem, mac);
	remove_dead(&l->self);
	return !bind(l->source.fd, (const struct sockaddr *)&l->self, sizeof(l->self));
}

/* Take the user's address, or the first one nobody has. */
static bool take_address(struct net_lan *l, u8 *mac, bool has_mac)
{
	if (has_mac)
		return bind_as(l, mac);
	memcpy(mac, "\x52lan\0", MAC_BYTES);
	do {
		if (bind_as(l, mac))
			return true;
	} while (errno == EADDRINUSE && ++mac[5]);
	return false;
}

static bool join(struct net_lan *l, u8 *mac, bool *has_mac, const char *dir, struct error *e)
{
	bool joined;
	int error;

	/* Of two who find the same dead socket, one could remove what the other has just bound. */
	if (flock(dirfd(l->members), LOCK_EX))
		return error_set(e, "net 'lan=%s': locking it: %s", dir, strerror(errno));
	joined = take_address(l, mac, *has_mac);
	error = errno;
	flock(dirfd(l->members), LOCK_UN);
	if (joined) {
		*has_mac = true;
		return true;
	}
	if (error == EADDRINUSE)
		error_set(e,
			  "net 'lan=%s': another guest has the address %s (give this one another "
			  "mac=)",
			  dir, l->self.sun_path + l->stem);
	else
		error_set(e, "net 'lan=%s': making a socket in it: %s", dir, strerror(error));
	l->self.sun_path[0] = '\0';
	return false;
}

/* ---------------------------------------------------- opening, closing ---- */

static bool lan_start(struct netdev *dev, struct loop *loop, struct error *e)
{
	struct net_lan *l = (struct net_lan *)dev;

	l->loop = loop;
	if (loop_watch(loop, &l->source, EPOLLIN))
		return true;
	return error_set(e, "net 'lan=': watching its socket: %s", strerror(errno));
}

static void lan_destroy(struct netdev *dev)
{
	struct net_lan *l = (struct net_lan *)dev;

	if (l->self.sun_path[0])
		unlink(l->self.sun_path);
	if (l->members)
		closedir(l->members);
	if (l->sender >= 0)
		close(l->sender);
	if (l->source.fd >= 0)
		close(l->source.fd);
	free(l);
}

static const struct netdev_ops lan_ops = {
	.start = lan_start,
	.send = lan_send,
	.resume = lan_resume,
	.destroy = lan_destroy,
};

static bool parse_options(struct net_lan *l, char **word, unsigned words, struct error *e)
{
	for (unsigned i = 1; i < words; i++) {
		const char *value = word[i] + strlen("mtu=");
		unsigned long mtu;
		char *end;

		if (strncmp(word[i], "mtu=", 4))
			return error_set(e,
					 "net '%s': unknown option '%s' (there are mtu= and mac=)",
					 word[0], word[i]);
		mtu = strtoul(value, &end, 10);
		if (value[0] < '0' || value[0] > '9' || *end || mtu < MTU_MIN || mtu > MTU_MAX)
			return error_set(e, "net '%s': mtu '%s': not a number from %d to %d",
					 word[0], value, MTU_MIN, MTU_MAX);
		l->dev.mtu = mtu;
	}
	return true;
}

static bool open_lan(struct net_lan *l, u8 *mac, bool *has_mac, const char *dir, struct error *e)
{
	const size_t room = sizeof(l->self.sun_path) - NAME_LENGTH - 2;

	if (strlen(dir) > room)
		return error_set(e,
				 "net 'lan=%s': the path is too long: at most %zu bytes (use a "
				 "shorter directory)",
				 dir, room);
	l->members = opendir(dir);
	if (!l->members)
		return error_set(e,
				 "net 'lan=%s': %s (the guests' common directory, yours alone: "
				 "mkdir -m 700 DIR)",
				 dir, strerror(errno));
	l->source.fd = new_socket();
	l->sender = new_socket();
	if (l->source.fd < 0 || l->sender < 0)
		return error_set(e, "net 'lan=%s': %s", dir, strerror(errno));
	l->self.sun_family = AF_UNIX;
	l->stem = sprintf(l->self.sun_path, "%s/", dir);
	return join(l, mac, has_mac, dir, e);
}

struct netdev *net_lan_open(char **word, unsigned words, u8 *mac, bool *has_mac, struct error *e)
{
	const char *dir = word[0] + strlen("lan=");
	struct net_lan *l = calloc(1, sizeof(*l));

	if (!l) {
		error_set(e, "net '%s': out of memory", word[0]);
		return NULL;
	}
	l->dev.ops = &lan_ops;
	l->dev.mtu = MTU_DEFAULT;
	l->source.fd = l->sender = -1;
	l->source.ready = ready;
	if (parse_options(l, word, words, e) && open_lan(l, mac, has_mac, dir, e))
		return &l->dev;
	lan_destroy(&l->dev);
	return NULL;
}
