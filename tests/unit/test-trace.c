/*
 * Unit tests of phase1-user/watch/trace-spec.c and trace-chrome.c: what is asked for, which records are
 * that, and that whatever a guest has put into the ring comes out as JSON.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../phase1-user/cmd/cmd.h"
#include "../../phase1-user/watch/trace-chrome.h"
#include "../../phase1-user/watch/trace-spec.h"
#include "loader-files.h"

/* Of cmd-trace.c, which calls it. */
int cmd_run(int argc, char **argv, char **all_argv)
{
	(void)argc, (void)argv, (void)all_argv;
	return 0;
}

static struct trace_spec spec;
static struct error error;

static bool parse(const char *text)
{
	return trace_spec_parse(&spec, text, NULL, &error);
}

static bool wants(u16 event, u64 rip)
{
	const struct trace_record r = {.event = event, .rip = rip};

	return trace_spec_wants(&spec, &r);
}

static void test_words(void **state)
{
	(void)state;
	assert_true(parse("file"));
	assert_string_equal(spec.path, "file");
	assert_int_equal(spec.format, TRACE_TEXT);
	assert_false(spec.code);
	assert_true(wants(EV_IO, 0) && wants(EV_SHUTDOWN, 0xffffffff) && wants(EV_COUNT, 0));
	assert_true(parse(
		"file,format=chrome,events=io,hlt,code,range=10-20,range=0xc0000000-c0000000"));
	assert_int_equal(spec.format, TRACE_CHROME);
	assert_true(spec.code);
	assert_true(wants(EV_IO, 0x10) && wants(EV_HLT, 0x20) && wants(EV_IO, 0xc0000000));
	assert_false(wants(EV_IO, 0xf) || wants(EV_IO, 0x21) || wants(EV_CR, 0x10));
}

static void test_events(void **state)
{
	(void)state;
	assert_true(parse("f,events=visible,-io"));
	assert_true(wants(EV_CR, 0) && !wants(EV_IO, 0) && !wants(EV_MAP, 0) && !wants(999, 0));
	assert_true(parse("f,events=-engine"));
	assert_true(spec.events == EVENTS_VISIBLE);
	/* A second list begins anew. */
	assert_true(parse("f,events=io,events=hlt"));
	assert_true(spec.events == EVENT_BIT(HLT));
	for (unsigned i = 0; i < EV_COUNT; i++) {
		char text[64];

		snprintf(text, sizeof(text), "f,events=%s", event_text(i)->name);
		assert_true(parse(text));
		assert_true(spec.events == 1ull << i);
		/* The help names each. */
		snprintf(text, sizeof(text), "%s", event_text(i)->name);
		assert_non_null(strstr(strstr(trace_help, "Events:"), text));
	}
}

static void test_range_by_symbol(void **state)
{
	struct symbols *symbols;
	struct file f;

	(void)state;
	make_elf(&f);
	symbols = symbols_read(f.data, f.size);
	assert_true(trace_spec_parse(&spec, "f,range=start", symbols, &error));
	assert_true(wants(EV_IO, 0xc0100000) && wants(EV_IO, 0xc010001f));
	assert_false(wants(EV_IO, 0xc00fffff) || wants(EV_IO, 0xc0100020));
	assert_false(trace_spec_parse(&spec, "f,range=stop", symbols, &error));
	assert_non_null(strstr(error.text, "nor a symbol of the kernel"));
	symbols_free(symbols);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{"", "no name"},
		{",code", "no name"},
		{"f,", "no option ''"},
		{"f,io", "no option 'io'"},
		{"f,code,io", "no option 'io'"},
		{"f,events=", "no event or group ''"},
		{"f,events=io,", "no event or group ''"},
		{"f,events=-", "no event or group ''"},
		{"f,events=IO", "no event or group 'IO'"},
		{"f,format=", "no format ''"},
		{"f,range=", "neither"},
		{"f,range=1", "neither"},
		{"f,range=1-", "neither"},
		{"f,range=-1", "neither"},
		{"f,range=1-g", "neither"},
		{"f,range=1- 2", "neither"},
		{"f,range= 1-2", "neither"},
		{"f,range=+1-2", "neither"},
		{"f,range=1-100000000", "neither"},
		{"f,range=1-ffffffffffffffffffff", "neither"},
		{"f,range=2-1", "ends before"},
		{"f,range=printk", "which has none"},
	};
	char many[TRACE_SPEC_MAX + 1] = "f", *end = many + 1;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_false(parse(cases[i].text));
		assert_non_null(strstr(error.text, cases[i].why));
	}
	for (unsigned i = 0; i <= TRACE_RANGES; i++)
		end = stpcpy(end, ",range=1-2");
	assert_false(parse(many));
	assert_non_null(strstr(error.text, "more than"));
	memset(many, 'f', TRACE_SPEC_MAX);
	many[TRACE_SPEC_MAX] = '\0';
	assert_false(parse(many));
	assert_non_null(strstr(error.text, "more than"));
}

