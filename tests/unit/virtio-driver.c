/*
 * The driver's side of virtio: see virtio-driver.h.
 */
#include "virtio-driver.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	REG_DEVICE_FEATURES = 0x010,
	REG_DEVICE_FEATURES_SEL = 0x014,
	REG_DRIVER_FEATURES = 0x020,
	REG_DRIVER_FEATURES_SEL = 0x024,
	REG_QUEUE_SEL = 0x030,
	REG_QUEUE_NUM = 0x038,
	REG_QUEUE_READY = 0x044,
	REG_INTERRUPT_STATUS = 0x060,
	REG_INTERRUPT_ACK = 0x064,
	REG_QUEUE_DESC = 0x080,
	REG_QUEUE_DRIVER = 0x090,
	REG_QUEUE_DEVICE = 0x0a0,
};

#define ACKNOWLEDGE 1u
#define DRIVER	    2u
#define DRIVER_OK   4u
#define FEATURES_OK 8u

struct desc {
	u64 addr;
	u32 len;
	u16 flags, next;
};

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "virtio-driver: %s\n", what);
	abort();
}

static void on_irq(void *opaque, unsigned irq, bool level)
{
	struct driver *d = opaque;

	require(irq == d->device->irq, "another device's interrupt");
	d->interrupts += level && !d->irq;
	d->irq = level;
}

static void on_warn(void *opaque, const char *text)
{
	struct driver *d = opaque;

	d->warnings++;
	snprintf(d->warning, sizeof(d->warning), "%s", text);
}

void driver_init(struct driver *d, struct virtio_device *v, u64 ram_size)
{
	memset(d, 0, sizeof(*d));
	bus_init(&d->bus);
	d->device = v;
	/* On the heap, so that ASan sees a device that reads or writes beyond it. */
	d->board = (struct virtio_board){
		.ram = {calloc(1, ram_size), ram_size},
		.irq = on_irq,
		.warn = on_warn,
		.opaque = d,
	};
	require(d->board.ram.base, "no memory");
	require(virtio_register(v, &d->bus, &d->board, 0, 5), "no place on the bus");
}

void driver_destroy(struct driver *d)
{
	free(d->board.ram.base);
}

/* ---------------------------------------------------------- registers ---- */

u32 driver_read(struct driver *d, u32 reg)
{
	u64 value;

	require(bus_mmio(&d->bus, VIRTIO_MMIO_BASE + reg, 4, false, &value), "no device");
	return value;
}

void driver_write(struct driver *d, u32 reg, u32 value)
{
	u64 wide = value;

	require(bus_mmio(&d->bus, VIRTIO_MMIO_BASE + reg, 4, true, &wide), "no device");
}

void driver_config(struct driver *d, unsigned offset, void *out, unsigned size)
{
	for (unsigned i = 0; i < size; i++) {
		u64 byte;

		bus_mmio(&d->bus, VIRTIO_MMIO_BASE + DRIVER_REG_CONFIG + offset + i, 1, false,
			 &byte);
		((u8 *)out)[i] = byte;
	}
}

u64 driver_offered(struct driver *d)
{
	u64 features;

	driver_write(d, REG_DEVICE_FEATURES_SEL, 1);
	features = (u64)driver_read(d, REG_DEVICE_FEATURES) << 32;
	driver_write(d, REG_DEVICE_FEATURES_SEL, 0);
	return features | driver_read(d, REG_DEVICE_FEATURES);
}

void driver_reset(struct driver *d)
{
	driver_write(d, DRIVER_REG_STATUS, 0);
	memset(d->queue, 0, sizeof(d->queue));
}

