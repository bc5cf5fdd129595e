/*
 * What the emulated CPU can do: see unicorn-internals.h.
 */
#include "unicorn-internals.h"
#include <unicorn-layout.h>

enum { LEAF1_EDX = 0, LEAF1_ECX = 1, LEAF7_EBX = 2, EXT1_EDX = 6, EXT1_ECX = 7, ALL = 8 };

#define FEATURE_XSAVE (1u << 26)

/* Its translator looks at this to know whether it may: the library's models of CPUs lack half of
 * what it can. Not here: RDRAND and RDSEED, which ask the host for a system call. */
void emulated_set_features(bool xsave)
{
	static const u32 words[ALL] = {
		/* FPU DE PSE TSC MSR PAE CX8 PGE CMOV CLFSH MMX FXSR SSE SSE2 */
		[LEAF1_EDX] = 0x0788a17d,
		/* SSE3 PCLMULQDQ SSSE3 SSE4.1 SSE4.2 MOVBE POPCNT AES */
		[LEAF1_ECX] = 0x02d80203,
		/* BMI1 BMI2 ERMS ADX CLFLUSHOPT */
		[LEAF7_EBX] = 0x00880308,
		[EXT1_EDX] = 0x00100000, /* NX */
		[EXT1_ECX] = 0x00000120, /* LZCNT PREFETCHW */
	};
	u64 *feature = (u64 *)((u8 *)emulated_cpu() + ENV_FEATURES);

	for (unsigned i = 0; i < ALL; i++)
		feature[i] = words[i];
	if (xsave)
		feature[LEAF1_ECX] |= FEATURE_XSAVE;
}
