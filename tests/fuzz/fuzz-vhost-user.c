/*
 * Fuzzing the vhost-user front-end: a backend that says anything.
 *
 * The input is what the backend has to say, on its socket and on the channel for its own requests.
 * The front-end goes through all it ever asks; what counts is that it survives, that it leaves no
 * descriptor open, and that a connection that is over stays so.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "../../phase1-user/hal/vhost-user.h"

#define QUEUES 2

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* A socket with these bytes in it and the end of file behind them. */
static int speaker(const u8 *data, size_t size, int *other)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		abort();
	if (write(pair[1], data, size) != (ssize_t)size)
		abort();
	shutdown(pair[1], SHUT_WR);
	*other = pair[1];
	return pair[0];
}

static void use(struct vhost_user *u)
{
	const struct virtqueue q = {.size = 16, .desc = 0x1000, .avail = 0x2000, .used = 0x3000};
	u8 config[VHOST_USER_CONFIG_MAX];

	vhost_user_set_memory(u, STDIN_FILENO, 1 << 20);
	if (u->protocol & VHOST_USER_PROTOCOL_F_CONFIG)
		vhost_user_get_config(u, config, sizeof(config));
	vhost_user_set_features(u, ~0ull);
	for (unsigned i = 0; i < QUEUES; i++)
		vhost_user_start_ring(u, i, &q, STDIN_FILENO, STDIN_FILENO);
	while (u->fd >= 0 && vhost_user_requests(u) && u->config_stale)
		u->config_stale = false;
	for (unsigned i = 0; i < QUEUES; i++)
		vhost_user_stop_ring(u, i);
	if (u->fd >= 0)
		vhost_user_idle(u);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	size_t first = size ? 1 + data[0] * 8 : 0;
	int other[2];
	struct vhost_user u;

	if (size < 2 || size > 4096)
		return 0;
	if (first > size)
		first = size;
	if (vhost_user_open(&u, speaker(data + 1, first - 1, &other[0]), QUEUES)) {
		if (u.request_fd >= 0)
			close(u.request_fd);
		u.request_fd = speaker(data + first, size - first, &other[1]);
		use(&u);
		close(other[1]);
	}
	if ((u.fd < 0) != (u.error.text[0] != '\0'))
		abort();
	vhost_user_close(&u);
	close(other[0]);
	return 0;
}
