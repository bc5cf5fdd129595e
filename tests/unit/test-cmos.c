/*
 * Unit tests of common/cmos.c: the registers against the C library's calendar, in every format;
 * setting the clock; status registers and RAM.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <cmocka.h>

#include "../../common/cmos.h"

#define BINARY 0x04
#define H24    0x02
#define SET    0x80

static u8 get(struct cmos *c, u8 reg, s64 now)
{
	cmos_write(c, 0x70, reg, now);
	return cmos_read(c, 0x71, now);
}

static void put(struct cmos *c, u8 reg, u8 value, s64 now)
{
	cmos_write(c, 0x70, reg, now);
	cmos_write(c, 0x71, value, now);
}

static u8 bcd(unsigned n)
{
	return n / 10 * 16 + n % 10;
}

static u8 number(u8 format, unsigned n)
{
	return format & BINARY ? n : bcd(n);
}

static u8 hour(u8 format, unsigned h)
{
	if (format & H24)
		return number(format, h);
	return number(format, (h + 11) % 12 + 1) | (h > 11 ? 0x80 : 0);
}

static void check_time(struct cmos *c, u8 format, s64 now, time_t shown)
{
	struct tm tm;

	assert_non_null(gmtime_r(&shown, &tm));
	assert_int_equal(get(c, 0x00, now), number(format, tm.tm_sec));
	assert_int_equal(get(c, 0x02, now), number(format, tm.tm_min));
	assert_int_equal(get(c, 0x04, now), hour(format, tm.tm_hour));
	assert_int_equal(get(c, 0x06, now), tm.tm_wday + 1);
	assert_int_equal(get(c, 0x07, now), number(format, tm.tm_mday));
	assert_int_equal(get(c, 0x08, now), number(format, tm.tm_mon + 1));
	assert_int_equal(get(c, 0x09, now), number(format, tm.tm_year % 100));
	assert_int_equal(get(c, 0x32, now), number(format, tm.tm_year / 100 + 19));
}

static void write_time(struct cmos *c, u8 format, s64 now, time_t wanted)
{
	struct tm tm;

	assert_non_null(gmtime_r(&wanted, &tm));
	put(c, 0x00, number(format, tm.tm_sec), now);
	put(c, 0x02, number(format, tm.tm_min), now);
	put(c, 0x04, hour(format, tm.tm_hour), now);
	put(c, 0x06, tm.tm_wday + 1, now);
	put(c, 0x07, number(format, tm.tm_mday), now);
	put(c, 0x08, number(format, tm.tm_mon + 1), now);
	put(c, 0x09, number(format, tm.tm_year % 100), now);
	put(c, 0x32, number(format, tm.tm_year / 100 + 19), now);
}

/* Seconds of 1900 to 2399, in steps that meet every hour, day of the month and leap rule. */
#define FIRST (-2208988800ll)
#define LAST  13569465599ll
#define STEP  (86400 * 3 + 3600 * 5 + 60 * 7 + 11)

static void test_calendar_in_every_format(void **state)
{
	static const u8 formats[] = {0, H24, BINARY, BINARY | H24};
	struct cmos c;

	(void)state;
	cmos_reset(&c);
	for (unsigned i = 0; i < ARRAY_SIZE(formats); i++) {
		put(&c, 0x0b, formats[i], 0);
		assert_int_equal(get(&c, 0x0b, 0), formats[i]);
		for (s64 t = FIRST; t <= LAST; t += STEP)
			check_time(&c, formats[i], t, t);
	}
}

static void test_known_moments(void **state)
{
	struct cmos c;

	(void)state;
	cmos_reset(&c); /* BCD, 24 hours */
	assert_int_equal(get(&c, 0x32, 951782399), 0x20); /* 2000-02-28 23:59:59, a Monday */
	assert_int_equal(get(&c, 0x08, 951782399), 0x02);
	assert_int_equal(get(&c, 0x07, 951782399), 0x28);
	assert_int_equal(get(&c, 0x06, 951782399), 2);
	assert_int_equal(get(&c, 0x07, 951782400), 0x29); /* a leap year */
	assert_int_equal(get(&c, 0x07, 951868800), 0x01);
	assert_int_equal(get(&c, 0x08, 951868800), 0x03);
	put(&c, 0x0b, 0, 0);
	assert_int_equal(get(&c, 0x04, 0), 0x12);         /* midnight is 12 am */
	assert_int_equal(get(&c, 0x04, 12 * 3600), 0x92); /* noon is 12 pm */
	assert_int_equal(get(&c, 0x04, 23 * 3600), 0x91);
}

