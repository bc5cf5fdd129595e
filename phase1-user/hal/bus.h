/*
 * The bus: which device answers at an I/O port or at a guest-physical address.
 *
 * Owns: struct bus and the rules for accesses no device takes as they are. It knows nothing of the
 * devices; each registers itself. Nothing here locks: one thread at a time.
 */
#ifndef PLEX86_HAL_BUS_H
#define PLEX86_HAL_BUS_H

#include "../../common/types.h"

/* `offset` is from the region's base; `size` is 1, 2, 4 or 8 and at most max_size. */
struct bus_ops {
	u64 (*read)(void *opaque, u64 offset, unsigned size);
	void (*write)(void *opaque, u64 offset, unsigned size, u64 value);
	unsigned max_size; /* wider accesses are split in halves until they fit */
};

struct bus_region {
	u64 base, count;
	const struct bus_ops *ops;
	void *opaque;
};

#define BUS_REGIONS 64

struct bus_space {
	struct bus_region region[BUS_REGIONS];
	unsigned used;
};

struct bus {
	struct bus_space io, mmio;
};

void bus_init(struct bus *b);
/* False, with nothing changed, if the range is empty, wraps around, overlaps another's or there are
 * too many. ops and opaque must outlive the bus. */
bool bus_register_io(struct bus *b, u16 base, unsigned count, const struct bus_ops *ops,
		     void *opaque);
bool bus_register_mmio(struct bus *b, u64 base, u64 count, const struct bus_ops *ops, void *opaque);

/* One access by the guest. `*value` is what it writes, or receives what it reads. Parts nobody
 * claims read as all ones and ignore writes. Returns whether any device took part; a size other
 * than 1, 2, 4 or 8 is claimed by nobody. */
bool bus_io(struct bus *b, u16 port, unsigned size, bool write, u64 *value);
bool bus_mmio(struct bus *b, u64 gpa, unsigned size, bool write, u64 *value);

#endif
