/*
 * The decoder, by hand: what the SDM says about prefixes, limits, truncation and the instructions
 * the core relies on. The comparison with Capstone is in test-decoder-forms.c and -random.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "decode.h"

#define BYTES(...) ((const u8[]){__VA_ARGS__}), sizeof((const u8[]){__VA_ARGS__})

enum { AX, CX, DX, BX, SP, BP, SI, DI, R = ACCESS_READ, W = ACCESS_WRITE, RW = R | W };

/* Decode from a buffer of exactly n bytes, so that AddressSanitizer sees any byte read past it. */
static enum decode_result decode_exact(const u8 *bytes, unsigned n, enum insn_mode mode,
				       struct insn *insn)
{
	u8 *copy = malloc(n ? n : 1);

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	enum decode_result result = insn_decode(n ? copy : copy + 1, n, mode, insn);

	free(copy);
	return result;
}

/* The instruction, and that every truncation of it is reported as such. */
static struct insn decode(enum insn_mode mode, const u8 *bytes, unsigned n)
{
	struct insn insn, cut;

	assert_int_equal(decode_exact(bytes, n, mode, &insn), DECODE_OK);
	assert_int_equal(insn.length, n);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(decode_exact(bytes, i, mode, &cut), DECODE_TRUNCATED);
	return insn;
}

static void assert_invalid(enum insn_mode mode, const u8 *bytes, unsigned n)
{
	struct insn insn;

	assert_int_equal(decode_exact(bytes, n, mode, &insn), DECODE_INVALID);
}

static void assert_mem(const struct insn *insn, u8 base, u8 index, u8 scale, s64 disp, u8 seg)
{
	assert_true(insn->has_mem);
	assert_int_equal(insn->mem.base, base);
	assert_int_equal(insn->mem.index, index);
	if (index != REG_NONE)
		assert_int_equal(insn->mem.scale, scale);
	assert_true(insn->mem.disp == disp);
	assert_int_equal(insn->mem.seg, seg);
}

static void assert_access(const struct insn *insn, unsigned size, unsigned access)
{
	assert_true(insn->has_mem);
	assert_int_equal(insn->mem.size, size);
	assert_int_equal(insn->mem.access, access);
}

static void assert_opnd(const struct insn *insn, unsigned i, enum operand_kind kind, u8 reg,
			u8 size, u8 access)
{
	assert_true(i < insn->nopnds);
	assert_int_equal(insn->opnd[i].kind, kind);
	if (kind <= OPND_DR)
		assert_int_equal(insn->opnd[i].reg, reg);
	assert_int_equal(insn->opnd[i].size, size);
	assert_int_equal(insn->opnd[i].access, access);
}

/* The guest macros' spellings: cs invd, and lmsw %ax as raw bytes. */
static void test_macro_kit(void **unused)
{
	struct insn i = decode(MODE_32, BYTES(0x2e, 0x0f, 0x08));

	(void)unused;
	assert_int_equal(i.op, OP_INVD);
	assert_int_equal(i.seg_override, SEG_CS);
	assert_int_equal(i.prefix_len, 1);
	assert_int_equal(i.opcode, 0x08);
	i = decode(MODE_32, BYTES(0x0f, 0x01, 0xf0));
	assert_int_equal(i.op, OP_LMSW);
	assert_opnd(&i, 0, OPND_REG, AX, 2, R);
	i = decode(MODE_32, BYTES(0x0f, 0x01, 0xf3));
	assert_opnd(&i, 0, OPND_REG, BX, 2, R);
	assert_int_equal(decode(MODE_64, BYTES(0x2e, 0x0f, 0x08)).seg_override, SEG_CS);
}

