/*
 * The network in a directory: a card driven by hand, and other members made of bare sockets.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../phase1-user/hal/netdev.h"
#include "virtio-driver.h"

enum { RX, TX };

#define HEADER 12u
#define PEER   "52:54:00:00:00:02"
#define OTHER  "52:54:00:00:00:03"
#define FIRST  "52:6c:61:6e:00:00"
#define MAC_OF(last)                      \
	{                                 \
		0x52, 0x54, 0, 0, 0, last \
	}
#define FEATURES (VIRTIO_NET_F_MRG_RXBUF | VIRTIO_F_INDIRECT | VIRTIO_F_EVENT_INDEX)

extern const struct hal_kind hal_net;

struct fixture {
	char dir[32];
	struct error error;
	struct loop loop;
	struct hal_device *card;
	struct driver driver;
	int peer, other;
	u8 frame[NETDEV_FRAME_MAX], got[NETDEV_FRAME_MAX];
};

static struct hal_device *open_card(struct fixture *f, const char *options)
{
	char spec[160];

	snprintf(spec, sizeof(spec), "lan=%s%s", f->dir, options);
	return hal_net.open(spec, &f->error);
}

static struct sockaddr_un address(const struct fixture *f, const char *name)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};

	snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s", f->dir, name);
	return a;
}

static int new_member(const struct fixture *f, const char *name, int type)
{
	const struct sockaddr_un a = address(f, name);
	int fd = socket(AF_UNIX, type | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static bool exists(const struct fixture *f, const char *name)
{
	return !access(address(f, name).sun_path, F_OK);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	strcpy(f->dir, "/tmp/plex86-lan-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->peer = new_member(f, PEER, SOCK_DGRAM);
	f->other = new_member(f, OTHER, SOCK_DGRAM);
	f->card = open_card(f, "");
	assert_non_null(f->card);
	driver_init(&f->driver, &f->card->virtio, 4 << 20);
	driver_start(&f->driver, FEATURES, 16);
	assert_true(loop_init(&f->loop, &f->error));
	assert_true(hal_net.start(f->card, &f->loop, &f->error));
	assert_true(loop_start(&f->loop, &f->error));
	for (size_t i = 0; i < sizeof(f->frame); i++)
		f->frame[i] = i * 7 + (i >> 8);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[64];

	loop_destroy(&f->loop);
	hal_net.destroy(f->card);
	assert_false(exists(f, FIRST));
	driver_destroy(&f->driver);
	close(f->peer);
	close(f->other);
	snprintf(command, sizeof(command), "rm -r %s", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* ---- transmit ---- */

static void send_frame(struct fixture *f, const u8 *to, size_t len)
{
	static const u8 header[HEADER];
	u64 at = f->driver.allocated; /* the memory may be used again afterwards */
	struct driver_buffer b[2] = {{driver_bytes(&f->driver, header, HEADER), HEADER, false}};
	u32 head, written;

	memcpy(f->frame, to, 6);
	b[1] = (struct driver_buffer){driver_bytes(&f->driver, f->frame, len), len, false};
	loop_lock(&f->loop);
	driver_add(&f->driver, TX, b, 2);
	driver_notify(&f->driver, TX);
	assert_true(driver_take(&f->driver, TX, &head, &written));
	loop_unlock(&f->loop);
	f->driver.allocated = at;
}

/* What a member has got: the length of one frame, -1 for none. */
static int got(struct fixture *f, int member)
{
	int n = recv(member, f->got, sizeof(f->got), 0);

	if (n >= 0)
		assert_memory_equal(f->got, f->frame, n);
	return n;
}

static void test_to_one(void **state)
{
	struct fixture *f = *state;

	send_frame(f, (u8[])MAC_OF(2), 100);
	assert_int_equal(got(f, f->peer), 100);
	assert_int_equal(got(f, f->other), -1);
	send_frame(f, (u8[])MAC_OF(3), NETDEV_FRAME_MAX);
	assert_int_equal(got(f, f->other), NETDEV_FRAME_MAX);
	assert_int_equal(got(f, f->peer), -1);
}

