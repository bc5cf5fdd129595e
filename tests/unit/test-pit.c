/*
 * Unit tests of common/pit.c: each mode by its ports, then random traffic against a second model
 * that steps an 8254 clock by clock (pit-model.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "pit-model.h"

#define at pit_model_time

static void program(struct pit *p, u8 control, u16 count, u64 t)
{
	u16 port = 0x40 + (control >> 6);

	pit_write(p, 0x43, control, at(t));
	if ((control >> 4 & 1) != 0)
		pit_write(p, port, count & 0xff, at(t));
	if ((control >> 4 & 2) != 0)
		pit_write(p, port, count >> 8, at(t));
}

static u16 read_count(struct pit *p, unsigned n, u64 t)
{
	u8 low;

	pit_write(p, 0x43, n << 6, at(t));
	low = pit_read(p, 0x40 + n, at(t));
	return low | pit_read(p, 0x40 + n, at(t)) << 8;
}

static u8 read_status(struct pit *p, unsigned n, u64 t)
{
	pit_write(p, 0x43, 0xe0 | 2u << n, at(t));
	return pit_read(p, 0x40 + n, at(t));
}

static bool out2(struct pit *p, u64 t)
{
	return pit_read(p, 0x61, at(t)) & 0x20;
}

static void test_silent_after_reset(void **state)
{
	struct pit p;

	(void)state;
	pit_reset(&p, at(1000));
	assert_int_equal(pit_deadline(&p, at(2000)), 0);
	assert_int_equal(pit_take_edges(&p, at(10000000)), 0);
}

static void test_rate_generator(void **state)
{
	struct pit p;
	const u64 t = 5000;

	(void)state;
	pit_reset(&p, 0);
	program(&p, 0x34, 11932, t); /* 100 Hz */
	assert_int_equal(pit_deadline(&p, at(t)), at(t + 11932));
	assert_int_equal(pit_take_edges(&p, at(t + 11932) - 1), 0);
	assert_int_equal(pit_take_edges(&p, at(t + 11932)), 1);
	assert_int_equal(pit_take_edges(&p, at(t + 11932)), 0);
	assert_int_equal(pit_deadline(&p, at(t + 11932)), at(t + 2 * 11932));
	/* A late caller is told of every edge it missed, and is not late for ever. */
	assert_int_equal(pit_take_edges(&p, at(t + 6 * 11932 + 5)), 5);
	assert_int_equal(pit_deadline(&p, at(t + 6 * 11932 + 5)), at(t + 7 * 11932));
	assert_int_equal(read_count(&p, 0, t + 7 * 11932), 11932);
	assert_int_equal(read_count(&p, 0, t + 7 * 11932 + 11931), 1);
}

static void test_no_drift_in_years(void **state)
{
	const u64 year = 31557600ull * PIT_HZ, period = 1193;
	struct pit p;

	(void)state;
	pit_reset(&p, 0);
	/* Whole seconds are whole nanoseconds: no rounding up there. */
	program(&p, 0x38, 1000, PIT_HZ - 1001);
	assert_int_equal(pit_deadline(&p, at(PIT_HZ - 1001)), 1000000000);
	pit_reset(&p, 0);
	program(&p, 0x34, period, 7);
	for (unsigned years = 1; years <= 500; years += 37) {
		u64 t = year * years, ticks = (t - 7) / period;
		struct pit copy = p;
		assert_int_equal(pit_take_edges(&copy, at(t)), ticks);
		assert_int_equal(pit_deadline(&copy, at(t)), at(7 + (ticks + 1) * period));
		assert_int_equal(read_count(&copy, 0, t), period - (t - 7) % period);
	}
}

