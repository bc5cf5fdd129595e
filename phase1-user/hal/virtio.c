/*
 * Virtio over MMIO: see virtio.h.
 */
#include "virtio.h"

#include <stdio.h>
#include <string.h>

/* Registers (virtio 1.2, table 4.1). */
enum {
	REG_MAGIC = 0x000,
	REG_VERSION = 0x004,
	REG_DEVICE_ID = 0x008,
	REG_VENDOR_ID = 0x00c,
	REG_DEVICE_FEATURES = 0x010,
	REG_DEVICE_FEATURES_SEL = 0x014,
	REG_DRIVER_FEATURES = 0x020,
	REG_DRIVER_FEATURES_SEL = 0x024,
	REG_QUEUE_SEL = 0x030,
	REG_QUEUE_NUM_MAX = 0x034,
	REG_QUEUE_NUM = 0x038,
	REG_QUEUE_READY = 0x044,
	REG_QUEUE_NOTIFY = 0x050,
	REG_INTERRUPT_STATUS = 0x060,
	REG_INTERRUPT_ACK = 0x064,
	REG_STATUS = 0x070,
	REG_QUEUE_DESC_LOW = 0x080,
	REG_QUEUE_DESC_HIGH = 0x084,
	REG_QUEUE_DRIVER_LOW = 0x090,
	REG_QUEUE_DRIVER_HIGH = 0x094,
	REG_QUEUE_DEVICE_LOW = 0x0a0,
	REG_QUEUE_DEVICE_HIGH = 0x0a4,
	REG_SHM_FIRST = 0x0b0,
	REG_SHM_LAST = 0x0bc,
	REG_CONFIG_GENERATION = 0x0fc,
	REG_CONFIG = 0x100,
};

#define MAGIC	0x74726976u /* "virt" */
#define VERSION 2u
#define VENDOR	0x36387870u /* "px86" */

#define INTERRUPT_QUEUE	 1u
#define INTERRUPT_CONFIG 2u

#define STATUS_FEATURES_OK 8u
#define STATUS_DRIVER_OK   4u
#define STATUS_NEEDS_RESET 64u
#define STATUS_DRIVERS	   0x8fu /* those the driver may set; 128 says that it has failed */

#define TRANSPORT_FEATURES (VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_INDEX | VIRTIO_F_VERSION_1)

static u64 offered(const struct virtio_device *d)
{
	return d->features | (TRANSPORT_FEATURES & ~d->withheld);
}

/* The queue the driver has selected, or NULL. */
static struct virtqueue *selected(struct virtio_device *d)
{
	return d->queue_select < d->queue_count ? &d->queue[d->queue_select] : NULL;
}

static u32 queue_max(const struct virtio_device *d)
{
	return d->queue_max ? d->queue_max : VIRTQUEUE_MAX_SIZE;
}

/* --------------------------------------------------------- interrupts ---- */

static u32 *interrupt_status(struct virtio_device *d)
{
	return (u32 *)(d->registers + REG_INTERRUPT_STATUS);
}

/* See device-page.h: the core clears bits at the same time. */
static void interrupt(struct virtio_device *d, u32 cause)
{
	if (!__atomic_fetch_or(interrupt_status(d), cause, __ATOMIC_SEQ_CST))
		d->board->irq(d->board->opaque, d->irq, true);
}

static void acknowledge(struct virtio_device *d, u32 causes)
{
	if (!__atomic_and_fetch(interrupt_status(d), ~causes, __ATOMIC_SEQ_CST))
		d->board->irq(d->board->opaque, d->irq, false);
}

void virtio_signal(struct virtio_device *d, struct virtqueue *q)
{
	if (q->broken)
		virtio_break(d, q->broken);
	else if (virtqueue_wants_interrupt(q))
		interrupt(d, INTERRUPT_QUEUE);
}

void virtio_interrupt(struct virtio_device *d)
{
	interrupt(d, INTERRUPT_QUEUE);
}

void virtio_config_changed(struct virtio_device *d)
{
	d->generation++;
	virtio_publish(d);
	if (d->status & STATUS_DRIVER_OK)
		interrupt(d, INTERRUPT_CONFIG);
}

void virtio_break(struct virtio_device *d, const char *why)
{
	char text[160];

	if (d->status & STATUS_NEEDS_RESET)
		return;
	snprintf(text, sizeof(text), "%s %u: stopped until the guest resets it: %s", d->ops->name,
		 d->slot, why);
	d->board->warn(d->board->opaque, text);
	d->status |= STATUS_NEEDS_RESET;
	virtio_publish(d);
	if (d->status & STATUS_DRIVER_OK)
		interrupt(d, INTERRUPT_CONFIG);
}

