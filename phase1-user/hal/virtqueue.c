/*
 * One split virtqueue: see virtqueue.h.
 */
#include "virtqueue.h"

#include <string.h>

/* virtio 1.2, 2.7.5-2.7.8, little-endian as this host is. */
struct desc {
	u64 addr;
	u32 len;
	u16 flags;
	u16 next;
};

#define DESC_NEXT     1
#define DESC_WRITE    2
#define DESC_INDIRECT 4

#define AVAIL_NO_INTERRUPT 1
#define USED_NO_NOTIFY	   1

/* Offsets within the available and used areas. */
#define RING_FLAGS 0
#define RING_INDEX 2
#define RING_START 4

void *guest_ram_at(const struct guest_ram *ram, u64 gpa, u64 len)
{
	if (gpa >= ram->size || len > ram->size - gpa)
		return NULL;
	return ram->base + gpa;
}

/* ----------------------------------------------------- ring accesses ---- */

static u64 avail_bytes(const struct virtqueue *q)
{
	return RING_START + 2u * q->size + 2;
}

static u64 used_bytes(const struct virtqueue *q)
{
	return RING_START + sizeof(struct virtq_used) * q->size + 2;
}

static u16 read_u16(const struct virtqueue *q, u64 gpa)
{
	const u16 *p = guest_ram_at(q->ram, gpa, sizeof(*p));

	return p ? __atomic_load_n(p, __ATOMIC_ACQUIRE) : 0;
}

static void write_u16(const struct virtqueue *q, u64 gpa, u16 value)
{
	u16 *p = guest_ram_at(q->ram, gpa, sizeof(*p));

	if (p)
		__atomic_store_n(p, value, __ATOMIC_RELEASE);
}

static bool fail(struct virtqueue *q, const char *why)
{
	if (!q->broken)
		q->broken = why;
	return false;
}

static bool usable(const struct virtqueue *q)
{
	return q->ready && !q->broken;
}

void virtqueue_reset(struct virtqueue *q)
{
	const struct guest_ram *ram = q->ram;

	memset(q, 0, sizeof(*q));
	q->ram = ram;
}

/* What a device has used would be on offer again, and again. */
static bool rings_overlap(const struct virtqueue *q)
{
	return q->used < q->avail + avail_bytes(q) && q->avail < q->used + used_bytes(q);
}

bool virtqueue_start(struct virtqueue *q)
{
	if (!q->size || q->size > VIRTQUEUE_MAX_SIZE || (q->size & (q->size - 1)))
		return fail(q, "the queue's size is not a power of two up to the maximum");
	if ((q->desc & 15) || (q->avail & 1) || (q->used & 3))
		return fail(q, "a ring is not aligned");
	if (!guest_ram_at(q->ram, q->desc, sizeof(struct desc) * q->size) ||
	    !guest_ram_at(q->ram, q->avail, avail_bytes(q)) ||
	    !guest_ram_at(q->ram, q->used, used_bytes(q)))
		return fail(q, "a ring lies outside RAM");
	if (rings_overlap(q))
		return fail(q, "its rings lie over each other");
	return true;
}

void virtqueue_take_over(struct virtqueue *q)
{
	if (usable(q))
		q->next_avail = q->next_used = read_u16(q, q->used + RING_INDEX);
}

/* ------------------------------------------------------------- chains ---- */

/* Walk state: the table the descriptors are in, and how many it has. */
struct walk {
	u64 table;
	u32 count;
	bool indirect;
	u32 seen;
};

static bool read_desc(struct virtqueue *q, const struct walk *w, u32 index, struct desc *d)
{
	const struct desc *p;

	if (index >= w->count)
		return fail(q, "a descriptor index is beyond its table");
	p = guest_ram_at(q->ram, w->table + index * sizeof(*d), sizeof(*d));
	if (!p)
		return fail(q, "a descriptor lies outside RAM");
	memcpy(d, p, sizeof(*d));
	return true;
}

static bool add_segment(struct virtqueue *q, struct virtq_chain *c, const struct desc *d)
{
	unsigned n = c->out_count + c->in_count;
	void *base = guest_ram_at(q->ram, d->addr, d->len);

	if (n >= VIRTQUEUE_MAX_SEGMENTS)
		return fail(q, "a chain has too many descriptors");
	if (!base)
		return fail(q, "a buffer lies outside RAM");
	c->segment[n] = (struct iovec){base, d->len};
	if (d->flags & DESC_WRITE) {
		c->in_count++;
		c->in_bytes += d->len;
		return true;
	}
	if (c->in_count)
		return fail(q, "a readable descriptor follows a writable one");
	c->out_count++;
	c->out_bytes += d->len;
	return true;
}

static bool enter_indirect(struct virtqueue *q, struct walk *w, const struct desc *d)
{
	if (!q->indirect || w->indirect)
		return fail(q, "an indirect descriptor where none may be");
	if (d->flags & DESC_NEXT)
		return fail(q, "an indirect descriptor with a successor");
	if (!d->len || d->len % sizeof(*d) || d->len / sizeof(*d) > VIRTQUEUE_MAX_SEGMENTS)
		return fail(q, "an indirect table of impossible length");
	if (!guest_ram_at(q->ram, d->addr, d->len))
		return fail(q, "an indirect table lies outside RAM");
	w->table = d->addr;
	w->count = d->len / sizeof(*d);
	w->indirect = true;
	w->seen = 0;
	return true;
}

