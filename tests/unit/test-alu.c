/*
 * Unit tests of common/alu.c: each operation against the processor this test runs on, and of what
 * the function promises beyond that.
 */
#include "mock-host.h"

#include "../../common/alu.h"

#define ARITHMETIC (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

/* What the processor makes of `op a, b` with `flags` before. */
typedef u64 native_fn(u64 a, u64 b, u64 *flags);

#define NATIVE(name, operation, type)                                                        \
	static u64 name(u64 a64, u64 b64, u64 *flags)                                        \
	{                                                                                    \
		type a = a64, b = b64;                                                       \
		u64 f = *flags;                                                              \
                                                                                             \
		__asm__ volatile("lea -128(%%rsp), %%rsp\n\t" /* leave the red zone alone */ \
				 "push %[f]; popf; " operation "; pushf; pop %[f]\n\t"       \
				 "lea 128(%%rsp), %%rsp"                                     \
				 : [f] "+&r"(f), [a] "+&r"(a)                                \
				 : [b] "r"(b)                                                \
				 : "cc", "memory");                                          \
		*flags = f;                                                                  \
		return a;                                                                    \
	}
#define NATIVE_SIZES(name, operation)    \
	NATIVE(name##_1, operation, u8)  \
	NATIVE(name##_2, operation, u16) \
	NATIVE(name##_4, operation, u32) \
	NATIVE(name##_8, operation, u64)

NATIVE_SIZES(native_add, "add %[b], %[a]")
NATIVE_SIZES(native_or, "or %[b], %[a]")
NATIVE_SIZES(native_adc, "adc %[b], %[a]")
NATIVE_SIZES(native_sbb, "sbb %[b], %[a]")
NATIVE_SIZES(native_and, "and %[b], %[a]")
NATIVE_SIZES(native_sub, "sub %[b], %[a]")
NATIVE_SIZES(native_xor, "xor %[b], %[a]")
NATIVE_SIZES(native_cmp, "cmp %[b], %[a]")
NATIVE_SIZES(native_test, "test %[b], %[a]")
NATIVE_SIZES(native_inc, "inc %[a]")
NATIVE_SIZES(native_dec, "dec %[a]")
NATIVE_SIZES(native_neg, "neg %[a]")

#define SIZES(name)                                    \
	{                                              \
		name##_1, name##_2, name##_4, name##_8 \
	}

static const struct {
	enum insn_op op;
	bool logical; /* AF is undefined after it */
	native_fn *native[4];
} ops[] = {
	{OP_ADD, false, SIZES(native_add)},  {OP_OR, true, SIZES(native_or)},
	{OP_ADC, false, SIZES(native_adc)},  {OP_SBB, false, SIZES(native_sbb)},
	{OP_AND, true, SIZES(native_and)},   {OP_SUB, false, SIZES(native_sub)},
	{OP_XOR, true, SIZES(native_xor)},   {OP_CMP, false, SIZES(native_cmp)},
	{OP_TEST, true, SIZES(native_test)}, {OP_INC, false, SIZES(native_inc)},
	{OP_DEC, false, SIZES(native_dec)},  {OP_NEG, false, SIZES(native_neg)},
};

static void compare(unsigned i, unsigned log_size, u64 a, u64 b, u64 flags)
{
	unsigned size = 1u << log_size;
	u64 mask = size == 8 ? ~0ull : (1ull << 8 * size) - 1;
	u64 native_flags = flags, mine_flags = flags, mine = 0, native;
	u64 defined = ARITHMETIC & ~(u64)(ops[i].logical ? FLAG_AF : 0);

	native = ops[i].native[log_size](a, b, &native_flags) & mask;
	assert_true(alu(ops[i].op, size, a, b, &mine, &mine_flags));
	if (mine == native && !((mine_flags ^ native_flags) & defined))
		return;
	fail_msg("op %u size %u: %#llx, %#llx with flags %#llx gives %#llx %#llx, not %#llx %#llx",
		 ops[i].op, size, (unsigned long long)a, (unsigned long long)b,
		 (unsigned long long)flags, (unsigned long long)mine,
		 (unsigned long long)(mine_flags & defined), (unsigned long long)native,
		 (unsigned long long)(native_flags & defined));
}

static u64 start_flags(void)
{
	return (random32() & ARITHMETIC) | FLAG_ONE;
}

static void compare_all(u64 a, u64 b)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++)
		for (unsigned log_size = 0; log_size < 4; log_size++)
			compare(i, log_size, a, b, start_flags());
}

static void test_random_operands(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 20000; n++)
		compare_all((u64)random32() << 32 | random32(), (u64)random32() << 32 | random32());
}

static void test_edges(void **state)
{
	u64 edge[4 * 5 + 2], n = 0;

	(void)state;
	edge[n++] = 0;
	edge[n++] = 0xf;
	for (unsigned bits = 8; bits <= 64; bits *= 2) {
		u64 top = 1ull << (bits - 1);

		edge[n++] = top;
		edge[n++] = top - 1;
		edge[n++] = top + 1;
		edge[n++] = top | (top - 1);
		edge[n++] = (top | (top - 1)) - 0xf;
	}
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < n; j++)
			for (unsigned again = 0; again < 8; again++)
				compare_all(edge[i], edge[j]);
}

static void test_all_bytes(void **state)
{
	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++)
		for (u64 a = 0; a < 256; a++)
			for (u64 b = 0; b < 256; b++) {
				compare(i, 0, a, b, FLAG_ONE);
				compare(i, 0, a, b, FLAG_ONE | ARITHMETIC);
			}
}

static void test_other_flags_stay(void **state)
{
	u64 flags = FLAG_ID | FLAG_AC | FLAG_DF | FLAG_TF | FLAG_ONE, before = flags, result;

	(void)state;
	assert_true(alu(OP_XOR, 4, 5, 5, &result, &flags));
	assert_int_equal(flags, before | FLAG_ZF | FLAG_PF);
}

static void test_not_arithmetic(void **state)
{
	u64 flags = 0, result;

	(void)state;
	assert_false(alu(OP_MOV, 4, 1, 2, &result, &flags));
	assert_false(alu(OP_NOT, 4, 1, 2, &result, &flags));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_operands), cmocka_unit_test(test_edges),
		cmocka_unit_test(test_all_bytes),	cmocka_unit_test(test_other_flags_stay),
		cmocka_unit_test(test_not_arithmetic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
