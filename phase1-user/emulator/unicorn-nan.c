/*
 * SSE arithmetic of two NaNs: see unicorn-internals.h.
 *
 * Owns: the helpers of ADDPS and its kin. The library's give the NaN with the larger significand,
 * as x87 has it; SSE has the first operand's, quiet (SDM vol. 1, table 4-7).
 */
#include "unicorn-internals.h"

#include <dlfcn.h>
#include <string.h>

#define REGISTER 16

#define QUIET_SINGLE	0x00400000u
#define QUIET_DOUBLE	0x0008000000000000ull
#define INFINITY_SINGLE 0x7f800000u
#define INFINITY_DOUBLE 0x7ff0000000000000ull

typedef void (*helper)(void *env, void *to, const void *from);

static void singles(u8 *to, const u8 *first, const u8 *second, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		u32 a, b;

		memcpy(&a, first + i * sizeof(a), sizeof(a));
		memcpy(&b, second + i * sizeof(b), sizeof(b));
		if ((a << 1) <= INFINITY_SINGLE << 1 || (b << 1) <= INFINITY_SINGLE << 1)
			continue;
		a |= QUIET_SINGLE;
		memcpy(to + i * sizeof(a), &a, sizeof(a));
	}
}

static void doubles(u8 *to, const u8 *first, const u8 *second, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		u64 a, b;

		memcpy(&a, first + i * sizeof(a), sizeof(a));
		memcpy(&b, second + i * sizeof(b), sizeof(b));
		if ((a << 1) <= INFINITY_DOUBLE << 1 || (b << 1) <= INFINITY_DOUBLE << 1)
			continue;
		a |= QUIET_DOUBLE;
		memcpy(to + i * sizeof(a), &a, sizeof(a));
	}
}

#define ARITHMETIC(name, choose, n, bytes)                                              \
	void helper_##name##_x86_64(void *env, void *to, const void *from);             \
	void helper_##name##_x86_64(void *env, void *to, const void *from)              \
	{                                                                               \
		static helper original;                                                 \
		u8 first[REGISTER], second[REGISTER];                                   \
                                                                                        \
		if (!original)                                                          \
			original = (helper)dlsym(RTLD_NEXT, "helper_" #name "_x86_64"); \
		memcpy(first, to, bytes);                                               \
		memcpy(second, from, bytes);                                            \
		original(env, to, from);                                                \
		choose(to, first, second, n);                                           \
	}

#define ALL_FORMS(name)                      \
	ARITHMETIC(name##ps, singles, 4, 16) \
	ARITHMETIC(name##ss, singles, 1, 4)  \
	ARITHMETIC(name##pd, doubles, 2, 16) \
	ARITHMETIC(name##sd, doubles, 1, 8)

ALL_FORMS(add)
ALL_FORMS(sub)
ALL_FORMS(mul)
ALL_FORMS(div)
