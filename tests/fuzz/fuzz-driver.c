/*
 * See fuzz-driver.h.
 */
#include "fuzz-driver.h"

#include <string.h>

void fuzz_scribble(struct driver *d, struct fuzz_input *in)
{
	u32 at = fuzz_take(in, 2), len = fuzz_take(in, 1);

	if (len > in->left)
		len = in->left;
	if (at + len > FUZZ_RAM)
		return;
	memcpy(d->board.ram.base + at, in->data, len);
	in->data += len;
	in->left -= len;
}

void fuzz_write_register(struct driver *d, struct fuzz_input *in, unsigned bytes)
{
	u32 reg = fuzz_take(in, 1) * 4;

	driver_write(d, reg, fuzz_take(in, bytes));
}

void fuzz_offer(struct driver *d, unsigned queue, struct fuzz_input *in)
{
	struct driver_queue *q = &d->queue[queue];
	u16 index = fuzz_take(in, 1), flags = fuzz_take(in, 1), next = fuzz_take(in, 1);
	u32 addr = fuzz_take(in, 2), len = fuzz_take(in, 2);

	if (!q->size)
		return;
	driver_set_desc(d, queue, index % q->size, addr, len, flags, next);
	if (!(flags & 0x80))
		driver_offer(d, queue, index % q->size);
}
