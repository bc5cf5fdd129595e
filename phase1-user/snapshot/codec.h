/*
 * Checksums and compression of snapshots.
 *
 * Owns: the choice of libraries: zlib's CRC-32 and zstd, as far as this build has them. Without
 * zstd nothing is compressed, and what is cannot be read.
 */
#ifndef PLEX86_SNAPSHOT_CODEC_H
#define PLEX86_SNAPSHOT_CODEC_H

#include "../../common/types.h"

u32 codec_checksum(const void *data, size_t size);

/* One thread's. NULL: out of memory. */
struct codec *codec_create(void);
void codec_destroy(struct codec *c);
/* Returns the bytes written to `to`, fewer than `size`, or 0: it does not become shorter. */
size_t codec_pack(struct codec *c, u8 *to, const u8 *from, size_t size);
/* To exactly `size` bytes. */
bool codec_unpack(struct codec *c, u8 *to, size_t size, const u8 *from, size_t packed);

#endif