bool driver_negotiate(struct driver *d, u64 features)
{
	features |= VIRTIO_F_VERSION_1;
	driver_reset(d);
	driver_write(d, DRIVER_REG_STATUS, ACKNOWLEDGE | DRIVER);
	driver_write(d, REG_DRIVER_FEATURES_SEL, 1);
	driver_write(d, REG_DRIVER_FEATURES, features >> 32);
	driver_write(d, REG_DRIVER_FEATURES_SEL, 0);
	driver_write(d, REG_DRIVER_FEATURES, features);
	driver_write(d, DRIVER_REG_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	return driver_read(d, DRIVER_REG_STATUS) & FEATURES_OK;
}

static void write_address(struct driver *d, u32 reg, u64 gpa)
{
	driver_write(d, reg, gpa);
	driver_write(d, reg + 4, gpa >> 32);
}

void driver_setup_queue(struct driver *d, unsigned index, u16 size)
{
	struct driver_queue *q = &d->queue[index];

	*q = (struct driver_queue){
		.size = size,
		.desc = driver_alloc(d, sizeof(struct desc) * size, 16),
		.avail = driver_alloc(d, 6 + 2 * size, 2),
		.used = driver_alloc(d, 6 + 8 * size, 4),
	};
	driver_write(d, REG_QUEUE_SEL, index);
	driver_write(d, REG_QUEUE_NUM, size);
	write_address(d, REG_QUEUE_DESC, q->desc);
	write_address(d, REG_QUEUE_DRIVER, q->avail);
	write_address(d, REG_QUEUE_DEVICE, q->used);
	driver_write(d, REG_QUEUE_READY, 1);
}

void driver_ok(struct driver *d)
{
	driver_write(d, DRIVER_REG_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK);
}

void driver_start(struct driver *d, u64 features, u16 size)
{
	require(driver_negotiate(d, features), "the device refuses the features");
	for (unsigned i = 0; i < d->device->queue_count; i++)
		driver_setup_queue(d, i, size);
	driver_ok(d);
}

/* ------------------------------------------------------------- memory ---- */

u64 driver_alloc(struct driver *d, u64 size, u64 align)
{
	u64 gpa = (d->allocated + align - 1) / align * align;

	require(gpa + size <= d->board.ram.size, "RAM is used up");
	d->allocated = gpa + size;
	return gpa;
}

void *driver_at(struct driver *d, u64 gpa, u64 len)
{
	void *p = guest_ram_at(&d->board.ram, gpa, len);

	require(p, "not RAM");
	return p;
}

u64 driver_bytes(struct driver *d, const void *data, u64 len)
{
	u64 gpa = driver_alloc(d, len, 1);

	if (data)
		memcpy(driver_at(d, gpa, len), data, len);
	return gpa;
}

static u16 *ring_u16(struct driver *d, u64 gpa)
{
	return driver_at(d, gpa, sizeof(u16));
}

/* ------------------------------------------------------------- queues ---- */

void driver_set_desc(struct driver *d, unsigned queue, u16 index, u64 addr, u32 len, u16 flags,
		     u16 next)
{
	const struct desc desc = {addr, len, flags, next};

	memcpy(driver_at(d, d->queue[queue].desc + index * sizeof(desc), sizeof(desc)), &desc,
	       sizeof(desc));
}

void driver_offer(struct driver *d, unsigned queue, u16 head)
{
	struct driver_queue *q = &d->queue[queue];

	*ring_u16(d, q->avail + 4 + 2 * (q->offered % q->size)) = head;
	__atomic_store_n(ring_u16(d, q->avail + 2), ++q->offered, __ATOMIC_RELEASE);
}

static u16 take_desc(struct driver_queue *q)
{
	u16 index = q->next_desc;

	q->next_desc = (index + 1) % q->size;
	return index;
}

u16 driver_add(struct driver *d, unsigned queue, const struct driver_buffer *b, unsigned count)
{
	struct driver_queue *q = &d->queue[queue];
	u16 head = q->next_desc;

	require(count && count <= q->size, "a chain that does not fit");
	for (unsigned i = 0; i < count; i++) {
		u16 index = take_desc(q), flags = b[i].write ? DRIVER_DESC_WRITE : 0;

		if (i + 1 < count)
			flags |= DRIVER_DESC_NEXT;
		driver_set_desc(d, queue, index, b[i].gpa, b[i].len, flags, q->next_desc);
	}
	driver_offer(d, queue, head);
	return head;
}

u16 driver_add_indirect(struct driver *d, unsigned queue, const struct driver_buffer *b,
			unsigned count)
{
	u64 table = driver_alloc(d, count * sizeof(struct desc), 16);
	struct desc *desc = driver_at(d, table, count * sizeof(*desc));
	u16 head = take_desc(&d->queue[queue]);

	for (unsigned i = 0; i < count; i++) {
		desc[i] = (struct desc){b[i].gpa, b[i].len, b[i].write ? DRIVER_DESC_WRITE : 0,
					i + 1};
		if (i + 1 < count)
			desc[i].flags |= DRIVER_DESC_NEXT;
	}
	driver_set_desc(d, queue, head, table, count * sizeof(*desc), DRIVER_DESC_INDIRECT, 0);
	driver_offer(d, queue, head);
	return head;
}

void driver_notify(struct driver *d, unsigned queue)
{
	driver_write(d, DRIVER_REG_NOTIFY, queue);
}

bool driver_take(struct driver *d, unsigned queue, u32 *head, u32 *written)
{
	struct driver_queue *q = &d->queue[queue];
	const u32 *element;

	if (__atomic_load_n(ring_u16(d, q->used + 2), __ATOMIC_ACQUIRE) == q->seen)
		return false;
	element = driver_at(d, q->used + 4 + 8 * (q->seen++ % q->size), 8);
	*head = element[0];
	*written = element[1];
	return true;
}

u32 driver_acknowledge(struct driver *d)
{
	u32 status = driver_read(d, REG_INTERRUPT_STATUS);

	driver_write(d, REG_INTERRUPT_ACK, status);
	return status;
}

void driver_want_interrupt_at(struct driver *d, unsigned queue, u16 position)
{
	const struct driver_queue *q = &d->queue[queue];

	*ring_u16(d, q->avail + 4 + 2 * q->size) = position;
}

u16 driver_device_event(struct driver *d, unsigned queue)
{
	const struct driver_queue *q = &d->queue[queue];

	return *ring_u16(d, q->used + 4 + 8 * q->size);
}
