/*
 * Unit tests of the virtio transport (MMIO, version 2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "virtio-driver.h"

enum {
	REG_MAGIC = 0x000,
	REG_VERSION = 0x004,
	REG_DEVICE_ID = 0x008,
	REG_DEVICE_FEATURES = 0x010,
	REG_DEVICE_FEATURES_SEL = 0x014,
	REG_DRIVER_FEATURES = 0x020,
	REG_DRIVER_FEATURES_SEL = 0x024,
	REG_QUEUE_SEL = 0x030,
	REG_QUEUE_NUM_MAX = 0x034,
	REG_QUEUE_NUM = 0x038,
	REG_QUEUE_READY = 0x044,
	REG_INTERRUPT_STATUS = 0x060,
	REG_INTERRUPT_ACK = 0x064,
	REG_QUEUE_DESC_LOW = 0x080,
	REG_SHM_LEN_LOW = 0x0b0,
	REG_GENERATION = 0x0fc,
};

enum {
	ACKNOWLEDGE = 1,
	DRIVER = 2,
	DRIVER_OK = 4,
	FEATURES_OK = 8,
	NEEDS_RESET = 64,
	FAILED = 128
};

#define FEATURE (1ull << 3)

static struct driver d;
static struct virtio_device v;
static u8 config[12];
static unsigned notified, started, resets, written_at, written_size;

static void on_notify(struct virtio_device *device, unsigned index)
{
	assert_ptr_equal(device, &v);
	notified |= 1u << index;
}

static void on_start(struct virtio_device *device)
{
	assert_true(virtio_running(device));
	started++;
}

static void on_reset(struct virtio_device *device)
{
	(void)device;
	resets++;
}

static void on_config(struct virtio_device *device, unsigned offset, unsigned size)
{
	(void)device;
	written_at = offset;
	written_size = size;
}

static const struct virtio_ops ops = {
	"virtio-test", "CONFIG_TEST", on_notify, on_start, on_reset, on_config,
};

static int set_up(void **state)
{
	(void)state;
	notified = started = resets = written_at = written_size = 0;
	for (unsigned i = 0; i < sizeof(config); i++)
		config[i] = i + 1;
	v = (struct virtio_device){
		.ops = &ops,
		.id = VIRTIO_ID_NET,
		.features = FEATURE,
		.queue_count = 2,
		.config = config,
		.config_size = sizeof(config),
		.config_writable = 8,
	};
	driver_init(&d, &v, 1 << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	driver_destroy(&d);
	return 0;
}

static u32 status(void)
{
	return driver_read(&d, DRIVER_REG_STATUS);
}

static void identity(void **state)
{
	(void)state;
	assert_int_equal(driver_read(&d, REG_MAGIC), 0x74726976);
	assert_int_equal(driver_read(&d, REG_VERSION), 2);
	assert_int_equal(driver_read(&d, REG_DEVICE_ID), VIRTIO_ID_NET);
	assert_int_equal(driver_read(&d, REG_SHM_LEN_LOW), 0xffffffff);
	assert_int_equal(status(), 0);
}

static void features_offered(void **state)
{
	(void)state;
	assert_true(driver_offered(&d) ==
		    (FEATURE | VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_INDEX | VIRTIO_F_VERSION_1));
	driver_write(&d, REG_DEVICE_FEATURES_SEL, 2);
	assert_int_equal(driver_read(&d, REG_DEVICE_FEATURES), 0);
	driver_write(&d, REG_DEVICE_FEATURES_SEL, 0xffffffff);
	assert_int_equal(driver_read(&d, REG_DEVICE_FEATURES), 0);
}

static void features_agreed(void **state)
{
	(void)state;
	assert_true(driver_negotiate(&d, FEATURE));
	assert_true(v.negotiated == (FEATURE | VIRTIO_F_VERSION_1));
	/* From now on they are fixed. */
	driver_write(&d, REG_DRIVER_FEATURES, 0);
	assert_true(v.negotiated == (FEATURE | VIRTIO_F_VERSION_1));
}

