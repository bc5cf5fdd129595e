/*
 * Whole transfers between files and memory: no short reads, no short writes.
 *
 * Owns: nothing. All functions block; none needs a lock. They return 0 or an errno value.
 */
#ifndef PLEX86_HAL_BLOCK_IO_H
#define PLEX86_HAL_BLOCK_IO_H

#include <sys/uio.h>
#include "../../common/types.h"

/* All `bytes` of the segments, of which there are at most BLOCK_SEGMENTS. */
int block_io_read(int fd, const struct iovec *segment, unsigned count, u64 offset);
int block_io_write(int fd, const struct iovec *segment, unsigned count, u64 offset);
/* Free the space; what is read there afterwards is zero. EOPNOTSUPP where the host cannot. */
int block_io_punch(int fd, u64 offset, u64 length);
/* Make it read as zero, by whatever means there are. */
int block_io_zero(int fd, u64 offset, u64 length, bool may_unmap);

/* Those parts of `segment` that make up bytes [skip, skip + length) of it. Returns how many. */
unsigned block_io_slice(struct iovec *out, const struct iovec *segment, unsigned count, u64 skip,
			u64 length);

#endif
