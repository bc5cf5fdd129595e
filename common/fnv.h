/*
 * FNV-1a, the hash of Fowler, Noll and Vo: for telling things apart that nobody has made alike on
 * purpose.
 */
#ifndef PLEX86_FNV_H
#define PLEX86_FNV_H

#include "types.h"

#define FNV32_START 0x811c9dc5u
#define FNV64_START 0xcbf29ce484222325ull

/* With whole words in place of bytes it is no FNV-1a, but a hash all the same. */
static inline u32 fnv32_add(u32 hash, u32 value)
{
	return (hash ^ value) * 0x01000193u;
}

static inline u64 fnv64_add(u64 hash, u8 byte)
{
	return (hash ^ byte) * 0x100000001b3ull;
}

static inline u32 fnv32_text(const char *text)
{
	u32 hash = FNV32_START;

	while (*text)
		hash = fnv32_add(hash, (u8)*text++);
	return hash;
}

static inline u64 fnv64(const u8 *data, size_t size)
{
	u64 hash = FNV64_START;

	for (size_t i = 0; i < size; i++)
		hash = fnv64_add(hash, data[i]);
	return hash;
}

#endif
