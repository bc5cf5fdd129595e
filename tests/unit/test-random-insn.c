/*
 * Unit tests of tests/random: rows of its tables, against the SDM's words and what the processor
 * does.
 */
#include "../random/fpu.h"
#include "../random/insn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define CF  0x001u
#define PF  0x004u
#define AF  0x010u
#define ZF  0x040u
#define SF  0x080u
#define OF  0x800u
#define ALL (CF | PF | AF | ZF | SF | OF)

static struct key key_of(const char *hex)
{
	unsigned char code[32] = {0};
	struct key k;

	for (unsigned n = 0; hex[2 * n]; n++) {
		const char digits[3] = {hex[2 * n], hex[2 * n + 1], 0};

		code[n] = strtoul(digits, NULL, 16);
	}
	assert_true(insn_key(code, &k));
	return k;
}

/* SDM vol. 2, "Flags Affected" of each. */
static const struct {
	const char *code;
	unsigned reads, defines, undefined;
} rows[] = {
	{"01c8", 0, ALL, 0},			     /* add */
	{"11c8", CF, ALL, 0},			     /* adc */
	{"21c8", 0, ALL & ~AF, AF},		     /* and */
	{"83e001", 0, ALL & ~AF, AF},		     /* and $1 */
	{"85c0", 0, ALL & ~AF, AF},		     /* test */
	{"40", 0, ALL & ~CF, 0},		     /* inc */
	{"d1e0", 0, ALL & ~AF, AF},		     /* shl $1: OF is defined */
	{"c1e002", 0, CF | ZF | SF | PF, AF | OF},   /* shl $2: it is not */
	{"c1e020", 0, 0, 0},			     /* shl $32 is shl $0 */
	{"66c1e011", 0, ZF | SF | PF, AF | OF | CF}, /* shl $17 of 16 bits */
	{"66c1f811", 0, CF | ZF | SF | PF, AF | OF}, /* sar $17 of 16 bits */
	{"d3e0", 0, 0, AF | OF | CF},		     /* shl %cl */
	{"d1d0", CF, CF | OF, 0},		     /* rcl $1 */
	{"c1d005", CF, CF, OF},			     /* rcl $5 */
	{"f7e1", 0, CF | OF, SF | ZF | AF | PF},     /* mul */
	{"f7f1", 0, 0, ALL},			     /* div */
	{"f7d0", 0, 0, 0},			     /* not */
	{"27", CF | AF, ALL & ~OF, OF},		     /* daa */
	{"37", AF, CF | AF, OF | SF | ZF | PF},	     /* aaa */
	{"d40a", 0, SF | ZF | PF, OF | AF | CF},     /* aam */
	{"0fa3c8", 0, CF, OF | SF | AF | PF},	     /* bt */
	{"0fbcc8", 0, ZF, CF | OF | SF | AF | PF},   /* bsf */
	{"0fa4c801", 0, ALL & ~AF, AF},		     /* shld $1 */
	{"0fa4c802", 0, CF | ZF | SF | PF, AF | OF}, /* shld $2 */
	{"9c", ALL, 0, 0},			     /* pushf */
	{"7f00", ZF | SF | OF, 0, 0},		     /* jg */
	{"0f97c0", CF | ZF, 0, 0},		     /* seta */
	{"f3a6", 0, 0, 0},			     /* repe cmpsb: perhaps none */
};

static void flags(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct key k = key_of(rows[i].code);
		const struct flag_effect e = insn_flags(&k);

		assert_int_equal(e.reads, rows[i].reads);
		assert_int_equal(e.defines, rows[i].defines);
		assert_int_equal(e.undefined, rows[i].undefined);
	}
}

/* The count of a shift stands behind ModRM, SIB and displacement. */
static void counts(void **state)
{
	static const char *const same[] = {"c1e007",	     "c1200705",	 "c1600107",
					   "c1a00000000007", "c124850707070707", "c1250000000007",
					   "67c126000007",   "f066c1602007"};

	(void)state;
	for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		assert_int_equal(key_of(same[i]).immediate, 7);
}

static void left_out(void **state)
{
	static const struct {
		const char *code;
		unsigned why;
	} t[] = {
		{"01c8", COMPARED},	  {"0f05", OUT_HOST},	  {"660f05", OUT_HOST},
		{"ea", OUT_HOST},	  {"f0ff00", COMPARED},	  {"f0ffc0", COMPARED},
		{"0fc208ff", BUG_CMPPS},  {"f00fab08", COMPARED}, {"660fa4c811", OUT_IMPL},
		{"660fa4c810", COMPARED}, {"c7f80000", OUT_NEW},  {"2e8b00", BUG_LIMITS},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const struct key k = key_of(t[i].code);

		assert_int_equal(insn_left_out(&k), t[i].why);
	}
}

/* The FPU's stack: pushes, pops, and what must not be done with it. */
static void fpu_stack(void **state)
{
	static const struct {
		const char *code;
		unsigned before, after; /* valid registers; 0x100: it is refused */
	} t[] = {
		{"d9e8", 0x00, 0x01},	/* fld1 */
		{"d9e8", 0xff, 0x100},	/* overflow */
		{"d8c1", 0x03, 0x03},	/* fadd */
		{"d8c1", 0x01, 0x100},	/* underflow */
		{"dec1", 0x03, 0x01},	/* faddp */
		{"ded9", 0x07, 0x01},	/* fcompp */
		{"ddd8", 0x03, 0x01},	/* fstp */
		{"ddc0", 0x03, 0x02},	/* ffree */
		{"dbe3", 0xff, 0x00},	/* fninit */
		{"0fefc0", 0x01, 0xff}, /* pxor: all are MMX's */
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct fpu_track track = {.valid = t[i].before};
		const struct key k = key_of(t[i].code);

		if (!fpu_step(&track, &k)) {
			assert_int_equal(t[i].after, 0x100);
			assert_int_equal(track.valid, t[i].before);
			continue;
		}
		assert_int_equal(track.valid, t[i].after);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(flags),
		cmocka_unit_test(counts),
		cmocka_unit_test(left_out),
		cmocka_unit_test(fpu_stack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