static void test_prefixes(void **unused)
{
	struct insn i;

	(void)unused;
	/* The last segment override and the last of F2 and F3 win; others may repeat. */
	i = decode(MODE_32, BYTES(0x2e, 0x66, 0x64, 0x66, 0xf3, 0x26, 0xf2, 0xa5));
	assert_int_equal(i.op, OP_MOVS);
	assert_int_equal(i.seg_override, SEG_ES);
	assert_int_equal(i.rep, 0xf2);
	assert_int_equal(i.op_size, 2);
	assert_int_equal(i.prefix_len, 7);
	i = decode(MODE_32, BYTES(0x67, 0xf3, 0x6c));
	assert_int_equal(i.op, OP_INS);
	assert_int_equal(i.op_size, 1);
	assert_int_equal(i.addr_size, 2);
	assert_int_equal(i.rep, 0xf3);
	/* Sizes are toggled by 66 and 67, to 32 bits in 16-bit code. */
	i = decode(MODE_16, BYTES(0x67, 0x66, 0x8b, 0x44, 0x24, 0x04));
	assert_mem(&i, SP, REG_NONE, 1, 4, SEG_SS);
	assert_access(&i, 4, R);
	/* F3 and F2 choose among SSE instructions before 66 does. */
	i = decode(MODE_32, BYTES(0x66, 0xf3, 0x0f, 0x10, 0x00));
	assert_access(&i, 4, R);
	i = decode(MODE_32, BYTES(0xf3, 0x66, 0x0f, 0x10, 0x00));
	assert_access(&i, 4, R);
	i = decode(MODE_32, BYTES(0x66, 0x0f, 0x10, 0x00));
	assert_access(&i, 16, R);
}

static void test_lock(void **unused)
{
	(void)unused;
	assert_true(decode(MODE_32, BYTES(0xf0, 0x0f, 0xb1, 0x0b)).lock);
	assert_true(decode(MODE_32, BYTES(0xf0, 0x0f, 0xc7, 0x0b)).lock);
	assert_true(decode(MODE_32, BYTES(0xf0, 0x87, 0x0b)).lock);
	assert_true(decode(MODE_32, BYTES(0xf0, 0x83, 0x00, 0x01)).lock);
	/* a register destination, a load, a store, a comparison */
	assert_invalid(MODE_32, BYTES(0xf0, 0x01, 0xc0));
	assert_invalid(MODE_32, BYTES(0xf0, 0x03, 0x00));
	assert_invalid(MODE_32, BYTES(0xf0, 0x89, 0x00));
	assert_invalid(MODE_32, BYTES(0xf0, 0x39, 0x00));
	assert_invalid(MODE_32, BYTES(0xf0, 0x0f, 0xa3, 0x00));
	assert_invalid(MODE_32, BYTES(0xf0, 0x90));
}

static void test_rex(void **unused)
{
	struct insn i;

	(void)unused;
	i = decode(MODE_64, BYTES(0x4d, 0x89, 0x44, 0x8d, 0x10));
	assert_int_equal(i.op_size, 8);
	assert_mem(&i, 13, CX, 4, 0x10, SEG_DS);
	assert_opnd(&i, 1, OPND_REG, 8, 8, R);
	/* REX counts only right before the opcode. */
	i = decode(MODE_64, BYTES(0x48, 0x66, 0x89, 0xc3));
	assert_int_equal(i.op_size, 2);
	assert_opnd(&i, 0, OPND_REG, BX, 2, W);
	/* AH without REX is SPL with it. */
	i = decode(MODE_64, BYTES(0x88, 0xe0));
	assert_true(i.opnd[1].high_byte);
	assert_opnd(&i, 1, OPND_REG, AX, 1, R);
	i = decode(MODE_64, BYTES(0x40, 0x88, 0xe0));
	assert_false(i.opnd[1].high_byte);
	assert_opnd(&i, 1, OPND_REG, SP, 1, R);
	/* NOP becomes XCHG with REX.B. */
	assert_int_equal(decode(MODE_64, BYTES(0x48, 0x90)).op, OP_OTHER);
	i = decode(MODE_64, BYTES(0x49, 0x90));
	assert_int_equal(i.op, OP_XCHG);
	assert_opnd(&i, 1, OPND_REG, 8, 8, RW);
	/* CR8 is reached by REX.R, CR9 not at all. */
	i = decode(MODE_64, BYTES(0x44, 0x0f, 0x22, 0xc0));
	assert_opnd(&i, 0, OPND_CR, 8, 8, W);
	assert_invalid(MODE_64, BYTES(0x44, 0x0f, 0x22, 0xc8));
	/* segment overrides other than FS and GS are idle */
	i = decode(MODE_64, BYTES(0x65, 0x2e, 0x8b, 0x00));
	assert_mem(&i, AX, REG_NONE, 1, 0, SEG_GS);
	i = decode(MODE_64, BYTES(0x8b, 0x05, 0xfc, 0xff, 0xff, 0xff));
	assert_mem(&i, REG_IP, REG_NONE, 1, -4, SEG_DS);
}

