/*
 * Unit tests of phase1-user/gdb/packet.c and text.c: what a peer may send, and what is sent.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../phase1-user/gdb/packet.h"
#include "../../phase1-user/gdb/text.h"

static struct gdb_reader reader;

/* The last event that is not GDB_NOTHING, of all these bytes. */
static enum gdb_event feed_bytes(const void *bytes, size_t len)
{
	const u8 *p = bytes;
	enum gdb_event last = GDB_NOTHING;

	for (size_t i = 0; i < len; i++) {
		const enum gdb_event event = gdb_reader_take(&reader, p[i]);

		if (event != GDB_NOTHING)
			last = event;
	}
	return last;
}

static enum gdb_event feed(const char *text)
{
	return feed_bytes(text, strlen(text));
}

static int setup(void **state)
{
	(void)state;
	memset(&reader, 0xff, sizeof(reader));
	gdb_reader_init(&reader);
	return 0;
}

static void test_packets(void **state)
{
	(void)state;
	assert_int_equal(feed("$g#67"), GDB_PACKET);
	assert_string_equal(reader.data, "g");
	assert_int_equal(feed("$#00"), GDB_PACKET);
	assert_int_equal(reader.len, 0);
	/* In pieces, with capital digits, and with what is no packet before it. */
	assert_int_equal(feed("junk#$ qC}"), GDB_NOTHING);
	assert_int_equal(feed("\x03"), GDB_NOTHING);
	assert_int_equal(feed("#AF"), GDB_DAMAGED);
	assert_int_equal(feed("$p1f#"), GDB_NOTHING);
	assert_int_equal(feed("0"), GDB_NOTHING);
	assert_int_equal(feed("7"), GDB_PACKET);
	assert_string_equal(reader.data, "p1f");
	assert_int_equal(feed("$m\xaa#17"), GDB_PACKET);
	assert_int_equal(feed("$J#4A"), GDB_PACKET);
}

static void test_between_packets(void **state)
{
	(void)state;
	assert_int_equal(feed("+"), GDB_ACK);
	assert_int_equal(feed("-"), GDB_NAK);
	assert_int_equal(feed("\x03"), GDB_INTERRUPT);
	assert_int_equal(feed("#00 GET / HTTP/1.1\r\n"), GDB_NOTHING);
	/* Within a packet they are data. */
	assert_int_equal(feed("$+-\x03#5b"), GDB_PACKET);
	assert_int_equal(reader.len, 3);
}

static void test_damage(void **state)
{
	(void)state;
	assert_int_equal(feed("$g#68"), GDB_DAMAGED);
	assert_int_equal(feed("$g#6x"), GDB_DAMAGED);
	assert_int_equal(feed("$g}#e4"), GDB_DAMAGED); /* an escape of nothing */
	/* A packet whose end was lost does not take the next one with it. */
	assert_int_equal(feed("$m1234$g#67"), GDB_PACKET);
	assert_string_equal(reader.data, "g");
}

static void test_escapes(void **state)
{
	static const u8 data[] = {'X', '$', '#', '}', '*', 0, 3, 0xff, '\n'};
	u8 frame[GDB_FRAME_SIZE(sizeof(data))];
	const size_t len = gdb_frame(frame, data, sizeof(data));

	(void)state;
	assert_int_equal(len, 1 + sizeof(data) + 4 + 3);
	assert_null(memchr(frame + 1, '$', len - 1));
	assert_int_equal(feed_bytes(frame, len), GDB_PACKET);
	assert_int_equal(reader.len, sizeof(data));
	assert_memory_equal(reader.data, data, sizeof(data));
}

/* A reply as one could send it, of any bytes. */
static void test_any_bytes(void **state)
{
	u8 data[300], frame[GDB_FRAME_SIZE(sizeof(data))];

	(void)state;
	srand(1);
	for (unsigned round = 0; round < 200; round++) {
		const size_t n = rand() % sizeof(data);

		for (size_t i = 0; i < n; i++)
			data[i] = rand();
		assert_int_equal(feed_bytes(frame, gdb_frame(frame, data, n)), GDB_PACKET);
		assert_int_equal(reader.len, n);
		assert_memory_equal(reader.data, data, n);
	}
}

