/*
 * SHA-256 for the benchmark: plain C, so that it measures integer code, not an instruction set.
 */
#ifndef BENCH_SHA256_H
#define BENCH_SHA256_H

#include <stddef.h>
#include <stdint.h>

#define SHA256_SIZE 32

void sha256(const void *data, size_t size, uint8_t digest[SHA256_SIZE]);
/* Whether the digests of known texts (FIPS 180-4 examples) come out right. */
int sha256_works(void);

#endif
