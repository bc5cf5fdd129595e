/*
 * Unit test of tests/random: what it takes for one instruction is one. If it is not, its end and
 * what follows are others than those that were looked at for flags, for the FPU's registers and for
 * what is left out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "decode.h"
#include "random-items.h"

#define SEED	  20
#define SEQUENCES 20000

static void lengths(void **state)
{
	unsigned good = 0, invalid = 0;

	(void)state;
	for (unsigned number = 0; number < SEQUENCES; number++) {
		const unsigned items = random_items(SEED, number);

		for (unsigned n = 0; n < items; n++) {
			unsigned char bytes[ITEM_BYTES];
			const unsigned length = random_item(n, bytes);
			struct insn insn;

			/* #UD is an outcome as well. */
			if (insn_decode(bytes, ITEM_BYTES, MODE_32, &insn) != DECODE_OK ||
			    insn.op == OP_UD) {
				invalid++;
				continue;
			}
			good++;
			if (insn.length == length)
				continue;
			fail_msg("sequence %u of seed %u, item %u: %u bytes, and takes %u", number,
				 SEED, n, length, insn.length);
		}
	}
	assert_in_range(invalid, 1, good / 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
