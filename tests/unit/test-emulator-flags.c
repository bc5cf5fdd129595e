/*
 * Unit test of what the emulator knows of lazy flags (phase1-user/emulator/flags.c).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "emulator/flags.h"

#define ADD   6u  /* forms, as the library numbers them */
#define ADCOX 48u /* behind a rotate */

static void forms(void **state)
{
	static const struct {
		u8 code[4];
		u32 form, after;
	} t[] = {
		{{0x0f, 0x90, 0x00}, ADD, CC_EFLAGS}, /* seto */
		{{0x0f, 0x91, 0x00}, ADCOX, ADCOX},   /* setno sees OF as it is */
		{{0x0f, 0x92, 0x00}, ADD, ADD},	      /* setb */
		{{0x0f, 0x94, 0x00}, ADD, ADD},	      /* sete */
		{{0x0f, 0x94, 0x00}, CC_DYNAMIC, CC_EFLAGS},
		{{0x0f, 0x96, 0x00}, ADD, CC_EFLAGS},	/* setbe */
		{{0x0f, 0x96, 0x00}, CC_SUB, CC_SUB},	/* ... compares instead */
		{{0x0f, 0x9a, 0x00}, ADCOX, CC_EFLAGS}, /* setp */
		{{0x66, 0xd1, 0x10}, ADD, CC_EFLAGS},	/* rclw */
		{{0x66, 0xd1, 0x00}, ADD, ADD},		/* rolw */
		{{0x8b, 0x00}, ADD, ADD},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		assert_int_equal(flags_form(t[i].code, 4, t[i].form), t[i].after);
}

/* At the end of what can be read. */
static void short_code(void **state)
{
	static const u8 rcl[] = {0xf3, 0xd1, 0x10}, rol[] = {0xd1, 0x00};

	(void)state;
	assert_true(flags_rotate(rcl, 3));
	assert_false(flags_rotate(rcl, 2));
	assert_false(flags_rotate(rcl, 1));
	assert_false(flags_rotate(rol, 2));
	assert_int_equal(flags_form(rcl, 2, ADD), ADD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forms),
		cmocka_unit_test(short_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
