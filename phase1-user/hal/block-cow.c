/*
 * A private overlay: see block-cow.h.
 *
 * A cluster is in the base until its bit is set, and never goes back. Bits are set only after the
 * overlay has the data. Setting them needs the mutex; what is there already does not.
 */
#include "block-cow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "block-io.h"

#define CLUSTER BLOCK_COW_CLUSTER

struct block_cow {
	int base, overlay;
	u64 size;
	u64 *present; /* a bit for each cluster */
	pthread_mutex_t mutex;
};

/* -------------------------------------------------------- life ---- */

/* In TMPDIR or /var/tmp, which is on a disk; in memory where neither can be written. */
static int open_overlay(void)
{
	const char *dir = getenv("TMPDIR");
	int fd = -1;

	if (dir && dir[0])
		fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		fd = memfd_create("plex86-cow", MFD_CLOEXEC);
	return fd;
}

struct block_cow *block_cow_create(const char *name, int base, u64 size, struct error *e)
{
	const u64 words = (size / CLUSTER + 64) / 64;
	struct block_cow *c = calloc(1, sizeof(*c));

	if (!c) {
		error_set(e, "disk '%s': out of memory", name);
		return NULL;
	}
	c->base = base;
	c->size = size;
	pthread_mutex_init(&c->mutex, NULL);
	c->overlay = open_overlay();
	c->present = calloc(words, sizeof(*c->present));
	if (c->overlay < 0 || !c->present || ftruncate(c->overlay, size)) {
		error_set(e,
			  "disk '%s': making the file for what is written: %s (TMPDIR names the "
			  "directory to use)",
			  name, strerror(errno));
		block_cow_destroy(c);
		return NULL;
	}
	return c;
}

void block_cow_destroy(struct block_cow *c)
{
	if (c->overlay >= 0)
		close(c->overlay);
	free(c->present);
	pthread_mutex_destroy(&c->mutex);
	free(c);
}

/* -------------------------------------------------------- the map ---- */

static bool is_present(const struct block_cow *c, u64 cluster)
{
	return __atomic_load_n(&c->present[cluster / 64], __ATOMIC_ACQUIRE) >> (cluster % 64) & 1;
}

static void set_present(struct block_cow *c, u64 first, u64 end)
{
	for (u64 i = first; i < end; i++)
		__atomic_fetch_or(&c->present[i / 64], 1ull << (i % 64), __ATOMIC_RELEASE);
}

/* How many of the bytes at `offset`, up to `length`, live in the same place as the first. */
static u64 run(const struct block_cow *c, u64 offset, u64 length, bool *present)
{
	u64 end = offset / CLUSTER;

	*present = is_present(c, end++);
	while (end * CLUSTER < offset + length && is_present(c, end) == *present)
		end++;
	end *= CLUSTER;
	return end < offset + length ? end - offset : length;
}

/* ------------------------------------------------------- requests ---- */

static int read_clusters(struct block_cow *c, const struct block_request *r)
{
	struct iovec part[BLOCK_SEGMENTS];
	u64 n;

	for (u64 done = 0; done < r->length; done += n) {
		const u64 at = r->offset + done;
		unsigned segments;
		bool present;
		int error;

		n = run(c, at, r->length - done, &present);
		segments = block_io_slice(part, r->segment, r->segments, done, n);
		error = block_io_read(present ? c->overlay : c->base, part, segments, at);
		if (error)
			return error;
	}
	return 0;
}

/* Bring a cluster of which only a part will be written into the overlay. */
static int copy_up(struct block_cow *c, u64 cluster)
{
	const u64 offset = cluster * CLUSTER;
	u8 bytes[CLUSTER];
	struct iovec segment = {bytes, c->size - offset < CLUSTER ? c->size - offset : CLUSTER};
	int error;

	if (is_present(c, cluster))
		return 0;
	error = block_io_read(c->base, &segment, 1, offset);
	if (!error)
		error = block_io_write(c->overlay, &segment, 1, offset);
	if (!error)
		set_present(c, cluster, cluster + 1);
	return error;
}

static int copy_up_edges(struct block_cow *c, u64 offset, u64 length)
{
	const u64 end = offset + length;
	int error = 0;

	if (offset % CLUSTER)
		error = copy_up(c, offset / CLUSTER);
	if (!error && end % CLUSTER && end != c->size)
		error = copy_up(c, end / CLUSTER);
	return error;
}

static int change(struct block_cow *c, const struct block_request *r)
{
	if (r->op == BLOCK_WRITE)
		return block_io_write(c->overlay, r->segment, r->segments, r->offset);
	return block_io_zero(c->overlay, r->offset, r->length, true);
}

/* The mutex is held: no other request brings clusters of this range into the overlay meanwhile. */
static int change_absent(struct block_cow *c, const struct block_request *r)
{
	int error = copy_up_edges(c, r->offset, r->length);

	if (!error)
		error = change(c, r);
	if (!error)
		set_present(c, r->offset / CLUSTER,
			    (r->offset + r->length + CLUSTER - 1) / CLUSTER);
	return error;
}

static int change_clusters(struct block_cow *c, const struct block_request *r)
{
	bool present;
	int error;

	if (!r->length)
		return 0;
	if (run(c, r->offset, r->length, &present) == r->length && present)
		return change(c, r);
	pthread_mutex_lock(&c->mutex);
	error = change_absent(c, r);
	pthread_mutex_unlock(&c->mutex);
	return error;
}

int block_cow_execute(struct block_cow *c, const struct block_request *r)
{
	switch (r->op) {
	case BLOCK_READ:
		return read_clusters(c, r);
	case BLOCK_FLUSH:
		return 0; /* nothing of it outlives the run */
	default:
		return change_clusters(c, r);
	}
}
