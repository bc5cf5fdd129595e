/*
 * Unit tests of phase1-user/control/control-commands.c: what is a request, and what each command does and
 * answers. The socket is tested with guests (tests/linux/control).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <jansson.h>

#include "../../phase1-user/control/control-commands.h"
#include "mock-guest.h"

static struct control_session session;

/* The answer to a line, as text; the next call frees it. */
static const char *ask_bytes(const char *line, size_t len)
{
	static char *text;
	struct control_request q;
	json_t *answer;

	free(text);
	if (control_read(&q, line, len, &answer))
		answer = control_run(&q, &session);
	assert_null(q.id);
	assert_null(q.arguments);
	assert_non_null(answer);
	text = json_dumps(answer, JSON_COMPACT);
	json_decref(answer);
	assert_non_null(text);
	return text;
}

static const char *ask(const char *line)
{
	return ask_bytes(line, strlen(line));
}

/* An error of this class, and nothing was done. */
static void refused(const char *class, const char *line)
{
	char start[80];

	snprintf(start, sizeof(start), "{\"error\":{\"class\":\"%s\",\"desc\":\"", class);
	assert_memory_equal(ask(line), start, strlen(start));
	assert_int_equal(mock_guest.m.paused, 0);
	assert_int_equal(mock_guest.stopped + mock_guest.powered_off, 0);
	assert_false(session.subscribed);
}

static int begin(void **state)
{
	(void)state;
	mock_guest = (struct mock_guest){0};
	session = (struct control_session){
		.machine = &mock_guest.m,
		.about = json_pack("{s:s}", "name", "guest"),
	};
	return 0;
}

static int end(void **state)
{
	(void)state;
	json_decref(session.about);
	ask("{}"); /* frees the last text but one */
	return 0;
}

static void test_no_requests(void **state)
{
	static const char *const json[] = {"",
					   " ",
					   "status",
					   "{",
					   "{}}",
					   "[1,2",
					   "{'execute':'status'}",
					   "{\"execute\":\"status\",\"execute\":\"status\"}",
					   "{\"execute\":\"\xff\"}",
					   "{\"execute\":\"\\u0000\"}",
					   "{\"execute\":\"status\",\"id\":1e999}",
					   "{\"execute\":\"status\",\"id\":99999999999999999999}"};
	static const char *const requests[] = {"[]",
					       "{}",
					       "[{\"execute\":\"status\"}]",
					       "{\"execute\":1}",
					       "{\"execute\":\"status\",\"x\":1}",
					       "{\"execute\":\"status\",\"id\":1.5}",
					       "{\"execute\":\"status\",\"id\":null}",
					       "{\"execute\":\"status\",\"id\":{\"a\":1}}",
					       "{\"execute\":\"stop\",\"arguments\":[]}",
					       "{\"execute\":\"stop\",\"arguments\":null}"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(json); i++)
		refused("InvalidJson", json[i]);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		refused("InvalidRequest", requests[i]);
	assert_non_null(strstr(ask_bytes("{\"execute\":\"status\"}\0", 21), "InvalidJson"));
	refused("CommandNotFound", "{\"execute\":\"\"}");
	refused("CommandNotFound", "{\"execute\":\"Status\"}");
}

static void test_arguments(void **state)
{
	static const char *const commands[] = {"status", "stats",    "pause",	  "continue",
					       "stop",	 "snapshot", "subscribe", "commands"};
	char line[100];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		snprintf(line, sizeof(line), "{\"execute\":\"%s\",\"arguments\":{\"x\":1}}",
			 commands[i]);
		refused("InvalidArguments", line);
	}
	refused("InvalidArguments", "{\"execute\":\"stop\",\"arguments\":{\"force\":1}}");
	refused("InvalidArguments", "{\"execute\":\"stop\",\"arguments\":{\"force\":null}}");
}

