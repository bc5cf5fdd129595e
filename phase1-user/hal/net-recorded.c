/*
 * The network of a replay: one that nothing comes out of by itself, for what came in the recorded
 * run is given to the card (net_receive()).
 *
 * Owns: offering what the backend of that run, -n user, offered, without opening any of it.
 */
#include "netdev.h"
#include "net-user-options.h"

#include <stdlib.h>

static void drop(struct netdev *n, const struct virtio_net_hdr *header, const struct iovec *frame,
		 unsigned segments, size_t len)
{
	(void)n, (void)header, (void)frame, (void)segments, (void)len;
}

static void resume(struct netdev *n)
{
	(void)n;
}

static void destroy(struct netdev *n)
{
	free(n);
}

static const struct netdev_ops recorded_ops = {
	.send = drop,
	.resume = resume,
	.destroy = destroy,
};

struct netdev *net_recorded_open(char **word, unsigned words, struct error *e)
{
	struct net_user_options options;
	struct netdev *n;

	if (!words || !net_user_parse(&options, word, words, e))
		return NULL;
	n = calloc(1, sizeof(*n));
	if (!n) {
		error_set(e, "net 'recorded': out of memory");
		return NULL;
	}
	n->ops = &recorded_ops;
	n->features = NET_USER_FEATURES;
	n->mtu = options.mtu;
	return n;
}