static void test_addresses(void **unused)
{
	struct insn i;

	(void)unused;
	i = decode(MODE_16, BYTES(0x8b, 0x42, 0x80));
	assert_mem(&i, BP, SI, 1, -128, SEG_SS);
	i = decode(MODE_16, BYTES(0x8b, 0x0e, 0x34, 0x12));
	assert_mem(&i, REG_NONE, REG_NONE, 1, 0x1234, SEG_DS);
	i = decode(MODE_32, BYTES(0x8b, 0x45, 0xfc));
	assert_mem(&i, BP, REG_NONE, 1, -4, SEG_SS);
	i = decode(MODE_32, BYTES(0x3e, 0x8b, 0x45, 0xfc));
	assert_mem(&i, BP, REG_NONE, 1, -4, SEG_DS);
	i = decode(MODE_32, BYTES(0x8b, 0x04, 0xad, 0x00, 0x00, 0x00, 0x80));
	assert_mem(&i, REG_NONE, BP, 4, -0x80000000ll, SEG_DS);
	i = decode(MODE_32, BYTES(0x8b, 0x04, 0x24));
	assert_mem(&i, SP, REG_NONE, 1, 0, SEG_SS);
	i = decode(MODE_32, BYTES(0x65, 0xa1, 0x10, 0x00, 0x00, 0xff));
	assert_mem(&i, REG_NONE, REG_NONE, 1, 0xff000010, SEG_GS);
	assert_opnd(&i, 1, OPND_MEM, 0, 4, R);
	i = decode(MODE_64, BYTES(0x48, 0xa3, 1, 2, 3, 4, 5, 6, 7, 0x88));
	assert_mem(&i, REG_NONE, REG_NONE, 1, (s64)0x8807060504030201, SEG_DS);
}

static void test_system(void **unused)
{
	struct insn i;

	(void)unused;
	i = decode(MODE_32, BYTES(0x0f, 0x22, 0xd8));
	assert_int_equal(i.op, OP_MOV_TO_CR);
	assert_opnd(&i, 0, OPND_CR, 3, 4, W);
	assert_opnd(&i, 1, OPND_REG, AX, 4, R);
	/* mod is ignored, and so is 66. */
	i = decode(MODE_32, BYTES(0x66, 0x0f, 0x20, 0x02));
	assert_int_equal(i.op, OP_MOV_FROM_CR);
	assert_false(i.has_mem);
	assert_int_equal(i.op_size, 4);
	assert_opnd(&i, 0, OPND_REG, DX, 4, W);
	i = decode(MODE_32, BYTES(0x0f, 0x23, 0xfa));
	assert_int_equal(i.op, OP_MOV_TO_DR);
	assert_opnd(&i, 0, OPND_DR, 7, 4, W);
	assert_invalid(MODE_32, BYTES(0x0f, 0x22, 0xc8));
	assert_invalid(MODE_32, BYTES(0x8e, 0xc8));
	i = decode(MODE_32, BYTES(0x0f, 0x01, 0x15, 0x78, 0x56, 0x34, 0x12));
	assert_int_equal(i.op, OP_LGDT);
	assert_access(&i, 6, R);
	i = decode(MODE_64, BYTES(0x0f, 0x01, 0x18));
	assert_int_equal(i.op, OP_LIDT);
	assert_access(&i, 10, R);
	i = decode(MODE_32, BYTES(0x0f, 0x01, 0x38));
	assert_int_equal(i.op, OP_INVLPG);
	assert_access(&i, 0, ACCESS_NONE);
	i = decode(MODE_32, BYTES(0x0f, 0x00, 0x08));
	assert_int_equal(i.op, OP_STR);
	assert_access(&i, 2, W);
	i = decode(MODE_32, BYTES(0x0f, 0x03, 0x00));
	assert_int_equal(i.op, OP_LSL);
	assert_access(&i, 2, R);
	i = decode(MODE_32, BYTES(0x63, 0x08));
	assert_int_equal(i.op, OP_ARPL);
	assert_access(&i, 2, RW);
	assert_int_equal(decode(MODE_64, BYTES(0x63, 0xc8)).op, OP_MOVSX);
}

