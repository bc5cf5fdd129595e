/*
 * The vhost-user front-end against backends that answer well, badly, or not at all. The test is the
 * backend: what it says lies in the socket before the front-end asks.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include "../../phase1-user/hal/vhost-user.h"

enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
	SET_BACKEND_REQ_FD = 21,
	GET_CONFIG = 24,
};

#define VERSION	   1u
#define REPLY	   5u /* and the version */
#define NEED_REPLY 8u
#define PROTOCOL   (1ull << 30)
#define VERSION_1  (1ull << 32)
#define ALL                                                                                       \
	(VHOST_USER_PROTOCOL_F_MQ | VHOST_USER_PROTOCOL_F_REPLY_ACK | VHOST_USER_PROTOCOL_F_REQ | \
	 VHOST_USER_PROTOCOL_F_CONFIG)

struct fixture {
	struct vhost_user u;
	int backend;  /* our end of its socket */
	int requests; /* our end of the channel for requests, once we were given it */
};

/* A message as the front-end sent it. */
struct heard {
	u32 request, flags, size;
	u8 data[300];
	int fd;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->u.fd = f->u.request_fd = f->backend = f->requests = -1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	vhost_user_close(&f->u);
	if (f->backend >= 0)
		close(f->backend);
	if (f->requests >= 0)
		close(f->requests);
	free(f);
	return 0;
}

static void put(int fd, u32 request, u32 flags, u32 size, const void *data, size_t len)
{
	const u32 header[3] = {request, flags, size};

	assert_int_equal(write(fd, header, sizeof(header)), sizeof(header));
	if (len)
		assert_int_equal(write(fd, data, len), len);
}

static void put_number(struct fixture *f, u32 request, u64 value)
{
	put(f->backend, request, REPLY, sizeof(value), &value, sizeof(value));
}

static void hear(struct fixture *f, struct heard *h)
{
	union {
		struct cmsghdr header;
		u8 space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec part = {h, 12};
	struct msghdr m = {.msg_iov = &part,
			   .msg_iovlen = 1,
			   .msg_control = &control,
			   .msg_controllen = sizeof(control)};

	memset(h, 0, sizeof(*h));
	h->fd = -1;
	assert_int_equal(recvmsg(f->backend, &m, MSG_DONTWAIT), 12);
	if (m.msg_controllen)
		memcpy(&h->fd, CMSG_DATA(&control.header), sizeof(h->fd));
	assert_true(h->size <= sizeof(h->data));
	if (h->size)
		assert_int_equal(recv(f->backend, h->data, h->size, MSG_DONTWAIT), h->size);
}

/* The next message must be this one; its number is returned. */
static u64 hear_number(struct fixture *f, u32 request, u32 flags)
{
	struct heard h;
	u64 value;

	hear(f, &h);
	assert_int_equal(h.request, request);
	assert_int_equal(h.flags, flags);
	memcpy(&value, h.data, sizeof(value));
	if (h.fd >= 0)
		close(h.fd);
	return value;
}

static bool open_it(struct fixture *f, unsigned queues)
{
	return vhost_user_open(&f->u, f->u.fd, queues);
}

static void connect_both(struct fixture *f)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	f->u.fd = pair[0];
	f->backend = pair[1];
}

/* A connection to a backend of the simplest sort. */
static void plain(struct fixture *f)
{
	connect_both(f);
	put_number(f, GET_FEATURES, VERSION_1);
	assert_true(open_it(f, 2));
	hear_number(f, GET_FEATURES, VERSION);
	hear_number(f, SET_OWNER, VERSION);
}

/* And to one that can all we can. */
static void able(struct fixture *f)
{
	struct heard h;

	connect_both(f);
	put_number(f, GET_FEATURES, VERSION_1 | PROTOCOL);
	put_number(f, GET_PROTOCOL_FEATURES, ~0ull);
	put_number(f, SET_BACKEND_REQ_FD, 0);
	put_number(f, GET_QUEUE_NUM, 2);
	assert_true(open_it(f, 2));
	hear_number(f, GET_FEATURES, VERSION);
	hear_number(f, SET_OWNER, VERSION);
	hear_number(f, GET_PROTOCOL_FEATURES, VERSION);
	assert_true(hear_number(f, SET_PROTOCOL_FEATURES, VERSION) == ALL);
	hear(f, &h);
	assert_int_equal(h.request, SET_BACKEND_REQ_FD);
	assert_true(h.fd >= 0);
	f->requests = h.fd;
	hear_number(f, GET_QUEUE_NUM, VERSION);
}