/* As long and as deep as a line can be. */
static void test_limits(void **state)
{
	char line[CONTROL_REQUEST_MAX];
	static const char head[] = "{\"execute\":\"status\",\"arguments\":{\"a\":";
	const size_t depth = (sizeof(line) - sizeof(head) - 2) / 2;
	json_t *answer;

	(void)state;
	memset(line, '[', sizeof(line));
	assert_non_null(strstr(ask_bytes(line, sizeof(line)), "InvalidJson"));
	for (size_t i = 0; i + 5 < sizeof(line); i += 5)
		memcpy(line + i, "{\"a\":", 5);
	assert_non_null(strstr(ask_bytes(line, sizeof(line)), "InvalidJson"));
	memcpy(line, head, sizeof(head) - 1);
	memset(line + sizeof(head) - 1, '[', depth);
	memset(line + sizeof(head) - 1 + depth, ']', depth);
	memcpy(line + sizeof(head) - 1 + 2 * depth, "}}", 2);
	assert_non_null(strstr(ask_bytes(line, sizeof(head) + 1 + 2 * depth), "InvalidArguments"));
	answer = control_too_long();
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(answer, "error"), "class")),
		"InvalidJson");
	json_decref(answer);
}

static void test_ids(void **state)
{
	(void)state;
	assert_string_equal(ask("{\"execute\":\"continue\"}"), "{\"return\":{}}");
	assert_string_equal(ask("{\"id\":-7,\"execute\":\"continue\"}"),
			    "{\"return\":{},\"id\":-7}");
	assert_string_equal(ask("{\"execute\":\"continue\",\"id\":\"\\\"\\n\"}"),
			    "{\"return\":{},\"id\":\"\\\"\\n\"}");
	/* Errors have it as well. */
	assert_non_null(strstr(ask("{\"execute\":\"frob\",\"id\":1}"), ",\"id\":1}"));
	assert_non_null(strstr(ask("{\"frob\":0,\"id\":2}"), ",\"id\":2}"));
	assert_non_null(strstr(ask("{\"execute\":\"stop\",\"arguments\":{\"x\":1},\"id\":3}"),
			       ",\"id\":3}"));
}

static void test_status(void **state)
{
	(void)state;
	assert_string_equal(ask("{\"execute\":\"status\"}"),
			    "{\"return\":{\"state\":\"running\",\"resident\":4096,\"shared\":0,"
			    "\"uptime_ns\":5000000000,\"traps\":2,\"agent\":false,\"paused_by\":[],"
			    "\"name\":\"guest\"}}");
	mock_guest.agent = true;
	mock_guest.m.paused = PAUSE_DEBUGGER;
	assert_non_null(strstr(ask("{\"execute\":\"status\"}"), "\"state\":\"paused\""));
	assert_non_null(strstr(ask("{\"execute\":\"status\"}"), "\"paused_by\":[\"debugger\"]"));
	assert_non_null(strstr(ask("{\"execute\":\"status\"}"), "\"agent\":true"));
	/* More than JSON's integers can have. */
	assert_string_equal(ask("{\"execute\":\"stats\"}"),
			    "{\"return\":{\"uptime_ns\":5000000000,\"idle_ns\":7,\"traps\":{"
			    "\"io\":{\"count\":3,\"ns\":300},"
			    "\"cr\":{\"count\":9223372036854775807,\"ns\":1}},\"handovers\":{},\"exits\":{},"
			    "\"events\":{\"irq\":2}}}");
}

static void test_pause_and_stop(void **state)
{
	struct control_request q;
	json_t *answer;

	(void)state;
	/* The guest must stand still for the one, not for the other. */
	assert_true(control_read(&q, "{\"execute\":\"pause\"}", 19, &answer));
	assert_true(control_needs_still(&q));
	control_free(&q);
	assert_true(control_read(&q, "{\"execute\":\"status\"}", 20, &answer));
	assert_false(control_needs_still(&q));
	control_free(&q);

	ask("{\"execute\":\"pause\"}");
	assert_int_equal(mock_guest.m.paused, PAUSE_CONTROL);
	mock_guest.m.paused |= PAUSE_DEBUGGER;
	ask("{\"execute\":\"continue\"}");
	assert_int_equal(mock_guest.m.paused, PAUSE_DEBUGGER);
	ask("{\"execute\":\"pause\"}");
	assert_string_equal(ask("{\"execute\":\"stop\"}"), "{\"return\":{\"agent\":false}}");
	assert_int_equal(mock_guest.m.paused, PAUSE_DEBUGGER);
	assert_int_equal(mock_guest.powered_off, 1);
	assert_int_equal(mock_guest.stopped, 0);
	ask("{\"execute\":\"stop\",\"arguments\":{\"force\":true}}");
	assert_int_equal(mock_guest.powered_off, 1);
	assert_int_equal(mock_guest.stopped, 1);
}

/* What a listener hears. */
static char heard[65536];

