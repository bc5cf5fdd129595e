/*
 * One split virtqueue (virtio 1.2, section 2.7), seen from the device.
 *
 * Owns: reading descriptor chains out of guest memory and giving them back. Everything in guest
 * memory is hostile: each index, address and length is read once and checked; a queue that breaks
 * the rules is marked broken with a reason and stays silent from then on.
 */
#ifndef PLEX86_HAL_VIRTQUEUE_H
#define PLEX86_HAL_VIRTQUEUE_H

#include <sys/uio.h>
#include "../../common/types.h"

/* Guest RAM as the devices see it. */
struct guest_ram {
	u8 *base;
	u64 size;
};

/* [gpa, gpa + len) in this process, or NULL if any of it is not RAM. */
void *guest_ram_at(const struct guest_ram *ram, u64 gpa, u64 len);

#define VIRTQUEUE_MAX_SIZE 256
/* Segments a chain may have: as many as descriptors, or as an indirect table of that size. */
#define VIRTQUEUE_MAX_SEGMENTS 256

struct virtqueue {
	const struct guest_ram *ram;
	/* Set by the driver through the transport. */
	u16 size;
	bool ready;
	u64 desc, avail, used;
	bool event_index, indirect; /* features negotiated */
	/* The device's own positions. */
	u16 next_avail, next_used;
	u16 signalled; /* next_used when the driver was last interrupted */
	bool signalled_valid;
	const char *broken; /* why the queue is broken, NULL if it is not */
};

/* A chain taken from the queue: the parts the device reads come first, then those it writes. */
struct virtq_chain {
	u16 head;
	unsigned out_count, in_count;
	u64 out_bytes, in_bytes;
	struct iovec segment[VIRTQUEUE_MAX_SEGMENTS];
};

static inline const struct iovec *virtq_out(const struct virtq_chain *c)
{
	return c->segment;
}
static inline const struct iovec *virtq_in(const struct virtq_chain *c)
{
	return c->segment + c->out_count;
}

void virtqueue_reset(struct virtqueue *q);
/* The driver has set `ready`: check the areas. False, and broken, if they are not RAM. */
bool virtqueue_start(struct virtqueue *q);
/* Go on where somebody else, who has served the queue in order until now, has stopped. */
void virtqueue_take_over(struct virtqueue *q);

/* Take the next chain. False if there is none, or the queue is (or thereby becomes) broken. */
bool virtqueue_pop(struct virtqueue *q, struct virtq_chain *chain);
/* Put the chain last popped back, as if it had not been taken. */
void virtqueue_unpop(struct virtqueue *q);
/* Is there a chain to take? */
bool virtqueue_has_work(const struct virtqueue *q);

/* Give a chain back: `written` bytes of its device-writable part are valid. */
void virtqueue_push(struct virtqueue *q, u16 head, u32 written);
/* The same for several that belong together: the driver sees all of them or none. */
struct virtq_used {
	u32 head, written;
};
void virtqueue_push_all(struct virtqueue *q, const struct virtq_used *chain, unsigned count);
/* Must the driver be interrupted for what has been pushed since the last call that said so? */
bool virtqueue_wants_interrupt(struct virtqueue *q);

/* Ask the driver to notify us of new chains, or not to. After asking for it, look again:
 * chains may have come before the driver saw the wish; true if so. */
bool virtqueue_enable_notify(struct virtqueue *q);
void virtqueue_disable_notify(struct virtqueue *q);

/* Copy between a chain's parts and a flat buffer; both stop at the shorter one and return the
 * bytes copied. `offset` is within the out or in part. */
size_t virtq_read(const struct virtq_chain *c, u64 offset, void *buf, size_t len);
size_t virtq_write(const struct virtq_chain *c, u64 offset, const void *buf, size_t len);

#endif
