/*
 * Whole transfers between files and memory: see block-io.h.
 */
#include "block-io.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>
#include <unistd.h>
#include "block.h"

#define ZEROES (64u << 10)

unsigned block_io_slice(struct iovec *out, const struct iovec *segment, unsigned count, u64 skip,
			u64 length)
{
	unsigned n = 0;

	for (unsigned i = 0; i < count && length; i++) {
		u64 have = segment[i].iov_len;

		if (skip >= have) {
			skip -= have;
			continue;
		}
		have -= skip;
		if (have > length)
			have = length;
		out[n++] = (struct iovec){(u8 *)segment[i].iov_base + skip, have};
		length -= have;
		skip = 0;
	}
	return n;
}

static u64 total(const struct iovec *segment, unsigned count)
{
	u64 bytes = 0;

	for (unsigned i = 0; i < count; i++)
		bytes += segment[i].iov_len;
	return bytes;
}

static int transfer(int fd, const struct iovec *segment, unsigned count, u64 offset, bool write)
{
	const u64 length = total(segment, count);
	struct iovec rest[BLOCK_SEGMENTS];
	u64 done = 0;

	while (done < length) {
		unsigned n = block_io_slice(rest, segment, count, done, length - done);
		ssize_t moved = write ? pwritev(fd, rest, n, offset + done)
				      : preadv(fd, rest, n, offset + done);

		if (moved < 0 && errno == EINTR)
			continue;
		if (moved < 0)
			return errno;
		if (moved == 0) /* the file has been made shorter behind our back */
			return EIO;
		done += moved;
	}
	return 0;
}

int block_io_read(int fd, const struct iovec *segment, unsigned count, u64 offset)
{
	return transfer(fd, segment, count, offset, false);
}

int block_io_write(int fd, const struct iovec *segment, unsigned count, u64 offset)
{
	return transfer(fd, segment, count, offset, true);
}

static int allocate(int fd, int mode, u64 offset, u64 length)
{
	int result;

	do {
		result = fallocate(fd, mode | FALLOC_FL_KEEP_SIZE, offset, length);
	} while (result && errno == EINTR);
	return result ? errno : 0;
}

int block_io_punch(int fd, u64 offset, u64 length)
{
	return allocate(fd, FALLOC_FL_PUNCH_HOLE, offset, length);
}

static int write_zeroes(int fd, u64 offset, u64 length)
{
	static const u8 zeroes[ZEROES];
	int error = 0;

	for (u64 done = 0; done < length && !error; done += ZEROES) {
		u64 n = length - done < ZEROES ? length - done : ZEROES;
		const struct iovec segment = {(void *)zeroes, n};

		error = block_io_write(fd, &segment, 1, offset + done);
	}
	return error;
}

int block_io_zero(int fd, u64 offset, u64 length, bool may_unmap)
{
	if (may_unmap && !block_io_punch(fd, offset, length))
		return 0;
	if (!allocate(fd, FALLOC_FL_ZERO_RANGE, offset, length))
		return 0;
	/* Not every file system can, and block devices only at their own granularity. */
	return write_zeroes(fd, offset, length);
}
