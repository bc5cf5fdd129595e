/*
 * Unit tests of common/shadow.c: a page that the guest's kernel was asked for by a fault is mapped
 * when it returns, and only if the access would find it there.
 */
#include "mock-host.h"

#include "../../common/stubs-layout.h"

#define LA 0x60000u

static u32 expect_word(struct vm *vm)
{
	return *(u32 *)((u8 *)pv_page(vm) + STUB_EXPECT);
}

/* A fault at LA has been given to the guest, whose kernel answers by this entry. */
static void answer_fault(struct vm *vm, bool write, u32 pte)
{
	shadow_expect(vm, LA + 0x123, write, 0);
	*pde_of(vm, LA) |= PTE_A; /* as Linux makes directory entries */
	*pte_of(vm, LA) = LA | pte;
	shadow_fill_expected(vm);
	assert_int_equal(expect_word(vm), 0);
}

static void test_expected_page(void **state)
{
	static const struct {
		bool write;
		u32 pte, prot;
	} cases[] = {
		{true, UPAGE | PTE_A | PTE_D, RWX},
		{false, UPAGE | PTE_A | PTE_D, RWX},
		{false, UPAGE | PTE_A, RX}, /* D is for the access to set, and A as well */
		{true, UPAGE | PTE_A, 0},
		{false, UPAGE, 0},
		{true, UPAGE | PTE_D, 0},
		{true, PTE_P | PTE_U | PTE_A | PTE_D, 0},
		{true, KPAGE | PTE_A | PTE_D, 0}, /* it would have to be hidden again */
		{true, 0, 0},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vm *vm = vm_create(VM_RAM);

		vm->gate = 1;
		vm->fast_paths = true;
		vm_paging(vm, UPAGE);
		*pte_of(vm, LA) = 0;
		answer_fault(vm, cases[i].write, cases[i].pte);
		assert_int_equal(mock_mapping(vm, LA), cases[i].prot ? LA | cases[i].prot : 0);
		assert_int_equal(*pte_of(vm, LA), LA | cases[i].pte);
		vm_free(vm);
	}
}

static void test_expected_page_made_writable(void **state)
{
	struct vm *vm = *state;
	u32 error;

	vm->gate = 1;
	vm->fast_paths = true;
	vm_paging(vm, PTE_P | PTE_U | PTE_A);
	assert_int_equal(shadow_fault(vm, LA, false, false, false, &error), SHADOW_FILLED);
	answer_fault(vm, true, UPAGE | PTE_A | PTE_D);
	assert_int_equal(mock_mapping(vm, LA), LA | RWX);
	assert_int_equal(mock_of(vm)->maps, 1);
	assert_int_equal(mock_of(vm)->protects, 1);
}

static void test_expected_page_is_asked_for_once(void **state)
{
	struct vm *vm = *state;

	vm->gate = 1;
	vm->fast_paths = true;
	vm_paging(vm, UPAGE);
	shadow_expect(vm, LA, true, 0);
	assert_int_not_equal(expect_word(vm), 0);
	shadow_fill_expected(vm); /* A return of another kind: not there yet. */
	assert_int_equal(expect_word(vm), 0);
	*pte_of(vm, LA) |= PTE_A | PTE_D;
	shadow_fill_expected(vm);
	assert_int_equal(mock_mapping(vm, LA), 0);
}

/* The pages behind it as well, in one call if their frames follow, and if they are there. */
static void test_pages_ahead(void **state)
{
	static const struct {
		u32 frame[4]; /* of the pages from LA on; 0: not present */
		unsigned maps;
	} cases[] = {
		{{0x70, 0x71, 0x72, 0x73}, 1}, {{0x73, 0x72, 0x71, 0x70}, 4},
		{{0x70, 0x71, 0x80, 0x81}, 2}, {{0x70, 0, 0, 0}, 1},
		{{0x70, 0, 0x72, 0}, 2},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vm *vm = vm_create(VM_RAM);

		vm->gate = 1;
		vm->fast_paths = true;
		vm_paging(vm, 0);
		shadow_expect(vm, LA + 0x123, true, 3);
		*pde_of(vm, LA) |= PTE_A;
		for (unsigned n = 0; n < 4; n++)
			if (cases[i].frame[n])
				*pte_of(vm, LA + n * PAGE_SIZE_4K) =
					cases[i].frame[n] << 12 | UPAGE | PTE_A | PTE_D;
		*pte_of(vm, LA + 4 * PAGE_SIZE_4K) = 0x90000 | UPAGE | PTE_A | PTE_D;
		shadow_fill_expected(vm);
		assert_int_equal(mock_of(vm)->maps, cases[i].maps);
		for (unsigned n = 0; n < 4; n++)
			assert_int_equal(mock_mapping(vm, LA + n * PAGE_SIZE_4K),
					 cases[i].frame[n] ? cases[i].frame[n] << 12 | RWX : 0);
		assert_int_equal(mock_mapping(vm, LA + 4 * PAGE_SIZE_4K), 0); /* not asked for */
		vm_free(vm);
	}
}

static void test_nothing_is_expected_without_the_gate(void **state)
{
	struct vm *vm = *state;

	for (unsigned i = 0; i < 3; i++) {
		vm->gate = i & 1;
		vm->fast_paths = i & 2;
		vm_paging(vm, UPAGE | PTE_A | PTE_D);
		shadow_expect(vm, LA, true, 0);
		assert_int_equal(expect_word(vm), 0);
		shadow_fill_expected(vm);
		assert_int_equal(mock_mapping(vm, LA), 0);
	}
}

static void test_expected_page_that_the_host_refuses(void **state)
{
	struct vm *vm = *state;
	u32 error;

	vm->gate = 1;
	vm->fast_paths = true;
	vm->exit.kind = EXIT_NONE;
	vm_paging(vm, UPAGE);
	mock_of(vm)->fail_maps = 1;
	mock_of(vm)->map_error = HOST_FAIL;
	answer_fault(vm, true, UPAGE | PTE_A | PTE_D);
	assert_int_equal(vm->exit.kind, EXIT_NONE); /* the fault itself will tell */
	assert_int_equal(shadow_fault(vm, LA, true, false, false, &error), SHADOW_FILLED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_expected_page),
		VM_TEST(test_expected_page_made_writable),
		VM_TEST(test_expected_page_is_asked_for_once),
		VM_TEST(test_pages_ahead),
		VM_TEST(test_nothing_is_expected_without_the_gate),
		VM_TEST(test_expected_page_that_the_host_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