/* ------------------------------------------------------------- status ---- */

static void reset(struct virtio_device *d)
{
	if (d->ops->reset)
		d->ops->reset(d);
	for (unsigned i = 0; i < d->queue_count; i++)
		virtqueue_reset(&d->queue[i]);
	d->negotiated = 0;
	d->features_select = d->driver_features_select = d->queue_select = 0;
	d->status = 0;
	acknowledge(d, ~0u);
}

static void write_status(struct virtio_device *d, u32 status)
{
	u32 new_bits = status & STATUS_DRIVERS & ~d->status;

	d->was_driven = true;
	if (!status) {
		reset(d);
		return;
	}
	/* A driver that asks for what was not offered, or is older than version 1, is refused. */
	if ((new_bits & STATUS_FEATURES_OK) &&
	    ((d->negotiated & ~offered(d)) || !(d->negotiated & VIRTIO_F_VERSION_1)))
		new_bits &= ~STATUS_FEATURES_OK;
	/* Nor does anything run on features that were not agreed upon. */
	if (!((d->status | new_bits) & STATUS_FEATURES_OK))
		new_bits &= ~STATUS_DRIVER_OK;
	/* Only a reset clears bits: else the features could change under a running device. */
	d->status |= new_bits;
	if ((new_bits & STATUS_DRIVER_OK) && d->ops->start)
		d->ops->start(d);
}

static void write_features(struct virtio_device *d, u32 value)
{
	unsigned shift = d->driver_features_select * 32;

	if (d->driver_features_select > 1 || (d->status & STATUS_FEATURES_OK))
		return;
	d->negotiated = (d->negotiated & ~(0xffffffffull << shift)) | (u64)value << shift;
}

/* ------------------------------------------------------------- queues ---- */

static void write_half(u64 *address, bool high, u32 value)
{
	unsigned shift = high ? 32 : 0;

	*address = (*address & ~(0xffffffffull << shift)) | (u64)value << shift;
}

static void set_ready(struct virtio_device *d, struct virtqueue *q, bool ready)
{
	if (!ready) {
		virtqueue_reset(q);
		return;
	}
	if (q->ready)
		return;
	q->indirect = d->negotiated & VIRTIO_F_INDIRECT;
	q->event_index = d->negotiated & VIRTIO_F_EVENT_INDEX;
	if (virtqueue_start(q))
		q->ready = true;
	else
		virtio_break(d, q->broken);
}

static void write_queue(struct virtio_device *d, u64 offset, u32 value)
{
	struct virtqueue *q = selected(d);

	/* A queue that is ready must not be moved under the device. */
	if (!q || (q->ready && offset != REG_QUEUE_READY))
		return;
	switch (offset) {
	case REG_QUEUE_NUM:
		q->size = value <= queue_max(d) ? value : 0;
		break;
	case REG_QUEUE_READY:
		set_ready(d, q, value & 1);
		break;
	case REG_QUEUE_DESC_LOW:
	case REG_QUEUE_DESC_HIGH:
		write_half(&q->desc, offset == REG_QUEUE_DESC_HIGH, value);
		break;
	case REG_QUEUE_DRIVER_LOW:
	case REG_QUEUE_DRIVER_HIGH:
		write_half(&q->avail, offset == REG_QUEUE_DRIVER_HIGH, value);
		break;
	case REG_QUEUE_DEVICE_LOW:
	case REG_QUEUE_DEVICE_HIGH:
		write_half(&q->used, offset == REG_QUEUE_DEVICE_HIGH, value);
		break;
	}
}

void virtio_notify(struct virtio_device *d, unsigned index)
{
	if (index < d->queue_count && d->queue[index].ready && virtio_running(d))
		d->ops->notify(d, index);
}

void virtio_again(struct virtio_device *d, unsigned index)
{
	if (d->board->again)
		d->board->again(d->board->opaque, d->slot, index);
}

/* ---------------------------------------------------------- registers ---- */

static u64 read_config(const struct virtio_device *d, u64 offset, unsigned size)
{
	u64 value = 0;

	if (offset < d->config_size && size <= d->config_size - offset)
		memcpy(&value, d->config + offset, size);
	return value;
}

static void write_config(struct virtio_device *d, u64 offset, unsigned size, u64 value)
{
	if (offset >= d->config_writable || size > d->config_writable - offset)
		return;
	memcpy(d->config + offset, &value, size);
	if (d->ops->config_written)
		d->ops->config_written(d, offset, size);
}