static void send_long(size_t len)
{
	char sum[4];
	u8 total = 0;

	gdb_reader_take(&reader, '$');
	for (size_t i = 0; i < len; i++, total += 'a')
		assert_int_equal(gdb_reader_take(&reader, 'a'), GDB_NOTHING);
	snprintf(sum, sizeof(sum), "#%02x", total);
	assert_int_equal(feed(sum), len > GDB_PACKET_MAX ? GDB_TOO_LONG : GDB_PACKET);
}

static void test_length(void **state)
{
	(void)state;
	send_long(GDB_PACKET_MAX);
	assert_int_equal(reader.len, GDB_PACKET_MAX);
	send_long(GDB_PACKET_MAX + 1);
	send_long(5 * GDB_PACKET_MAX);
	assert_int_equal(feed("$g#67"), GDB_PACKET);
	assert_string_equal(reader.data, "g");
}

static void test_numbers(void **state)
{
	const char *at = "c0DE1234,";
	u64 value = 0;
	u32 small = 0;

	(void)state;
	assert_true(gdb_take_number(&at, &value));
	assert_int_equal(value, 0xc0de1234);
	assert_string_equal(at, ",");
	assert_false(gdb_take_number(&at, &value));
	assert_string_equal(at, ",");
	at = "ffffffffffffffff";
	assert_true(gdb_take_number(&at, &value));
	assert_true(value == UINT64_MAX);
	at = "10000000000000000";
	assert_false(gdb_take_number(&at, &value));
	at = "ffffffff";
	assert_true(gdb_take_u32(&at, &small));
	assert_int_equal(small, 0xffffffff);
	at = "100000000";
	assert_false(gdb_take_u32(&at, &small));
	assert_string_equal(at, "100000000");
}

static void test_words_and_bytes(void **state)
{
	const char *at = "vCont;c0ffee7";
	u8 bytes[8];

	(void)state;
	assert_false(gdb_take_word(&at, "vKill"));
	assert_true(gdb_take_word(&at, "vCont;"));
	assert_int_equal(gdb_take_bytes(&at, bytes, 2), 2);
	assert_int_equal(bytes[0], 0xc0);
	assert_int_equal(bytes[1], 0xff);
	assert_int_equal(gdb_take_bytes(&at, bytes, sizeof(bytes)), 1);
	assert_int_equal(bytes[0], 0xee);
	assert_string_equal(at, "7"); /* half a byte is none */
}

static void test_text(void **state)
{
	char *data = malloc(8);
	struct gdb_text t = {.data = data, .size = 8};

	(void)state;
	gdb_text_clear(&t);
	gdb_print(&t, "%s", "abc");
	gdb_put_hex(&t, "\x01\xfe", 2);
	assert_string_equal(t.data, "abc01fe");
	assert_false(t.full);
	gdb_put(&t, "x", 1);
	assert_true(t.full);
	gdb_text_clear(&t);
	gdb_put_hex(&t, "1234", 4);
	assert_true(t.full);
	assert_string_equal(t.data, "");
	gdb_text_clear(&t);
	gdb_put(&t, "\0bcdefg", 7);
	assert_false(t.full);
	gdb_print(&t, "h");
	assert_true(t.full);
	assert_int_equal(t.len, 7);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_packets, setup),
		cmocka_unit_test_setup(test_between_packets, setup),
		cmocka_unit_test_setup(test_damage, setup),
		cmocka_unit_test_setup(test_escapes, setup),
		cmocka_unit_test_setup(test_any_bytes, setup),
		cmocka_unit_test_setup(test_length, setup),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_words_and_bytes),
		cmocka_unit_test(test_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
