/*
 * The decoder against Capstone on every opcode and form of ModRM.
 *
 * All legacy maps with every ModRM byte, selecting prefixes, REX.W, a choice of SIB bytes and
 * address sizes; VEX and EVEX with every value of what selects an instruction, and ModRM bytes that
 * cover every reg and every kind of address.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "decoder-jobs.h"

/* Immediates and displacements with bits set in every byte, signs included. */
static const u8 tail[INSN_MAX] = {0x85, 0x96, 0x27, 0xb8, 0x49, 0xda, 0x6b, 0xfc,
				  0x9d, 0x0e, 0xaf, 0x31, 0xc2, 0x53, 0xe4};

static void compare(struct worker *w, const u8 *head, unsigned n, enum insn_mode mode)
{
	u8 bytes[INSN_MAX];

	memcpy(bytes, head, n);
	memcpy(bytes + n, tail, INSN_MAX - n);
	worker_compare(w, bytes, mode);
}

/* head[n - 1] is the opcode: try it with every ModRM, and SIB where that means something. */
static void every_modrm(struct worker *w, u8 *head, unsigned n, enum insn_mode mode)
{
	/* no index, no base, both, neither, stack bases, all scales */
	static const u8 sibs[] = {0x24, 0x25, 0x65, 0x8d, 0xc4, 0x1c, 0xfb};

	for (unsigned modrm = 0; modrm < 256; modrm++) {
		head[n] = (u8)modrm;
		compare(w, head, n + 1, mode);
		if (modrm >= 0xc0 || (modrm & 7) != 4)
			continue;
		for (unsigned i = 0; i < ARRAY_SIZE(sibs); i++) {
			head[n + 1] = sibs[i];
			compare(w, head, n + 2, mode);
		}
	}
}

static void with_escape(struct worker *w, u8 *head, unsigned n, unsigned map, unsigned opcode,
			enum insn_mode mode)
{
	static const u8 escapes[4][2] = {{0}, {0x0f}, {0x0f, 0x38}, {0x0f, 0x3a}};

	for (unsigned i = 0; i < 2; i++)
		if (escapes[map][i])
			head[n++] = escapes[map][i];
	head[n++] = (u8)opcode;
	every_modrm(w, head, n, mode);
}

/* A job: one opcode of one legacy map. */
static void legacy_job(struct worker *w, unsigned job)
{
	static const u8 prefixes[][3] = {{0},	       {0x66},	     {0xf3}, {0xf2},
					 {0x66, 0xf3}, {0x66, 0xf2}, {0x67}, {0x67, 0x66},
					 {0x64},       {0x2e, 0x36}, {0xf0}, {0xf0, 0xf3}};
	unsigned map = job / 256, opcode = job % 256;

	for (unsigned mode = MODE_16; mode <= MODE_64; mode++) {
		for (unsigned i = 0; i < ARRAY_SIZE(prefixes); i++) {
			static const u8 rexes[] = {0, 0x40, 0x48, 0x4f};
			unsigned nrex = mode == MODE_64 ? ARRAY_SIZE(rexes) : 1;

			for (unsigned rex = 0; rex < nrex; rex++) {
				u8 head[INSN_MAX];
				unsigned n = 0;

				for (unsigned k = 0; prefixes[i][k]; k++)
					head[n++] = prefixes[i][k];
				if (rexes[rex])
					head[n++] = rexes[rex];
				with_escape(w, head, n, map, opcode, (enum insn_mode)mode);
			}
		}
	}
}

static void vector_modrms(struct worker *w, u8 *head, unsigned n, enum insn_mode mode)
{
	/* [base], disp32 or [rIP], SIB with disp8, disp8, disp32, register */
	static const u8 forms[][2] = {{0x06}, {0x05}, {0x44, 0x8a}, {0x43}, {0x82}, {0xc1}};

	for (unsigned reg = 0; reg < 8; reg++) {
		for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
			head[n] = (u8)(forms[i][0] | reg << 3);
			head[n + 1] = forms[i][1];
			compare(w, head, n + (forms[i][1] ? 2 : 1), mode);
		}
	}
}

/* A job: one opcode of one VEX map. */
static void vex_job(struct worker *w, unsigned job)
{
	unsigned map = 1 + job / 256, opcode = job % 256;

	for (unsigned mode = MODE_16; mode <= MODE_64; mode++) {
		for (unsigned bits = 0; bits < 16 * 4; bits++) {
			static const u8 vvvv[] = {0x78, 0x70, 0x38, 0x00};
			u8 second = (u8)((bits & 7) | (bits & 8) << 4 | vvvv[bits >> 4]);
			u8 three[INSN_MAX] = {0xc4, (u8)(0xe0 | map), second, (u8)opcode};
			u8 two[INSN_MAX] = {0xc5, second | 0x80, (u8)opcode};

			vector_modrms(w, three, 4, (enum insn_mode)mode);
			if (map == 1 && !(bits & 8))
				vector_modrms(w, two, 3, (enum insn_mode)mode);
		}
	}
}

/* A job: one opcode of one EVEX map. */
static void evex_job(struct worker *w, unsigned job)
{
	static const u8 vvvv[] = {0x78, 0x30}, masks[] = {0, 1, 0x82, 0x80};
	unsigned map = 1 + job / 256, opcode = job % 256;

	for (unsigned mode = MODE_32; mode <= MODE_64; mode++) {
		/* pp, W, vvvv; L'L, b; mask */
		for (unsigned bits = 0; bits < 1 << 9; bits++) {
			u8 p1 = (u8)((bits & 3) | 4 | (bits & 4) << 5 | vvvv[bits >> 3 & 1]);
			u8 p2 = (u8)(8 | (bits & 0x70) | masks[bits >> 7]);
			u8 head[INSN_MAX] = {0x62, (u8)(0xf0 | map), p1, p2, (u8)opcode};

			vector_modrms(w, head, 5, (enum insn_mode)mode);
		}
	}
}

static void test_legacy(void **unused)
{
	(void)unused;
	assert_int_equal(run_jobs(4 * 256, legacy_job), 0);
}

static void test_vex(void **unused)
{
	(void)unused;
	assert_int_equal(run_jobs(3 * 256, vex_job), 0);
}

static void test_evex(void **unused)
{
	(void)unused;
	assert_int_equal(run_jobs(3 * 256, evex_job), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_legacy),
		cmocka_unit_test(test_vex),
		cmocka_unit_test(test_evex),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
