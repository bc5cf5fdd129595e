/*
 * Values as bytes and back, little-endian, for files.
 *
 * Owns: struct byte_writer, which grows up to a limit, and struct byte_reader, which trusts
 * nothing. Both remember that something did not fit: ask once, at the end.
 */
#ifndef PLEX86_BYTES_H
#define PLEX86_BYTES_H

#include "../common/types.h"

#define BYTES_MAX ((size_t)64 << 20)

struct byte_writer {
	u8 *data;
	size_t used, size;
	bool failed; /* out of memory, or of BYTES_MAX */
};

void bytes_free(struct byte_writer *w);
void bytes_put(struct byte_writer *w, const void *data, size_t size);
void bytes_put_u8(struct byte_writer *w, u8 value);
void bytes_put_u16(struct byte_writer *w, u16 value);
void bytes_put_u32(struct byte_writer *w, u32 value);
void bytes_put_u64(struct byte_writer *w, u64 value);
/* NULL is written as "". */
void bytes_put_text(struct byte_writer *w, const char *text);
/* A part whose size stands before it: what begin() returned goes to end(). */
size_t bytes_begin(struct byte_writer *w);
void bytes_end(struct byte_writer *w, size_t begun);

struct byte_reader {
	const u8 *data;
	size_t left;
	bool failed; /* there was less than was asked for: what has been read since is 0 */
};

void bytes_get(struct byte_reader *r, void *data, size_t size);
u8 bytes_get_u8(struct byte_reader *r);
u16 bytes_get_u16(struct byte_reader *r);
u32 bytes_get_u32(struct byte_reader *r);
u64 bytes_get_u64(struct byte_reader *r);
/* 0 or 1. */
bool bytes_get_bool(struct byte_reader *r);
/* A string of less than `size` bytes, without NULs. */
void bytes_get_text(struct byte_reader *r, char *text, size_t size);
/* A part that bytes_begin() has made. */
struct byte_reader bytes_get_part(struct byte_reader *r);
/* Was all of it there, and nothing more? */
static inline bool bytes_all_read(const struct byte_reader *r)
{
	return !r->failed && !r->left;
}

#endif
