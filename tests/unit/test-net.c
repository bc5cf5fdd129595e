/*
 * virtio-net between a driver in a small RAM and a backend that only remembers.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "mock-netdev.h"
#include "virtio-driver.h"

enum { RX, TX };

#define HEADER 12u
#define ALL    (MOCK_OFFLOADS | VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_INDEX)

extern const struct hal_kind hal_net;

struct fixture {
	struct mock_netdev backend;
	struct hal_device *card;
	struct driver driver;
	u8 frame[NETDEV_FRAME_MAX];
};

static const u8 mac[6] = {0x52, 0x54, 0, 1, 2, 3};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	mock_netdev_init(&f->backend);
	f->card = net_create(&f->backend.dev, mac, "mock");
	assert_non_null(f->card);
	driver_init(&f->driver, &f->card->virtio, 4 << 20);
	for (size_t i = 0; i < sizeof(f->frame); i++)
		f->frame[i] = i * 7 + (i >> 8);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	hal_net.destroy(f->card);
	assert_int_equal(f->backend.destroyed, 1);
	driver_destroy(&f->driver);
	free(f);
	return 0;
}

static void start(struct fixture *f, u64 features)
{
	driver_start(&f->driver, features, 16);
}

/* Offer a frame of `len` bytes behind `header` in two descriptors, cut after `cut` bytes. */
static void offer_frame(struct fixture *f, const struct virtio_net_hdr *header, size_t len,
			size_t cut)
{
	u8 all[HEADER + NETDEV_FRAME_MAX] = {0};
	struct driver_buffer b[2];

	memcpy(all, header, sizeof(*header));
	memcpy(all + HEADER, f->frame, len);
	b[0] = (struct driver_buffer){driver_bytes(&f->driver, all, cut), cut, false};
	b[1] = (struct driver_buffer){driver_bytes(&f->driver, all + cut, HEADER + len - cut),
				      HEADER + len - cut, false};
	driver_add(&f->driver, TX, b, 2);
}

static const struct virtio_net_hdr plain;

/* Send one frame, and say whether the backend got it; it comes back in any case. */
static bool send_one(struct fixture *f, const struct virtio_net_hdr *header, size_t len)
{
	unsigned before = f->backend.frames;
	u32 head, written;

	offer_frame(f, header, len, HEADER);
	driver_notify(&f->driver, TX);
	assert_true(driver_take(&f->driver, TX, &head, &written));
	assert_int_equal(written, 0);
	return f->backend.frames != before;
}

static u64 offer_buffer(struct fixture *f, u32 len)
{
	u64 gpa = driver_alloc(&f->driver, len, 1);
	struct driver_buffer b = {gpa, len, true};

	driver_add(&f->driver, RX, &b, 1);
	return gpa;
}

static bool deliver(struct fixture *f, size_t len)
{
	return netdev_deliver(&f->backend.dev, &plain, f->frame, len);
}

/* ---- set-up ---- */

static void test_configuration(void **state)
{
	struct fixture *f = *state;
	u8 config[12];

	driver_config(&f->driver, 0, config, sizeof(config));
	assert_memory_equal(config, mac, 6);
	assert_int_equal(config[6] | config[7] << 8, 1);
	assert_int_equal(config[10] | config[11] << 8, 9000);
	assert_int_equal(driver_offered(&f->driver) & MOCK_OFFLOADS, MOCK_OFFLOADS);
	start(f, VIRTIO_NET_F_CSUM | VIRTIO_NET_F_MRG_RXBUF);
	assert_int_equal(f->backend.negotiated, VIRTIO_NET_F_CSUM);
}

/* ---- transmit ---- */

static void test_send(void **state)
{
	struct fixture *f = *state;
	static const size_t cuts[] = {1, 5, 11, 12, 13, 26, 100};

	start(f, ALL);
	for (size_t i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++) {
		u32 head, written;

		offer_frame(f, &plain, 300, cuts[i]);
		driver_notify(&f->driver, TX);
		assert_true(driver_take(&f->driver, TX, &head, &written));
		assert_int_equal(f->backend.len, 300);
		assert_memory_equal(f->backend.frame, f->frame, 300);
	}
	assert_true(send_one(f, &plain, NETDEV_FRAME_MAX));
	assert_memory_equal(f->backend.frame, f->frame, NETDEV_FRAME_MAX);
}