static void test_to_all(void **state)
{
	static const u8 group[][6] = {
		{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, {0x01, 0, 0x5e, 0, 0, 1}, MAC_OF(99)};
	struct fixture *f = *state;
	int own = new_member(f, "not-a-member", SOCK_DGRAM);

	for (unsigned i = 0; i < 3; i++) {
		send_frame(f, group[i], 60 + i);
		assert_int_equal(got(f, f->peer), 60 + i);
		assert_int_equal(got(f, f->other), 60 + i);
		assert_int_equal(got(f, f->peer), -1);
		assert_int_equal(got(f, own), -1);
	}
	close(own);
}

/* More than its socket takes is lost, and no one else notices. */
static void test_one_does_not_read(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 2000; i++) {
		send_frame(f, (u8[])MAC_OF(2), 40000);
		send_frame(f, (u8[])MAC_OF(3), 50000);
		assert_int_equal(got(f, f->other), 50000);
	}
	memcpy(f->frame, (u8[])MAC_OF(2), 6);
	assert_int_equal(got(f, f->peer), 40000);
}

static void test_one_is_dead(void **state)
{
	struct fixture *f = *state;
	int stream = new_member(f, "52:54:00:00:00:09", SOCK_STREAM);

	close(f->peer);
	send_frame(f, (u8[])MAC_OF(2), 100);
	send_frame(f, (u8[])MAC_OF(9), 100);
	send_frame(f, (u8[]){0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, 100);
	assert_int_equal(got(f, f->other), 100);
	assert_int_equal(got(f, f->other), -1);
	f->peer = stream;
}

/* ---- receive ---- */

static u64 offer_buffer(struct fixture *f, u32 len)
{
	u64 gpa;
	struct driver_buffer b;

	loop_lock(&f->loop);
	gpa = driver_alloc(&f->driver, len, 1);
	b = (struct driver_buffer){gpa, len, true};
	driver_add(&f->driver, RX, &b, 1);
	driver_notify(&f->driver, RX);
	loop_unlock(&f->loop);
	return gpa;
}

static void send_to_card(struct fixture *f, size_t len)
{
	const struct sockaddr_un a = address(f, FIRST);
	struct pollfd room = {f->peer, POLLOUT, 0};

	/* Connected, so that it can be waited for. */
	assert_int_equal(connect(f->peer, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(poll(&room, 1, -1), 1);
	assert_int_equal(send(f->peer, f->frame, len, 0), len);
}

/* Wait for the next frame; it begins at `gpa`. */
static void expect_frame(struct fixture *f, u64 gpa, size_t len)
{
	u32 head, written;
	bool taken;

	do {
		loop_lock(&f->loop);
		taken = driver_take(&f->driver, RX, &head, &written);
		loop_unlock(&f->loop);
	} while (!taken && !usleep(1000));
	assert_int_equal(written, HEADER + len);
	assert_memory_equal(driver_at(&f->driver, gpa + HEADER, len), f->frame, len);
}

static void test_receive(void **state)
{
	struct fixture *f = *state;
	u64 first = offer_buffer(f, 2000), second = offer_buffer(f, 100000);

	send_to_card(f, 100);
	expect_frame(f, first, 100);
	send_to_card(f, NETDEV_FRAME_MAX);
	expect_frame(f, second, NETDEV_FRAME_MAX);
}

/* Neither an empty datagram nor one no card could send comes in or ends anything. */
static void test_hostile_datagrams(void **state)
{
	static u8 huge[NETDEV_FRAME_MAX + 1];
	const struct sockaddr_un a = address(*state, FIRST);
	struct fixture *f = *state;
	u64 gpa = offer_buffer(f, 200000);

	assert_int_equal(connect(f->peer, (const struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(send(f->peer, huge, 0, 0), 0);
	assert_int_equal(send(f->peer, huge, 13, 0), 13);
	assert_int_equal(send(f->peer, huge, sizeof(huge), 0), sizeof(huge));
	send_to_card(f, 14);
	expect_frame(f, gpa, 14);
}

/* What the guest has no buffers for waits in its socket. */
static void test_frames_wait(void **state)
{
	struct fixture *f = *state;
	u64 gpa[5];

	for (unsigned i = 0; i < 5; i++)
		send_to_card(f, 100 + i);
	for (unsigned i = 0; i < 5; i++) {
		gpa[i] = offer_buffer(f, 2000);
		expect_frame(f, gpa[i], 100 + i);
	}
}

/* ---- joining ---- */

static void test_addresses(void **state)
{
	struct fixture *f = *state;
	struct hal_device *second;
	u8 mac[6];

	driver_config(&f->driver, 0, mac, 6);
	assert_memory_equal(mac, ((u8[]){0x52, 0x6c, 0x61, 0x6e, 0, 0}), 6);
	second = open_card(f, "");
	assert_non_null(second);
	assert_true(exists(f, "52:6c:61:6e:00:01"));
	hal_net.destroy(second);
	assert_false(exists(f, "52:6c:61:6e:00:01"));
	second = open_card(f, ",mac=52:54:00:AA:bb:cc,mtu=9000");
	assert_non_null(second);
	assert_true(exists(f, "52:54:00:aa:bb:cc"));
	hal_net.destroy(second);
}

static void test_address_of_another(void **state)
{
	struct fixture *f = *state;

	assert_null(open_card(f, ",mac=" PEER));
	assert_non_null(strstr(f->error.text, "another guest has the address " PEER));
	assert_true(exists(f, PEER));
}

static void test_address_of_a_dead_one(void **state)
{
	struct fixture *f = *state;
	struct hal_device *second;

	close(f->peer);
	assert_true(exists(f, PEER));
	second = open_card(f, ",mac=" PEER);
	assert_non_null(second);
	hal_net.destroy(second);
	assert_false(exists(f, PEER));
	f->peer = -1;
}

/* A file that is no socket is somebody's, whatever its name. */
static void test_file_in_the_way(void **state)
{
	struct fixture *f = *state;
	const char *name = "52:54:00:00:00:04";
	int fd = open(address(f, name).sun_path, O_CREAT | O_WRONLY, 0600);

	close(fd);
	assert_null(open_card(f, ",mac=52:54:00:00:00:04"));
	assert_true(exists(f, name));
}

static void test_bad_options(void **state)
{
	struct fixture *f = *state;
	static const char *const bad[][2] = {
		{",mtu=575", "not a number from 576 to 65520"},
		{",mtu=65521", "not a number"},
		{",mtu=-1", "not a number"},
		{",mtu=", "not a number"},
		{",mtu=9k", "not a number"},
		{",hostfwd=x", "unknown option 'hostfwd=x'"},
		{"/missing", "No such file or directory"},
		{"/" PEER, "Not a directory"},
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_null(open_card(f, bad[i][0]));
		assert_non_null(strstr(f->error.text, bad[i][1]));
	}
}

static void test_long_path(void **state)
{
	struct fixture *f = *state;
	struct hal_device *second;
	char slashes[100];
	size_t most = 89 - strlen(f->dir);

	memset(slashes, '/', sizeof(slashes));
	slashes[most + 1] = '\0';
	assert_null(open_card(f, slashes));
	assert_non_null(strstr(f->error.text, "too long: at most 89 bytes"));
	slashes[most] = '\0';
	second = open_card(f, slashes);
	assert_non_null(second);
	assert_true(exists(f, "52:6c:61:6e:00:01"));
	hal_net.destroy(second);
	assert_false(exists(f, "52:6c:61:6e:00:01"));
}

#define LAN_TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		LAN_TEST(to_one),
		LAN_TEST(to_all),
		LAN_TEST(one_does_not_read),
		LAN_TEST(one_is_dead),
		LAN_TEST(receive),
		LAN_TEST(hostile_datagrams),
		LAN_TEST(frames_wait),
		LAN_TEST(addresses),
		LAN_TEST(address_of_another),
		LAN_TEST(address_of_a_dead_one),
		LAN_TEST(file_in_the_way),
		LAN_TEST(bad_options),
		LAN_TEST(long_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
