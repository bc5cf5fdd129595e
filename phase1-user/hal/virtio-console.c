/*
 * virtio-console: see virtio-console.h.
 *
 * Linux looks for ^O in what comes in on hvc0, in place of a break: the byte behind it is a SysRq
 * command, unless that is ^O, which then counts as typed. So every ^O is sent twice.
 */
#include "virtio-console.h"

#include <stdlib.h>
#include <string.h>

enum { QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUES };

#define F_SIZE	  1ull
#define CTRL_O	  0x0f
#define QUEUE_MAX 16   /* Linux gives each receive descriptor a page, for good */
#define FILL_MAX  4096 /* of one receive buffer, whatever its size */

struct config_space {
	u16 columns, rows;
	u32 max_ports, emergency_write; /* of features we do not offer */
};

struct virtio_console {
	struct hal_device hal;
	struct config_space config;
	struct virtio_console_config owner;
};

static struct virtio_console *console_of(struct virtio_device *v)
{
	return (struct virtio_console *)((char *)v - offsetof(struct virtio_console, hal.virtio));
}

static void transmit(struct virtio_console *c, struct virtqueue *q)
{
	struct virtq_chain chain;

	while (virtqueue_pop(q, &chain)) {
		const struct iovec *part = virtq_out(&chain);

		for (unsigned i = 0; i < chain.out_count; i++)
			c->owner.out(c->owner.opaque, part[i].iov_base, part[i].iov_len);
		virtqueue_push(q, chain.head, 0);
	}
}

static void notify(struct virtio_device *v, unsigned index)
{
	struct virtio_console *c = console_of(v);
	struct virtqueue *q = &v->queue[index];

	if (index == QUEUE_RECEIVE) {
		c->owner.drained(c->owner.opaque);
		return;
	}
	do {
		virtqueue_disable_notify(q);
		transmit(c, q);
	} while (virtqueue_enable_notify(q));
	/* No interrupt: Linux's hvc waits for each buffer on the spot and finds nothing to do when
	 * one comes; after 100,000 of those it would disable the line. */
	if (q->broken)
		virtio_break(v, q->broken);
}

static void start(struct virtio_device *v)
{
	struct virtio_console *c = console_of(v);

	c->owner.changed(c->owner.opaque, true);
}

static void reset(struct virtio_device *v)
{
	struct virtio_console *c = console_of(v);

	c->owner.changed(c->owner.opaque, false);
}

bool virtio_console_room(const struct hal_device *d)
{
	const struct virtio_device *v = &d->virtio;

	return virtio_running(v) && virtqueue_has_work(&v->queue[QUEUE_RECEIVE]);
}

/* Fill one buffer. Returns how many bytes of `data` went into it. */
static size_t fill(const struct virtq_chain *chain, const u8 *data, size_t n, u32 *written)
{
	const size_t space = chain->in_bytes < FILL_MAX ? chain->in_bytes : FILL_MAX;
	u8 bytes[FILL_MAX];
	size_t used = 0, taken = 0;

	while (taken < n) {
		const size_t need = data[taken] == CTRL_O ? 2 : 1;

		if (need > space - used)
			break;
		memset(bytes + used, data[taken++], need);
		used += need;
	}
	*written = virtq_write(chain, 0, bytes, used);
	return taken;
}

size_t virtio_console_input(struct hal_device *d, const u8 *data, size_t n)
{
	struct virtqueue *q = &d->virtio.queue[QUEUE_RECEIVE];
	struct virtq_chain chain;
	size_t taken = 0;
	u32 written;

	if (!virtio_running(&d->virtio))
		return 0;
	do {
		while (taken < n && virtqueue_pop(q, &chain)) {
			taken += fill(&chain, data + taken, n - taken, &written);
			virtqueue_push(q, chain.head, written);
		}
	} while (virtqueue_enable_notify(q) && taken < n);
	virtio_signal(&d->virtio, q);
	return taken;
}

void virtio_console_resize(struct hal_device *d, unsigned columns, unsigned rows)
{
	struct virtio_console *c = (struct virtio_console *)d;

	if (c->config.columns == columns && c->config.rows == rows)
		return;
	c->config.columns = columns;
	c->config.rows = rows;
	virtio_config_changed(&d->virtio);
}

void virtio_console_connect(struct hal_device *d, const struct virtio_console_config *config)
{
	struct virtio_console *c = (struct virtio_console *)d;

	c->owner = *config;
}

static const struct virtio_ops ops = {
	.name = "virtio-console",
	.guest_option = "CONFIG_VIRTIO_CONSOLE",
	.notify = notify,
	.start = start,
	.reset = reset,
};

static struct hal_device *console_open_device(const char *spec, struct error *e)
{
	struct virtio_console *c = calloc(1, sizeof(*c));

	(void)spec;
	if (!c) {
		error_set(e, "console: out of memory");
		return NULL;
	}
	c->hal.virtio.ops = &ops;
	c->hal.virtio.id = VIRTIO_ID_CONSOLE;
	c->hal.virtio.features = F_SIZE;
	c->hal.virtio.queue_count = QUEUES;
	c->hal.virtio.queue_max = QUEUE_MAX;
	c->hal.virtio.config = (u8 *)&c->config;
	c->hal.virtio.config_size = sizeof(c->config);
	return &c->hal;
}

static void destroy(struct hal_device *d)
{
	free(d);
}

const struct hal_kind hal_console = {
	.option = "virtio-console",
	.quiet = true,
	.open = console_open_device,
	.save = hal_save_nothing,
	.load = hal_load_nothing,
	.destroy = destroy,
};
