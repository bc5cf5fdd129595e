/*
 * Basic types of the freestanding core.
 *
 * Owns: the fixed-width names and the few compiler helpers that common/ and decoder/ use. They see
 * neither libc nor kernel headers; this is the only file that knows which world it is built in.
 */
#ifndef PLEX86_TYPES_H
#define PLEX86_TYPES_H

#ifdef __KERNEL__
#include <linux/types.h>
#else
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t s8;
typedef int16_t s16;
typedef int32_t s32;
typedef int64_t s64;
#endif

#ifndef ARRAY_SIZE
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#endif

#define PAGE_SHIFT_4K 12
#define PAGE_SIZE_4K  4096u
#define PAGE_MASK_4K  (~(u64)(PAGE_SIZE_4K - 1))

/* The compiler turns these into code or into calls of functions that every world has. */
#define mem_copy(dst, src, n) __builtin_memcpy((dst), (src), (n))
#define mem_set(dst, c, n)    __builtin_memset((dst), (c), (n))

/* A bool that came from outside may hold any byte, and the compiler counts on 0 and 1. */
static inline bool bool_valid(const bool *value)
{
	u8 byte;

	mem_copy(&byte, value, sizeof(byte));
	return byte <= 1;
}

#endif
