/*
 * A virtio device and its transport: virtio over MMIO, version 2 (virtio 1.2, section 4.2).
 *
 * Owns: feature negotiation, status, queue set-up, the interrupt status, the configuration space
 * window. A device brings a table of functions and embeds struct virtio_device.
 *
 * The registers can be read without an exit where the board has memory for them that the guest sees
 * (common/device-page.h): what they read as is kept there. What is found there decides whether the
 * guest is interrupted, and nothing else: it might have written it.
 *
 * All functions are called with the device lock held (phase1-user/loop.h).
 */
#ifndef PLEX86_HAL_VIRTIO_H
#define PLEX86_HAL_VIRTIO_H

#include "../../common/device-page.h"
#include "../bytes.h"
#include "bus.h"
#include "virtqueue.h"

#define VIRTIO_MMIO_BASE 0xd0000000u
#define VIRTIO_MMIO_SIZE 0x1000u
#define VIRTIO_QUEUES	 8

/* Device types (virtio 1.2, section 5). */
enum virtio_id {
	VIRTIO_ID_NET = 1,
	VIRTIO_ID_BLOCK = 2,
	VIRTIO_ID_CONSOLE = 3,
	VIRTIO_ID_RNG = 4,
	VIRTIO_ID_BALLOON = 5,
	VIRTIO_ID_FS = 26,
};

/* Feature bits that the transport itself offers for every device. */
#define VIRTIO_F_INDIRECT    (1ull << 28)
#define VIRTIO_F_EVENT_INDEX (1ull << 29)
#define VIRTIO_F_VERSION_1   (1ull << 32)

struct virtio_device;

struct virtio_ops {
	const char *name;	  /* for messages: "virtio-blk" */
	const char *guest_option; /* the guest kernel's driver: "CONFIG_VIRTIO_BLK" */
	/* The driver has put chains into queue `index`. */
	void (*notify)(struct virtio_device *d, unsigned index);
	/* DRIVER_OK: features are settled and the queues ready. May be NULL. */
	void (*start)(struct virtio_device *d);
	/* The driver resets: no queue may be touched after this. May be NULL. */
	void (*reset)(struct virtio_device *d);
	/* The driver has written device configuration, which is in d->config. May be NULL. */
	void (*config_written)(struct virtio_device *d, unsigned offset, unsigned size);
};

/* What a device needs of the board; set by virtio_register(). */
struct virtio_board {
	struct guest_ram ram;
	/* VIRTIO_MMIO_SIZE bytes for each device, which the guest can read. May be NULL. */
	u8 *registers;
	/* Drive the device's interrupt line. With `registers` that is the core's business, and this
	 * says that it must look. */
	void (*irq)(void *opaque, unsigned irq, bool level);
	/* Have virtio_notify() called for queue `index` soon. May be NULL: it is not needed. */
	void (*again)(void *opaque, unsigned slot, unsigned index);
	/* The guest does not use this RAM, page-aligned: its contents may be given up. */
	void (*release)(void *opaque, u64 gpa, u64 len);
	/* The file that RAM is, from its beginning: for backends in other processes. */
	int ram_fd;
	/* What a driver asks for is to be done when it gets to run again: nothing that it can see
	 * may depend on how long the host takes. */
	bool at_once;
	/* A line for the user about a device that misbehaves. */
	void (*warn)(void *opaque, const char *text);
	void *opaque;
};

struct virtio_device {
	const struct virtio_ops *ops;
	enum virtio_id id;
	u64 features; /* the device's own; the transport adds its own */
	u64 withheld; /* of those of the transport, what the device cannot do */
	unsigned queue_count;
	unsigned queue_max; /* descriptors a queue may have; 0: VIRTQUEUE_MAX_SIZE */
	u8 bells;   /* queues the device can serve while the guest goes on running, as a mask */
	u8 *config; /* the configuration space, little-endian */
	unsigned config_size, config_writable; /* bytes; the first `writable` may be written */

	/* The transport's. */
	const struct virtio_board *board;
	unsigned slot, irq;
	u64 negotiated;
	u32 features_select, driver_features_select, queue_select;
	u32 status, generation;
	u8 *registers; /* what the guest reads, and the interrupt status itself */
	u32 own_registers[DEVICE_INTERRUPT_ACK / 4]; /* where the board has no memory for them */
	bool was_driven; /* a driver has found it: see virtio_undriven() */
	struct virtqueue queue[VIRTIO_QUEUES];
};

/* Put `d` on the bus as device number `slot` with interrupt line `irq`. d->ops, id, features,
 * queue_count and config must be set. False if the window is taken. */
bool virtio_register(struct virtio_device *d, struct bus *bus, const struct virtio_board *board,
		     unsigned slot, unsigned irq);
/* The kernel command line word that announces it: "virtio_mmio.device=4K@0xd0000000:5". */
void virtio_cmdline(const struct virtio_device *d, char *text, size_t size);

/* Show the guest the registers as they are now; for changes that no access of its own brought. */
void virtio_publish(struct virtio_device *d);
/* The driver has notified queue `index`, without an exit. */
void virtio_notify(struct virtio_device *d, unsigned index);
/* There is more in queue `index` than one call should serve: come back when others had a turn. */
void virtio_again(struct virtio_device *d, unsigned index);
/* Interrupt the driver if it wants to hear of what was pushed to the queue. */
void virtio_signal(struct virtio_device *d, struct virtqueue *q);
/* The same for a queue that somebody else serves, who knows that it wants to. */
void virtio_interrupt(struct virtio_device *d);
/* The configuration space has changed. */
void virtio_config_changed(struct virtio_device *d);
/* A queue is broken or a request makes no sense: say so once and ask for a reset. */
void virtio_break(struct virtio_device *d, const char *why);

/* For snapshots: the transport's part of a device at rest, and its configuration space. Loading,
 * with the guest's RAM there, tells what is wrong with it: NULL: nothing. What the space holds
 * must be what the device has there if `fixed`. */
void virtio_save(struct virtio_device *d, struct byte_writer *w);
const char *virtio_load(struct virtio_device *d, struct byte_reader *r, bool fixed);

static inline bool virtio_running(const struct virtio_device *d)
{
	const u32 driver_ok = 4, needs_reset = 64;

	return (d->status & driver_ok) && !(d->status & needs_reset);
}

#endif