static void features_not_offered(void **state)
{
	(void)state;
	assert_false(driver_negotiate(&d, 1ull << 40));
	assert_false(driver_negotiate(&d, 1ull << 7));
	/* Nor can the driver go on regardless. */
	driver_ok(&d);
	assert_int_equal(status() & (DRIVER_OK | FEATURES_OK), 0);
	assert_int_equal(started, 0);
	assert_true(driver_negotiate(&d, 0));
}

static void version_1_is_a_must(void **state)
{
	(void)state;
	driver_write(&d, DRIVER_REG_STATUS, ACKNOWLEDGE | DRIVER | FEATURES_OK);
	assert_int_equal(status(), ACKNOWLEDGE | DRIVER);
}

static void features_selector(void **state)
{
	(void)state;
	driver_write(&d, REG_DRIVER_FEATURES_SEL, 2);
	driver_write(&d, REG_DRIVER_FEATURES, 0xffffffff);
	assert_true(v.negotiated == 0);
}

static void no_start_without_agreement(void **state)
{
	(void)state;
	driver_write(&d, DRIVER_REG_STATUS, ACKNOWLEDGE | DRIVER | DRIVER_OK);
	assert_int_equal(status(), ACKNOWLEDGE | DRIVER);
	assert_int_equal(started, 0);
}

static void status_bits_stay(void **state)
{
	(void)state;
	driver_start(&d, 0, 8);
	/* Taking FEATURES_OK back would let the features change under the device. */
	driver_write(&d, DRIVER_REG_STATUS, ACKNOWLEDGE | DRIVER | DRIVER_OK);
	assert_int_equal(status(), ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK);
	driver_write(&d, REG_DRIVER_FEATURES_SEL, 0);
	driver_write(&d, REG_DRIVER_FEATURES, 0xffffffff);
	assert_true(v.negotiated == VIRTIO_F_VERSION_1);
	driver_write(&d, DRIVER_REG_STATUS, 0xffffff00 | FAILED);
	assert_int_equal(status(), ACKNOWLEDGE | DRIVER | DRIVER_OK | FEATURES_OK | FAILED);
	assert_int_equal(started, 1);
}

/* The driver cannot claim, or take back, that the device needs a reset. */
static void needs_reset_is_the_devices(void **state)
{
	(void)state;
	driver_start(&d, 0, 8);
	driver_write(&d, DRIVER_REG_STATUS, 0xff);
	assert_int_equal(status() & NEEDS_RESET, 0);
	virtio_break(&v, "test");
	driver_write(&d, DRIVER_REG_STATUS, 0xf);
	assert_int_equal(status() & NEEDS_RESET, NEEDS_RESET);
	driver_reset(&d);
	assert_int_equal(status(), 0);
}

static void broken_device(void **state)
{
	(void)state;
	driver_start(&d, 0, 8);
	virtio_break(&v, "the reason");
	assert_int_equal(d.warnings, 1);
	assert_string_equal(d.warning,
			    "virtio-test 0: stopped until the guest resets it: the reason");
	assert_int_equal(driver_read(&d, REG_INTERRUPT_STATUS), 2);
	assert_true(d.irq);
	assert_false(virtio_running(&v));
	driver_notify(&d, 0);
	assert_int_equal(notified, 0);
	virtio_break(&v, "another");
	assert_int_equal(d.warnings, 1);
}

static void broken_before_the_start(void **state)
{
	(void)state;
	assert_true(driver_negotiate(&d, 0));
	virtio_break(&v, "early");
	assert_false(d.irq); /* there is no driver to be told */
	assert_int_equal(status() & NEEDS_RESET, NEEDS_RESET);
}

