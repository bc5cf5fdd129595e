/*
 * The driver's side of virtio, for tests of devices: registers, queues and buffers in a small RAM.
 *
 * Owns: a bus with one device on it, guest RAM, what the driver has put into its rings, and a
 * record of the device's interrupts and warnings. Knows no kind of device. What a driver may not
 * do must be possible as well: see the functions at the end. Not thread-safe: hold the device lock
 * around calls if the device has threads. A failure of the test's own making aborts.
 */
#ifndef PLEX86_TEST_VIRTIO_DRIVER_H
#define PLEX86_TEST_VIRTIO_DRIVER_H

#include "../../phase1-user/hal/virtio.h"

/* Offsets of registers (virtio 1.2, table 4.1) a test may want by itself. */
#define DRIVER_REG_STATUS    0x070
#define DRIVER_REG_NOTIFY    0x050
#define DRIVER_REG_CONFIG    0x100
#define DRIVER_NEEDS_RESET   64u
#define DRIVER_DESC_NEXT     1u
#define DRIVER_DESC_WRITE    2u
#define DRIVER_DESC_INDIRECT 4u

struct driver_queue {
	u16 size;
	u64 desc, avail, used;
	u16 next_desc; /* descriptors are taken round robin: keep fewer in flight than there are */
	u16 offered, seen; /* the driver's positions in the two rings */
};

struct driver {
	struct bus bus;
	struct virtio_board board;
	struct virtio_device *device;
	u64 allocated;
	struct driver_queue queue[VIRTIO_QUEUES];
	bool irq;
	unsigned interrupts; /* how often the line rose */
	unsigned warnings;
	char warning[200];
};

/* One part of a request: `write` is from the device's point of view, as the flag in a descriptor.
 */
struct driver_buffer {
	u64 gpa;
	u32 len;
	bool write;
};

/* RAM of `ram_size` zeroed bytes, and `v` on the bus as device 0. */
void driver_init(struct driver *d, struct virtio_device *v, u64 ram_size);
void driver_destroy(struct driver *d);

u32 driver_read(struct driver *d, u32 reg);
void driver_write(struct driver *d, u32 reg, u32 value);
/* The device's configuration space. */
void driver_config(struct driver *d, unsigned offset, void *out, unsigned size);
u64 driver_offered(struct driver *d);

/* Reset, and negotiate those of `features` plus VERSION_1. False if the device says no. */
bool driver_negotiate(struct driver *d, u64 features);
/* Between driver_negotiate() and driver_ok(). The queue's memory is new. */
void driver_setup_queue(struct driver *d, unsigned index, u16 size);
void driver_ok(struct driver *d);
/* All of it, every queue of the device with `size` descriptors. */
void driver_start(struct driver *d, u64 features, u16 size);
/* Status 0: rings are forgotten, allocated memory stays. */
void driver_reset(struct driver *d);

/* Memory of the guest's: allocated for good, and as seen by the test. */
u64 driver_alloc(struct driver *d, u64 size, u64 align);
void *driver_at(struct driver *d, u64 gpa, u64 len);
/* Allocate `len` bytes, a copy of `data` unless it is NULL. */
u64 driver_bytes(struct driver *d, const void *data, u64 len);

/* Offer a chain; the device is not told. Returns its head. */
u16 driver_add(struct driver *d, unsigned queue, const struct driver_buffer *b, unsigned count);
u16 driver_add_indirect(struct driver *d, unsigned queue, const struct driver_buffer *b,
			unsigned count);
void driver_notify(struct driver *d, unsigned queue);
/* Take the next used element. False if there is none. */
bool driver_take(struct driver *d, unsigned queue, u32 *head, u32 *written);
/* Acknowledge whatever the interrupt status shows, and return it. */
u32 driver_acknowledge(struct driver *d);
/* Ask for an interrupt when used element number `position` is there (event index). */
void driver_want_interrupt_at(struct driver *d, unsigned queue, u16 position);
/* The device's wish: the position of which it wants to be notified (event index). */
u16 driver_device_event(struct driver *d, unsigned queue);

/* For hostile drivers: a descriptor as it is, a head as it is. */
void driver_set_desc(struct driver *d, unsigned queue, u16 index, u64 addr, u32 len, u16 flags,
		     u16 next);
void driver_offer(struct driver *d, unsigned queue, u16 head);

#endif
