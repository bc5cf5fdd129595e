/*
 * Unit tests of common/ahead.c: how many pages behind a fault the guest's kernel is asked to make
 * present, and when it is asked for none.
 */
#include "mock-host.h"

#include "../../common/ahead.h"

#define LA    0x60000u
#define FRESH (PF_WRITE | PF_USER)
#define MAX   (SHADOW_REACH - 1)

/* What a fault at page number `page` leads to, in the PV page as well. */
static u32 suggested(struct vm *vm, u32 page, u32 error)
{
	const u32 n = ahead_suggest(vm, ((u64)page << 12) + 0xabc, error);

	assert_int_equal(pv_page(vm)->ahead, n ? (page + 1) << 12 | n : 0);
	return n;
}

static void test_pages_in_a_row(void **state)
{
	struct vm *vm = *state;
	u32 page = LA >> 12, used = 0, n;

	vm->fast_paths = true;
	while (page % SHADOW_REACH || page == LA >> 12) {
		n = suggested(vm, page, FRESH);
		assert_true(n <= used); /* never more than has been used already */
		assert_true(page % SHADOW_REACH + n <= MAX); /* nothing of the next cluster */
		used += 1 + n;
		page += 1 + n;
		assert_true(used <= SHADOW_REACH);
	}
	/* From then on, whole clusters. */
	for (unsigned i = 0; i < 4; i++, page += 1 + MAX)
		assert_int_equal(suggested(vm, page, FRESH), MAX);
	/* Elsewhere it begins anew; so does what has been asked for and is not there. */
	assert_int_equal(suggested(vm, page + 1, FRESH), 0);
	assert_int_equal(suggested(vm, page - 1, FRESH), 0);
}

static void test_other_faults_end_no_row(void **state)
{
	static const u32 others[] = {PF_USER, PF_WRITE, FRESH | PF_PRESENT, 0};
	struct vm *vm = *state;

	vm->fast_paths = true;
	for (unsigned i = 0; i < ARRAY_SIZE(others); i++) {
		suggested(vm, 0x100, FRESH);
		pv_page(vm)->ahead = 0; /* the guest has taken it */
		assert_int_equal(suggested(vm, 0x101, others[i]), 0);
		assert_int_equal(suggested(vm, 0x101, FRESH), 1);
	}
}

static void test_each_address_space_has_its_own(void **state)
{
	struct vm *vm = *state;

	vm->fast_paths = true;
	vm_spaces(vm, 2);
	suggested(vm, 0x100, FRESH);
	vm->pool.active = 1;
	assert_int_equal(suggested(vm, 0x101, FRESH), 0);
	vm->pool.active = 0;
	assert_int_equal(suggested(vm, 0x101, FRESH), 1);
}

static void test_nothing_without_fast_paths(void **state)
{
	struct vm *vm = *state;

	vm->fast_paths = false;
	for (u32 page = 0x100; page < 0x110; page++)
		assert_int_equal(suggested(vm, page, FRESH), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_pages_in_a_row),
		VM_TEST(test_other_faults_end_no_row),
		VM_TEST(test_each_address_space_has_its_own),
		VM_TEST(test_nothing_without_fast_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
