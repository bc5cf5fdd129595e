/*
 * Unit test of the emulator's table of what is no instruction (phase1-user/emulator/undefined.c):
 * nothing that the decoder knows is in it, and each lock that the decoder refuses is. Capstone, and
 * so the decoder, takes SSE with prefixes that have no such form: those are compared with the
 * host's CPU (tests/random).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "decode.h"
#include "emulator/undefined.h"

static u8 code[INSN_MAX];
static unsigned farthest;

static u8 byte_of(u64 start, unsigned n)
{
	assert_int_equal(start, 0x1000);
	assert_in_range(n, 0, INSN_MAX - 1);
	if (n > farthest)
		farthest = n;
	return code[n];
}

struct counts {
	unsigned undefined, unlocked;
};

/* XABORT and XBEGIN, which the emulated CPU does not announce. */
static bool is_transaction(const struct insn *insn)
{
	return insn->map == 0 && (insn->opcode & 0xfe) == 0xc6 && insn->modrm == 0xf8;
}

static void judge(struct counts *c)
{
	struct insn insn;
	const enum decode_result result = insn_decode(code, INSN_MAX, MODE_32, &insn);
	struct judged j = {0};
	enum verdict verdict;

	farthest = 0;
	verdict = undefined_judge(byte_of, 0x1000, &j);
	if (verdict == INSN_AS_IT_IS)
		return;
	assert_int_equal(j.length, farthest + 1);
	if (verdict == INSN_UNLOCKED) {
		assert_int_equal(result, DECODE_OK);
		assert_int_equal(code[j.lock], 0xf0);
		c->unlocked++;
		return;
	}
	c->undefined++;
	if (result == DECODE_OK && !is_transaction(&insn))
		fail_msg("%02x %02x %02x %02x is an instruction", code[0], code[1], code[2],
			 code[3]);
}

/* Each opcode of both maps with each ModRM, behind `prefixes`. */
static void judge_all(const u8 *prefixes, unsigned n, struct counts *c)
{
	for (unsigned two = 0; two < 2; two++)
		for (unsigned op = 0; op < 256; op++)
			for (unsigned modrm = 0; modrm < 256; modrm++) {
				u8 *at = code + n;

				memset(code, 0, sizeof(code));
				memcpy(code, prefixes, n);
				if (two)
					*at++ = 0x0f;
				at[0] = op;
				at[1] = modrm;
				judge(c);
			}
}

static void instructions_stay(void **state)
{
	static const struct {
		u8 bytes[3], n;
	} prefixes[] = {
		{{0}, 0}, {{0x67}, 1}, {{0x3e}, 1}, {{0xf0}, 1}, {{0x65, 0xf0}, 2},
	};
	struct counts c = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
		judge_all(prefixes[i].bytes, prefixes[i].n, &c);
	assert_true(c.undefined > 0 && c.unlocked > 0);
}

/* What a lock alone makes undefined. */
static void locks_go(void **state)
{
	unsigned refused = 0, taken = 0;

	(void)state;
	for (unsigned op = 0; op < 512; op++)
		for (unsigned modrm = 0; modrm < 256; modrm++) {
			const u8 locked[] = {0xf0, op >= 256 ? 0x0f : op, op >= 256 ? op : modrm,
					     modrm};
			struct judged j;
			struct insn insn;

			memset(code, 0, sizeof(code));
			memcpy(code, locked, sizeof(locked));
			if (insn_decode(code + 1, INSN_MAX - 1, MODE_32, &insn) != DECODE_OK)
				continue;
			if (insn_decode(code, INSN_MAX, MODE_32, &insn) == DECODE_OK) {
				taken++;
				continue;
			}
			refused++;
			if (undefined_judge(byte_of, 0x1000, &j) != INSN_UNDEFINED)
				fail_msg("%02x %02x %02x %02x", code[0], code[1], code[2], code[3]);
		}
	assert_true(refused > 0 && taken > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(instructions_stay),
		cmocka_unit_test(locks_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
