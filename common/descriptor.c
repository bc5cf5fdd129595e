/*
 * What a descriptor says, and what may be done with its segment: see segment.h.
 *
 * Owns: nothing. Apart from segment.c, for it needs no machine and no host: programs that only
 * check a state use it.
 */
#include "segment.h"

void seg_unpack(u64 desc, u16 selector, struct segment *seg)
{
	u32 limit = (desc & 0xffff) | (desc >> 32 & 0xf0000);

	seg->selector = selector;
	seg->base = (desc >> 16 & 0xffffff) | (desc >> 32 & 0xff000000u);
	/* L has no meaning for a CPU without long mode. */
	seg->attr = desc >> 40 & 0xf0ff & ~SEG_L;
	seg->limit = seg->attr & SEG_G ? limit << 12 | 0xfff : limit;
}

bool seg_is_loadable(enum seg_reg reg, const struct segment *seg)
{
	if ((seg->attr & (SEG_P | SEG_S)) != (SEG_P | SEG_S))
		return false;
	if (reg == SEG_CS)
		return seg_is_code(seg);
	if (reg == SEG_SS)
		return seg_is_writable_data(seg);
	return (seg->attr & (SEG_TYPE_CODE | SEG_TYPE_WRITE)) != SEG_TYPE_CODE;
}

bool seg_access_ok(const struct segment *seg, u32 offset, unsigned len, bool write)
{
	u32 last = offset + len - 1;
	u16 type = seg->attr & SEG_TYPE;

	if (!(seg->attr & SEG_P) || last < offset)
		return false;
	if (type & SEG_TYPE_CODE) {
		if (write || !(type & SEG_TYPE_WRITE))
			return false;
		return last <= seg->limit;
	}
	if (write && !(type & SEG_TYPE_WRITE))
		return false;
	if (type & SEG_TYPE_DOWN)
		return offset > seg->limit && last <= (seg->attr & SEG_DB ? 0xffffffffu : 0xffffu);
	return last <= seg->limit;
}
