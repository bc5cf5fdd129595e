/*
 * Random test of common/shadow.c, resync.c and spaces.c against shadow-model.h: once with 2-level
 * paging, once with PAE and NX.
 */
#include "shadow-model.h"

#define STEPS 150000

static u32 choose(void *opaque)
{
	(void)opaque;
	return random32();
}

static int setup(void **state)
{
	*state = vm_create(SHADOW_MODEL_RAM);
	return 0;
}

static void run_random_guest(struct vm *vm, bool pae)
{
	shadow_model_start(vm, pae, choose, NULL);
	for (unsigned n = 0; n < STEPS; n++) {
		shadow_model_step(vm);
		if (n % 10000 == 0)
			shadow_model_check(vm);
	}
	shadow_model_check(vm);
	assert_true(mock_of(vm)->activations > STEPS / 200);
	shadow_model_end(vm);
}

static void test_random_guest(void **state)
{
	run_random_guest(*state, false);
}

static void test_random_guest_with_pae(void **state)
{
	run_random_guest(*state, true);
}

/* Once more in the same machine, which has to be as new. */
static void test_renewed(void **state)
{
	run_random_guest(*state, true);
	run_random_guest(*state, false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_random_guest, setup, vm_teardown),
		cmocka_unit_test_setup_teardown(test_random_guest_with_pae, setup, vm_teardown),
		cmocka_unit_test_setup_teardown(test_renewed, setup, vm_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
