/*
 * Unpacking the kernel inside a bzImage, to look for its plex86 note. The guest unpacks it again by
 * itself: what is unpacked here is only read.
 */
#include "parts.h"

#include <stdlib.h>
#include <string.h>

#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_LZMA
#include <lzma.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#define UNPACKED_MAX ((size_t)512 << 20)
#define FIRST_GUESS  8 /* times the packed size */

struct output {
	u8 *data;
	size_t size, room;
	size_t first; /* room to begin with */
};

/* Make room for more; false if the limit or memory is exhausted. */
__attribute__((unused)) static bool grow(struct output *out)
{
	size_t room = out->room ? out->room * 2 : out->first;
	u8 *data;

	if (room > UNPACKED_MAX)
		return false;
	data = realloc(out->data, room);
	if (!data)
		return false;
	out->data = data;
	out->room = room;
	return true;
}

#ifdef HAVE_ZLIB
static bool unpack_gzip(const u8 *data, size_t size, struct output *out)
{
	z_stream z = {.next_in = (u8 *)data, .avail_in = size};
	int result = Z_OK;

	if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
		return false;
	while (result == Z_OK) {
		if (out->size == out->room && !grow(out))
			break;
		z.next_out = out->data + out->size;
		z.avail_out = out->room - out->size;
		result = inflate(&z, Z_NO_FLUSH);
		out->size = out->room - z.avail_out;
	}
	inflateEnd(&z);
	return result == Z_STREAM_END;
}
#endif

#ifdef HAVE_LZMA
static bool unpack_xz(const u8 *data, size_t size, struct output *out)
{
	lzma_stream x = LZMA_STREAM_INIT;
	lzma_ret result = lzma_stream_decoder(&x, UNPACKED_MAX, 0);

	x.next_in = data;
	x.avail_in = size;
	while (result == LZMA_OK) {
		if (out->size == out->room && !grow(out))
			break;
		x.next_out = out->data + out->size;
		x.avail_out = out->room - out->size;
		result = lzma_code(&x, LZMA_RUN);
		out->size = out->room - x.avail_out;
	}
	lzma_end(&x);
	return result == LZMA_STREAM_END;
}
#endif

#ifdef HAVE_ZSTD
static bool unpack_zstd(const u8 *data, size_t size, struct output *out)
{
	ZSTD_DStream *z = ZSTD_createDStream();
	ZSTD_inBuffer in = {data, size, 0};
	size_t result = 1;

	if (!z)
		return false;
	/* 0: a frame has ended; what follows it is the size Linux's build appends. */
	while (result != 0 && !ZSTD_isError(result)) {
		ZSTD_outBuffer o = {out->data, out->room, out->size};
		size_t before = in.pos + o.pos;

		if (out->size == out->room) {
			if (!grow(out))
				break;
			continue;
		}
		result = ZSTD_decompressStream(z, &o, &in);
		out->size = o.pos;
		if (in.pos + o.pos == before)
			break;
	}
	ZSTD_freeDStream(z);
	return result == 0;
}
#endif

static const struct format {
	u8 magic[6], magic_size;
	bool (*unpack)(const u8 *data, size_t size, struct output *out);
} formats[] = {
#ifdef HAVE_ZLIB
	{{0x1f, 0x8b}, 2, unpack_gzip},
#endif
#ifdef HAVE_LZMA
	{{0xfd, '7', 'z', 'X', 'Z', 0}, 6, unpack_xz},
#endif
#ifdef HAVE_ZSTD
	{{0x28, 0xb5, 0x2f, 0xfd}, 4, unpack_zstd},
#endif
	{{0}, 0, NULL}};

bool payload_unpack(const u8 *data, size_t size, u8 **out, size_t *out_size, bool *damaged)
{
	*damaged = false;
	for (const struct format *f = formats; f->unpack; f++) {
		struct output o = {.first = size * FIRST_GUESS};

		if (size < f->magic_size || memcmp(data, f->magic, f->magic_size))
			continue;
		if (!f->unpack(data, size, &o)) {
			free(o.data);
			*damaged = true;
			return false;
		}
		*out = o.data;
		*out_size = o.size;
		return true;
	}
	return false;
}
