/*
 * Unit tests of the keyboard controller, its keyboard, and of what typing at a terminal makes of
 * keys.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../../phase1-user/hal/i8042.h"
#include "../../phase1-user/hal/keyboard.h"

struct board {
	struct bus bus;
	struct i8042 k;
	bool irq;
	unsigned resets;
};

static void on_irq(void *opaque, bool level)
{
	struct board *b = opaque;

	assert_int_not_equal(level, b->irq);
	b->irq = level;
}

static void on_reset(void *opaque)
{
	((struct board *)opaque)->resets++;
}

static void init(struct board *b)
{
	const struct i8042_config cfg = {on_irq, on_reset, b};

	memset(b, 0, sizeof(*b));
	bus_init(&b->bus);
	i8042_init(&b->k, &cfg);
	assert_true(i8042_register(&b->k, &b->bus));
}

static u8 in(struct board *b, u16 port)
{
	u64 value;

	assert_true(bus_io(&b->bus, port, 1, false, &value));
	return value;
}

static void out(struct board *b, u16 port, u64 value)
{
	assert_true(bus_io(&b->bus, port, 1, true, &value));
}

static void expect(struct board *b, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(in(b, 0x64) & 1, 1);
		assert_int_equal(in(b, 0x60), (u8)bytes[i]);
	}
	assert_int_equal(in(b, 0x64) & 1, 0);
	assert_false(b->irq);
}

#define EXPECT(b, bytes) expect(b, bytes, sizeof(bytes) - 1)

static void test_controller(void **state)
{
	struct board b;

	(void)state;
	init(&b);
	assert_int_equal(in(&b, 0x64) & 0x15, 0x14); /* empty, unlocked, tested */
	out(&b, 0x64, 0xaa);
	EXPECT(&b, "\x55");
	out(&b, 0x64, 0xab);
	EXPECT(&b, "\x00");
	out(&b, 0x64, 0xa9); /* there is no mouse */
	EXPECT(&b, "\x01");
	out(&b, 0x64, 0x60);
	out(&b, 0x60, 0x61);
	out(&b, 0x64, 0x20);
	EXPECT(&b, "\x61");
	out(&b, 0x64, 0x6a); /* its memory */
	out(&b, 0x60, 0x99);
	out(&b, 0x64, 0x2a);
	EXPECT(&b, "\x99");
	out(&b, 0x64, 0xd1); /* A20 off: it reads so */
	out(&b, 0x60, 0xdd);
	out(&b, 0x64, 0xd0);
	EXPECT(&b, "\xdd");
	assert_int_equal(b.resets, 0);
	out(&b, 0x64, 0xd1);
	out(&b, 0x60, 0xde);
	assert_int_equal(b.resets, 1);
	out(&b, 0x64, 0xfe);
	assert_int_equal(b.resets, 2);
	out(&b, 0x64, 0xff);
	assert_int_equal(b.resets, 2);
}

static void test_keyboard(void **state)
{
	struct board b;

	(void)state;
	init(&b);
	out(&b, 0x60, 0xff);
	assert_true(b.irq);
	EXPECT(&b, "\xfa\xaa");
	out(&b, 0x60, 0xf2);
	EXPECT(&b, "\xfa\xab\x41"); /* translated */
	out(&b, 0x60, 0xf5);
	EXPECT(&b, "\xfa");
	assert_false(i8042_ready(&b.k));
	out(&b, 0x60, 0xf0);
	EXPECT(&b, "\xfa");
	out(&b, 0x60, 0x00);
	EXPECT(&b, "\xfa\x02");
	out(&b, 0x60, 0xed); /* LEDs */
	EXPECT(&b, "\xfa");
	out(&b, 0x60, 0x07);
	EXPECT(&b, "\xfa");
	out(&b, 0x60, 0xed); /* a command in place of its value */
	EXPECT(&b, "\xfa");
	out(&b, 0x60, 0xee);
	EXPECT(&b, "\xee");
	out(&b, 0x60, 0x11);
	EXPECT(&b, "\xfe");
	out(&b, 0x60, 0xf4);
	EXPECT(&b, "\xfa");
	assert_true(i8042_ready(&b.k));
}

