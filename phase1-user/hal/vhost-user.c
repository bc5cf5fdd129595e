/*
 * The front-end of the vhost-user protocol: see vhost-user.h. The names are the specification's
 * (QEMU's docs/interop/vhost-user.rst).
 */
#include "vhost-user.h"

#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum request {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
	SET_BACKEND_REQ_FD = 21,
	GET_CONFIG = 24,
};

enum backend_request {
	BACKEND_CONFIG_CHANGE_MSG = 2,
};

#define FLAGS_VERSION	 1u
#define FLAGS_VERSIONS	 3u
#define FLAGS_REPLY	 4u
#define FLAGS_NEED_REPLY 8u

#define F_PROTOCOL_FEATURES (1ull << 30)

#define PROTOCOL_USABLE                                                                           \
	(VHOST_USER_PROTOCOL_F_MQ | VHOST_USER_PROTOCOL_F_REPLY_ACK | VHOST_USER_PROTOCOL_F_REQ | \
	 VHOST_USER_PROTOCOL_F_CONFIG)

/* Rings are named by "user addresses", which are ours to choose: no backend needs to know where RAM
 * lies in this process. They are guest addresses plus this. */
#define USER_ADDRESS 0x100000000ull

struct vring_state {
	u32 index, num;
};

struct vring_addr {
	u32 index, flags;
	u64 desc, used, avail, log;
};

struct memory_table {
	u32 count, padding;
	u64 gpa, size, user_address, offset; /* of the only region */
};

struct config {
	u32 offset, size, flags;
	u8 data[VHOST_USER_CONFIG_MAX];
};

#define HEADER_SIZE 12u

struct message {
	u32 request, flags, size;
	union {
		u64 value;
		struct vring_state state;
		struct vring_addr addr;
		struct memory_table memory;
		struct config config;
	} __attribute__((packed));
} __attribute__((packed));

void vhost_user_close(struct vhost_user *u)
{
	if (u->fd >= 0)
		close(u->fd);
	if (u->request_fd >= 0)
		close(u->request_fd);
	u->fd = u->request_fd = -1;
}

static bool give_up(struct vhost_user *u, const char *why, u32 request)
{
	if (u->fd < 0)
		return false; /* the first reason counts */
	if (request)
		error_set(&u->error, "%s (vhost-user request %u)", why, request);
	else
		error_set(&u->error, "%s", why);
	vhost_user_close(u);
	return false;
}

static bool has(const struct vhost_user *u, u64 protocol_feature)
{
	return u->protocol & protocol_feature;
}

/* ----------------------------------------------------------- messages ---- */

static u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Send `m`, and the descriptor `fd` unless it is -1. These messages are far shorter than a socket's
 * buffer: one that does not fit at once is not being read at all. */