static void test_set_while_stopped(void **state)
{
	static const u8 formats[] = {0, H24, BINARY, BINARY | H24};
	/* The first is 29 February; today, 31 December, no day suits February meanwhile. */
	static const s64 times[] = {1709164800, 1704067199, 946684800, 4102444799};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(formats) * ARRAY_SIZE(times); i++) {
		u8 format = formats[i % 4];
		s64 now = 1767225599, wanted = times[i / 4];
		struct cmos c;

		cmos_reset(&c);
		put(&c, 0x0b, format | SET, now);
		write_time(&c, format, now, wanted);
		/* It stands still, and shows what is written, until it is let go. */
		check_time(&c, format, now + 100, wanted);
		put(&c, 0x0b, format, now + 100);
		check_time(&c, format, now + 100, wanted);
		check_time(&c, format, now + 86500, wanted + 86400);
		assert_int_equal(c.offset, wanted - now - 100);
	}
}

static void test_set_while_running(void **state)
{
	const s64 now = 1700000000; /* 2023-11-14 22:13:20 */
	struct cmos c;

	(void)state;
	cmos_reset(&c);
	put(&c, 0x04, 0x05, now);
	check_time(&c, H24, now + 7, now + 7 - 17 * 3600);
	put(&c, 0x07, 0x01, now + 7);
	check_time(&c, H24, now + 8, now + 8 - 17 * 3600 - 13 * 86400);
	put(&c, 0x0b, BINARY, now + 8); /* a new format changes no time */
	check_time(&c, BINARY, now + 9, now + 9 - 17 * 3600 - 13 * 86400);
}

static void test_nonsense_is_harmless(void **state)
{
	struct cmos c;

	(void)state;
	cmos_reset(&c);
	for (unsigned format = 0; format < 8; format += 2)
		for (unsigned value = 0; value < 256; value++) {
			put(&c, 0x0b, format | SET, 0);
			for (u8 reg = 0; reg < 10; reg++)
				put(&c, reg, value, 0);
			put(&c, 0x32, value, 0);
			put(&c, 0x0b, format, 0);
			/* Whatever was written, what is read is a time of day. */
			put(&c, 0x0b, BINARY | H24, 0);
			assert_in_range(get(&c, 0x00, 0), 0, 59);
			assert_in_range(get(&c, 0x02, 0), 0, 59);
			assert_in_range(get(&c, 0x04, 0), 0, 23);
			assert_in_range(get(&c, 0x07, 0), 1, 31);
			assert_in_range(get(&c, 0x08, 0), 1, 12);
		}
}

static void test_status_registers(void **state)
{
	struct cmos c;

	(void)state;
	cmos_reset(&c);
	assert_int_equal(get(&c, 0x0a, 50), 0x26);
	assert_int_equal(get(&c, 0x0b, 50), 0x02);
	put(&c, 0x0a, 0xf0, 50);
	assert_int_equal(get(&c, 0x0a, 50), 0x70); /* UIP cannot be written */
	put(&c, 0x0d, 0, 50);
	assert_int_equal(get(&c, 0x0d, 50), 0x80);
	/* C says that the clock has moved, once. */
	get(&c, 0x0c, 50);
	assert_int_equal(get(&c, 0x0c, 50), 0);
	put(&c, 0x0c, 0xff, 50);
	assert_int_equal(get(&c, 0x0c, 50), 0);
	assert_int_equal(get(&c, 0x0c, 51), 0x10);
	assert_int_equal(get(&c, 0x0c, 51), 0);
	get(&c, 0x00, 52); /* seen by a read of the seconds, still unread in C */
	assert_int_equal(get(&c, 0x0c, 52), 0x10);
}

static void test_ram(void **state)
{
	struct cmos c;

	(void)state;
	cmos_reset(&c);
	for (unsigned reg = 0; reg < 128; reg++)
		if (reg > 0x0d && reg != 0x32)
			put(&c, reg, reg ^ 0x5a, 0);
	put(&c, 0x81, 0x11, 0); /* the alarms; bit 7 of the index is not part of it */
	put(&c, 0x03, 0x22, 0);
	put(&c, 0x05, 0x33, 0);
	for (unsigned reg = 0x0e; reg < 128; reg++)
		if (reg != 0x32)
			assert_int_equal(get(&c, reg, 1000), reg ^ 0x5a);
	assert_int_equal(get(&c, 0x01, 1000), 0x11);
	assert_int_equal(get(&c, 0x03, 1000), 0x22);
	assert_int_equal(get(&c, 0x05, 1000), 0x33);
	assert_int_equal(c.offset, 0);
	assert_int_equal(cmos_read(&c, 0x70, 0), 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calendar_in_every_format),
		cmocka_unit_test(test_known_moments),
		cmocka_unit_test(test_set_while_stopped),
		cmocka_unit_test(test_set_while_running),
		cmocka_unit_test(test_nonsense_is_harmless),
		cmocka_unit_test(test_status_registers),
		cmocka_unit_test(test_ram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
