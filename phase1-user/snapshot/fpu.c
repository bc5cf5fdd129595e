/*
 * The FPU's registers in a snapshot: see fpu.h.
 */
#include "fpu.h"

#include <string.h>

#define FIRST_EXTENDED 2
#define COMPONENTS     32

static bool has(const struct fpu_area *area, unsigned i, u32 *offset, u32 *size)
{
	return (area->present >> i & 1) && fpu_component(i, offset, size);
}

void snapshot_put_fpu(const struct fpu_area *area, struct byte_writer *w)
{
	u32 offset, size, count = 0;

	for (unsigned i = FIRST_EXTENDED; i < COMPONENTS; i++)
		count += has(area, i, &offset, &size);
	bytes_put(w, area->legacy, sizeof(area->legacy));
	bytes_put_u32(w, count);
	for (unsigned i = FIRST_EXTENDED; i < COMPONENTS; i++) {
		if (!has(area, i, &offset, &size))
			continue;
		bytes_put_u32(w, i);
		bytes_put_u32(w, size);
		bytes_put(w, (const u8 *)area + offset, size);
	}
}

static const char *get_component(struct fpu_area *area, struct byte_reader *r)
{
	const u32 i = bytes_get_u32(r), bytes = bytes_get_u32(r);
	u32 offset, size;

	if (r->failed || i < FIRST_EXTENDED || i >= COMPONENTS || (area->present >> i & 1))
		return "its FPU state makes no sense";
	if (!(fpu_host_components() >> i & 1) || !fpu_component(i, &offset, &size) || size != bytes)
		return "this host's CPU has not the vector registers of the snapshot's";
	bytes_get(r, (u8 *)area + offset, size);
	area->present |= 1ull << i;
	return NULL;
}

const char *snapshot_get_fpu(struct fpu_area *area, struct byte_reader *r)
{
	const char *why = NULL;
	u32 count;

	memset(area, 0, sizeof(*area));
	area->present = XCR0_X87 | XCR0_SSE;
	bytes_get(r, area->legacy, sizeof(area->legacy));
	count = bytes_get_u32(r);
	for (u32 i = 0; !why && i < count; i++)
		why = get_component(area, r);
	if (!why && (!bytes_all_read(r) || !fpu_acceptable(area, sizeof(*area))))
		why = "its FPU state makes no sense";
	return why;
}
