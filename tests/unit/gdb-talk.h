/*
 * What is said to the gdb server, and what it answers: for its tests. One server, one test at a
 * time.
 */
#ifndef PLEX86_GDB_TALK_H
#define PLEX86_GDB_TALK_H

#include "mock-host.h"

#include <stdio.h>
#include <string.h>
#include "mock-machine.h"

static struct mock_machine *m;
static struct gdb *g;

/* A server, no debugger. */
static inline int setup(void **state)
{
	if (vm_setup(state))
		return -1;
	m = mock_machine_create(*state, NULL);
	g = &m->gdb;
	gdb_session_start(g, &m->machine, false);
	return 0;
}

static inline int teardown(void **state)
{
	mock_machine_free(m);
	return vm_teardown(state);
}

#define GDB_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

/* The payload of the last packet that was sent; what was acknowledged before it does not matter. */
static const char *said(void)
{
	static struct gdb_reader reader;
	static char text[GDB_PACKET_MAX + 1];

	text[0] = '\0';
	gdb_reader_init(&reader);
	for (size_t i = 0; i < g->out_len; i++)
		if (gdb_reader_take(&reader, g->out[i]) == GDB_PACKET)
			memcpy(text, reader.data, reader.len + 1);
	g->out_done = g->out_len = 0;
	return text;
}

/* What a packet is answered with. */
static const char *ask(const char *packet)
{
	static u8 frame[GDB_FRAME_SIZE(GDB_PACKET_MAX)];

	g->out_len = g->out_done = 0;
	mock_receive(m, frame, gdb_frame(frame, packet, strlen(packet)));
	return said();
}

#define assert_says(packet, reply) assert_string_equal(ask(packet), reply)
#define assert_begins(text, start)                               \
	do {                                                     \
		const char *text_ = (text);                      \
		if (strncmp(text_, (start), strlen(start)))      \
			fail_msg("'%s' for '%s'", text_, start); \
	} while (0)

static inline void attach(void)
{
	gdb_session_attach(g);
	mock_stand(m);
}

static inline bool runs(void)
{
	return !m->machine.paused;
}

static inline bool stop(enum debug_stop reason, u64 address)
{
	const struct vm_exit exit = {.kind = EXIT_DEBUG,
				     .debug = {.reason = reason, .address = address}};

	return mock_exit(m, &exit);
}

#endif