/* The connection is over, says so, and stays so. */
static void over(struct fixture *f, const char *why)
{
	u8 config[8];

	if (!strstr(f->u.error.text, why))
		fail_msg("'%s' does not say '%s'", f->u.error.text, why);
	assert_int_equal(f->u.fd, -1);
	assert_int_equal(f->u.request_fd, -1);
	assert_false(vhost_user_set_features(&f->u, 0));
	assert_false(vhost_user_stop_ring(&f->u, 0));
	assert_false(vhost_user_get_config(&f->u, config, sizeof(config)));
	assert_non_null(strstr(f->u.error.text, why));
}

/* ---- opening ---- */

static void opens_plain(void **state)
{
	struct fixture *f = *state;

	plain(f);
	assert_true(f->u.features == VERSION_1);
	assert_true(f->u.protocol == 0);
}

static void opens_able(void **state)
{
	struct fixture *f = *state;

	able(f);
	assert_true(f->u.protocol == ALL);
}

static void too_few_queues(void **state)
{
	struct fixture *f = *state;

	connect_both(f);
	put_number(f, GET_FEATURES, PROTOCOL);
	put_number(f, GET_PROTOCOL_FEATURES, VHOST_USER_PROTOCOL_F_MQ);
	put_number(f, GET_QUEUE_NUM, 1);
	assert_false(open_it(f, 2));
	over(f, "too few queues");
}

static void refuses_to_open(struct fixture *f, u32 request, u32 flags, u32 size, size_t sent,
			    const char *why)
{
	static const u8 data[64];

	connect_both(f);
	put(f->backend, request, flags, size, data, sent);
	shutdown(f->backend, SHUT_WR);
	assert_false(open_it(f, 2));
	over(f, why);
	close(f->backend);
	f->backend = -1;
}

static void wrong_replies(void **state)
{
	struct fixture *f = *state;

	refuses_to_open(f, GET_VRING_BASE, REPLY, 8, 8, "what was not asked");
	refuses_to_open(f, GET_FEATURES, VERSION, 8, 8, "what was not asked");
	refuses_to_open(f, GET_FEATURES, 4, 8, 8, "what was not asked");
	refuses_to_open(f, GET_FEATURES, REPLY + 1, 8, 8, "what was not asked");
	refuses_to_open(f, GET_FEATURES, REPLY, 7, 8, "wrong length");
	refuses_to_open(f, GET_FEATURES, REPLY, 9, 64, "wrong length");
	refuses_to_open(f, GET_FEATURES, REPLY, 0xffffffff, 64, "wrong length");
	refuses_to_open(f, GET_FEATURES, REPLY, 0x80000008, 64, "wrong length");
	refuses_to_open(f, GET_FEATURES, REPLY, 0, 8, "refuses");
	refuses_to_open(f, GET_FEATURES, REPLY, 8, 7, "closed the connection");
	refuses_to_open(f, GET_FEATURES, REPLY, 8, 0, "closed the connection");
}

static void closed_at_once(void **state)
{
	struct fixture *f = *state;

	connect_both(f);
	close(f->backend);
	f->backend = -1;
	assert_false(open_it(f, 2));
	over(f, "closed the connection");
}

/* ---- afterwards ---- */

static void hangs(void **state)
{
	struct fixture *f = *state;
	const u32 half = GET_VRING_BASE;

	plain(f);
	assert_int_equal(write(f->backend, &half, sizeof(half)), sizeof(half));
	f->u.timeout_ms = 50;
	assert_false(vhost_user_stop_ring(&f->u, 0));
	over(f, "does not answer");
}

static void does_not_read(void **state)
{
	struct fixture *f = *state;
	unsigned sent = 0;

	plain(f);
	while (vhost_user_set_features(&f->u, 0))
		assert_true(sent++ < 1000000);
	over(f, "does not read");
}

static void acknowledges(void **state)
{
	struct fixture *f = *state;

	able(f);
	put_number(f, SET_FEATURES, 0);
	assert_true(vhost_user_set_features(&f->u, VERSION_1 | 3));
	/* Ours is added; what the backend has not offered is left out. */
	assert_true(hear_number(f, SET_FEATURES, VERSION | NEED_REPLY) == (VERSION_1 | PROTOCOL));
	put_number(f, SET_FEATURES, 1);
	assert_false(vhost_user_set_features(&f->u, VERSION_1));
	over(f, "refuses");
}

