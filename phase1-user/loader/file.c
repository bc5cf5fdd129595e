/*
 * Reading input files whole.
 *
 * Files are read, not mapped: somebody truncating one under us must not kill us with SIGBUS.
 */
#include "loader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX ((off_t)3 << 30) /* nothing larger fits into a guest */

static bool read_all(int fd, u8 *data, size_t size, int *error)
{
	for (size_t done = 0; done < size;) {
		ssize_t n = read(fd, data + done, size - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			*error = n < 0 ? errno : EIO;
			return false;
		}
		done += n;
	}
	return true;
}

static bool read_open_file(struct blob *blob, int fd, const char *what, struct error *e)
{
	struct stat st;
	int error = 0;
	u8 *data;

	if (fstat(fd, &st))
		return error_set(e, "%s '%s': %s", what, blob->path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return error_set(e, "%s '%s': not a regular file", what, blob->path);
	if (st.st_size == 0)
		return error_set(e, "%s '%s': the file is empty", what, blob->path);
	if (st.st_size > FILE_MAX)
		return error_set(e, "%s '%s': too large (%lld bytes) for any guest", what,
				 blob->path, (long long)st.st_size);
	data = malloc(st.st_size);
	if (!data)
		return error_set(e, "%s '%s': no memory for its %lld bytes", what, blob->path,
				 (long long)st.st_size);
	if (!read_all(fd, data, st.st_size, &error)) {
		free(data);
		return error_set(e, "%s '%s': reading it failed: %s", what, blob->path,
				 strerror(error));
	}
	blob->data = data;
	blob->size = st.st_size;
	return true;
}

bool blob_read(struct blob *blob, const char *what, const char *path, struct error *e)
{
	/* O_NONBLOCK: a FIFO must be refused, not waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	bool ok;

	*blob = (struct blob){.path = path};
	if (fd < 0)
		return error_set(e, "%s '%s': %s", what, path, strerror(errno));
	ok = read_open_file(blob, fd, what, e);
	close(fd);
	return ok;
}

void blob_free(struct blob *blob)
{
	free((void *)blob->data);
	blob->data = NULL;
	blob->size = 0;
}
