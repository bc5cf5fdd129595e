/*
 * The file of a snapshot: see file.h.
 */
#include "file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "codec.h"

static const char magic[8] = {'p', 'l', 'e', 'x', '8', '6', 's', 'n'};

/* ------------------------------------------------------------ writing ---- */

static bool cannot_create(const char *path, struct error *e)
{
	return error_set(e, "snapshot '%s': %s", path, strerror(errno));
}

bool snapshot_create(struct snapshot_writer *w, const char *path, struct error *e)
{
	memset(w, 0, sizeof(*w));
	w->fd = -1;
	w->end = SNAPSHOT_HEADER;
	w->path = strdup(path);
	if (!w->path || asprintf(&w->temporary, "%s.XXXXXX", path) < 0) {
		free(w->path);
		return error_set(e, "snapshot '%s': out of memory", path);
	}
	w->fd = mkostemp(w->temporary, O_CLOEXEC);
	if (w->fd >= 0) {
		pthread_mutex_init(&w->mutex, NULL);
		return true;
	}
	cannot_create(path, e);
	free(w->path);
	free(w->temporary);
	return false;
}

static bool write_at(int fd, const u8 *data, size_t size, u64 offset)
{
	while (size) {
		ssize_t n = pwrite(fd, data, size, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		data += n;
		size -= n;
		offset += n;
	}
	return true;
}

u64 snapshot_append(struct snapshot_writer *w, const void *data, size_t size)
{
	u64 offset;

	pthread_mutex_lock(&w->mutex);
	offset = w->end;
	w->end += size;
	pthread_mutex_unlock(&w->mutex);
	if (write_at(w->fd, data, size, offset))
		return offset;
	pthread_mutex_lock(&w->mutex);
	if (!w->error)
		w->error = errno ? errno : EIO;
	pthread_mutex_unlock(&w->mutex);
	return offset;
}

void snapshot_put(struct snapshot_writer *w, enum snapshot_section s, const struct byte_writer *b)
{
	if (b->failed) {
		w->error = ENOMEM;
		return;
	}
	w->place[s] = (struct snapshot_place){
		.offset = snapshot_append(w, b->data, b->used),
		.size = b->used,
		.checksum = codec_checksum(b->data, b->used),
		.there = true,
	};
}

static void compose_header(const struct snapshot_writer *w, struct byte_writer *b)
{
	u32 count = 0;

	for (unsigned i = 1; i < SECTIONS; i++)
		count += w->place[i].there;
	bytes_put(b, magic, sizeof(magic));
	bytes_put_u32(b, SNAPSHOT_VERSION);
	bytes_put_u32(b, count);
	for (unsigned i = 1; i < SECTIONS; i++) {
		const struct snapshot_place *p = &w->place[i];

		if (!p->there)
			continue;
		bytes_put_u32(b, i);
		bytes_put_u32(b, p->checksum);
		bytes_put_u64(b, p->offset);
		bytes_put_u64(b, p->size);
	}
	bytes_put_u32(b, codec_checksum(b->data, b->used));
}

static bool write_header(struct snapshot_writer *w)
{
	struct byte_writer b = {0};
	bool ok;

	compose_header(w, &b);
	errno = ENOMEM;
	ok = !b.failed && write_at(w->fd, b.data, b.used, 0);
	bytes_free(&b);
	return ok;
}

static bool complete(struct snapshot_writer *w, struct error *e)
{
	errno = w->error;
	if (w->error || !write_header(w) || ftruncate(w->fd, w->end))
		return error_set(e, "snapshot '%s': writing it: %s", w->path, strerror(errno));
	return !rename(w->temporary, w->path) || cannot_create(w->path, e);
}

bool snapshot_finish(struct snapshot_writer *w, bool keep, u64 *size, struct error *e)
{
	const bool ok = keep && complete(w, e);

	*size = w->end;
	if (!ok)
		unlink(w->temporary);
	close(w->fd);
	pthread_mutex_destroy(&w->mutex);
	free(w->path);
	free(w->temporary);
	return ok;
}

/* ------------------------------------------------------------ reading ---- */

bool snapshot_damaged(const struct snapshot_file *f, const char *why, struct error *e)
{
	return error_set(e, "snapshot '%s': it is damaged: %s", f->path, why);
}

bool snapshot_read(const struct snapshot_file *f, u64 offset, void *data, size_t size)
{
	u8 *to = data;

	if (offset > f->size || size > f->size - offset)
		return false;
	while (size) {
		ssize_t n = pread(f->fd, to, size, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		to += n;
		size -= n;
		offset += n;
	}
	return true;
}

static bool read_place(struct snapshot_file *f, struct byte_reader *r)
{
	const u32 number = bytes_get_u32(r);
	struct snapshot_place p = {.there = true};

	p.checksum = bytes_get_u32(r);
	p.offset = bytes_get_u64(r);
	p.size = bytes_get_u64(r);
	if (r->failed || !number || number >= SECTIONS || f->place[number].there ||
	    p.size > BYTES_MAX)
		return false;
	f->place[number] = p;
	return true;
}

static bool read_header(struct snapshot_file *f, struct error *e)
{
	u8 header[SNAPSHOT_HEADER], found[sizeof(magic)];
	struct byte_reader r = {header, sizeof(header), false};
	u32 version, count, checksum;

	if (!snapshot_read(f, 0, header, sizeof(header)))
		return error_set(e, "snapshot '%s': this is no snapshot of plex86's", f->path);
	bytes_get(&r, found, sizeof(found));
	version = bytes_get_u32(&r);
	count = bytes_get_u32(&r);
	if (memcmp(found, magic, sizeof(magic)))
		return error_set(e, "snapshot '%s': this is no snapshot of plex86's", f->path);
	if (version != SNAPSHOT_VERSION)
		return error_set(e,
				 "snapshot '%s': of format %u, and this plex86 reads %d (resume it "
				 "with the plex86 that made it)",
				 f->path, version, SNAPSHOT_VERSION);
	for (u32 i = 0; i < count; i++)
		if (!read_place(f, &r))
			return snapshot_damaged(f, "its header makes no sense", e);
	checksum = codec_checksum(header, sizeof(header) - r.left);
	if (bytes_get_u32(&r) != checksum || r.failed)
		return snapshot_damaged(f, "its header's checksum is wrong", e);
	return true;
}

static bool read_sections(struct snapshot_file *f, struct error *e)
{
	for (unsigned i = 1; i < SECTIONS; i++) {
		const struct snapshot_place *p = &f->place[i];

		if (!p->there)
			return snapshot_damaged(f, "a part is missing", e);
		/* One byte more, so that nothing is not an error. */
		f->data[i] = p->size <= f->size ? malloc(p->size + 1) : NULL;
		if (!f->data[i] || !snapshot_read(f, p->offset, f->data[i], p->size))
			return snapshot_damaged(f, "it is not all there", e);
		if (codec_checksum(f->data[i], p->size) != p->checksum)
			return snapshot_damaged(f, "a checksum is wrong", e);
	}
	return true;
}

bool snapshot_file_open(struct snapshot_file *f, const char *path, struct error *e)
{
	struct stat st;

	memset(f, 0, sizeof(*f));
	f->path = path;
	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (f->fd < 0 || fstat(f->fd, &st)) {
		error_set(e, "snapshot '%s': %s", path, strerror(errno));
	} else if (!S_ISREG(st.st_mode)) {
		error_set(e, "snapshot '%s': not a regular file", path);
	} else {
		f->size = st.st_size;
		if (read_header(f, e) && read_sections(f, e))
			return true;
	}
	snapshot_file_close(f);
	return false;
}

void snapshot_file_close(struct snapshot_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	for (unsigned i = 0; i < SECTIONS; i++) {
		free(f->data[i]);
		f->data[i] = NULL;
	}
}

struct byte_reader snapshot_section(const struct snapshot_file *f, enum snapshot_section s)
{
	return (struct byte_reader){f->data[s], f->place[s].size, false};
}