static bool walk_chain(struct virtqueue *q, struct virtq_chain *c)
{
	struct walk w = {.table = q->desc, .count = q->size};
	u32 index = c->head;
	struct desc d;

	for (;;) {
		if (w.seen++ >= w.count)
			return fail(q, "a chain of descriptors is a loop");
		if (!read_desc(q, &w, index, &d))
			return false;
		if (d.flags & DESC_INDIRECT) {
			if (!enter_indirect(q, &w, &d))
				return false;
			index = 0;
			continue;
		}
		if (!add_segment(q, c, &d))
			return false;
		if (!(d.flags & DESC_NEXT))
			return true;
		index = d.next;
	}
}

bool virtqueue_has_work(const struct virtqueue *q)
{
	return usable(q) && read_u16(q, q->avail + RING_INDEX) != q->next_avail;
}

bool virtqueue_pop(struct virtqueue *q, struct virtq_chain *c)
{
	u16 index, waiting;

	if (!usable(q))
		return false;
	index = read_u16(q, q->avail + RING_INDEX);
	waiting = index - q->next_avail;
	if (!waiting)
		return false;
	if (waiting > q->size)
		return fail(q, "more chains are offered than the queue has room for");
	c->out_count = c->in_count = 0;
	c->out_bytes = c->in_bytes = 0;
	c->head = read_u16(q, q->avail + RING_START + 2u * (q->next_avail % q->size));
	if (!walk_chain(q, c))
		return false;
	q->next_avail++;
	return true;
}

void virtqueue_unpop(struct virtqueue *q)
{
	q->next_avail--;
}

void virtqueue_push_all(struct virtqueue *q, const struct virtq_used *chain, unsigned count)
{
	if (!usable(q))
		return;
	for (unsigned i = 0; i < count; i++) {
		u16 slot = (u16)(q->next_used + i) % q->size;
		void *p = guest_ram_at(q->ram, q->used + RING_START + sizeof(*chain) * slot,
				       sizeof(*chain));

		if (!p)
			return;
		memcpy(p, &chain[i], sizeof(*chain));
	}
	q->next_used += count;
	write_u16(q, q->used + RING_INDEX, q->next_used);
}

void virtqueue_push(struct virtqueue *q, u16 head, u32 written)
{
	const struct virtq_used chain = {head, written};

	virtqueue_push_all(q, &chain, 1);
}

/* ------------------------------------------------------- notifications ---- */

bool virtqueue_wants_interrupt(struct virtqueue *q)
{
	u16 event, pushed = q->next_used - q->signalled;
	bool first = !q->signalled_valid;

	if (!usable(q) || !pushed)
		return false;
	q->signalled = q->next_used;
	q->signalled_valid = true;
	/* The used index must be visible before the driver's wish is read (2.7.7.2). */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (!q->event_index)
		return !(read_u16(q, q->avail + RING_FLAGS) & AVAIL_NO_INTERRUPT);
	event = read_u16(q, q->avail + RING_START + 2u * q->size);
	return first || (u16)(q->next_used - event - 1) < pushed;
}

bool virtqueue_enable_notify(struct virtqueue *q)
{
	if (!usable(q))
		return false;
	if (q->event_index)
		write_u16(q, q->used + RING_START + sizeof(struct virtq_used) * q->size,
			  q->next_avail);
	else
		write_u16(q, q->used + RING_FLAGS, 0);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return virtqueue_has_work(q);
}

void virtqueue_disable_notify(struct virtqueue *q)
{
	/* With the event index, not moving it is enough. */
	if (usable(q) && !q->event_index)
		write_u16(q, q->used + RING_FLAGS, USED_NO_NOTIFY);
}

/* -------------------------------------------------------------- copies ---- */

static size_t copy(const struct iovec *segment, unsigned count, u64 offset, u8 *buf, size_t len,
		   bool to_guest)
{
	size_t done = 0;

	for (unsigned i = 0; i < count && done < len; i++) {
		size_t n = segment[i].iov_len;
		u8 *base = segment[i].iov_base;

		if (offset >= n) {
			offset -= n;
			continue;
		}
		n -= offset;
		if (n > len - done)
			n = len - done;
		if (to_guest)
			memcpy(base + offset, buf + done, n);
		else
			memcpy(buf + done, base + offset, n);
		done += n;
		offset = 0;
	}
	return done;
}

size_t virtq_read(const struct virtq_chain *c, u64 offset, void *buf, size_t len)
{
	return copy(virtq_out(c), c->out_count, offset, buf, len, false);
}

size_t virtq_write(const struct virtq_chain *c, u64 offset, const void *buf, size_t len)
{
	return copy(virtq_in(c), c->in_count, offset, (u8 *)buf, len, true);
}