static void test_one_shots(void **state)
{
	struct pit p;

	(void)state;
	pit_reset(&p, 0);
	program(&p, 0x38, 1000, 50); /* mode 4: a strobe after the count */
	assert_int_equal(pit_deadline(&p, at(50)), at(1051));
	assert_int_equal(pit_take_edges(&p, at(1050)), 0);
	assert_int_equal(pit_take_edges(&p, at(1051)), 1);
	assert_int_equal(pit_deadline(&p, at(1051)), 0);
	assert_int_equal(read_count(&p, 0, 1051), 0xffff); /* it counts on */
	pit_write(&p, 0x40, 10, at(2000));		   /* without a control word: again */
	pit_write(&p, 0x40, 0, at(2000));
	assert_int_equal(pit_deadline(&p, at(2000)), at(2011));
	assert_int_equal(pit_take_edges(&p, at(9000)), 1);
	program(&p, 0x30, 0, 10000); /* mode 0: high after the count, 0 being 65536 */
	assert_int_equal(read_status(&p, 0, 10000), 0x30);
	assert_int_equal(pit_deadline(&p, at(10000)), at(75536));
	assert_int_equal(pit_take_edges(&p, at(75536)), 1);
	assert_int_equal(read_status(&p, 0, 75536), 0xb0);
	assert_int_equal(pit_take_edges(&p, at(900000)), 0);
	program(&p, 0x30, 100, 900000);
	/* The first byte of a new count stops the old one and lowers the output. */
	pit_write(&p, 0x40, 50, at(900090));
	assert_int_equal(pit_deadline(&p, at(900090)), 0);
	assert_int_equal(read_count(&p, 0, 900400), 10);
	assert_int_equal(pit_take_edges(&p, at(900500)), 0);
	pit_write(&p, 0x40, 0, at(900500));
	assert_int_equal(pit_deadline(&p, at(900500)), at(900550));
	assert_int_equal(pit_take_edges(&p, at(900550)), 1);
	program(&p, 0x30, 100, 900600);
	/* A control word that raises the output is an edge, too. */
	pit_write(&p, 0x43, 0x34, at(900650));
	assert_int_equal(pit_deadline(&p, at(900651)), at(900651));
	assert_int_equal(pit_take_edges(&p, at(900651)), 1);
}

static void test_triggers_need_a_gate(void **state)
{
	struct pit p;

	(void)state;
	pit_reset(&p, 0);
	program(&p, 0x32, 100, 10); /* counter 0's gate never rises */
	assert_int_equal(pit_deadline(&p, at(10)), 0);
	assert_int_equal(pit_take_edges(&p, at(100000)), 0);
	assert_int_equal(read_status(&p, 0, 100000), 0xf2);
}

static void test_counter2_and_port61(void **state)
{
	struct pit p;

	(void)state;
	/* As Linux calibrates the TSC: mode 0, gate on, poll bit 5. */
	pit_reset(&p, 0);
	pit_write(&p, 0x61, 0x01, at(0));
	program(&p, 0xb0, 50000, 1);
	assert_false(out2(&p, 50000));
	assert_true(out2(&p, 50001));
	assert_int_equal(pit_read(&p, 0x61, 0) & 0x03, 1);
	/* The gate holds the count, and lets it go on. */
	program(&p, 0xb0, 100, 60000);
	pit_write(&p, 0x61, 0x00, at(60040));
	assert_int_equal(read_count(&p, 2, 61000), 60);
	assert_false(out2(&p, 65000));
	pit_write(&p, 0x61, 0x03, at(65000));
	assert_false(out2(&p, 65059));
	assert_true(out2(&p, 65060));
	assert_int_equal(pit_read(&p, 0x61, at(65060)) & 0x03, 3);
	/* One-shot: low from the trigger to the end; a trigger on the way starts it anew. */
	pit_write(&p, 0x61, 0x00, at(66000));
	program(&p, 0xb2, 100, 66000);
	assert_true(out2(&p, 66500));
	pit_write(&p, 0x61, 0x01, at(66500));
	pit_write(&p, 0x61, 0x00, at(66510));
	assert_false(out2(&p, 66590));
	pit_write(&p, 0x61, 0x01, at(66590));
	assert_false(out2(&p, 66689));
	assert_true(out2(&p, 66690));
	/* The refresh bit toggles every 18 clocks, whoever asks. */
	assert_int_equal(pit_read(&p, 0x61, at(18 * 1000)) & 0x10, 0);
	assert_int_equal(pit_read(&p, 0x61, at(18 * 1001)) & 0x10, 0x10);
	assert_int_equal(pit_read(&p, 0x61, at(18 * 1002)) & 0x10, 0);
}

static void test_square_wave(void **state)
{
	struct pit p;

	(void)state;
	pit_reset(&p, 0);
	pit_write(&p, 0x61, 0x01, 0);
	program(&p, 0xb6, 7, 100); /* odd: 4 high, 3 low */
	for (u64 t = 100; t < 130; t++) {
		u64 phase = (t - 100) % 7;
		static const u8 count[] = {6, 4, 2, 0, 6, 4, 2};
		assert_int_equal(out2(&p, t), phase < 4);
		assert_int_equal(read_count(&p, 2, t), count[phase]);
	}
	pit_write(&p, 0x61, 0x00, at(132)); /* the gate forces the output high */
	assert_true(out2(&p, 133));
	pit_write(&p, 0x61, 0x01, at(140)); /* and reloads the count */
	assert_true(out2(&p, 143));
	assert_false(out2(&p, 144));
	/* A new count waits for the end of the half it is written in. */
	pit_write(&p, 0x42, 20, at(141));
	pit_write(&p, 0x42, 0, at(141));
	assert_int_equal(read_status(&p, 2, 142), 0xf6); /* null count */
	assert_true(out2(&p, 143));
	assert_false(out2(&p, 144));
	assert_int_equal(read_status(&p, 2, 144), 0x36);
	assert_false(out2(&p, 153));
	assert_true(out2(&p, 154));
	assert_false(out2(&p, 164));
	/* On counter 0 the edges and the deadline follow the change. */
	program(&p, 0x36, 100, 1000);
	pit_write(&p, 0x40, 30, at(1020));
	pit_write(&p, 0x40, 0, at(1020));
	assert_int_equal(pit_deadline(&p, at(1020)), at(1065));
	assert_int_equal(pit_take_edges(&p, at(1065)), 1);
	assert_int_equal(pit_deadline(&p, at(1065)), at(1095));
}

