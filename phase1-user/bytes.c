/*
 * Values as bytes: see bytes.h. Every host that this runs on is little-endian.
 */
#include "bytes.h"

#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------ writing ---- */

void bytes_free(struct byte_writer *w)
{
	free(w->data);
	*w = (struct byte_writer){0};
}

static bool make_room(struct byte_writer *w, size_t more)
{
	size_t size = w->size ? w->size : 4096;
	u8 *data;

	if (w->failed || more > BYTES_MAX - w->used)
		return false;
	if (more <= w->size - w->used)
		return true;
	while (size < w->used + more)
		size *= 2;
	data = realloc(w->data, size);
	if (!data)
		return false;
	w->data = data;
	w->size = size;
	return true;
}

void bytes_put(struct byte_writer *w, const void *data, size_t size)
{
	if (!size)
		return;
	if (!make_room(w, size)) {
		w->failed = true;
		return;
	}
	memcpy(w->data + w->used, data, size);
	w->used += size;
}

void bytes_put_u8(struct byte_writer *w, u8 value)
{
	bytes_put(w, &value, sizeof(value));
}

void bytes_put_u16(struct byte_writer *w, u16 value)
{
	bytes_put(w, &value, sizeof(value));
}

void bytes_put_u32(struct byte_writer *w, u32 value)
{
	bytes_put(w, &value, sizeof(value));
}

void bytes_put_u64(struct byte_writer *w, u64 value)
{
	bytes_put(w, &value, sizeof(value));
}

void bytes_put_text(struct byte_writer *w, const char *text)
{
	const size_t length = text ? strlen(text) : 0;

	bytes_put_u32(w, length);
	bytes_put(w, text, length);
}

size_t bytes_begin(struct byte_writer *w)
{
	bytes_put_u32(w, 0);
	return w->used;
}

void bytes_end(struct byte_writer *w, size_t begun)
{
	const u32 size = w->used - begun;

	if (!w->failed)
		memcpy(w->data + begun - sizeof(size), &size, sizeof(size));
}

/* ------------------------------------------------------------ reading ---- */

void bytes_get(struct byte_reader *r, void *data, size_t size)
{
	if (r->failed || size > r->left) {
		r->failed = true;
		memset(data, 0, size);
		return;
	}
	memcpy(data, r->data, size);
	r->data += size;
	r->left -= size;
}

u8 bytes_get_u8(struct byte_reader *r)
{
	u8 value;

	bytes_get(r, &value, sizeof(value));
	return value;
}

u16 bytes_get_u16(struct byte_reader *r)
{
	u16 value;

	bytes_get(r, &value, sizeof(value));
	return value;
}

u32 bytes_get_u32(struct byte_reader *r)
{
	u32 value;

	bytes_get(r, &value, sizeof(value));
	return value;
}

u64 bytes_get_u64(struct byte_reader *r)
{
	u64 value;

	bytes_get(r, &value, sizeof(value));
	return value;
}

bool bytes_get_bool(struct byte_reader *r)
{
	const u8 value = bytes_get_u8(r);

	if (value > 1)
		r->failed = true;
	return value == 1;
}

void bytes_get_text(struct byte_reader *r, char *text, size_t size)
{
	const u32 length = bytes_get_u32(r);

	text[0] = '\0';
	if (length >= size || length > r->left || memchr(r->data, '\0', length)) {
		r->failed = true;
		return;
	}
	bytes_get(r, text, length);
	text[length] = '\0';
}

struct byte_reader bytes_get_part(struct byte_reader *r)
{
	const u32 size = bytes_get_u32(r);
	struct byte_reader part = {r->data, size, r->failed};

	if (r->failed || size > r->left) {
		r->failed = true;
		return (struct byte_reader){.failed = true};
	}
	r->data += size;
	r->left -= size;
	return part;
}
