/*
 * Checksums and compression: see codec.h.
 */
#include "codec.h"

#include <stdlib.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#define LEVEL 1 /* RAM is many pages of which little is worth more time */

#ifdef HAVE_ZLIB

u32 codec_checksum(const void *data, size_t size)
{
	return crc32_z(0, data, size);
}

#else

/* The same, bit by bit. */
u32 codec_checksum(const void *data, size_t size)
{
	const u8 *byte = data;
	u32 crc = ~0u;

	while (size--) {
		crc ^= *byte++;
		for (int i = 0; i < 8; i++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
	}
	return ~crc;
}

#endif

#ifdef HAVE_ZSTD

struct codec {
	ZSTD_CCtx *pack;
	ZSTD_DCtx *unpack;
};

struct codec *codec_create(void)
{
	struct codec *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->pack = ZSTD_createCCtx();
	c->unpack = ZSTD_createDCtx();
	if (c->pack && c->unpack)
		return c;
	codec_destroy(c);
	return NULL;
}

void codec_destroy(struct codec *c)
{
	if (!c)
		return;
	ZSTD_freeCCtx(c->pack);
	ZSTD_freeDCtx(c->unpack);
	free(c);
}

size_t codec_pack(struct codec *c, u8 *to, const u8 *from, size_t size)
{
	const size_t n = ZSTD_compressCCtx(c->pack, to, size - 1, from, size, LEVEL);

	return ZSTD_isError(n) ? 0 : n;
}

bool codec_unpack(struct codec *c, u8 *to, size_t size, const u8 *from, size_t packed)
{
	return ZSTD_decompressDCtx(c->unpack, to, size, from, packed) == size;
}

#else

struct codec {
	char none;
};

struct codec *codec_create(void)
{
	return calloc(1, sizeof(struct codec));
}

void codec_destroy(struct codec *c)
{
	free(c);
}

size_t codec_pack(struct codec *c, u8 *to, const u8 *from, size_t size)
{
	(void)c, (void)to, (void)from, (void)size;
	return 0;
}

bool codec_unpack(struct codec *c, u8 *to, size_t size, const u8 *from, size_t packed)
{
	(void)c, (void)to, (void)size, (void)from, (void)packed;
	return false;
}

#endif