/* ---- JSON ---- */

/* A value of JSON, as far as this writer can make one: its end, or NULL. */
static const char *skip_value(const char *at, unsigned depth);

static const char *skip_string(const char *at)
{
	if (*at++ != '"')
		return NULL;
	for (; *at != '"'; at++) {
		if (*at < 0x20 || *at == 0x7f)
			return NULL;
		if (*at == '\\' && *++at == 'u')
			at += strspn(at + 1, "0123456789abcdef") >= 4 ? 4 : 0;
	}
	return at + 1;
}

static const char *skip_members(const char *at, char close, unsigned depth)
{
	at++;
	at += strspn(at, "\n");
	while (at && *at != close) {
		if (close == '}') {
			at = skip_string(at);
			if (!at || *at++ != ':')
				return NULL;
		}
		at = skip_value(at, depth + 1);
		if (!at)
			return NULL;
		at += strspn(at, "\n");
		if (*at == ',') {
			at++;
			at += strspn(at, "\n");
			if (*at == close)
				return NULL;
		} else if (*at != close) {
			return NULL;
		}
	}
	return at ? at + 1 : NULL;
}

static const char *skip_value(const char *at, unsigned depth)
{
	const size_t digits = strspn(at, "0123456789.");

	if (depth > 8)
		return NULL;
	if (*at == '{')
		return skip_members(at, '}', depth);
	if (*at == '[')
		return skip_members(at, ']', depth);
	if (*at == '"')
		return skip_string(at);
	return digits ? at + digits : NULL;
}

/* Write these; the text, to be freed. */
static char *write_all(const struct chrome_record *records, size_t n)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);
	struct chrome *c = chrome_open(file);
	const char *end;

	assert_non_null(c);
	for (size_t i = 0; i < n; i++)
		chrome_add(c, &records[i]);
	chrome_close(c);
	fclose(file);
	end = skip_value(text, 0);
	assert_non_null(end);
	assert_string_equal(end, "\n");
	return text;
}

static void test_slices(void **state)
{
	static const struct trace_record trap = {.event = EV_TRAP, .a = 13},
					 io = {.event = EV_IO, .a = 0x1100f4, .b = 7},
					 exit = {.event = EV_EXIT, .a = EXIT_IO},
					 hlt = {.event = EV_HLT},
					 irq = {.event = EV_IRQ, .a = 0x30};
	const struct chrome_record records[] = {
		{&trap, 1000, " f+0x1", "out", true}, {&io, 1250, " f+0x1", "out", true},
		{&exit, 2500, " f+0x1", "out", true}, {&trap, 5000, "", NULL, true},
		{&hlt, 5001, "", NULL, true},	      {&irq, 3000000, "", NULL, true},
	};
	char *text = write_all(records, ARRAY_SIZE(records));

	(void)state;
	/* The trap has its cause's name, and lasts until the last thing in it. */
	assert_non_null(strstr(text,
			       "\"ph\":\"X\",\"pid\":1,\"tid\":1,\"name\":\"io\",\"ts\":1.000,"
			       "\"dur\":1.500,\"args\":{\"port\":\"0xf4\",\"bytes\":1,"
			       "\"direction\":\"out\",\"value\":\"0x7\",\"cpl\":0,"
			       "\"eip\":\"00000000\",\"at\":\"f+0x1\",\"code\":\"out\"}}"));
	assert_non_null(strstr(text, "\"tid\":3,\"name\":\"idle\",\"ts\":5.001,\"dur\":2994.999"));
	assert_non_null(strstr(text, "\"name\":\"hlt\",\"ts\":5.000,\"dur\":0.001"));
	free(text);
}

static void test_hostile(void **state)
{
	static struct trace_record record[3000];
	static struct chrome_record records[ARRAY_SIZE(record)];
	static const char *const symbols[] = {"", " \"\\", " a+0x1"};
	u64 seed = 88172645463325252ull;
	char *text;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(record); i++) {
		u8 *bytes = (u8 *)&record[i];

		for (size_t k = 0; k < sizeof(record[i]); k++) {
			seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
			bytes[k] = seed >> 32;
		}
		if (i % 4)
			record[i].event %= EV_COUNT + 1;
		records[i] =
			(struct chrome_record){&record[i], record[i].time >> i % 64, symbols[i % 3],
					       i % 2 ? "\x01\xff\"" : NULL, i % 5 != 0};
	}
	text = write_all(records, ARRAY_SIZE(records));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),		cmocka_unit_test(test_events),
		cmocka_unit_test(test_range_by_symbol), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_slices),		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
