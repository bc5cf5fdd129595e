/*
 * The decoder against Capstone on random bytes.
 *
 * Uniform bytes mostly make the common one-byte opcodes; a second kind of string begins with a few
 * prefixes and an escape, VEX or EVEX. The seed is fixed; PLEX86_TEST_SEED or the first argument
 * sets another.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "decoder-jobs.h"

enum {
	STRINGS_PER_JOB = 100000,
	/* jobs of uniform strings by mode, then of structured ones */
	UNIFORM_16 = 20,
	UNIFORM_32 = 100,
	UNIFORM_64 = 20,
	STRUCTURED_EACH = 20,
	JOBS = UNIFORM_16 + UNIFORM_32 + UNIFORM_64 + 3 * STRUCTURED_EACH,
};

static u64 seed = 20240229;

/* SplitMix64: every job has its own stream. */
static u64 next_random(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static void uniform(u64 *state, u8 *bytes)
{
	u64 a = next_random(state), b = next_random(state);

	memcpy(bytes, &a, 8);
	memcpy(bytes + 8, &b, 7);
}

/* Begin at b[0]: an escape, or a plausible VEX or EVEX prefix before the random bytes there. */
static void begin_opcode(u64 random, u8 *b)
{
	u8 map = (u8)(1 + (random >> 8) % 3);

	switch (random % 8) {
	case 1:
		b[0] = 0x0f;
		break;
	case 2:
		b[0] = 0x0f;
		b[1] = 0x38;
		break;
	case 3:
		b[0] = 0x0f;
		b[1] = 0x3a;
		break;
	case 4:
		b[0] = 0xc5;
		b[1] |= 0xc0;
		break;
	case 5:
		b[0] = 0xc4;
		b[1] = (u8)((b[1] & 0x20) | 0xc0 | map);
		b[2] |= random >> 16 & 1 ? 0x78 : 0;
		break;
	case 6:
	case 7:
		b[0] = 0x62;
		b[1] = (u8)((b[1] & 0x30) | 0xc0 | map);
		b[2] |= random >> 16 & 1 ? 0x7c : 4;
		b[3] |= random >> 17 & 3 ? 8 : 0;
		break;
	default:
		break;
	}
}

static void structured(u64 *state, u8 *bytes)
{
	static const u8 prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x66, 0x67, 0x67,
				      0xf0, 0xf2, 0xf2, 0xf3, 0xf3, 0x41, 0x44, 0x48, 0x4c, 0x42};
	u64 random = next_random(state);
	unsigned n = random >> 60 & 3;

	uniform(state, bytes);
	for (unsigned i = 0; i < n; i++)
		bytes[i] = prefixes[(random >> (24 + 8 * i) & 0xff) % ARRAY_SIZE(prefixes)];
	begin_opcode(random, bytes + n);
}

static void job(struct worker *w, unsigned n)
{
	u64 state = seed + n * 0x100000001ull;
	bool plain = n < UNIFORM_16 + UNIFORM_32 + UNIFORM_64;
	enum insn_mode mode = n < UNIFORM_32		    ? MODE_32
			      : n < UNIFORM_32 + UNIFORM_64 ? MODE_64
							    : MODE_16;

	if (!plain)
		mode = (enum insn_mode)(n % 3);
	for (unsigned i = 0; i < STRINGS_PER_JOB; i++) {
		u8 bytes[16];

		(plain ? uniform : structured)(&state, bytes);
		worker_compare(w, bytes, mode);
	}
}

static void test_random(void **unused)
{
	(void)unused;
	printf("seed %llu: %d million strings in 32-bit mode, %d in 16-bit, %d in 64-bit, "
	       "%d structured\n",
	       (unsigned long long)seed, UNIFORM_32 / 10, UNIFORM_16 / 10, UNIFORM_64 / 10,
	       3 * STRUCTURED_EACH / 10);
	assert_int_equal(run_jobs(JOBS, job), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_random)};
	const char *text = argc > 1 ? argv[1] : getenv("PLEX86_TEST_SEED");

	if (text)
		seed = strtoull(text, NULL, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