static void test_batch_is_one_interrupt(void **state)
{
	struct fixture *f = *state;
	u32 head, written;

	start(f, ALL);
	for (unsigned i = 0; i < 7; i++)
		offer_frame(f, &plain, 60 + i, HEADER);
	driver_notify(&f->driver, TX);
	assert_int_equal(f->backend.frames, 7);
	assert_int_equal(f->backend.batches, 1);
	assert_int_equal(f->driver.interrupts, 1);
	assert_int_equal(driver_device_event(&f->driver, TX), 7);
	for (unsigned i = 0; i < 7; i++)
		assert_true(driver_take(&f->driver, TX, &head, &written));
}

static void test_no_interrupt_before_the_event(void **state)
{
	struct fixture *f = *state;

	start(f, ALL);
	assert_true(send_one(f, &plain, 60));
	driver_acknowledge(&f->driver);
	assert_int_equal(f->driver.interrupts, 1);
	driver_want_interrupt_at(&f->driver, TX, 3);
	for (unsigned i = 0; i < 2; i++)
		assert_true(send_one(f, &plain, 60));
	assert_int_equal(f->driver.interrupts, 1);
	assert_true(send_one(f, &plain, 60));
	assert_int_equal(f->driver.interrupts, 2);
}

static void test_bad_lengths_are_dropped(void **state)
{
	struct fixture *f = *state;
	struct driver_buffer tiny = {driver_alloc(&f->driver, 64, 1), 5, false};
	struct driver_buffer huge[2] = {{driver_alloc(&f->driver, 1 << 20, 1), 1 << 20, false},
					{driver_alloc(&f->driver, 64, 1), 64, false}};
	u32 head, written;

	start(f, ALL);
	assert_false(send_one(f, &plain, 13));
	assert_true(send_one(f, &plain, 14));
	driver_add(&f->driver, TX, &tiny, 1);
	driver_add(&f->driver, TX, huge, 2);
	driver_notify(&f->driver, TX);
	assert_true(driver_take(&f->driver, TX, &head, &written));
	assert_true(driver_take(&f->driver, TX, &head, &written));
	assert_int_equal(f->backend.frames, 1);
	assert_int_equal(f->driver.warnings, 0);
}