static void hear(struct event_listener *listener, const char *line, size_t len)
{
	(void)listener;
	assert_int_equal(line[len - 1], '\n');
	assert_int_equal(strlen(line), len);
	strcpy(heard, line);
}

static void test_events(void **state)
{
	struct event_listener listener = {.hear = hear};
	struct vm_exit exit = {.kind = EXIT_FAULT, .fault = {.reason = 0xfffffff0}};
	json_t *text;

	(void)state;
	assert_string_equal(ask("{\"execute\":\"subscribe\"}"), "{\"return\":{}}");
	assert_true(session.subscribed);
	events_listen(&mock_guest.m.events, &listener);
	events_emit(&mock_guest.m.events, "booted", NULL);
	assert_ptr_equal(strstr(heard, "{\"event\":\"booted\",\"timestamp\":{\"seconds\":"), heard);
	assert_non_null(strstr(heard, "},\"data\":{}}\n"));
	events_emit(&mock_guest.m.events, "paused",
		    json_paused(PAUSE_CONTROL | PAUSE_DEBUGGER | 1u << 31));
	assert_non_null(strstr(heard, "\"data\":{\"paused_by\":[\"control\",\"debugger\"]}}\n"));
	/* The reason is an engine's word. */
	events_emit(&mock_guest.m.events, "crashed", json_crash(&exit));
	assert_non_null(strstr(heard, "\"data\":{\"reason\":\""));
	mock_guest.m.end = END_SIGNAL;
	events_emit(&mock_guest.m.events, "ended", json_ended(&mock_guest.m, 143));
	assert_non_null(
		strstr(heard, "{\"why\":\"signal\",\"status\":143,\"uptime_ns\":5000000000,"));
	/* A file's name may have any bytes. */
	text = json_text("a\xff\"b");
	assert_string_equal(json_string_value(text), "a?\"b");
	json_decref(text);
}

static void test_introspection(void **state)
{
	json_t *greeting = control_greeting(), *answer;
	char line[100];
	size_t i;
	json_t *name;

	(void)state;
	assert_int_equal(json_integer_value(
				 json_object_get(json_object_get(greeting, "plex86"), "protocol")),
			 CONTROL_PROTOCOL);
	json_decref(greeting);
	answer = json_loads(ask("{\"execute\":\"commands\"}"), 0, NULL);
	json_array_foreach(json_object_get(json_object_get(answer, "return"), "commands"), i, name)
	{
		snprintf(line, sizeof(line), "{\"execute\":\"%s\"%s}", json_string_value(name),
			 strcmp(json_string_value(name), "snapshot")
				 ? ""
				 : ",\"arguments\":{\"path\":\"/x\"}");
		assert_memory_equal(ask(line), "{\"return\":{", 11);
	}
	assert_true(i >= 7);
	json_decref(answer);
}

static void test_snapshot(void **state)
{
	(void)state;
	assert_string_equal(ask("{\"execute\":\"snapshot\",\"arguments\":{\"path\":\"/a b\"}}"),
			    "{\"return\":{\"bytes\":12345,\"ns\":678}}");
	assert_string_equal(mock_guest.saved_to, "/a b");
	assert_int_equal(mock_guest.stopped, 0);
	refused("InvalidArguments", "{\"execute\":\"snapshot\"}");
	refused("InvalidArguments", "{\"execute\":\"snapshot\",\"arguments\":{\"path\":\"x\"}}");
	refused("Failed",
		"{\"execute\":\"snapshot\",\"arguments\":{\"path\":\"/full\",\"stop\":true}}");
	assert_int_equal(mock_guest.stopped, 0);
	ask("{\"execute\":\"snapshot\",\"arguments\":{\"path\":\"/x\",\"stop\":true}}");
	assert_int_equal(mock_guest.stopped, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_no_requests, begin, end),
		cmocka_unit_test_setup_teardown(test_arguments, begin, end),
		cmocka_unit_test_setup_teardown(test_limits, begin, end),
		cmocka_unit_test_setup_teardown(test_ids, begin, end),
		cmocka_unit_test_setup_teardown(test_status, begin, end),
		cmocka_unit_test_setup_teardown(test_pause_and_stop, begin, end),
		cmocka_unit_test_setup_teardown(test_events, begin, end),
		cmocka_unit_test_setup_teardown(test_introspection, begin, end),
		cmocka_unit_test_setup_teardown(test_snapshot, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
