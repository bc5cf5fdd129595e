/*
 * The FPU's registers as bytes: what is completed, and what is refused.
 */
#include "../../phase1-user/engine/fpu.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <string.h>

#define MXCSR 24
#define XMM0  160

static void put_u32(struct fpu_area *a, size_t offset, u32 value)
{
	memcpy((u8 *)a + offset, &value, sizeof(value));
}

static u32 get_u32(const struct fpu_area *a, size_t offset)
{
	u32 value;

	memcpy(&value, (const u8 *)a + offset, sizeof(value));
	return value;
}

static void absent_components_are_initial(void **state)
{
	struct fpu_area a;
	size_t size;

	(void)state;
	memset(&a, 0xaa, sizeof(a));
	a.present = 0;
	put_u32(&a, MXCSR, 0x1f80);
	size = fpu_tidy(&a);
	assert_in_range(size, 576, FPU_AREA);
	assert_int_equal(a.present, fpu_host_components());
	assert_int_equal(get_u32(&a, 0), 0x37f);
	assert_int_equal(get_u32(&a, 32), 0);
	assert_int_equal(get_u32(&a, XMM0), 0);
	assert_int_equal(a.compact, 0);
	assert_true(fpu_acceptable(&a, size));
}

static void present_components_stay(void **state)
{
	struct fpu_area a = {.present = 3};

	(void)state;
	put_u32(&a, MXCSR, 0x1fa0);
	put_u32(&a, XMM0, 0x12345678);
	put_u32(&a, 32, 0x9abcdef0);
	fpu_tidy(&a);
	assert_int_equal(get_u32(&a, XMM0), 0x12345678);
	assert_int_equal(get_u32(&a, 32), 0x9abcdef0);
	assert_int_equal(get_u32(&a, MXCSR), 0x1fa0);
}

/* What XRSTOR would fault on. */
static void faults_are_refused(void **state)
{
	struct fpu_area good = {.present = 3}, a;

	(void)state;
	put_u32(&good, MXCSR, 0x1f80);
	assert_true(fpu_acceptable(&good, sizeof(good)));
	assert_true(fpu_acceptable(&good, 576));
	assert_false(fpu_acceptable(&good, 575));
	assert_false(fpu_acceptable(&good, sizeof(good) + 1));
	a = good;
	put_u32(&a, MXCSR, 0x80001f80);
	assert_false(fpu_acceptable(&a, sizeof(a)));
	a = good;
	a.compact = 1ull << 63;
	assert_false(fpu_acceptable(&a, sizeof(a)));
	a = good;
	a.reserved[5] = 1;
	assert_false(fpu_acceptable(&a, sizeof(a)));
	a = good;
	a.present |= 1ull << 40;
	assert_false(fpu_acceptable(&a, sizeof(a)));
}

static void components_lie_within(void **state)
{
	const u64 has = fpu_host_components();

	(void)state;
	assert_int_equal(has & 3, 3);
	assert_int_equal(has & ~(u64)FPU_COMPONENTS, 0);
	for (unsigned i = 2; i < 64; i++) {
		struct fpu_area a = {.present = 3 | 1ull << i};
		u32 offset, size;

		if (!(has >> i & 1))
			continue;
		put_u32(&a, MXCSR, 0x1f80);
		assert_true(fpu_component(i, &offset, &size));
		assert_true(fpu_acceptable(&a, offset + size));
		assert_false(fpu_acceptable(&a, offset + size - 1));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(absent_components_are_initial),
		cmocka_unit_test(present_components_stay),
		cmocka_unit_test(faults_are_refused),
		cmocka_unit_test(components_lie_within),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