static void test_keys(void **state)
{
	struct board b;

	(void)state;
	init(&b);
	i8042_key(&b.k, 0x1e, false, true);
	assert_true(b.irq);
	assert_false(i8042_ready(&b.k));
	EXPECT(&b, "\x1e");
	i8042_key(&b.k, 0x1e, false, false);
	EXPECT(&b, "\x9e");
	i8042_key(&b.k, 0x48, true, true);
	i8042_key(&b.k, 0x48, true, false);
	EXPECT(&b, "\xe0\x48\xe0\xc8");
	/* Without translation it is set 2. */
	out(&b, 0x64, 0x60);
	out(&b, 0x60, 0x05);
	i8042_key(&b.k, 0x1e, false, true);
	i8042_key(&b.k, 0x1e, false, false);
	i8042_key(&b.k, 0x53, true, false);
	EXPECT(&b, "\x1c\xf0\x1c\xe0\xf0\x71");
	out(&b, 0x64, 0x60); /* no interrupts */
	out(&b, 0x60, 0x04);
	i8042_key(&b.k, 0x39, false, true);
	assert_false(b.irq);
	EXPECT(&b, "\x29");
	out(&b, 0x64, 0xad);
	assert_false(i8042_ready(&b.k));
	out(&b, 0x64, 0xae);
	assert_true(i8042_ready(&b.k));
	/* Nobody reads: what does not fit is lost, and nothing else. */
	for (unsigned i = 0; i < 3 * I8042_QUEUE; i++)
		i8042_key(&b.k, 0x1c, true, false);
	for (unsigned i = 0; i < I8042_QUEUE; i++)
		in(&b, 0x60);
	assert_int_equal(in(&b, 0x64) & 1, 0);
	i8042_key(&b.k, 0xff, false, true); /* no key */
	i8042_key(&b.k, 0x55, false, true);
	assert_int_equal(in(&b, 0x64) & 1, 0);
}

/* Each key has a code of its own in set 2, as in set 1. */
static void test_sets(void **state)
{
	u8 seen[256] = {0};
	struct board b;

	(void)state;
	init(&b);
	out(&b, 0x64, 0x60);
	out(&b, 0x60, 0x04);
	for (unsigned code = 1; code <= 0x58; code++) {
		i8042_key(&b.k, code, false, true);
		if (code == 0x55) /* there is none */
			continue;
		const u8 byte = in(&b, 0x60);

		assert_true(byte);
		assert_false(seen[byte]);
		seen[byte] = 1;
		assert_int_equal(in(&b, 0x64) & 1, 0);
	}
}

struct typed {
	const char *bytes;
	size_t used;
	struct key key;
};

static void test_typing(void **state)
{
	static const struct typed cases[] = {
		{"a", 1, {0x1e, false, false, false, false}},
		{"A", 1, {0x1e, false, true, false, false}},
		{"1", 1, {0x02, false, false, false, false}},
		{")", 1, {0x0b, false, true, false, false}},
		{"z", 1, {0x2c, false, false, false, false}},
		{"|", 1, {0x2b, false, true, false, false}},
		{"?", 1, {0x35, false, true, false, false}},
		{"`", 1, {0x29, false, false, false, false}},
		{" ", 1, {0x39, false, false, false, false}},
		{"\r", 1, {0x1c, false, false, false, false}},
		{"\n", 1, {0x1c, false, false, false, false}},
		{"\t", 1, {0x0f, false, false, false, false}},
		{"\x7f", 1, {0x0e, false, false, false, false}},
		{"\x03", 1, {0x2e, false, false, true, false}},
		{"\x1a", 1, {0x2c, false, false, true, false}},
		{"\x1c", 1, {0x2b, false, false, true, false}},
		{"\033", 1, {0x01, false, false, false, false}},
		{"\033\033", 1, {0x01, false, false, false, false}},
		{"\033x", 2, {0x2d, false, false, false, true}},
		{"\033[A", 3, {0x48, true, false, false, false}},
		{"\033OB", 3, {0x50, true, false, false, false}},
		{"\033[3~", 4, {0x53, true, false, false, false}},
		{"\033[15~", 5, {0x3f, false, false, false, false}},
		{"\033OP", 3, {0x3b, false, false, false, false}},
		{"\033[24~", 5, {0x58, false, false, false, false}},
		{"\033[1;5D", 6, {0x4b, true, false, true, false}},
		{"\xc3\xa9", 1, {0, false, false, false, false}},
		{"\033[", 2, {0x1a, false, false, false, true}},
		{"\033[1;", 4, {0x01, false, false, false, false}},
		{"\033[99999999999999Z", 17, {0, false, false, false, false}},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct typed *t = &cases[i];
		struct key key;

		assert_int_equal(keyboard_decode((const u8 *)t->bytes, strlen(t->bytes), &key),
				 t->used);
		assert_int_equal(key.code, t->key.code);
		if (!key.code)
			continue;
		assert_int_equal(key.extended, t->key.extended);
		assert_int_equal(key.shift, t->key.shift);
		assert_int_equal(key.control, t->key.control);
		assert_int_equal(key.alt, t->key.alt);
	}
}

/* Every byte there is, as first and second: taken, and with a key that the keyboard has. */
static void test_any(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 0x10000; i++) {
		const u8 bytes[2] = {i, i >> 8};
		struct key key;
		const size_t used = keyboard_decode(bytes, 2, &key);

		assert_true(used >= 1 && used <= 2);
		assert_true(key.code <= 0x58);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_controller), cmocka_unit_test(test_keyboard),
		cmocka_unit_test(test_keys),	   cmocka_unit_test(test_sets),
		cmocka_unit_test(test_typing),	   cmocka_unit_test(test_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
