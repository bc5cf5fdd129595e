/*
 * See fuzz-input.h.
 */
#include "fuzz-input.h"

#include <stdlib.h>

u32 fuzz_take(struct fuzz_input *in, unsigned bytes)
{
	u32 value = 0;

	for (unsigned i = 0; i < bytes && in->left; i++, in->left--)
		value |= (u32)*in->data++ << 8 * i;
	return value;
}

void fuzz_require(bool kept)
{
	if (!kept)
		abort();
}
