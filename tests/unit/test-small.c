/*
 * Unit tests of the small devices: balloon, console and entropy.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "../../phase1-user/hal/virtio-console.h"
#include "virtio-driver.h"

extern const struct hal_kind hal_balloon, hal_console, hal_rng;

static struct driver d;

/* ---- the balloon ---- */

static struct {
	u64 gpa, len;
} released[8];
static unsigned releases;

static void on_release(void *opaque, u64 gpa, u64 len)
{
	(void)opaque;
	assert_true(releases < 8);
	released[releases].gpa = gpa;
	released[releases++].len = len;
}

static struct hal_device *open_kind(const struct hal_kind *kind)
{
	struct error e;
	struct hal_device *device = kind->open("", &e);

	assert_non_null(device);
	driver_init(&d, &device->virtio, 1 << 20);
	d.board.release = on_release;
	releases = 0;
	return device;
}

static void balloon(void **state)
{
	/* One page, one that lies askew, and three of which two are whole. */
	static const struct driver_buffer reported[] = {
		{0x10000, 4096, true}, {0x20001, 4096, true}, {0x30800, 3 * 4096, true}};
	const u32 frames[] = {0x40, 0x41, 0x50, 0xfffff, 0x100};
	struct hal_device *device = open_kind(&hal_balloon);
	struct driver_buffer list = {0, sizeof(frames), false};
	u32 head, written;

	(void)state;
	d.allocated = 0x80000;
	driver_start(&d, 0, 32);
	driver_add(&d, 2, reported, 3);
	driver_notify(&d, 2);
	assert_true(driver_take(&d, 2, &head, &written));
	assert_int_equal(written, 0);
	assert_int_equal(releases, 2);
	assert_true(released[0].gpa == 0x10000 && released[0].len == 4096);
	assert_true(released[1].gpa == 0x31000 && released[1].len == 2 * 4096);
	assert_true(d.irq);

	releases = 0;
	list.gpa = driver_bytes(&d, frames, sizeof(frames));
	driver_add(&d, 0, &list, 1);
	driver_notify(&d, 0);
	assert_int_equal(releases, 2); /* the last two frames are no RAM */
	assert_true(released[0].gpa == 0x40000 && released[0].len == 2 * 4096);
	assert_true(released[1].gpa == 0x50000 && released[1].len == 4096);

	driver_add(&d, 1, &list, 1);
	driver_notify(&d, 1);
	assert_true(driver_take(&d, 1, &head, &written));
	assert_int_equal(releases, 2);
	driver_destroy(&d);
	hal_balloon.destroy(device);
}

/* ---- the console ---- */

static char output[64];
static size_t output_len;
static unsigned drained, ups, downs;

static void on_output(void *opaque, const u8 *data, size_t n)
{
	(void)opaque;
	assert_true(output_len + n <= sizeof(output));
	memcpy(output + output_len, data, n);
	output_len += n;
}

static void on_drained(void *opaque)
{
	(void)opaque;
	drained++;
}

static void on_changed(void *opaque, bool up)
{
	(void)opaque;
	ups += up;
	downs += !up;
}

static struct hal_device *open_console(void)
{
	static const struct virtio_console_config callbacks = {on_output, on_drained, on_changed,
							       NULL};
	struct hal_device *device = open_kind(&hal_console);

	output_len = drained = ups = downs = 0;
	virtio_console_connect(device, &callbacks);
	return device;
}

static void console_output(void **state)
{
	struct hal_device *device = open_console();
	struct driver_buffer b[2];

	(void)state;
	driver_start(&d, 0, 8);
	assert_int_equal(ups, 1);
	b[0] = (struct driver_buffer){driver_bytes(&d, "hello ", 6), 6, false};
	b[1] = (struct driver_buffer){driver_bytes(&d, "world", 5), 5, false};
	driver_add(&d, 1, b, 2);
	driver_notify(&d, 1);
	assert_int_equal(output_len, 11);
	assert_memory_equal(output, "hello world", 11);
	downs = 0;
	driver_reset(&d);
	assert_int_equal(downs, 1);
	driver_destroy(&d);
	hal_console.destroy(device);
}

static void console_input(void **state)
{
	struct hal_device *device = open_console();
	struct driver_buffer b;
	u32 head, written;

	(void)state;
	assert_false(virtio_console_room(device));
	assert_int_equal(virtio_console_input(device, (const u8 *)"x", 1), 0);
	driver_start(&d, VIRTIO_F_EVENT_INDEX, 8);
	assert_false(virtio_console_room(device));
	b = (struct driver_buffer){driver_bytes(&d, NULL, 4), 4, true};
	driver_add(&d, 0, &b, 1);
	driver_notify(&d, 0);
	assert_int_equal(drained, 1);
	assert_true(virtio_console_room(device));
	/* ^O is sent twice, and not split. */
	assert_int_equal(virtio_console_input(device, (const u8 *)"abc\x0f", 4), 3);
	assert_true(driver_take(&d, 0, &head, &written));
	assert_int_equal(written, 3);
	assert_memory_equal(driver_at(&d, b.gpa, 4), "abc", 4);
	assert_true(d.irq);
	assert_false(virtio_console_room(device));
	assert_int_equal(driver_device_event(&d, 0), 1); /* tell us of the next buffer */
	driver_add(&d, 0, &b, 1);
	assert_int_equal(virtio_console_input(device, (const u8 *)"\x0fz", 2), 2);
	assert_true(driver_take(&d, 0, &head, &written));
	assert_int_equal(written, 3);
	assert_memory_equal(driver_at(&d, b.gpa, 4), "\x0f\x0fz", 4);
	driver_destroy(&d);
	hal_console.destroy(device);
}

static void console_size(void **state)
{
	struct hal_device *device = open_console();
	u16 size[2];

	(void)state;
	virtio_console_resize(device, 80, 24);
	driver_start(&d, 1, 8);
	driver_config(&d, 0, size, sizeof(size));
	assert_int_equal(size[0], 80);
	assert_int_equal(size[1], 24);
	assert_false(d.irq);
	virtio_console_resize(device, 80, 24);
	assert_false(d.irq);
	virtio_console_resize(device, 132, 50);
	assert_int_equal(driver_acknowledge(&d), 2);
	driver_write(&d, DRIVER_REG_CONFIG, 0); /* not the driver's to write */
	driver_config(&d, 0, size, sizeof(size));
	assert_int_equal(size[0], 132);
	driver_destroy(&d);
	hal_console.destroy(device);
}

/* ---- entropy ---- */

static void entropy(void **state)
{
	static const u8 zeroes[4096];
	struct hal_device *device = open_kind(&hal_rng);
	struct driver_buffer b;
	u32 head, written;

	(void)state;
	driver_start(&d, 0, 8);
	b = (struct driver_buffer){driver_bytes(&d, NULL, sizeof(zeroes)), sizeof(zeroes), true};
	driver_add(&d, 0, &b, 1);
	b.write = false; /* nothing to fill: given back as it is */
	driver_add(&d, 0, &b, 1);
	driver_notify(&d, 0);
	assert_true(driver_take(&d, 0, &head, &written));
	assert_in_range(written, 1, sizeof(zeroes));
	assert_memory_not_equal(driver_at(&d, b.gpa, b.len), zeroes, written < 32 ? written : 32);
	assert_true(driver_take(&d, 0, &head, &written));
	assert_int_equal(written, 0);
	assert_true(d.irq);
	driver_destroy(&d);
	hal_rng.destroy(device);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(balloon),	 cmocka_unit_test(console_output),
		cmocka_unit_test(console_input), cmocka_unit_test(console_size),
		cmocka_unit_test(entropy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
