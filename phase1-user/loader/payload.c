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
#ifdef HAVE_LZ4
#include <lz4.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#define UNPACKED_MAX ((size_t)512 << 20)
#define FIRST_GUESS  8	 /* times the packed size */
#define SIZE_BYTES   4	 /* the unpacked size, which Linux's build appends to all but gzip */
#define LZ4_RATIO    255 /* at most */
#define LZ4_BLOCK    ((size_t)8 << 20) /* unpacked: all of a file's blocks but the last */

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
/* `result`: of what has made `x` a decoder. */
static bool unpack_by_lzma(lzma_stream *x, lzma_ret result, const u8 *data, size_t size,
			   struct output *out)
{
	x->next_in = data;
	x->avail_in = size;
	while (result == LZMA_OK) {
		if (out->size == out->room && !grow(out))
			break;
		x->next_out = out->data + out->size;
		x->avail_out = out->room - out->size;
		result = lzma_code(x, LZMA_RUN);
		out->size = out->room - x->avail_out;
	}
	lzma_end(x);
	return result == LZMA_STREAM_END;
}

static bool unpack_xz(const u8 *data, size_t size, struct output *out)
{
	lzma_stream x = LZMA_STREAM_INIT;
	const lzma_ret result = lzma_stream_decoder(&x, UNPACKED_MAX, 0);

	return unpack_by_lzma(&x, result, data, size, out);
}

/* What xz's forerunner, the command lzma, wrote. */
static bool unpack_lzma(const u8 *data, size_t size, struct output *out)
{
	lzma_stream x = LZMA_STREAM_INIT;
	const lzma_ret result = lzma_alone_decoder(&x, UNPACKED_MAX);

	return unpack_by_lzma(&x, result, data, size, out);
}
#endif

#ifdef HAVE_LZ4
/*
 * lz4's legacy format (lz4 -l): a magic number, then blocks, each behind the number of its bytes.
 * It has no end of its own: the size that Linux's build appends is the last thing there is.
 */
static bool unpack_lz4(const u8 *data, size_t size, struct output *out)
{
	size_t at = 4;
	u32 packed, unpacked;

	if (size - at < SIZE_BYTES)
		return false;
	size -= SIZE_BYTES;
	mem_copy(&unpacked, data + size, sizeof(unpacked));
	out->first = unpacked;
	if (unpacked > size * LZ4_RATIO || !grow(out))
		return false;
	for (; size - at > sizeof(packed); at += packed) {
		const size_t left = out->room - out->size;
		int got;

		mem_copy(&packed, data + at, sizeof(packed));
		at += sizeof(packed);
		if (packed > INT32_MAX || packed > size - at)
			return false;
		got = LZ4_decompress_safe((const char *)data + at, (char *)out->data + out->size,
					  packed, left < LZ4_BLOCK ? left : LZ4_BLOCK);
		if (got < 0)
			return false;
		out->size += got;
	}
	return size == at && out->size == unpacked;
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
	{{0x5d, 0, 0}, 3, unpack_lzma},
#endif
#ifdef HAVE_LZ4
	{{0x02, 0x21, 0x4c, 0x18}, 4, unpack_lz4},
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