/* Steps of a driver's way; the device must come back from each of them. */
static void reset_in_every_state(void **state)
{
	static const u32 steps[] = {ACKNOWLEDGE, DRIVER, FEATURES_OK,
				    DRIVER_OK,	 FAILED, NEEDS_RESET};

	(void)state;
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		d.allocated = 0;
		if (steps[i] == DRIVER_OK || steps[i] == NEEDS_RESET)
			driver_start(&d, FEATURE, 8);
		else if (steps[i] == FEATURES_OK)
			assert_true(driver_negotiate(&d, FEATURE));
		else
			driver_write(&d, DRIVER_REG_STATUS, steps[i]);
		if (steps[i] == NEEDS_RESET)
			virtio_break(&v, "test");
		driver_write(&d, REG_QUEUE_SEL, 1);
		resets = 0;
		driver_reset(&d);
		assert_int_equal(resets, 1);
		assert_int_equal(status(), 0);
		assert_int_equal(driver_read(&d, REG_INTERRUPT_STATUS), 0);
		assert_false(d.irq);
		assert_true(v.negotiated == 0);
		assert_int_equal(v.queue_select, 0);
		for (unsigned k = 0; k < 2; k++) {
			assert_false(v.queue[k].ready);
			assert_int_equal(v.queue[k].size, 0);
			assert_true(v.queue[k].desc == 0);
		}
	}
}

/* ---- queues ---- */

static void queue_limits(void **state)
{
	(void)state;
	assert_int_equal(driver_read(&d, REG_QUEUE_NUM_MAX), VIRTQUEUE_MAX_SIZE);
	driver_write(&d, REG_QUEUE_SEL, 2);
	assert_int_equal(driver_read(&d, REG_QUEUE_NUM_MAX), 0);
	assert_int_equal(driver_read(&d, REG_QUEUE_READY), 0);
	driver_write(&d, REG_QUEUE_NUM, 8); /* of a queue that is not there */
	driver_write(&d, REG_QUEUE_READY, 1);
	driver_write(&d, REG_QUEUE_SEL, 0xffffffff);
	driver_write(&d, REG_QUEUE_READY, 1);
	assert_int_equal(d.warnings, 0);
	v.queue_max = 16;
	driver_write(&d, REG_QUEUE_SEL, 0);
	assert_int_equal(driver_read(&d, REG_QUEUE_NUM_MAX), 16);
	driver_write(&d, REG_QUEUE_NUM, 32);
	assert_int_equal(v.queue[0].size, 0);
	driver_write(&d, REG_QUEUE_NUM, 0x10008); /* not 8 */
	assert_int_equal(v.queue[0].size, 0);
}

static void queue_ready(void **state)
{
	(void)state;
	assert_true(driver_negotiate(&d, VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_INDEX));
	driver_setup_queue(&d, 0, 8);
	assert_int_equal(driver_read(&d, REG_QUEUE_READY), 1);
	assert_true(v.queue[0].indirect);
	assert_true(v.queue[0].event_index);
	driver_write(&d, REG_QUEUE_READY, 0);
	assert_int_equal(driver_read(&d, REG_QUEUE_READY), 0);
}

static void queue_without_features(void **state)
{
	(void)state;
	assert_true(driver_negotiate(&d, 0));
	driver_setup_queue(&d, 0, 8);
	assert_false(v.queue[0].indirect);
	assert_false(v.queue[0].event_index);
}

static void queue_moved_while_ready(void **state)
{
	struct virtqueue before;

	(void)state;
	driver_start(&d, 0, 8);
	driver_write(&d, REG_QUEUE_SEL, 0);
	before = v.queue[0];
	for (u32 reg = REG_QUEUE_DESC_LOW; reg <= 0xa4; reg += 4)
		driver_write(&d, reg, 0x1230);
	driver_write(&d, REG_QUEUE_NUM, 16);
	assert_memory_equal(&v.queue[0], &before, sizeof(before));
}

static void queue_outside_ram(void **state)
{
	(void)state;
	assert_true(driver_negotiate(&d, 0));
	driver_write(&d, REG_QUEUE_NUM, 8);
	driver_write(&d, REG_QUEUE_DESC_LOW + 4, 1); /* 4 GiB */
	driver_write(&d, REG_QUEUE_READY, 1);
	assert_int_equal(driver_read(&d, REG_QUEUE_READY), 0);
	assert_int_equal(status() & NEEDS_RESET, NEEDS_RESET);
	assert_non_null(strstr(d.warning, "outside RAM"));
	driver_start(&d, 0, 8); /* and all is well after a reset */
	driver_notify(&d, 1);
	assert_int_equal(notified, 2);
}

