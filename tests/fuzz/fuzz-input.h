/*
 * Taking a fuzzer's input apart: what all targets of this directory share.
 */
#ifndef PLEX86_FUZZ_INPUT_H
#define PLEX86_FUZZ_INPUT_H

#include <stddef.h>
#include "../../common/types.h"

struct fuzz_input {
	const u8 *data;
	size_t left;
};

/* The next bytes as a little-endian number; zeroes behind the end. */
u32 fuzz_take(struct fuzz_input *in, unsigned bytes);

/* What is promised and ASan does not see. */
void fuzz_require(bool kept);

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

#endif