static void test_one_opcode(void **unused)
{
	static const struct {
		u8 bytes[3];
		u8 n;
		enum insn_op op;
	} cases[] = {
		{{0xf4}, 1, OP_HLT},
		{{0xfa}, 1, OP_CLI},
		{{0xfb}, 1, OP_STI},
		{{0x9c}, 1, OP_PUSHF},
		{{0x9d}, 1, OP_POPF},
		{{0xcf}, 1, OP_IRET},
		{{0x0f, 0x06}, 2, OP_CLTS},
		{{0x0f, 0x09}, 2, OP_WBINVD},
		{{0x0f, 0x30}, 2, OP_WRMSR},
		{{0x0f, 0x32}, 2, OP_RDMSR},
		{{0x0f, 0x31}, 2, OP_RDTSC},
		{{0x0f, 0x33}, 2, OP_RDPMC},
		{{0x0f, 0xa2}, 2, OP_CPUID},
		{{0x0f, 0x01, 0xf9}, 3, OP_RDTSCP},
		{{0x0f, 0x01, 0xd0}, 3, OP_XGETBV},
		{{0x0f, 0x01, 0xd1}, 3, OP_XSETBV},
		{{0x0f, 0x01, 0xc8}, 3, OP_MONITOR},
		{{0x0f, 0x01, 0xc9}, 3, OP_MWAIT},
		{{0x0f, 0x01, 0xca}, 3, OP_CLAC},
		{{0x0f, 0x01, 0xcb}, 3, OP_STAC},
		{{0x0f, 0x05}, 2, OP_SYSCALL},
		{{0x0f, 0x07}, 2, OP_SYSRET},
		{{0x0f, 0x34}, 2, OP_SYSENTER},
		{{0x0f, 0x35}, 2, OP_SYSEXIT},
		{{0x0f, 0x0b}, 2, OP_UD},
		{{0xcc}, 1, OP_INT3},
		{{0xce}, 1, OP_INTO},
		{{0xf1}, 1, OP_INT1},
		{{0xc3}, 1, OP_RET},
		{{0xcb}, 1, OP_LRET},
		{{0xe2, 0xfe}, 2, OP_LOOP},
		{{0xe3, 0xfe}, 2, OP_LOOP},
		{{0x74, 0x02}, 2, OP_JCC},
		{{0xec}, 1, OP_IN},
		{{0xe6, 0x80}, 2, OP_OUT},
		{{0x6f}, 1, OP_OUTS},
		{{0xa6}, 1, OP_CMPS},
		{{0xab}, 1, OP_STOS},
		{{0xac}, 1, OP_LODS},
		{{0xaf}, 1, OP_SCAS},
		{{0x06}, 1, OP_PUSH_SEG},
		{{0x1f}, 1, OP_POP_SEG},
		{{0x0f, 0xa1}, 2, OP_POP_SEG},
		{{0x90}, 1, OP_OTHER},
		{{0xf3, 0x90}, 2, OP_OTHER},
	};

	(void)unused;
	for (unsigned c = 0; c < ARRAY_SIZE(cases); c++)
		assert_int_equal(decode(MODE_32, cases[c].bytes, cases[c].n).op, cases[c].op);
}

static void test_immediates(void **unused)
{
	struct insn i;

	(void)unused;
	i = decode(MODE_32, BYTES(0x83, 0x00, 0xff));
	assert_int_equal(i.op, OP_ADD);
	assert_true(i.imm == ~0ull);
	i = decode(MODE_32, BYTES(0xcd, 0x80));
	assert_true(i.imm == 0x80);
	i = decode(MODE_32, BYTES(0xe5, 0xf4));
	assert_true(i.imm == 0xf4);
	assert_opnd(&i, 0, OPND_REG, AX, 4, W);
	assert_opnd(&i, 1, OPND_IMM, 0, 1, R);
	i = decode(MODE_32, BYTES(0xea, 1, 2, 3, 4, 5, 6));
	assert_int_equal(i.op, OP_LJMP);
	assert_int_equal(i.far_selector, 0x0605);
	assert_true(i.imm == 0x04030201);
	i = decode(MODE_16, BYTES(0x9a, 1, 2, 3, 4));
	assert_int_equal(i.far_selector, 0x0403);
	i = decode(MODE_32, BYTES(0xeb, 0xfe));
	assert_opnd(&i, 0, OPND_REL, 0, 4, R);
	assert_true(i.imm == ~1ull);
	i = decode(MODE_64, BYTES(0x66, 0xe8, 1, 2, 3, 4));
	assert_true(i.imm == 0x04030201);
	assert_int_equal(i.stack_size, 8);
	i = decode(MODE_64, BYTES(0x48, 0xb8, 1, 2, 3, 4, 5, 6, 7, 8));
	assert_true(i.imm == 0x0807060504030201);
	i = decode(MODE_32, BYTES(0xc8, 0x10, 0x00, 0x01));
	assert_int_equal(i.op, OP_OTHER);
	i = decode(MODE_32, BYTES(0xff, 0x2d, 0, 0, 0, 0));
	assert_int_equal(i.op, OP_LJMP);
	assert_access(&i, 6, R);
}