static void notifications(void **state)
{
	(void)state;
	driver_notify(&d, 0); /* nothing runs yet */
	driver_start(&d, 0, 8);
	assert_int_equal(notified, 0);
	driver_notify(&d, 0);
	assert_int_equal(notified, 1);
	driver_notify(&d, 2);
	driver_notify(&d, 0xffffffff);
	assert_int_equal(notified, 1);
	driver_write(&d, REG_QUEUE_SEL, 1);
	driver_write(&d, REG_QUEUE_READY, 0);
	driver_notify(&d, 1);
	assert_int_equal(notified, 1);
}

/* ---- interrupts and configuration ---- */

static void interrupt_level(void **state)
{
	(void)state;
	driver_start(&d, 0, 8);
	virtqueue_push(&v.queue[0], 0, 0);
	virtio_signal(&v, &v.queue[0]);
	assert_true(d.irq);
	assert_int_equal(driver_read(&d, REG_INTERRUPT_STATUS), 1);
	/* What comes meanwhile keeps the line high. */
	virtio_config_changed(&v);
	assert_int_equal(driver_read(&d, REG_INTERRUPT_STATUS), 3);
	driver_write(&d, REG_INTERRUPT_ACK, 1);
	assert_true(d.irq);
	driver_write(&d, REG_INTERRUPT_ACK, 0);
	assert_true(d.irq);
	driver_write(&d, REG_INTERRUPT_ACK, 0xfffffffe);
	assert_false(d.irq);
	assert_int_equal(d.interrupts, 1);
	virtio_signal(&v, &v.queue[0]); /* nothing new */
	assert_false(d.irq);
}

static void broken_queue_breaks_the_device(void **state)
{
	(void)state;
	driver_start(&d, 0, 8);
	v.queue[0].broken = "of a test";
	virtio_signal(&v, &v.queue[0]);
	assert_int_equal(status() & NEEDS_RESET, NEEDS_RESET);
	assert_non_null(strstr(d.warning, "of a test"));
}

/* What the guest reads without an exit: the same as by one. */
static void assert_published(void)
{
	for (u32 offset = 0; offset < DRIVER_REG_CONFIG; offset += 4)
		assert_int_equal(*(u32 *)(v.registers + offset), driver_read(&d, offset));
	assert_memory_equal(v.registers + DRIVER_REG_CONFIG, config, sizeof(config));
}

/* The same device on a board with memory for the registers. */
static void registers_published(void **state)
{
	static u8 page[VIRTIO_MMIO_SIZE] __attribute__((aligned(8)));

	(void)state;
	d.board.registers = page;
	bus_init(&d.bus);
	assert_true(virtio_register(&v, &d.bus, &d.board, 0, 5));
	virtio_publish(&v);
	assert_published();
	driver_write(&d, REG_DEVICE_FEATURES_SEL, 1);
	assert_published();
	driver_start(&d, FEATURE, 8);
	assert_published();
	assert_int_equal(*(u32 *)(page + DRIVER_REG_STATUS), 15);
	driver_write(&d, REG_QUEUE_SEL, 5); /* there is no such queue */
	assert_published();
	config[3] = 0x77;
	virtio_config_changed(&v);
	assert_published();
	assert_int_equal(*(u32 *)(page + REG_INTERRUPT_STATUS), 2);
	driver_write(&d, DRIVER_REG_CONFIG + 4, 0x12345678);
	assert_published();
	virtio_break(&v, "of a test");
	assert_published();
	driver_reset(&d);
	assert_published();
	assert_int_equal(*(u32 *)(page + REG_INTERRUPT_STATUS), 0);
}

/* Not every kind of device has a configuration. */
static void registers_without_configuration(void **state)
{
	static u8 page[VIRTIO_MMIO_SIZE] __attribute__((aligned(8)));

	(void)state;
	d.board.registers = page;
	v.config = NULL;
	v.config_size = v.config_writable = 0;
	bus_init(&d.bus);
	assert_true(virtio_register(&v, &d.bus, &d.board, 0, 5));
	virtio_publish(&v);
	assert_int_equal(*(u32 *)(page + DRIVER_REG_CONFIG), driver_read(&d, DRIVER_REG_CONFIG));
	assert_int_equal(*(u32 *)page, driver_read(&d, REG_MAGIC));
}