static u64 read_register(struct virtio_device *d, u64 offset, unsigned size)
{
	const struct virtqueue *q = selected(d);

	if (offset >= REG_CONFIG)
		return read_config(d, offset - REG_CONFIG, size);
	if (offset >= REG_SHM_FIRST && offset <= REG_SHM_LAST)
		return 0xffffffffu; /* no such region: length and base of all ones */
	switch (offset) {
	case REG_MAGIC:
		return MAGIC;
	case REG_VERSION:
		return VERSION;
	case REG_DEVICE_ID:
		return d->id;
	case REG_VENDOR_ID:
		return VENDOR;
	case REG_DEVICE_FEATURES:
		return d->features_select > 1 ? 0 : (u32)(offered(d) >> d->features_select * 32);
	case REG_QUEUE_NUM_MAX:
		return q ? queue_max(d) : 0;
	case REG_QUEUE_READY:
		return q && q->ready;
	case REG_INTERRUPT_STATUS:
		return __atomic_load_n(interrupt_status(d), __ATOMIC_SEQ_CST);
	case REG_STATUS:
		return d->status;
	case REG_CONFIG_GENERATION:
		return d->generation;
	default:
		return 0;
	}
}

static u64 mmio_read(void *opaque, u64 offset, unsigned size)
{
	return read_register(opaque, offset, size);
}

static void write_register(struct virtio_device *d, u64 offset, unsigned size, u64 value)
{
	if (offset >= REG_CONFIG) {
		write_config(d, offset - REG_CONFIG, size, value);
		return;
	}
	switch (offset) {
	case REG_DEVICE_FEATURES_SEL:
		d->features_select = value;
		break;
	case REG_DRIVER_FEATURES:
		write_features(d, value);
		break;
	case REG_DRIVER_FEATURES_SEL:
		d->driver_features_select = value;
		break;
	case REG_QUEUE_SEL:
		d->queue_select = value;
		break;
	case REG_QUEUE_NOTIFY:
		virtio_notify(d, value);
		break;
	case REG_INTERRUPT_ACK:
		acknowledge(d, value);
		break;
	case REG_STATUS:
		write_status(d, value);
		break;
	default:
		write_queue(d, offset, value);
	}
}

static void mmio_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct virtio_device *d = opaque;

	write_register(d, offset, size, value);
	if (offset != REG_QUEUE_NOTIFY && offset != REG_INTERRUPT_ACK)
		virtio_publish(d);
}

static void publish_register(struct virtio_device *d, u32 offset)
{
	__atomic_store_n((u32 *)(d->registers + offset), (u32)read_register(d, offset, 4),
			 __ATOMIC_RELEASE);
}

void virtio_publish(struct virtio_device *d)
{
	static const u16 readable[] = {
		REG_MAGIC,	     REG_VERSION,	REG_DEVICE_ID,	 REG_VENDOR_ID,
		REG_DEVICE_FEATURES, REG_QUEUE_NUM_MAX, REG_QUEUE_READY, REG_STATUS,
	};

	if (!d->board->registers)
		return;
	for (unsigned i = 0; i < ARRAY_SIZE(readable); i++)
		publish_register(d, readable[i]);
	for (u32 offset = REG_SHM_FIRST; offset <= REG_SHM_LAST; offset += 4)
		publish_register(d, offset);
	/* What a driver reads half old, half new it reads again: the interrupt comes after this. */
	if (d->config_size)
		memcpy(d->registers + REG_CONFIG, d->config, d->config_size);
	publish_register(d, REG_CONFIG_GENERATION);
}

static const struct bus_ops mmio_ops = {
	.read = mmio_read,
	.write = mmio_write,
	.max_size = 4,
};

bool virtio_register(struct virtio_device *d, struct bus *bus, const struct virtio_board *board,
		     unsigned slot, unsigned irq)
{
	d->board = board;
	d->slot = slot;
	d->irq = irq;
	d->registers = board->registers ? board->registers + slot * VIRTIO_MMIO_SIZE
					: (u8 *)d->own_registers;
	for (unsigned i = 0; i < VIRTIO_QUEUES; i++)
		d->queue[i].ram = &board->ram;
	return bus_register_mmio(bus, VIRTIO_MMIO_BASE + slot * VIRTIO_MMIO_SIZE, VIRTIO_MMIO_SIZE,
				 &mmio_ops, d);
}

void virtio_cmdline(const struct virtio_device *d, char *text, size_t size)
{
	snprintf(text, size, "virtio_mmio.device=4K@%#x:%u",
		 VIRTIO_MMIO_BASE + d->slot * VIRTIO_MMIO_SIZE, d->irq);
}