static void memory(void **state)
{
	struct fixture *f = *state;
	int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct stat ours, theirs;
	struct heard h;
	u64 region[4];

	plain(f);
	assert_true(vhost_user_set_memory(&f->u, file, 0x10000));
	hear(f, &h);
	assert_int_equal(h.request, SET_MEM_TABLE);
	assert_int_equal(h.size, 40);
	assert_int_equal(h.data[0], 1);
	memcpy(region, h.data + 8, sizeof(region));
	assert_true(region[0] == 0 && region[1] == 0x10000 && region[3] == 0);
	assert_int_equal(fstat(file, &ours), 0);
	assert_int_equal(fstat(h.fd, &theirs), 0);
	assert_true(ours.st_ino == theirs.st_ino);
	close(h.fd);
	close(file);
}

static void hear_state(struct fixture *f, u32 request, u32 index, u32 num)
{
	u64 value = hear_number(f, request, VERSION);

	assert_int_equal((u32)value, index);
	assert_int_equal(value >> 32, num);
}

static void ring(void **state)
{
	struct fixture *f = *state;
	const struct virtqueue q = {.size = 64, .desc = 0x1000, .avail = 0x2000, .used = 0x3000};
	const u32 base[2] = {1, 17};
	u64 user, at[4];
	struct heard h;

	connect_both(f);
	put_number(f, GET_FEATURES, PROTOCOL);
	put_number(f, GET_PROTOCOL_FEATURES, 0);
	assert_true(open_it(f, 1));
	for (unsigned i = 0; i < 4; i++)
		hear(f, &h);
	assert_true(vhost_user_set_memory(&f->u, f->backend, 0x10000));
	hear(f, &h);
	memcpy(&user, h.data + 24, sizeof(user));
	close(h.fd);

	assert_true(vhost_user_start_ring(&f->u, 1, &q, f->backend, f->backend));
	hear_state(f, SET_VRING_NUM, 1, 64);
	hear_state(f, SET_VRING_BASE, 1, 0);
	hear(f, &h);
	assert_int_equal(h.request, SET_VRING_ADDR);
	assert_int_equal(h.size, 40);
	memcpy(at, h.data + 8, sizeof(at));
	assert_true(at[0] == user + q.desc && at[1] == user + q.used && at[2] == user + q.avail);
	hear(f, &h);
	assert_int_equal(h.request, SET_VRING_CALL);
	assert_true(h.fd >= 0);
	close(h.fd);
	hear(f, &h);
	assert_int_equal(h.request, SET_VRING_KICK);
	assert_true(h.fd >= 0);
	close(h.fd);
	hear_state(f, SET_VRING_ENABLE, 1, 1);

	put(f->backend, GET_VRING_BASE, REPLY, sizeof(base), base, sizeof(base));
	assert_true(vhost_user_stop_ring(&f->u, 1));
	put(f->backend, GET_VRING_BASE, REPLY, sizeof(base), base, sizeof(base));
	assert_false(vhost_user_stop_ring(&f->u, 0));
	over(f, "what was not asked");
}

static void put_config(struct fixture *f, u32 offset, u32 size, u32 total)
{
	u8 data[12 + VHOST_USER_CONFIG_MAX] = {0};

	memcpy(data, &offset, 4);
	memcpy(data + 4, &size, 4);
	for (unsigned i = 0; i < VHOST_USER_CONFIG_MAX; i++)
		data[12 + i] = i;
	put(f->backend, GET_CONFIG, REPLY, total, data, total);
}

static void config(void **state)
{
	struct fixture *f = *state;
	u8 bytes[VHOST_USER_CONFIG_MAX];

	able(f);
	f->u.config_stale = true;
	put_config(f, 0, sizeof(bytes), 12 + sizeof(bytes));
	assert_true(vhost_user_get_config(&f->u, bytes, sizeof(bytes)));
	assert_int_equal(bytes[77], 77);
	assert_false(f->u.config_stale);
	put_config(f, 0, 16, 28);
	assert_true(vhost_user_get_config(&f->u, bytes, 16));
	put_config(f, 4, 16, 28);
	assert_false(vhost_user_get_config(&f->u, bytes, 16));
	over(f, "what was not asked");
}

