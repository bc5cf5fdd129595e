/*
 * Unit tests of the device bus, and of the small port devices on it: debug, exit and reset ports.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../../phase1-user/hal/bus.h"
#include "../../phase1-user/hal/acpi-pm.h"
#include "../../phase1-user/hal/debugport.h"
#include "../../phase1-user/hal/reset.h"

/* A device of 16 bytes that counts how it is accessed. */
struct memory {
	u8 byte[16];
	unsigned accesses[9]; /* by size */
};

static u64 memory_read(void *opaque, u64 offset, unsigned size)
{
	struct memory *m = opaque;
	u64 value = 0;

	assert_true(offset + size <= sizeof(m->byte));
	m->accesses[size]++;
	memcpy(&value, m->byte + offset, size);
	return value | ~(u64)0 << 8 << 8 * (size - 1) % 64; /* rubbish above the access */
}

static void memory_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct memory *m = opaque;

	assert_true(offset + size <= sizeof(m->byte));
	assert_true(size == 8 || value >> 8 * size == 0);
	m->accesses[size]++;
	memcpy(m->byte + offset, &value, size);
}

static const struct bus_ops byte_ops = {memory_read, memory_write, 1};
static const struct bus_ops word_ops = {memory_read, memory_write, 4};

static u64 in(struct bus *b, u16 port, unsigned size)
{
	u64 value = 0x5555555555555555; /* what was there must not show */

	bus_io(b, port, size, false, &value);
	return value;
}

static bool out(struct bus *b, u16 port, unsigned size, u64 value)
{
	return bus_io(b, port, size, true, &value);
}

static void test_unclaimed(void **state)
{
	struct bus b;
	u64 value = 0;

	(void)state;
	bus_init(&b);
	assert_int_equal(in(&b, 0x80, 1), 0xff);
	assert_int_equal(in(&b, 0x80, 2), 0xffff);
	assert_int_equal(in(&b, 0x80, 4), 0xffffffff);
	assert_false(out(&b, 0x80, 1, 0));
	assert_false(bus_mmio(&b, 0xd0000000, 8, false, &value));
	assert_true(value == ~(u64)0);
	/* Sizes that do not exist: a hostile exit record. */
	value = 0;
	assert_false(bus_mmio(&b, 0, 3, false, &value));
	assert_true(value == ~(u64)0);
	assert_false(bus_io(&b, 0, 0, false, &value));
	assert_false(bus_io(&b, 0, 200, true, &value));
}

static void test_splitting(void **state)
{
	struct memory m = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, {0}};
	struct bus b;

	(void)state;
	bus_init(&b);
	assert_true(bus_register_io(&b, 0x100, 16, &byte_ops, &m));
	assert_int_equal(in(&b, 0x100, 1), 1);
	assert_int_equal(in(&b, 0x101, 2), 0x0302);
	assert_int_equal(in(&b, 0x102, 4), 0x06050403);
	assert_int_equal(m.accesses[1], 7);
	assert_int_equal(m.accesses[2] + m.accesses[4], 0);
	assert_true(out(&b, 0x104, 4, 0xddccbbaa));
	assert_memory_equal(m.byte + 3, "\x04\xaa\xbb\xcc\xdd\x09", 6);
	/* Over the device's edges: its part counts, the rest floats. */
	assert_int_equal(in(&b, 0xff, 2), 0x01ff);
	assert_int_equal(in(&b, 0x10e, 4), 0xffff100f);
	assert_true(out(&b, 0x10f, 2, 0x7788));
	assert_int_equal(m.byte[15], 0x88);
}

static void test_wide_device(void **state)
{
	struct memory m = {{0}, {0}}, next = {{0x99}, {0}};
	struct bus b;
	u64 value = 0x1122334455667788;

	(void)state;
	bus_init(&b);
	assert_true(bus_register_mmio(&b, 0xd0000000, 16, &word_ops, &m));
	assert_true(bus_register_mmio(&b, 0xd0000010, 16, &byte_ops, &next));
	assert_true(bus_mmio(&b, 0xd0000004, 8, true, &value));
	assert_int_equal(m.accesses[4], 2);
	value = 0;
	assert_true(bus_mmio(&b, 0xd0000004, 8, false, &value));
	assert_true(value == 0x1122334455667788);
	assert_true(bus_mmio(&b, 0xd0000006, 2, false, &value));
	assert_int_equal(value, 0x5566);
	assert_int_equal(m.accesses[2], 1);
	/* From one device into the next. */
	m.byte[15] = 0x44;
	assert_true(bus_mmio(&b, 0xd000000f, 2, false, &value));
	assert_int_equal(value, 0x9944);
	/* Both spaces are their own. */
	assert_int_equal(in(&b, 0, 4), 0xffffffff);
}

