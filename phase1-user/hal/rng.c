/*
 * virtio-rng: entropy from the host's getrandom() (virtio 1.2, section 5.4).
 *
 * Owns: one request queue. It cannot block: the host's generator is seeded long before us.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include "device.h"

/* A guest that asks for more gets the first part: the driver asks again for the rest. */
#define FILL_MAX 4096u

struct rng {
	struct hal_device hal;
};

static u32 fill(const struct virtq_chain *c)
{
	u8 bytes[FILL_MAX];
	size_t want = c->in_bytes < FILL_MAX ? c->in_bytes : FILL_MAX;
	ssize_t got = want ? getrandom(bytes, want, 0) : 0;

	return got > 0 ? virtq_write(c, 0, bytes, got) : 0;
}

static void notify(struct virtio_device *v, unsigned index)
{
	struct virtqueue *q = &v->queue[index];
	struct virtq_chain chain;

	do {
		virtqueue_disable_notify(q);
		while (virtqueue_pop(q, &chain))
			virtqueue_push(q, chain.head, fill(&chain));
	} while (virtqueue_enable_notify(q));
	virtio_signal(v, q);
}

/* Linux 5.10 asks before it has said DRIVER_OK, and then waits for the answer. */
static void start(struct virtio_device *v)
{
	if (v->queue[0].ready)
		notify(v, 0);
}

static const struct virtio_ops ops = {
	.name = "virtio-rng",
	.guest_option = "CONFIG_HW_RANDOM_VIRTIO",
	.notify = notify,
	.start = start,
};

static struct hal_device *rng_open(const char *spec, struct error *e)
{
	struct rng *r;

	if (spec[0]) {
		error_set(e, "rng '%s': it takes no options", spec);
		return NULL;
	}
	r = calloc(1, sizeof(*r));
	if (!r) {
		error_set(e, "rng: out of memory");
		return NULL;
	}
	r->hal.virtio.ops = &ops;
	r->hal.virtio.id = VIRTIO_ID_RNG;
	r->hal.virtio.queue_count = 1;
	return &r->hal;
}

static void rng_destroy(struct hal_device *d)
{
	free(d);
}

const struct hal_kind hal_rng = {
	.option = "rng",
	.quiet = true,
	.open = rng_open,
	.save = hal_save_nothing,
	.load = hal_load_nothing,
	.destroy = rng_destroy,
};