static void config_of_other_sizes(void **state)
{
	static const struct {
		u32 size, total;
		const char *why;
	} bad[] = {
		{17, 28, "what was not asked"},
		{0xffffffff, 28, "what was not asked"},
		{16, 27, "wrong length"},
		{16, 268, "wrong length"},
		{16, 0, "refuses"},
	};
	struct fixture *f = *state;
	u8 bytes[16];

	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		able(f);
		put_config(f, 0, bad[i].size, bad[i].total);
		assert_false(vhost_user_get_config(&f->u, bytes, sizeof(bytes)));
		over(f, bad[i].why);
		close(f->backend);
		close(f->requests);
	}
	f->backend = f->requests = -1;
}

/* ---- what the backend asks ---- */

static void config_changes(void **state)
{
	struct fixture *f = *state;
	u32 answer[5];

	able(f);
	assert_true(vhost_user_requests(&f->u)); /* nothing yet */
	assert_false(f->u.config_stale);
	put(f->requests, 2, VERSION, 0, NULL, 0);
	assert_true(vhost_user_requests(&f->u));
	assert_true(f->u.config_stale);
	assert_true(recv(f->requests, answer, sizeof(answer), MSG_DONTWAIT) < 0);
	put(f->requests, 2, VERSION | NEED_REPLY, 0, NULL, 0);
	assert_true(vhost_user_requests(&f->u));
	assert_int_equal(recv(f->requests, answer, sizeof(answer), MSG_DONTWAIT), sizeof(answer));
	assert_int_equal(answer[0], 2);
	assert_int_equal(answer[1], REPLY);
	assert_int_equal(answer[2], 8);
	assert_int_equal(answer[3] | answer[4], 0);
}

/* It may ask, and wait for the answer, while we wait for one. */
static void asks_in_between(void **state)
{
	struct fixture *f = *state;
	u32 answer[5];

	able(f);
	put(f->requests, 2, VERSION | NEED_REPLY, 0, NULL, 0);
	f->u.timeout_ms = 50;
	assert_false(vhost_user_stop_ring(&f->u, 0)); /* it has nothing else to say */
	assert_int_equal(recv(f->requests, answer, sizeof(answer), MSG_DONTWAIT), sizeof(answer));
	assert_true(f->u.config_stale);
	over(f, "does not answer");
}

static void asks_nonsense(struct fixture *f, const void *data, size_t len, const char *why)
{
	able(f);
	if (len)
		assert_int_equal(write(f->requests, data, len), len);
	else
		shutdown(f->requests, SHUT_WR);
	assert_false(vhost_user_requests(&f->u));
	over(f, why);
	close(f->backend);
	close(f->requests);
	f->backend = f->requests = -1;
}

static void wrong_requests(void **state)
{
	static const u32 unknown[] = {3, VERSION, 0}, version[] = {2, 2, 0},
			 payload[] = {2, VERSION, 4, 0}, huge[] = {2, VERSION, 0xffffffff};

	asks_nonsense(*state, unknown, sizeof(unknown), "may not");
	asks_nonsense(*state, version, sizeof(version), "may not");
	asks_nonsense(*state, payload, sizeof(payload), "may not");
	asks_nonsense(*state, huge, sizeof(huge), "may not");
	asks_nonsense(*state, unknown, 5, "may not");
	asks_nonsense(*state, NULL, 0, "closed its channel");
}

static void speaks_unasked(void **state)
{
	struct fixture *f = *state;

	plain(f);
	assert_true(vhost_user_idle(&f->u));
	put_number(f, GET_FEATURES, 0);
	assert_false(vhost_user_idle(&f->u));
	over(f, "what was not asked");
}

static void leaves(void **state)
{
	struct fixture *f = *state;

	plain(f);
	close(f->backend);
	f->backend = -1;
	assert_false(vhost_user_idle(&f->u));
	over(f, "closed the connection");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(opens_plain),    TEST(opens_able),	     TEST(too_few_queues),
		TEST(wrong_replies),  TEST(closed_at_once),  TEST(hangs),
		TEST(does_not_read),  TEST(acknowledges),    TEST(memory),
		TEST(ring),	      TEST(config),	     TEST(config_of_other_sizes),
		TEST(config_changes), TEST(asks_in_between), TEST(wrong_requests),
		TEST(speaks_unasked), TEST(leaves),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
