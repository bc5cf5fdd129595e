/*
 * SHA-256 as FIPS 180-4 describes it, for the benchmark.
 *
 * Owns: the hash and its self-test. The round constants are computed (the fractional parts of cube
 * roots of the first 64 primes) instead of listed: one table less to mistype.
 */
#include "sha256.h"

#include <string.h>

#define BLOCK  64
#define ROUNDS 64

static uint32_t round_constant[ROUNDS];

static uint32_t rotr(uint32_t x, unsigned n)
{
	return x >> n | x << (32 - n);
}

/* The first 32 bits of the fractional part of the cube root of `prime`: the largest r with
 * r^3 <= prime * 2^96, less its integer part. r stays below 2^35, r^3 below 2^105, so the cube is
 * kept in two halves. */
static uint32_t cube_root_fraction(uint32_t prime)
{
	uint64_t r = 0;

	for (int bit = 34; bit >= 0; bit--) {
		uint64_t t = r | 1ull << bit;
		uint64_t hi = t >> 32, lo = t & 0xffffffff;
		/* t^2 = (hi * 2^32 + lo)^2 in s2 * 2^64 + s1 * 2^32 + s0 */
		uint64_t s0 = lo * lo, s1 = 2 * hi * lo + (s0 >> 32), s2 = hi * hi + (s1 >> 32);
		/* t^3 = t^2 * (hi * 2^32 + lo), carried from the low words up */
		uint64_t w0 = (s0 & 0xffffffff) * lo;
		uint64_t w1 = (s1 & 0xffffffff) * lo + (w0 >> 32);
		uint64_t w1b = (w1 & 0xffffffff) + (s0 & 0xffffffff) * hi;
		uint64_t w2 = s2 * lo + (w1 >> 32) + (w1b >> 32);
		uint64_t w2b = (w2 & 0xffffffff) + (s1 & 0xffffffff) * hi;
		uint64_t w3 = s2 * hi + (w2 >> 32) + (w2b >> 32);
		int rest = (uint32_t)w2b || (uint32_t)w1b || (uint32_t)w0;

		if (w3 < prime || (w3 == prime && !rest))
			r = t;
	}
	return (uint32_t)r;
}

static void init_constants(void)
{
	uint32_t candidate = 2;

	if (round_constant[0])
		return;
	for (int n = 0; n < ROUNDS; candidate++) {
		uint32_t d = 2;

		while (candidate % d)
			d++;
		if (d == candidate)
			round_constant[n++] = cube_root_fraction(candidate);
	}
}

static uint32_t load_be32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3];
}

static void store_be32(uint8_t *p, uint32_t x)
{
	for (int i = 0; i < 4; i++)
		p[i] = x >> (24 - 8 * i);
}

static void schedule(uint32_t w[ROUNDS], const uint8_t *block)
{
	for (int i = 0; i < 16; i++)
		w[i] = load_be32(block + 4 * i);
	for (int i = 16; i < ROUNDS; i++) {
		uint32_t a = w[i - 15], b = w[i - 2];

		w[i] = w[i - 16] + (rotr(a, 7) ^ rotr(a, 18) ^ a >> 3) + w[i - 7] +
		       (rotr(b, 17) ^ rotr(b, 19) ^ b >> 10);
	}
}

static void compress(uint32_t state[8], const uint8_t *block)
{
	uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
	uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
	uint32_t w[ROUNDS];

	schedule(w, block);
	for (int i = 0; i < ROUNDS; i++) {
		uint32_t t1 = h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + ((e & f) ^ (~e & g)) +
			      round_constant[i] + w[i];
		uint32_t t2 =
			(rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));

		h = g, g = f, f = e, e = d + t1;
		d = c, c = b, b = a, a = t1 + t2;
	}
	state[0] += a, state[1] += b, state[2] += c, state[3] += d;
	state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

void sha256(const void *data, size_t size, uint8_t digest[SHA256_SIZE])
{
	uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
			 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
	const uint8_t *p = data;
	uint8_t tail[2 * BLOCK] = {0};
	size_t left = size, tail_size;

	init_constants();
	for (; left >= BLOCK; left -= BLOCK, p += BLOCK)
		compress(h, p);
	memcpy(tail, p, left);
	tail[left] = 0x80;
	tail_size = left < BLOCK - 8 ? BLOCK : 2 * BLOCK;
	store_be32(tail + tail_size - 8, (uint64_t)size >> 29);
	store_be32(tail + tail_size - 4, (uint32_t)size << 3);
	for (size_t at = 0; at < tail_size; at += BLOCK)
		compress(h, tail + at);
	for (int i = 0; i < 8; i++)
		store_be32(digest + 4 * i, h[i]);
}

int sha256_works(void)
{
	static const struct {
		const char *text;
		uint32_t first, last; /* words of the digest */
	} known[] = {
		{"abc", 0xba7816bf, 0xf20015ad},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 0x248d6a61,
		 0x19db06c1},
		{"", 0xe3b0c442, 0x7852b855},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		uint8_t digest[SHA256_SIZE];

		sha256(known[i].text, strlen(known[i].text), digest);
		if (load_be32(digest) != known[i].first ||
		    load_be32(digest + SHA256_SIZE - 4) != known[i].last)
			return 0;
	}
	return 1;
}