static void test_rate_change_at_period_end(void **state)
{
	struct pit p, late;

	(void)state;
	pit_reset(&p, 0);
	program(&p, 0x34, 1000, 0);
	pit_write(&p, 0x40, 50, at(500));
	pit_write(&p, 0x40, 0, at(500));
	assert_int_equal(pit_deadline(&p, at(500)), at(1000));
	assert_int_equal(pit_deadline(&p, at(1101)), at(1101)); /* overdue */
	late = p;
	assert_int_equal(read_status(&late, 0, 999), 0xf4 & ~0x80); /* in the strobe, null count */
	late = p;
	assert_int_equal(read_status(&late, 0, 1000), 0xb4);
	assert_int_equal(read_count(&p, 0, 999), 1);
	assert_int_equal(pit_take_edges(&p, at(1101)), 3); /* 1000, 1050, 1100 */
	assert_int_equal(pit_deadline(&p, at(1101)), at(1150));
}

static void test_access_forms(void **state)
{
	struct pit p;

	(void)state;
	pit_reset(&p, 0);
	program(&p, 0x18, 0x0090, 0); /* low byte only */
	assert_int_equal(pit_read(&p, 0x40, at(0x10)), 0x80);
	assert_int_equal(pit_read(&p, 0x40, at(0x11)), 0x7f);
	program(&p, 0x28, 0x1200, 0x100); /* high byte only */
	assert_int_equal(pit_read(&p, 0x40, at(0x100)), 0x12);
	assert_int_equal(pit_read(&p, 0x40, at(0x101)), 0x11);
	program(&p, 0x38, 0x1234, 0x200);
	assert_int_equal(pit_read(&p, 0x40, at(0x200)), 0x34);
	assert_int_equal(pit_read(&p, 0x40, at(0x200)), 0x12);
	/* A latched count stays until it is read whole; a second latch command changes nothing. */
	pit_write(&p, 0x43, 0x00, at(0x204));
	pit_write(&p, 0x43, 0x00, at(0x300));
	assert_int_equal(pit_read(&p, 0x40, at(0x400)), 0x30);
	assert_int_equal(pit_read(&p, 0x40, at(0x500)), 0x12);
	assert_int_equal(pit_read(&p, 0x40, at(0x201)), 0x33);
	assert_int_equal(pit_read(&p, 0x43, at(0x201)), 0xff);
	/* A control word forgets what was latched. */
	pit_write(&p, 0x43, 0xc2, at(0x204));
	program(&p, 0x38, 0x5678, 0x300);
	assert_int_equal(pit_read(&p, 0x40, at(0x300)), 0x78);
	assert_int_equal(pit_read(&p, 0x40, at(0x300)), 0x56);
}

static void test_read_back(void **state)
{
	struct pit p;

	(void)state;
	pit_reset(&p, 0);
	program(&p, 0x34, 1000, 0);
	pit_write(&p, 0x43, 0xb8, at(1));   /* counter 2: only a control word */
	pit_write(&p, 0x43, 0xca, at(100)); /* status and count of 0 and 2 */
	pit_write(&p, 0x43, 0xc2, at(200)); /* again: both are latched, no effect */
	assert_int_equal(pit_read(&p, 0x40, at(300)), 0xb4); /* status first */
	assert_int_equal(pit_read(&p, 0x40, at(300)), 900 & 0xff);
	assert_int_equal(pit_read(&p, 0x40, at(300)), 900 >> 8);
	assert_int_equal(pit_read(&p, 0x42, at(300)), 0xf8); /* out, null count */
	pit_write(&p, 0x43, 0xd2, at(400));		     /* the count alone */
	assert_int_equal(pit_read(&p, 0x40, at(500)), 600 & 0xff);
	assert_int_equal(pit_read(&p, 0x40, at(500)), 600 >> 8);
}

