/*
 * The disassembler's contract: syntax, lengths, bad and short input, small buffers.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "disasm.h"

static void test_syntax(void **unused)
{
	static const u8 mov_cr3[] = {0x0f, 0x22, 0xd8, 0xff}, jump[] = {0xeb, 0xfe};
	char text[64];

	(void)unused;
	assert_int_equal(disasm(mov_cr3, 4, 0xc0100000, MODE_32, text, sizeof(text)), 3);
	assert_string_equal(text, "movl %eax, %cr3");
	assert_int_equal(disasm(jump, 2, 0xc0100000, MODE_32, text, sizeof(text)), 2);
	assert_string_equal(text, "jmp 0xc0100000");
	assert_int_equal(disasm(mov_cr3, 4, 0, MODE_64, text, sizeof(text)), 3);
	assert_string_equal(text, "movq %rax, %cr3");
}

static void test_bad(void **unused)
{
	static const u8 cut[] = {0xe8, 0x00};
	char text[64], little[4];

	(void)unused;
	assert_int_equal(disasm(cut, 2, 0, MODE_32, text, sizeof(text)), 1);
	assert_string_equal(text, "(bad)");
	assert_int_equal(disasm(cut, 2, 0, MODE_32, little, sizeof(little)), 1);
	assert_string_equal(little, "(ba");
	assert_int_equal(disasm(cut, 0, 0, MODE_32, text, sizeof(text)), 0);
	assert_string_equal(text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
