/*
 * The bus: see bus.h. Owns both address spaces; touches no device but through its bus_ops.
 */
#include "bus.h"

#include <string.h>

#define IO_SPACE 0x10000u

void bus_init(struct bus *b)
{
	memset(b, 0, sizeof(*b));
}

static bool add(struct bus_space *s, struct bus_region r)
{
	if (r.count == 0 || r.base + (r.count - 1) < r.base || s->used == BUS_REGIONS)
		return false;
	for (unsigned i = 0; i < s->used; i++) {
		const struct bus_region *o = &s->region[i];
		if (r.base <= o->base + (o->count - 1) && o->base <= r.base + (r.count - 1))
			return false;
	}
	s->region[s->used++] = r;
	return true;
}

bool bus_register_io(struct bus *b, u16 base, unsigned count, const struct bus_ops *ops,
		     void *opaque)
{
	if (count > IO_SPACE - base)
		return false;
	return add(&b->io, (struct bus_region){base, count, ops, opaque});
}

bool bus_register_mmio(struct bus *b, u64 base, u64 count, const struct bus_ops *ops, void *opaque)
{
	return add(&b->mmio, (struct bus_region){base, count, ops, opaque});
}

static const struct bus_region *find(const struct bus_space *s, u64 at)
{
	for (unsigned i = 0; i < s->used; i++)
		if (at - s->region[i].base < s->region[i].count)
			return &s->region[i];
	return NULL;
}

static u64 size_mask(unsigned size)
{
	return size == 8 ? ~(u64)0 : ((u64)1 << size * 8) - 1;
}

/* The device takes the access as it is if it can, else in halves. `limit` is the last address. */
static bool transfer(struct bus_space *s, u64 at, u64 limit, unsigned size, bool write, u64 *value)
{
	const struct bus_region *r = find(s, at & limit);
	u64 offset = r ? (at & limit) - r->base : 0;

	if (r && size <= r->ops->max_size && size <= r->count - offset) {
		if (write)
			r->ops->write(r->opaque, offset, size, *value & size_mask(size));
		else
			*value = r->ops->read(r->opaque, offset, size) & size_mask(size);
		return true;
	}
	if (size == 1) {
		if (!write)
			*value = 0xff;
		return false;
	}
	unsigned half = size / 2, bits = half * 8;
	u64 low = *value & size_mask(half), high = *value >> bits;
	bool claimed = transfer(s, at, limit, half, write, &low);
	claimed |= transfer(s, at + half, limit, half, write, &high);
	if (!write)
		*value = low | high << bits;
	return claimed;
}

static bool access(struct bus_space *s, u64 at, u64 limit, unsigned size, bool write, u64 *value)
{
	if (size != 1 && size != 2 && size != 4 && size != 8) {
		if (!write)
			*value = ~(u64)0;
		return false;
	}
	return transfer(s, at, limit, size, write, value);
}

bool bus_io(struct bus *b, u16 port, unsigned size, bool write, u64 *value)
{
	return access(&b->io, port, IO_SPACE - 1, size, write, value);
}

bool bus_mmio(struct bus *b, u64 gpa, unsigned size, bool write, u64 *value)
{
	return access(&b->mmio, gpa, ~(u64)0, size, write, value);
}
