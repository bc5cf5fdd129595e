/*
 * A network backend that only remembers: see mock-netdev.h.
 */
#include "mock-netdev.h"

#include <stdlib.h>
#include <string.h>

static void mock_send(struct netdev *n, const struct virtio_net_hdr *header,
		      const struct iovec *frame, unsigned segments, size_t len)
{
	struct mock_netdev *m = (struct mock_netdev *)n;

	if (len > sizeof(m->frame))
		abort();
	m->header = *header;
	m->len = 0;
	for (unsigned i = 0; i < segments; i++) {
		memcpy(m->frame + m->len, frame[i].iov_base, frame[i].iov_len);
		m->len += frame[i].iov_len;
	}
	if (m->len != len)
		abort();
	m->frames++;
}

static void mock_sent(struct netdev *n)
{
	((struct mock_netdev *)n)->batches++;
}

static void mock_resume(struct netdev *n)
{
	((struct mock_netdev *)n)->resumes++;
}

static void mock_negotiated(struct netdev *n, u64 features)
{
	((struct mock_netdev *)n)->negotiated = features;
}

static void mock_destroy(struct netdev *n)
{
	((struct mock_netdev *)n)->destroyed++;
}

static const struct netdev_ops mock_ops = {
	.negotiated = mock_negotiated,
	.send = mock_send,
	.sent = mock_sent,
	.resume = mock_resume,
	.destroy = mock_destroy,
};

void mock_netdev_init(struct mock_netdev *m)
{
	memset(m, 0, sizeof(*m));
	m->dev.ops = &mock_ops;
	m->dev.mtu = 9000;
	m->dev.features = MOCK_OFFLOADS;
}