static void test_bcd(void **state)
{
	struct pit p;

	(void)state;
	pit_reset(&p, 0);
	program(&p, 0x31, 0x1000, 0);
	assert_int_equal(pit_deadline(&p, at(0)), at(1000));
	assert_int_equal(read_count(&p, 0, 1), 0x0999);
	assert_int_equal(read_count(&p, 0, 1001), 0x9999);
	assert_int_equal(pit_take_edges(&p, at(2000)), 1);
	program(&p, 0x35, 0, 2000);
	assert_int_equal(read_count(&p, 0, 2000), 0);
	assert_int_equal(read_count(&p, 0, 2001), 0x9999);
	assert_int_equal(pit_deadline(&p, at(2000)), at(12000));
}

static u32 next_random(u64 *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 33;
}

/* A count that ends soon, or seldom a large one. */
static u32 random_count(u64 *seed, const struct pit_model_counter *m)
{
	u32 r = next_random(seed);
	u32 n = r % 16 ? 2 + (r >> 8) % 40 : (r >> 8) % 10000;

	if (m->access == 1)
		n &= 0x7f;
	if (n < 2)
		n = 2;
	return m->access == 1 && m->bcd ? n % 98 + 2 : n;
}

static void random_write(struct pit *p, struct pit_model_counter *m, unsigned n, u64 t, u64 *seed)
{
	u32 r = next_random(seed), count = random_count(seed, m);
	u16 raw = pit_model_digits(count, m->bcd);
	u16 port = 0x40 + n;

	if (r % 4 == 0) {
		unsigned mode = (r >> 8) % 6, access = r & 0x80 ? 1 : 3;
		bool bcd = r & 0x40;
		pit_write(p, 0x43, n << 6 | access << 4 | mode << 1 | bcd, at(t));
		pit_model_control(m, mode, access, bcd);
		return;
	}
	pit_write(p, port, raw & 0xff, at(t));
	if (m->access == 3) {
		pit_model_first_byte(m);
		pit_write(p, port, raw >> 8, at(t));
	}
	pit_model_count_written(m, count);
}

static void compare(struct pit *p, const struct pit_model_counter *m, unsigned n, u64 t)
{
	u16 count;
	u8 status;

	/* Without waking the byte toggles: status and count by one read-back command. */
	pit_write(p, 0x43, 0xc0 | 2u << n, at(t));
	status = pit_read(p, 0x40 + n, at(t));
	assert_int_equal(status,
			 m->out << 7 | m->null << 6 | m->access << 4 | m->mode << 1 | m->bcd);
	count = pit_read(p, 0x40 + n, at(t));
	if (m->access == 3)
		count |= pit_read(p, 0x40 + n, at(t)) << 8;
	assert_int_equal(count, m->access == 3 ? pit_model_count(m) : pit_model_count(m) & 0xff);
}

static void random_run(u64 *seed, u64 *edges)
{
	struct pit_model chip;
	struct pit_model_counter *m = chip.counter;
	struct pit p;
	u64 t = next_random(seed) % 100;

	pit_reset(&p, at(t));
	pit_model_reset(&chip);
	for (unsigned i = 0; i < 2000; i++) {
		u32 r = next_random(seed);
		unsigned n = r & 1 ? 0 : 2;
		for (u32 k = (r >> 1) % 16; k > 0; k--, t++) {
			pit_model_step(&m[0]);
			pit_model_step(&m[2]);
		}
		if ((r >> 8) % 6 == 0) {
			random_write(&p, &m[n], n, t, seed);
		} else if ((r >> 8) % 6 == 1) {
			bool gate = r >> 20 & 1;
			pit_write(&p, 0x61, gate, at(t));
			pit_model_gate(&m[2], gate);
		}
		compare(&p, &m[n], n, t);
		assert_int_equal(out2(&p, t), m[2].out);
		if (r >> 24 & 1)
			continue;
		assert_int_equal(pit_take_edges(&p, at(t)), m[0].edges);
		*edges += m[0].edges;
		m[0].edges = 0;
		pit_model_check_deadline(&p, m[0], t);
	}
}

static void test_against_model(void **state)
{
	u64 seed = 8254, edges = 0;

	(void)state;
	for (unsigned run = 0; run < 100; run++)
		random_run(&seed, &edges);
	assert_true(edges > 10000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_silent_after_reset),
		cmocka_unit_test(test_rate_generator),
		cmocka_unit_test(test_no_drift_in_years),
		cmocka_unit_test(test_one_shots),
		cmocka_unit_test(test_triggers_need_a_gate),
		cmocka_unit_test(test_counter2_and_port61),
		cmocka_unit_test(test_square_wave),
		cmocka_unit_test(test_rate_change_at_period_end),
		cmocka_unit_test(test_access_forms),
		cmocka_unit_test(test_read_back),
		cmocka_unit_test(test_bcd),
		cmocka_unit_test(test_against_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