static bool send_message(struct vhost_user *u, struct message *m, int fd)
{
	union {
		struct cmsghdr header;
		u8 space[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct iovec part = {m, HEADER_SIZE + m->size};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	ssize_t n;

	if (fd >= 0) {
		message.msg_control = &control;
		message.msg_controllen = sizeof(control);
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	n = sendmsg(u->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (n == (ssize_t)part.iov_len)
		return true;
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
		return give_up(u, "the backend has closed the connection", m->request);
	return give_up(u, "the backend does not read what it is asked", m->request);
}

/* Receive exactly `len` bytes before `deadline`. Meanwhile the backend may ask us something and
 * wait for the answer before it gives its own. Descriptors that it sends are not taken. */
static bool receive(struct vhost_user *u, void *buffer, size_t len, u64 deadline, u32 request)
{
	size_t done = 0;

	while (done < len) {
		struct pollfd p[2] = {{u->fd, POLLIN, 0}, {u->request_fd, POLLIN, 0}};
		u64 now = now_ms();
		ssize_t n;

		if (now >= deadline)
			return give_up(u, "the backend does not answer", request);
		if (poll(p, 2, deadline - now) < 0 && errno != EINTR)
			return give_up(u, strerror(errno), request);
		if (p[1].revents && !vhost_user_requests(u))
			return false;
		if (!p[0].revents)
			continue;
		n = recv(u->fd, (u8 *)buffer + done, len - done, MSG_DONTWAIT);
		if (!n || (n < 0 && errno != EAGAIN && errno != EINTR))
			return give_up(u, "the backend has closed the connection", request);
		if (n > 0)
			done += n;
	}
	return true;
}

/* The reply to `m`, into `m`: it must have `size` bytes of payload. */
static bool receive_reply(struct vhost_user *u, struct message *m, u32 size)
{
	const u64 deadline = now_ms() + u->timeout_ms;
	const u32 request = m->request;

	if (!receive(u, m, HEADER_SIZE, deadline, request))
		return false;
	if (m->request != request || (m->flags & FLAGS_VERSIONS) != FLAGS_VERSION ||
	    !(m->flags & FLAGS_REPLY))
		return give_up(u, "the backend answers what was not asked", request);
	if (m->size != size)
		return give_up(u,
			       m->size ? "the backend's answer has a wrong length"
				       : "the backend refuses",
			       request);
	return receive(u, &m->value, size, deadline, request);
}

/* Ask for what has a reply of its own, as long as the question or, if that has none, a number. */
static bool ask(struct vhost_user *u, struct message *m)
{
	if (u->fd < 0)
		return false;
	m->flags = FLAGS_VERSION;
	return send_message(u, m, -1) && receive_reply(u, m, m->size ? m->size : sizeof(m->value));
}

/* Tell what has none; where the backend can, it says whether it did as it was told. */
static bool tell(struct vhost_user *u, struct message *m, int fd)
{
	if (u->fd < 0)
		return false;
	m->flags = FLAGS_VERSION;
	if (!has(u, VHOST_USER_PROTOCOL_F_REPLY_ACK))
		return send_message(u, m, fd);
	m->flags |= FLAGS_NEED_REPLY;
	if (!send_message(u, m, fd) || !receive_reply(u, m, sizeof(m->value)))
		return false;
	return !m->value || give_up(u, "the backend refuses", m->request);
}

static bool ask_number(struct vhost_user *u, enum request request, u64 *value)
{
	struct message m = {.request = request};

	if (!ask(u, &m))
		return false;
	*value = m.value;
	return true;
}

static bool tell_number(struct vhost_user *u, enum request request, u64 value, int fd)
{
	struct message m = {.request = request, .size = sizeof(m.value)};

	m.value = value;
	return tell(u, &m, fd);
}

static bool tell_state(struct vhost_user *u, enum request request, u32 index, u32 num)
{
	struct message m = {.request = request, .size = sizeof(m.state)};

	m.state = (struct vring_state){index, num};
	return tell(u, &m, -1);
}

/* --------------------------------------------------------- connection ---- */

/* The backend's own requests come on a socket of their own, made by us. */
static bool open_request_channel(struct vhost_user *u)
{
	struct message m = {.request = SET_BACKEND_REQ_FD};
	int pair[2];
	bool told;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return give_up(u, strerror(errno), m.request);
	u->request_fd = pair[0];
	told = tell(u, &m, pair[1]);
	close(pair[1]);
	return told;
}

static bool agree_on_protocol(struct vhost_user *u)
{
	u64 offered;

	if (!(u->features & F_PROTOCOL_FEATURES))
		return true;
	if (!ask_number(u, GET_PROTOCOL_FEATURES, &offered))
		return false;
	offered &= PROTOCOL_USABLE;
	if (!(offered & VHOST_USER_PROTOCOL_F_CONFIG))
		offered &= ~VHOST_USER_PROTOCOL_F_REQ; /* there is nothing else to ask */
	if (!tell_number(u, SET_PROTOCOL_FEATURES, offered, -1))
		return false;
	u->protocol = offered;
	return !has(u, VHOST_USER_PROTOCOL_F_REQ) || open_request_channel(u);
}

bool vhost_user_open(struct vhost_user *u, int fd, unsigned queues)
{
	struct message owner = {.request = SET_OWNER};
	u64 count = queues;

	*u = (struct vhost_user){.fd = fd, .request_fd = -1, .timeout_ms = VHOST_USER_TIMEOUT_MS};
	if (!ask_number(u, GET_FEATURES, &u->features) || !tell(u, &owner, -1) ||
	    !agree_on_protocol(u))
		return false;
	if (has(u, VHOST_USER_PROTOCOL_F_MQ) && !ask_number(u, GET_QUEUE_NUM, &count))
		return false;
	return count >= queues || give_up(u, "the backend has too few queues", GET_QUEUE_NUM);
}

bool vhost_user_set_memory(struct vhost_user *u, int ram_fd, u64 size)
{
	struct message m = {.request = SET_MEM_TABLE, .size = sizeof(m.memory)};

	m.memory = (struct memory_table){.count = 1, .size = size, .user_address = USER_ADDRESS};
	return tell(u, &m, ram_fd);
}

bool vhost_user_set_features(struct vhost_user *u, u64 features)
{
	/* Ours to agree to, not the driver's. */
	features |= F_PROTOCOL_FEATURES;
	return tell_number(u, SET_FEATURES, features & u->features, -1);
}

bool vhost_user_start_ring(struct vhost_user *u, unsigned index, const struct virtqueue *q,
			   int kick_fd, int call_fd)
{
	struct message addr = {.request = SET_VRING_ADDR, .size = sizeof(addr.addr)};

	addr.addr = (struct vring_addr){
		.index = index,
		.desc = USER_ADDRESS + q->desc,
		.avail = USER_ADDRESS + q->avail,
		.used = USER_ADDRESS + q->used,
	};
	return tell_state(u, SET_VRING_NUM, index, q->size) &&
	       tell_state(u, SET_VRING_BASE, index, 0) && tell(u, &addr, -1) &&
	       tell_number(u, SET_VRING_CALL, index, call_fd) &&
	       tell_number(u, SET_VRING_KICK, index, kick_fd) &&
	       (!(u->features & F_PROTOCOL_FEATURES) || tell_state(u, SET_VRING_ENABLE, index, 1));
}

bool vhost_user_stop_ring(struct vhost_user *u, unsigned index)
{
	struct message m = {.request = GET_VRING_BASE, .size = sizeof(m.state)};

	m.state.index = index;
	if (!ask(u, &m))
		return false;
	return m.state.index == index ||
	       give_up(u, "the backend answers what was not asked", m.request);
}

bool vhost_user_get_config(struct vhost_user *u, void *config, u32 size)
{
	struct message m = {.request = GET_CONFIG, .size = offsetof(struct config, data) + size};

	m.config.size = size;
	u->config_stale = false;
	if (!ask(u, &m))
		return false;
	if (m.config.offset || m.config.size != size)
		return give_up(u, "the backend answers what was not asked", m.request);
	memcpy(config, m.config.data, size);
	return true;
}

/* ------------------------------------------------ the backend's requests ---- */

bool vhost_user_requests(struct vhost_user *u)
{
	const int fd = u->request_fd;
	struct message m;
	ssize_t n = recv(fd, &m, HEADER_SIZE, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	/* A header in pieces is no header: none is ever so long that it would be cut. */
	if (n != HEADER_SIZE || (m.flags & FLAGS_VERSIONS) != FLAGS_VERSION ||
	    m.request != BACKEND_CONFIG_CHANGE_MSG || m.size)
		return give_up(u,
			       n ? "the backend asks what it may not"
				 : "the backend has closed its channel",
			       n == HEADER_SIZE ? m.request : 0);
	u->config_stale = true;
	if (!(m.flags & FLAGS_NEED_REPLY) || !has(u, VHOST_USER_PROTOCOL_F_REPLY_ACK))
		return true;
	m.flags = FLAGS_VERSION | FLAGS_REPLY;
	m.size = sizeof(m.value);
	m.value = 0;
	if (send(fd, &m, HEADER_SIZE + m.size, MSG_DONTWAIT | MSG_NOSIGNAL) ==
	    (ssize_t)(HEADER_SIZE + m.size))
		return true;
	return give_up(u, "the backend does not read what it asked for", m.request);
}

bool vhost_user_idle(struct vhost_user *u)
{
	u8 byte;
	ssize_t n = recv(u->fd, &byte, 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	return give_up(u,
		       n > 0 ? "the backend answers what was not asked"
			     : "the backend has closed the connection",
		       0);
}