/* ---------------------------------------------------------- snapshots ---- */

static void save_queue(const struct virtqueue *q, struct byte_writer *w)
{
	bytes_put_u16(w, q->size);
	bytes_put_u8(w, q->ready);
	bytes_put_u64(w, q->desc);
	bytes_put_u64(w, q->avail);
	bytes_put_u64(w, q->used);
	bytes_put_u8(w, q->event_index);
	bytes_put_u8(w, q->indirect);
	bytes_put_u16(w, q->next_avail);
	bytes_put_u16(w, q->next_used);
	bytes_put_u16(w, q->signalled);
	bytes_put_u8(w, q->signalled_valid);
	bytes_put_u8(w, q->broken != NULL);
}

void virtio_save(struct virtio_device *d, struct byte_writer *w)
{
	bytes_put_u32(w, d->id);
	bytes_put_u64(w, d->negotiated);
	bytes_put_u32(w, d->features_select);
	bytes_put_u32(w, d->driver_features_select);
	bytes_put_u32(w, d->queue_select);
	bytes_put_u32(w, d->status);
	bytes_put_u32(w, d->generation);
	bytes_put_u32(w, __atomic_load_n(interrupt_status(d), __ATOMIC_SEQ_CST));
	bytes_put_u8(w, d->was_driven);
	bytes_put_u32(w, d->config_size);
	bytes_put(w, d->config, d->config_size);
	bytes_put_u32(w, d->queue_count);
	for (unsigned i = 0; i < d->queue_count; i++)
		save_queue(&d->queue[i], w);
}

static bool load_queue(struct virtio_device *d, struct virtqueue *q, struct byte_reader *r)
{
	bool broken;

	virtqueue_reset(q);
	q->size = bytes_get_u16(r);
	q->ready = bytes_get_bool(r);
	q->desc = bytes_get_u64(r);
	q->avail = bytes_get_u64(r);
	q->used = bytes_get_u64(r);
	q->event_index = bytes_get_bool(r);
	q->indirect = bytes_get_bool(r);
	q->next_avail = bytes_get_u16(r);
	q->next_used = bytes_get_u16(r);
	q->signalled = bytes_get_u16(r);
	q->signalled_valid = bytes_get_bool(r);
	broken = bytes_get_bool(r);
	if (r->failed || q->size > queue_max(d) || (q->ready && !virtqueue_start(q)))
		return false;
	q->broken = broken ? "it was before the snapshot" : NULL;
	return true;
}

static bool load_config(struct virtio_device *d, struct byte_reader *r, bool fixed)
{
	u8 config[256];

	if (bytes_get_u32(r) != d->config_size || d->config_size > sizeof(config))
		return false;
	bytes_get(r, config, d->config_size);
	if (fixed)
		return !memcmp(config, d->config, d->config_size);
	if (!r->failed && d->config_size)
		memcpy(d->config, config, d->config_size);
	return true;
}

static const char *load_queues(struct virtio_device *d, struct byte_reader *r)
{
	if (bytes_get_u32(r) != d->queue_count)
		return "it has another number of queues";
	for (unsigned i = 0; i < d->queue_count; i++)
		if (!load_queue(d, &d->queue[i], r)) {
			virtqueue_reset(&d->queue[i]);
			return "a queue's state is impossible";
		}
	return NULL;
}

const char *virtio_load(struct virtio_device *d, struct byte_reader *r, bool fixed)
{
	const u32 known = STATUS_DRIVERS | STATUS_NEEDS_RESET;
	const char *why;
	u32 interrupts;

	if (bytes_get_u32(r) != d->id)
		return "it is of another type";
	d->negotiated = bytes_get_u64(r);
	d->features_select = bytes_get_u32(r);
	d->driver_features_select = bytes_get_u32(r);
	d->queue_select = bytes_get_u32(r);
	d->status = bytes_get_u32(r);
	d->generation = bytes_get_u32(r);
	interrupts = bytes_get_u32(r);
	d->was_driven = bytes_get_bool(r);
	if (r->failed || (d->status & ~known) ||
	    (interrupts & ~(INTERRUPT_QUEUE | INTERRUPT_CONFIG)))
		return "its state is impossible";
	if (d->negotiated & ~offered(d))
		return "it can do less than the one that the guest knows";
	if (!load_config(d, r, fixed))
		return "it is another one than the guest knows";
	why = load_queues(d, r);
	if (why)
		return why;
	__atomic_store_n(interrupt_status(d), interrupts, __ATOMIC_SEQ_CST);
	virtio_publish(d);
	return NULL;
}