static void test_hostile_headers_are_dropped(void **state)
{
	struct fixture *f = *state;
	static const struct virtio_net_hdr bad[] = {
		{.flags = 2},
		{.flags = 0x80},
		{.flags = 1, .csum_start = 13, .csum_offset = 0},
		{.flags = 1, .csum_start = 34, .csum_offset = 65},
		{.flags = 1, .csum_start = 99},
		{.flags = 1, .csum_start = 0xffff, .csum_offset = 0xffff},
		{.gso_type = 1, .gso_size = 1000},
		{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 1},
		{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 2, .gso_size = 9},
		{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 3, .gso_size = 9},
		{.flags = 1, .csum_start = 34, .csum_offset = 16, .gso_type = 0x80, .gso_size = 9},
	};

	start(f, ALL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(send_one(f, &bad[i], 100));
}

static void test_offloads(void **state)
{
	struct fixture *f = *state;
	struct virtio_net_hdr h = {.flags = 1, .csum_start = 34, .csum_offset = 64};

	start(f, ALL);
	assert_true(send_one(f, &h, 100));
	assert_memory_equal(&f->backend.header, &h, sizeof(h));
	h.gso_size = 1448;
	for (unsigned i = 0; i < 4; i++) {
		h.gso_type = (i & 1 ? 4 : 1) | (i & 2 ? 0x80 : 0);
		assert_true(send_one(f, &h, 100));
		assert_int_equal(f->backend.header.gso_type, h.gso_type);
	}
	/* What was not negotiated is not to be had. */
	driver_reset(&f->driver);
	start(f, VIRTIO_NET_F_CSUM | VIRTIO_NET_F_HOST_TSO4);
	h.gso_type = 4;
	assert_false(send_one(f, &h, 100));
	h.gso_type = 0x81;
	assert_false(send_one(f, &h, 100));
	h.gso_type = 1;
	assert_true(send_one(f, &h, 100));
	driver_reset(&f->driver);
	start(f, 0);
	assert_false(send_one(f, &h, 100));
	assert_true(send_one(f, &plain, 100));
}

/* ---- receive ---- */

static void test_receive(void **state)
{
	struct fixture *f = *state;
	u64 gpa;
	u32 head, written;

	start(f, ALL);
	gpa = offer_buffer(f, 2000);
	assert_true(deliver(f, 100));
	assert_int_equal(f->driver.interrupts, 0);
	netdev_delivered(&f->backend.dev);
	assert_int_equal(f->driver.interrupts, 1);
	assert_true(driver_take(&f->driver, RX, &head, &written));
	assert_int_equal(written, HEADER + 100);
	assert_int_equal(*(u8 *)driver_at(&f->driver, gpa + 10, 1), 1);
	assert_memory_equal(driver_at(&f->driver, gpa + HEADER, 100), f->frame, 100);
	/* Nothing new: no interrupt. */
	driver_acknowledge(&f->driver);
	netdev_delivered(&f->backend.dev);
	assert_int_equal(f->driver.interrupts, 1);
}

static void test_receive_into_several(void **state)
{
	struct fixture *f = *state;
	static const u32 sizes[] = {13, 1, 500, 40, 700};
	static const u32 parts[] = {1, 1, 500, 40, 58};
	u64 gpa[5];
	size_t at = 0;
	u32 head, written;

	start(f, ALL);
	for (unsigned i = 0; i < 5; i++)
		gpa[i] = offer_buffer(f, sizes[i]);
	assert_true(deliver(f, 600));
	assert_int_equal(*(u8 *)driver_at(&f->driver, gpa[0] + 10, 1), 5);
	for (unsigned i = 0; i < 5; i++) {
		unsigned skip = i ? 0 : HEADER;

		assert_true(driver_take(&f->driver, RX, &head, &written));
		assert_int_equal(written, skip + parts[i]);
		assert_memory_equal(driver_at(&f->driver, gpa[i] + skip, parts[i]), f->frame + at,
				    parts[i]);
		at += parts[i];
	}
	assert_int_equal(at, 600);
	assert_false(driver_take(&f->driver, RX, &head, &written));
}

static void test_no_buffers(void **state)
{
	struct fixture *f = *state;
	u32 head, written;

	start(f, ALL);
	assert_false(deliver(f, 100));
	/* Enough for a part only: nothing may be seen of it. */
	offer_buffer(f, 50);
	assert_false(deliver(f, 100));
	assert_false(driver_take(&f->driver, RX, &head, &written));
	assert_int_equal(driver_device_event(&f->driver, RX), 1);
	offer_buffer(f, 200);
	driver_notify(&f->driver, RX);
	assert_int_equal(f->backend.resumes, 1);
	assert_true(deliver(f, 100));
	assert_true(driver_take(&f->driver, RX, &head, &written));
	assert_int_equal(written, 50);
	assert_true(driver_take(&f->driver, RX, &head, &written));
	assert_int_equal(written, HEADER + 100 - 50);
}

static void test_too_long_for_unmerged_buffers(void **state)
{
	struct fixture *f = *state;
	u32 head, written;

	start(f, 0);
	offer_buffer(f, 200);
	offer_buffer(f, 200);
	assert_true(deliver(f, 189)); /* dropped */
	assert_false(driver_take(&f->driver, RX, &head, &written));
	assert_true(deliver(f, 188));
	assert_true(driver_take(&f->driver, RX, &head, &written));
	assert_int_equal(written, 200);
}

static void test_longer_than_the_queue(void **state)
{
	struct fixture *f = *state;
	u32 head, written;

	start(f, ALL);
	for (unsigned i = 0; i < 15; i++)
		offer_buffer(f, 13);
	assert_true(deliver(f, 27));
	assert_true(driver_take(&f->driver, RX, &head, &written));
	driver_reset(&f->driver);
	start(f, ALL);
	for (unsigned i = 0; i < 16; i++)
		offer_buffer(f, 20);
	/* It would never fit: dropped, not kept for ever. */
	assert_true(deliver(f, 16 * 20));
	assert_false(driver_take(&f->driver, RX, &head, &written));
}

static void test_header_only_as_agreed(void **state)
{
	struct fixture *f = *state;
	const struct virtio_net_hdr valid = {.flags = VIRTIO_NET_HDR_F_DATA_VALID};
	u64 gpa;

	start(f, VIRTIO_NET_F_MRG_RXBUF);
	gpa = offer_buffer(f, 100);
	assert_true(netdev_deliver(&f->backend.dev, &valid, f->frame, 60));
	assert_int_equal(*(u8 *)driver_at(&f->driver, gpa, 1), 0);
	driver_reset(&f->driver);
	start(f, VIRTIO_NET_F_MRG_RXBUF | VIRTIO_NET_F_GUEST_CSUM);
	gpa = offer_buffer(f, 100);
	assert_true(netdev_deliver(&f->backend.dev, &valid, f->frame, 60));
	assert_int_equal(*(u8 *)driver_at(&f->driver, gpa, 1), VIRTIO_NET_HDR_F_DATA_VALID);
}

static void break_with(struct fixture *f, const struct driver_buffer *b, unsigned count)
{
	start(f, ALL);
	driver_add(&f->driver, RX, b, count);
	assert_true(deliver(f, 100));
	assert_int_equal(f->driver.warnings, 1);
	assert_true(driver_read(&f->driver, DRIVER_REG_STATUS) & DRIVER_NEEDS_RESET);
	/* Silent from then on, and well again after a reset. */
	assert_true(deliver(f, 100));
	assert_int_equal(f->driver.warnings, 1);
	driver_reset(&f->driver);
	start(f, ALL);
	offer_buffer(f, 200);
	assert_true(deliver(f, 100));
	assert_int_equal(f->driver.warnings, 1);
}

static void test_readable_receive_buffer(void **state)
{
	struct fixture *f = *state;
	const struct driver_buffer b = {driver_alloc(&f->driver, 200, 1), 200, false};

	break_with(f, &b, 1);
}

static void test_receive_buffer_without_room(void **state)
{
	struct fixture *f = *state;
	const struct driver_buffer b = {driver_alloc(&f->driver, 200, 1), HEADER, true};

	break_with(f, &b, 1);
}

static void test_receive_buffer_outside_ram(void **state)
{
	struct fixture *f = *state;
	const struct driver_buffer b = {0xfffff000, 200, true};

	break_with(f, &b, 1);
}

static void test_without_a_driver_frames_are_dropped(void **state)
{
	struct fixture *f = *state;

	assert_true(deliver(f, 100));
	start(f, ALL);
	assert_false(deliver(f, 100));
	driver_reset(&f->driver);
	assert_int_equal(f->backend.resumes, 1);
	assert_true(deliver(f, 100));
}

/* ---- the option ---- */

static void refused(const char *spec, const char *words)
{
	struct error e = {""};

	assert_null(hal_net.open(spec, &e));
	if (!strstr(e.text, words))
		fail_msg("'%s': '%s' does not say '%s'", spec, e.text, words);
}

static void test_bad_options(void **state)
{
	(void)state;
	refused("", "no such network");
	refused("users", "no such network");
	refused("user,frob", "unknown option 'frob'");
	refused("user,", "unknown option ''");
	refused("user,mac=52:54:00:12:34", "not an address");
	refused("user,mac=52:54:00:12:34:5g", "not an address");
	refused("user,mac=53:54:00:12:34:56", "group address");
	refused("user,mac=00:00:00:00:00:00", "zero");
	refused("user,net=10.0.2.0", "not a network");
	refused("user,net=10.0.2.0/28", "prefix of 8 to 27");
	refused("user,net=10.0.2/24", "not a network");
	refused("user,mtu=100", "from 576");
	refused("user,mtu=9000x", "not a number");
	refused("user,hostfwd=", "tcp:ADDR:PORT-:GUESTPORT");
	refused("user,hostfwd=tcp", "tcp:ADDR:PORT-:GUESTPORT");
	refused("user,hostfwd=sctp::80-:80", "tcp:ADDR:PORT-:GUESTPORT");
	refused("user,hostfwd=tcp::0-:80", "ports from 1");
	refused("user,hostfwd=tcp::80-:65536", "ports from 1");
	refused("user,hostfwd=tcp:localhost:80-:80", "IPv4 address");
	refused("user,hostfwd=tcp::80-80", "tcp:ADDR:PORT-:GUESTPORT");
	refused("user,hostfwd=tcp:192.0.2.1:8080-:80", "cannot listen on 192.0.2.1:8080: ");
	refused("tap=", "not the name");
	refused("tap=sixteen-letters-", "not the name");
	refused("tap=nosuchtap0", "ip tuntap add dev nosuchtap0");
	refused("tap=lo,mtu=9000", "unknown option 'mtu=9000'");
}

static void test_good_options(void **state)
{
	static const char *const specs[] = {
		"user",
		"user,mac=52:54:00:12:34:56",
		"user,net=192.168.7.9/16,mtu=1500",
	};
	struct error e;

	(void)state;
	for (size_t i = 0; i < sizeof(specs) / sizeof(specs[0]); i++) {
		struct hal_device *d = hal_net.open(specs[i], &e);

		assert_non_null(d);
		hal_net.destroy(d);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_configuration),
		TEST(test_send),
		TEST(test_batch_is_one_interrupt),
		TEST(test_no_interrupt_before_the_event),
		TEST(test_bad_lengths_are_dropped),
		TEST(test_hostile_headers_are_dropped),
		TEST(test_offloads),
		TEST(test_receive),
		TEST(test_receive_into_several),
		TEST(test_no_buffers),
		TEST(test_too_long_for_unmerged_buffers),
		TEST(test_longer_than_the_queue),
		TEST(test_header_only_as_agreed),
		TEST(test_readable_receive_buffer),
		TEST(test_receive_buffer_without_room),
		TEST(test_receive_buffer_outside_ram),
		TEST(test_without_a_driver_frames_are_dropped),
		cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_good_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