static void test_wrap_around(void **state)
{
	struct memory low = {{0x11}, {0}}, high = {{0x22}, {0}};
	struct bus b;
	u64 value;

	(void)state;
	bus_init(&b);
	assert_true(bus_register_io(&b, 0, 1, &byte_ops, &low));
	assert_true(bus_register_io(&b, 0xffff, 1, &byte_ops, &high));
	assert_int_equal(in(&b, 0xffff, 2), 0x1122);
	assert_true(bus_register_mmio(&b, ~(u64)0, 1, &byte_ops, &high));
	assert_true(bus_mmio(&b, ~(u64)0, 1, false, &value));
	assert_int_equal(value, 0x22);
}

static void test_registration(void **state)
{
	struct memory m = {{0}, {0}};
	struct bus b;

	(void)state;
	bus_init(&b);
	assert_true(bus_register_io(&b, 0x3f8, 8, &byte_ops, &m));
	assert_false(bus_register_io(&b, 0x3ff, 1, &byte_ops, &m));
	assert_false(bus_register_io(&b, 0x3f0, 9, &byte_ops, &m));
	assert_false(bus_register_io(&b, 0x3f0, 100, &byte_ops, &m));
	assert_true(bus_register_io(&b, 0x400, 1, &byte_ops, &m));
	assert_true(bus_register_io(&b, 0x3f0, 8, &byte_ops, &m));
	assert_false(bus_register_io(&b, 0x500, 0, &byte_ops, &m));
	assert_false(bus_register_io(&b, 0xfff0, 17, &byte_ops, &m));
	assert_false(bus_register_mmio(&b, ~(u64)0 - 3, 5, &byte_ops, &m));
	for (unsigned i = 3; i < BUS_REGIONS; i++)
		assert_true(bus_register_io(&b, 0x1000 + 16 * i, 16, &byte_ops, &m));
	assert_false(bus_register_io(&b, 0x8000, 1, &byte_ops, &m));
}

struct events {
	char text[16];
	size_t text_used;
	unsigned resets, exits;
	u32 status;
};

static void on_out(void *opaque, const u8 *data, size_t n)
{
	struct events *e = opaque;

	assert_true(e->text_used + n <= sizeof(e->text));
	memcpy(e->text + e->text_used, data, n);
	e->text_used += n;
}

static void on_exit_port(void *opaque, u32 value)
{
	struct events *e = opaque;

	e->exits++;
	e->status = value;
}

static void on_reset(void *opaque)
{
	((struct events *)opaque)->resets++;
}

static void test_debug_ports(void **state)
{
	struct events e = {0};
	struct debugport d = {on_out, on_exit_port, &e};
	struct bus b;

	(void)state;
	bus_init(&b);
	assert_true(debugport_register(&d, &b));
	assert_int_equal(in(&b, 0xe9, 1), 0xe9);
	out(&b, 0xe9, 1, 'h');
	out(&b, 0xe9, 1, 'i');
	assert_int_equal(e.text_used, 2);
	assert_memory_equal(e.text, "hi", 2);
	assert_int_equal(e.exits, 0);
	out(&b, 0xf4, 1, 0x2a);
	assert_int_equal(e.exits, 1);
	assert_int_equal(e.status, 0x2a);
	out(&b, 0xf4, 4, 0x12345678); /* whole, and once */
	assert_int_equal(e.exits, 2);
	assert_int_equal(e.status, 0x12345678);
	assert_false(debugport_register(&d, &b));
}

