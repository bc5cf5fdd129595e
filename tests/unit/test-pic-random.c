/*
 * Random traffic to common/pic.c, compared after every step with a second model (pic-model.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "pic-model.h"

static u32 next_random(u64 *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 33;
}

/* A command byte; ICW1 is rare, or the chips would hardly ever run. */
static u8 random_command(u64 *seed)
{
	u32 r = next_random(seed);

	if (r % 200 == 0)
		return 0x10 | (r >> 8 & 0x0f);
	if (r % 4 == 0)
		return 0x08 | (r >> 8 & 0x67);
	return r >> 8 & 0xe7;
}

static void random_step(struct pic_pair *p, struct pic_model *m, u64 *seed)
{
	static const u16 ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1};
	u32 r = next_random(seed);
	u16 port = ports[(r >> 8) % 6];
	u8 v = r >> 16;

	switch (r % 16) {
	case 0 ... 5:
		pic_set_line(p, v % 16, v & 0x10);
		pic_model_line(m, v % 16, v & 0x10);
		break;
	case 6 ... 9:
		pic_model_compare_ack(p, m);
		break;
	case 10:
		assert_int_equal(pic_read(p, port), pic_model_read(m, port));
		break;
	case 11:
		/* Masks with few bits; ICW2-4 take what comes. */
		port = r & 0x80 ? 0x21 : 0xa1;
		v &= next_random(seed);
		pic_write(p, port, v);
		pic_model_write(m, port, v);
		break;
	case 12:
		if (r >> 20 & 15)
			return;
		port = r & 0x80 ? 0x4d0 : 0x4d1;
		pic_write(p, port, v);
		pic_model_write(m, port, v);
		break;
	default:
		port = r & 0x80 ? 0x20 : 0xa0;
		v = random_command(seed);
		pic_write(p, port, v);
		pic_model_write(m, port, v);
	}
}

static void test_against_model(void **state)
{
	u64 seed = 86;
	unsigned pending = 0, served = 0;

	(void)state;
	for (unsigned run = 0; run < 200; run++) {
		struct pic_pair p;
		struct pic_model m;

		pic_reset(&p);
		pic_model_reset(&m);
		for (unsigned i = 0; i < 5000; i++) {
			random_step(&p, &m, &seed);
			pic_model_compare(&p, &m);
			pending += pic_pending(&p);
			served += p.chip[1].isr != 0;
		}
	}
	/* The traffic is worth its name: both chips are busy much of the time. */
	assert_true(pending > 100000);
	assert_true(served > 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