/* Guest code that broke out writes what it likes into the registers it should only read. */
static void registers_forged(void **state)
{
	static u8 page[VIRTIO_MMIO_SIZE] __attribute__((aligned(8)));

	(void)state;
	d.board.registers = page;
	bus_init(&d.bus);
	assert_true(virtio_register(&v, &d.bus, &d.board, 0, 5));
	memset(page, 0xff, sizeof(page));
	assert_int_equal(status(), 0);
	for (unsigned i = 0; i < VIRTIO_QUEUES; i++)
		virtio_notify(&v, i);
	assert_int_equal(notified, 0);
	driver_start(&d, FEATURE, 8);
	memset(page, 0xff, sizeof(page));
	assert_int_equal(status(), 15);
	for (unsigned i = 0; i < VIRTIO_QUEUES; i++)
		virtio_notify(&v, i);
	assert_int_equal(notified, 3);
	driver_reset(&d);
	assert_int_equal(status(), 0);
	assert_false(d.irq);
}

static void config_generation(void **state)
{
	u32 before = driver_read(&d, REG_GENERATION);

	(void)state;
	virtio_config_changed(&v);
	assert_int_not_equal(driver_read(&d, REG_GENERATION), before);
	assert_false(d.irq); /* no driver yet */
	driver_start(&d, 0, 8);
	virtio_config_changed(&v);
	assert_true(d.irq);
	assert_int_equal(driver_acknowledge(&d), 2);
}

static void config_reads(void **state)
{
	u8 bytes[14];
	u64 value;

	(void)state;
	driver_config(&d, 0, bytes, sizeof(bytes));
	assert_memory_equal(bytes, config, sizeof(config));
	assert_int_equal(bytes[12] | bytes[13], 0);
	assert_int_equal(driver_read(&d, DRIVER_REG_CONFIG + 4), 0x08070605);
	assert_int_equal(driver_read(&d, DRIVER_REG_CONFIG + 10), 0); /* half beyond its end */
	assert_int_equal(driver_read(&d, 0xffc), 0);
	bus_mmio(&d.bus, VIRTIO_MMIO_BASE + DRIVER_REG_CONFIG + 2, 2, false, &value);
	assert_int_equal(value, 0x0403);
}

static void config_writes(void **state)
{
	(void)state;
	driver_write(&d, DRIVER_REG_CONFIG + 4, 0xaabbccdd);
	assert_int_equal(written_at, 4);
	assert_int_equal(written_size, 4);
	assert_int_equal(config[7], 0xaa);
	driver_write(&d, DRIVER_REG_CONFIG + 6, 0); /* half beyond what may be written */
	driver_write(&d, DRIVER_REG_CONFIG + 8, 0);
	driver_write(&d, 0xffc, 0);
	assert_int_equal(config[7], 0xaa);
	assert_int_equal(config[8], 9);
	assert_int_equal(written_at, 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(identity),
		TEST(features_offered),
		TEST(features_agreed),
		TEST(features_not_offered),
		TEST(version_1_is_a_must),
		TEST(features_selector),
		TEST(no_start_without_agreement),
		TEST(status_bits_stay),
		TEST(needs_reset_is_the_devices),
		TEST(broken_device),
		TEST(broken_before_the_start),
		TEST(reset_in_every_state),
		TEST(queue_limits),
		TEST(queue_ready),
		TEST(queue_without_features),
		TEST(queue_moved_while_ready),
		TEST(queue_outside_ram),
		TEST(notifications),
		TEST(interrupt_level),
		TEST(broken_queue_breaks_the_device),
		TEST(registers_published),
		TEST(registers_without_configuration),
		TEST(registers_forged),
		TEST(config_generation),
		TEST(config_reads),
		TEST(config_writes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