static void test_reset_ports(void **state)
{
	struct events e = {0};
	struct reset r = {.reset = on_reset, .opaque = &e, .control = 0xff, .port92 = 0xff};
	struct bus b;

	(void)state;
	bus_init(&b);
	assert_true(reset_register(&r, &b));
	assert_int_equal(in(&b, 0xcf9, 1), 0);
	/* 0xCF9 as Linux uses it. */
	out(&b, 0xcf9, 1, 0x02);
	assert_int_equal(e.resets, 0);
	assert_int_equal(in(&b, 0xcf9, 1), 0x02);
	out(&b, 0xcf9, 1, 0x06);
	assert_int_equal(e.resets, 1);
	/* The keyboard controller: ready for a command, and it knows one. */
	assert_int_equal(in(&b, 0x64, 1) & 0x02, 0);
	out(&b, 0x64, 1, 0xd1);
	out(&b, 0x64, 1, 0xff); /* pulses nothing */
	assert_int_equal(e.resets, 1);
	out(&b, 0x64, 1, 0xfe);
	assert_int_equal(e.resets, 2);
	/* Port 92: A20 does nothing and is always on, bit 0 resets when it rises. */
	assert_int_equal(in(&b, 0x92, 1), 0x02);
	out(&b, 0x92, 1, 0x02);
	out(&b, 0x92, 1, 0x00);
	assert_int_equal(in(&b, 0x92, 1), 0x02);
	assert_int_equal(e.resets, 2);
	out(&b, 0x92, 1, 0x03);
	out(&b, 0x92, 1, 0x03);
	assert_int_equal(e.resets, 3);
}

/* As Linux uses ACPI's: what it enables it reads back, what is written while it sleeps ends the
 * run. */
static void test_power_ports(void **state)
{
	struct events e = {0};
	struct acpi_pm p = {.power_off = on_reset, .opaque = &e, .enable = 1, .control = 1};
	struct bus b;

	(void)state;
	bus_init(&b);
	assert_true(acpi_pm_register(&p, &b));
	assert_int_equal(in(&b, 0x600, 4), 0);
	assert_int_equal(in(&b, 0x604, 2), 0x0001); /* in ACPI mode, by itself */
	out(&b, 0x602, 2, 0x0121);
	assert_int_equal(in(&b, 0x602, 2), 0x0121);
	assert_int_equal(in(&b, 0x600, 4), 0x01210000);
	out(&b, 0x600, 2, 0xffff); /* nothing has happened, then or now */
	assert_int_equal(in(&b, 0x600, 2), 0);
	assert_int_equal(in(&b, 0x602, 2), 0x0121);
	out(&b, 0x604, 2, 0x1401);
	assert_int_equal(in(&b, 0x604, 2), 0x1401);
	assert_int_equal(e.resets, 0);
	out(&b, 0x604, 2, 0x2001);
	assert_int_equal(e.resets, 1);
	assert_int_equal(in(&b, 0x604, 2), 0x0001);
}

/* Linux looks for PCI so: it must find none, and above all not reset itself. */
static void test_pci_probe_is_no_reset(void **state)
{
	struct events e = {0};
	struct reset r = {.reset = on_reset, .opaque = &e};
	struct bus b;
	u64 saved;

	(void)state;
	bus_init(&b);
	assert_true(reset_register(&r, &b));
	out(&b, 0xcfb, 1, 0x01);
	saved = in(&b, 0xcf8, 4);
	out(&b, 0xcf8, 4, 0x80000000);
	assert_int_not_equal(in(&b, 0xcf8, 4), 0x80000000);
	out(&b, 0xcf8, 4, saved);
	out(&b, 0xcfc, 4, 0xffffffff);
	out(&b, 0xcf8, 2, 0xffff);
	out(&b, 0xcf9, 2, 0xffff);
	out(&b, 0xcfa, 1, 0xff);
	assert_int_equal(in(&b, 0xcf8, 1), 0xff);
	assert_int_equal(e.resets, 0);
}

/* A board with a keyboard controller has that port for it. */
static void test_keyboard_is_another(void **state)
{
	struct events e = {0};
	struct reset r = {.reset = on_reset, .opaque = &e, .has_keyboard = true};
	struct bus b;

	(void)state;
	bus_init(&b);
	assert_true(reset_register(&r, &b));
	out(&b, 0x64, 1, 0xfe);
	assert_int_equal(e.resets, 0);
	out(&b, 0xcf9, 1, 0x06);
	assert_int_equal(e.resets, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unclaimed),
		cmocka_unit_test(test_splitting),
		cmocka_unit_test(test_wide_device),
		cmocka_unit_test(test_wrap_around),
		cmocka_unit_test(test_registration),
		cmocka_unit_test(test_debug_ports),
		cmocka_unit_test(test_reset_ports),
		cmocka_unit_test(test_power_ports),
		cmocka_unit_test(test_pci_probe_is_no_reset),
		cmocka_unit_test(test_keyboard_is_another),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
