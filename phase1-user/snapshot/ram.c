/*
 * Guest RAM in a snapshot: see ram.h.
 *
 * The index: the size of a chunk, how many there are, and for each its offset in the file, the
 * bytes it has there (0: it is all zeros; a whole chunk's: it is not compressed) and their
 * checksum.
 */
#include "ram.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "codec.h"

#define CHUNK	    ((size_t)256 << 10)
#define THREADS_MAX 8

struct chunk {
	u64 offset;
	u32 stored, checksum;
};

/* What all threads share, and what one has to itself. */
struct work {
	u64 size, next, count;
	struct chunk *chunk;
	bool (*one)(struct work *work, struct codec *codec, u64 index, u8 *plain, u8 *packed);
	bool failed;
	const char *why;
	/* Writing */
	struct snapshot_writer *writer;
	int ram_fd;
	/* Reading */
	const struct snapshot_file *file;
	u8 *ram;
};

static bool fail(struct work *w, const char *why)
{
	__atomic_store_n(&w->why, why, __ATOMIC_RELAXED);
	__atomic_store_n(&w->failed, true, __ATOMIC_RELEASE);
	return false;
}

static void work_with(struct work *w, struct codec *codec, u8 *plain, u8 *packed)
{
	while (!__atomic_load_n(&w->failed, __ATOMIC_ACQUIRE)) {
		const u64 index = __atomic_fetch_add(&w->next, 1, __ATOMIC_RELAXED);

		if (index >= w->count || !w->one(w, codec, index, plain, packed))
			return;
	}
}

static void *thread(void *opaque)
{
	struct work *w = opaque;
	struct codec *codec = codec_create();
	u8 *plain = malloc(CHUNK), *packed = malloc(CHUNK);

	if (codec && plain && packed)
		work_with(w, codec, plain, packed);
	else
		fail(w, "out of memory");
	codec_destroy(codec);
	free(plain);
	free(packed);
	return NULL;
}

static unsigned cpus(void)
{
	cpu_set_t set;
	unsigned n = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);

	return n < THREADS_MAX ? n : THREADS_MAX;
}

/* This thread works as well: others are a help, no need. */
static bool do_all(struct work *w)
{
	pthread_t other[THREADS_MAX];
	unsigned others = 0;

	while (others + 1 < cpus() && !pthread_create(&other[others], NULL, thread, w))
		others++;
	thread(w);
	while (others)
		pthread_join(other[--others], NULL);
	return !w->failed;
}

static size_t length_of(const struct work *w, u64 index)
{
	const u64 left = w->size - index * CHUNK;

	return left < CHUNK ? left : CHUNK;
}

static bool is_zero(const u8 *data, size_t size)
{
	return !data[0] && !memcmp(data, data + 1, size - 1);
}

/* ------------------------------------------------------------ writing ---- */

/* Reading a hole by a mapping would fill it. */
static bool read_plain(const struct work *w, u8 *plain, u64 offset, size_t size)
{
	const off_t data = lseek(w->ram_fd, offset, SEEK_DATA);

	if (data < 0 ? errno == ENXIO : (u64)data >= offset + size) {
		memset(plain, 0, size);
		return true;
	}
	while (size) {
		ssize_t n = pread(w->ram_fd, plain, size, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		plain += n;
		size -= n;
		offset += n;
	}
	return true;
}

static bool write_chunk(struct work *w, struct codec *codec, u64 index, u8 *plain, u8 *packed)
{
	struct chunk *c = &w->chunk[index];
	const size_t size = length_of(w, index);
	size_t n;

	if (!read_plain(w, plain, index * CHUNK, size))
		return fail(w, "guest RAM cannot be read");
	if (is_zero(plain, size))
		return true;
	n = codec_pack(codec, packed, plain, size);
	c->stored = n ? n : size;
	c->checksum = codec_checksum(n ? packed : plain, c->stored);
	c->offset = snapshot_append(w->writer, n ? packed : plain, c->stored);
	return true;
}

static void put_index(const struct work *w)
{
	struct byte_writer b = {0};

	bytes_put_u32(&b, CHUNK);
	bytes_put_u32(&b, w->count);
	for (u64 i = 0; i < w->count; i++) {
		bytes_put_u64(&b, w->chunk[i].offset);
		bytes_put_u32(&b, w->chunk[i].stored);
		bytes_put_u32(&b, w->chunk[i].checksum);
	}
	snapshot_put(w->writer, SECTION_RAM, &b);
	bytes_free(&b);
}

static bool begin(struct work *w, u64 size)
{
	w->size = size;
	w->count = (size + CHUNK - 1) / CHUNK;
	w->chunk = calloc(w->count, sizeof(*w->chunk));
	return w->chunk || fail(w, "out of memory");
}

bool snapshot_write_ram(struct snapshot_writer *writer, int ram_fd, u64 size, struct error *e)
{
	struct work w = {.writer = writer, .ram_fd = ram_fd, .one = write_chunk};
	bool ok = begin(&w, size) && do_all(&w);

	if (ok)
		put_index(&w);
	else
		error_set(e, "snapshot '%s': %s", writer->path, w.why);
	free(w.chunk);
	return ok;
}

/* ------------------------------------------------------------ reading ---- */

/* Pages of zeros stay what they are: the host need not have any memory for them. */
static void copy_pages(u8 *to, const u8 *from, size_t size)
{
	for (size_t at = 0; at < size; at += PAGE_SIZE_4K)
		if (!is_zero(from + at, PAGE_SIZE_4K))
			memcpy(to + at, from + at, PAGE_SIZE_4K);
}

static bool read_chunk(struct work *w, struct codec *codec, u64 index, u8 *plain, u8 *packed)
{
	const struct chunk *c = &w->chunk[index];
	const size_t size = length_of(w, index);

	if (!c->stored)
		return true;
	if (c->stored > size || !snapshot_read(w->file, c->offset, packed, c->stored))
		return fail(w, "it is not all there");
	if (codec_checksum(packed, c->stored) != c->checksum)
		return fail(w, "a checksum is wrong");
	if (c->stored == size) {
		copy_pages(w->ram + index * CHUNK, packed, size);
		return true;
	}
	if (!codec_unpack(codec, plain, size, packed, c->stored))
		return fail(w, "RAM cannot be decompressed");
	copy_pages(w->ram + index * CHUNK, plain, size);
	return true;
}

static bool get_index(struct work *w)
{
	struct byte_reader r = snapshot_section(w->file, SECTION_RAM);

	if (bytes_get_u32(&r) != CHUNK || bytes_get_u32(&r) != w->count)
		return fail(w, "its RAM is of another size");
	for (u64 i = 0; i < w->count; i++) {
		w->chunk[i].offset = bytes_get_u64(&r);
		w->chunk[i].stored = bytes_get_u32(&r);
		w->chunk[i].checksum = bytes_get_u32(&r);
	}
	return bytes_all_read(&r) || fail(w, "its list of RAM makes no sense");
}

bool snapshot_read_ram(const struct snapshot_file *f, u8 *ram, u64 size, struct error *e)
{
	struct work w = {.file = f, .ram = ram, .one = read_chunk};
	const bool ok = begin(&w, size) && get_index(&w) && do_all(&w);

	free(w.chunk);
	return ok || snapshot_damaged(f, w.why, e);
}
