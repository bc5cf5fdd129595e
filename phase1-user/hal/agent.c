/*
 * The guest's ear: see agent.h.
 *
 * The driver learns of the port by messages, each of which needs a buffer of the driver's. What is
 * due is kept as a set of bits, so that nothing grows however the driver behaves.
 */
#include "agent.h"

#include <stdlib.h>
#include <string.h>

enum { QUEUE_RECEIVE, QUEUE_TRANSMIT, QUEUE_CONTROL_RECEIVE, QUEUE_CONTROL_TRANSMIT, QUEUES };

#define F_MULTIPORT 2ull
#define QUEUE_MAX   4 /* Linux gives each receive descriptor a page, for good */

/* Events of the control queues; those the device sends come in this order. */
enum {
	DEVICE_READY = 0,
	DEVICE_ADD = 1,
	PORT_READY = 3,
	PORT_OPEN = 6,
	PORT_NAME = 7,
};

static const char port_name[] = "org.qemu.guest_agent.0";
static const char request[] = "{\"execute\":\"guest-shutdown\"}\n";

struct config_space {
	u16 columns, rows;
	u32 max_ports, emergency_write;
};

struct message {
	u32 id;
	u16 event, value;
	char name[sizeof(port_name) - 1]; /* of PORT_NAME alone */
};

struct agent {
	struct hal_device hal;
	struct config_space config;
	u32 due; /* events to send: 1 << event */
	bool listens;
	bool power_off;		      /* to be asked for */
	void (*opened)(void *opaque); /* NULL: nobody wants to know */
	void *opaque;
};

static struct agent *agent_of(struct virtio_device *v)
{
	return (struct agent *)((char *)v - offsetof(struct agent, hal.virtio));
}

/* Put bytes into one buffer of the driver's. False: it has none for us. */
static bool deliver(struct virtio_device *v, unsigned index, const void *data, size_t n)
{
	struct virtqueue *q = &v->queue[index];
	struct virtq_chain chain;
	bool got;

	if (!virtio_running(v))
		return false;
	got = virtqueue_pop(q, &chain);
	if (!got && virtqueue_enable_notify(q))
		got = virtqueue_pop(q, &chain);
	if (got)
		virtqueue_push(q, chain.head, virtq_write(&chain, 0, data, n));
	virtio_signal(v, q);
	return got;
}

static void send_due(struct agent *a)
{
	struct message message = {.value = 1};

	for (message.event = DEVICE_ADD; message.event <= PORT_NAME; message.event++) {
		size_t size = offsetof(struct message, name);

		if (!(a->due >> message.event & 1))
			continue;
		if (message.event == PORT_NAME) {
			memcpy(message.name, port_name, sizeof(message.name));
			size += sizeof(message.name);
		}
		if (!deliver(&a->hal.virtio, QUEUE_CONTROL_RECEIVE, &message, size))
			return;
		a->due &= ~(1u << message.event);
	}
}

static void send_request(struct agent *a)
{
	if (a->power_off && a->listens &&
	    deliver(&a->hal.virtio, QUEUE_RECEIVE, request, sizeof(request) - 1))
		a->power_off = false;
}

static void take_message(struct agent *a, const struct message *m)
{
	if (m->event == DEVICE_READY && m->value)
		a->due |= 1u << DEVICE_ADD;
	if (m->id)
		return;
	switch (m->event) {
	case PORT_READY:
		a->due |= m->value ? 1u << PORT_OPEN | 1u << PORT_NAME : 0;
		break;
	case PORT_OPEN:
		a->listens = m->value != 0;
		if (a->listens && a->opened)
			a->opened(a->opaque);
		break;
	}
}

/* What the driver sends: messages, and answers of an agent, which nobody needs. */
static void take_all(struct agent *a, unsigned index)
{
	struct virtqueue *q = &a->hal.virtio.queue[index];
	const size_t size = offsetof(struct message, name);
	struct virtq_chain chain;

	do {
		while (virtqueue_pop(q, &chain)) {
			struct message message;

			if (index == QUEUE_CONTROL_TRANSMIT &&
			    virtq_read(&chain, 0, &message, size) == size)
				take_message(a, &message);
			virtqueue_push(q, chain.head, 0);
		}
	} while (virtqueue_enable_notify(q));
	/* No interrupt: Linux waits for each message on the spot (see virtio-console.c). */
	if (q->broken)
		virtio_break(&a->hal.virtio, q->broken);
}

static void notify(struct virtio_device *v, unsigned index)
{
	struct agent *a = agent_of(v);

	if (index == QUEUE_TRANSMIT || index == QUEUE_CONTROL_TRANSMIT)
		take_all(a, index);
	send_due(a);
	send_request(a);
}

static void reset(struct virtio_device *v)
{
	struct agent *a = agent_of(v);

	a->due = 0;
	a->listens = false;
}

void agent_power_off(struct hal_device *d)
{
	struct agent *a = (struct agent *)d;

	a->power_off = true;
	send_request(a);
}

void agent_connect(struct hal_device *d, void (*opened)(void *opaque), void *opaque)
{
	struct agent *a = (struct agent *)d;

	a->opened = opened;
	a->opaque = opaque;
}

bool agent_listens(const struct hal_device *d)
{
	return ((const struct agent *)d)->listens;
}

static const struct virtio_ops ops = {
	.name = "virtio-console",
	.guest_option = "CONFIG_VIRTIO_CONSOLE",
	.notify = notify,
	.reset = reset,
};

static struct hal_device *agent_open(const char *spec, struct error *e)
{
	struct agent *a = calloc(1, sizeof(*a));

	(void)spec;
	if (!a) {
		error_set(e, "agent: out of memory");
		return NULL;
	}
	a->config.max_ports = 1;
	a->hal.virtio.ops = &ops;
	a->hal.virtio.id = VIRTIO_ID_CONSOLE;
	a->hal.virtio.features = F_MULTIPORT;
	a->hal.virtio.queue_count = QUEUES;
	a->hal.virtio.queue_max = QUEUE_MAX;
	a->hal.virtio.config = (u8 *)&a->config;
	a->hal.virtio.config_size = sizeof(a->config);
	return &a->hal;
}

static bool agent_save(struct hal_device *d, struct byte_writer *w, struct error *e)
{
	const struct agent *a = (const struct agent *)d;

	(void)e;
	bytes_put_u32(w, a->due);
	bytes_put_u8(w, a->listens);
	bytes_put_u8(w, a->power_off);
	return true;
}

static bool agent_load(struct hal_device *d, struct byte_reader *r, struct error *e)
{
	struct agent *a = (struct agent *)d;

	(void)e;
	a->due = bytes_get_u32(r) & (1u << DEVICE_ADD | 1u << PORT_OPEN | 1u << PORT_NAME);
	a->listens = bytes_get_bool(r);
	a->power_off = bytes_get_bool(r);
	return true;
}

static void destroy(struct hal_device *d)
{
	free(d);
}

const struct hal_kind hal_agent = {
	.option = "agent",
	.quiet = true,
	.open = agent_open,
	.save = agent_save,
	.load = agent_load,
	.destroy = destroy,
};