/* What user code does to memory decides between a load and a store in its page fault. */
static void test_user_access(void **unused)
{
	static const struct {
		u8 bytes[6];
		u8 n, size, access;
	} cases[] = {
		{{0x8d, 0x00}, 2, 0, 0},
		{{0x0f, 0x1f, 0x00}, 3, 0, 0},
		{{0x0f, 0x18, 0x08}, 3, 0, 0},
		{{0xd1, 0x00}, 2, 4, RW},
		{{0xf6, 0x00, 0x01}, 3, 1, R},
		{{0xd9, 0x18}, 2, 4, W},
		{{0xdf, 0x38}, 2, 8, W},
		{{0xdb, 0x38}, 2, 10, W},
		{{0xd9, 0x30}, 2, 28, W},
		{{0xdd, 0x20}, 2, 108, R},
		{{0xdd, 0x38}, 2, 2, W},
		{{0x0f, 0x94, 0x00}, 3, 1, W},
		{{0x0f, 0xc7, 0x08}, 3, 8, RW},
		{{0x0f, 0x11, 0x00}, 3, 16, W},
		{{0xf2, 0x0f, 0x11, 0x00}, 4, 8, W},
		{{0x66, 0x0f, 0xd6, 0x00}, 4, 8, W},
		{{0x66, 0x0f, 0xe7, 0x00}, 4, 16, W},
		{{0x0f, 0xc3, 0x00}, 3, 4, W},
		{{0x0f, 0x2e, 0x00}, 3, 4, R},
		{{0x62, 0x00}, 2, 8, R},
		{{0xc4, 0x00}, 2, 6, R},
		{{0xc5, 0xfc, 0x28, 0x00}, 4, 32, R},
		{{0xc5, 0xfe, 0x7f, 0x00}, 4, 32, W},
		{{0x0f, 0x7e, 0x00}, 3, 4, W},
		{{0x66, 0x0f, 0x3a, 0x14, 0x00, 0x00}, 6, 1, W},
		{{0x0f, 0xae, 0x38}, 3, 1, R},
		{{0x0f, 0xae, 0x18}, 3, 4, W},
		{{0x62, 0xf1, 0x7c, 0x48, 0x11, 0x00}, 6, 64, W},
	};

	(void)unused;
	for (unsigned c = 0; c < ARRAY_SIZE(cases); c++) {
		struct insn i = decode(MODE_32, cases[c].bytes, cases[c].n);

		if (i.mem.size != cases[c].size || i.mem.access != cases[c].access)
			printf("case %u: %02x %02x %02x\n", c, cases[c].bytes[0], cases[c].bytes[1],
			       cases[c].bytes[2]);
		assert_access(&i, cases[c].size, cases[c].access);
	}
}

static void test_length_limit(void **unused)
{
	u8 bytes[20];
	struct insn insn;

	(void)unused;
	memset(bytes, 0x66, sizeof(bytes));
	bytes[14] = 0x90;
	decode(MODE_32, bytes, 15);
	/* 15 prefixes: no 16th byte is looked at, and fewer may still become an instruction. */
	memset(bytes, 0x66, sizeof(bytes));
	bytes[15] = 0x90;
	assert_invalid(MODE_32, bytes, 15);
	assert_invalid(MODE_32, bytes, 20);
	assert_int_equal(decode_exact(bytes, 14, MODE_32, &insn), DECODE_TRUNCATED);
	/* 15 bytes with an immediate that would need one more */
	memset(bytes, 0x2e, sizeof(bytes));
	memcpy(bytes + 10, ((const u8[]){0xb8, 1, 2, 3, 4}), 5);
	decode(MODE_32, bytes, 15);
	memmove(bytes + 11, bytes + 10, 5);
	bytes[10] = 0x2e;
	assert_invalid(MODE_32, bytes, 16);
	assert_invalid(MODE_32, bytes, 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_macro_kit),   cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_lock),	    cmocka_unit_test(test_rex),
		cmocka_unit_test(test_addresses),   cmocka_unit_test(test_system),
		cmocka_unit_test(test_one_opcode),  cmocka_unit_test(test_immediates),
		cmocka_unit_test(test_user_access), cmocka_unit_test(test_length_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
