/*
 * The two functions a freestanding compiler may call.
 *
 * Owns: memcpy and memset.
 */
#include "guest.h"

void *memcpy(void *dst, const void *src, u32 n);
void *memset(void *dst, int c, u32 n);

void *memcpy(void *dst, const void *src, u32 n)
{
	void *d = dst;

	asm volatile("rep movsb" : "+D"(d), "+S"(src), "+c"(n) : : "memory");
	return dst;
}

void *memset(void *dst, int c, u32 n)
{
	void *d = dst;

	asm volatile("rep stosb" : "+D"(d), "+c"(n) : "a"(c) : "memory");
	return dst;
}
