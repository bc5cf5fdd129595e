/*
 * What users type and see: options, sizes, the composed command line, symbols as text, and the
 * JSON of plex86 doctor.
 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../guest/init/cmdline.h"
#undef CMDLINE_MAX
#include "../../phase1-user/cmd/cmdline.h"
#include "../../phase1-user/cmd/doctor.h"
#include "../../phase1-user/cmd/options.h"
#include "../../phase1-user/watch/symbols.h"
#include "loader-files.h"

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		u64 bytes; /* 0: refused */
		const char *why;
	} cases[] = {
		{"256M", 256 << 20, ""},
		{"4m", 4 << 20, ""},
		{"8192K", 8 << 20, ""},
		{"3G", 0xc0000000, ""},
		{"268435456", 256 << 20, ""},
		{"3145729K", 0, "too large"},
		{"4G", 0, "too large"},
		{"18446744073709551616", 0, "too large"},
		{"17179869184G", 0, "too large"},
		{"256", 0, "too small"},
		{"0", 0, "too small"},
		{"4095K", 0, "too small"},
		{"4194305", 0, "not a multiple"},
		{"", 0, "not a number"},
		{"M", 0, "not a number"},
		{"12X", 0, "not a number"},
		{"12MB", 0, "not a number"},
		{"-5M", 0, "not a number"},
		{" 5M", 0, "not a number"},
		{"0x10M", 0, "not a number"},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error e = {""};
		u64 bytes = 0;
		bool ok = options_parse_memory(cases[i].text, &bytes, &e);

		assert_int_equal(ok, cases[i].bytes != 0);
		assert_int_equal(bytes, cases[i].bytes);
		assert_non_null(strstr(e.text, cases[i].why));
	}
}

#define PARSE(o, e, ...)                                                   \
	options_parse_run(o, ARRAY_SIZE(((char *[]){"run", __VA_ARGS__})), \
			  (char *[]){"run", __VA_ARGS__, NULL}, e)

static void test_deterministic(void **state)
{
	struct run_options o;
	struct error e;

	(void)state;
	assert_true(PARSE(&o, &e, "-k", "K", "--deterministic", "--stop-after", "12"));
	assert_true(o.deterministic);
	assert_int_equal(o.stop_after, 12);
	options_free(&o);
	assert_false(PARSE(&o, &e, "-k", "K", "--stop-after", "12"));
	assert_non_null(strstr(e.text, "give --deterministic as well"));
	assert_false(PARSE(&o, &e, "-k", "K", "--deterministic", "--stop-after", "0"));
	assert_false(PARSE(&o, &e, "-k", "K", "--deterministic", "--stop-after", "1x"));
	assert_false(PARSE(&o, &e, "-k", "K", "--deterministic", "-d", "D"));
	assert_non_null(strstr(e.text, "--disk 'D'"));
	assert_false(PARSE(&o, &e, "--image", "I", "--deterministic"));
	assert_false(PARSE(&o, &e, "-k", "K", "--deterministic", "-n", "user"));
	assert_true(PARSE(&o, &e, "-k", "K", "--deterministic", "-n", "none"));
	options_free(&o);
}

static void test_options(void **state)
{
	struct run_options o;
	struct error e;

	(void)state;
	assert_true(PARSE(&o, &e, "-k", "K", "-i", "I", "-a", "x y", "-a", "z", "-m", "64M",
			  "--stats", "--trace", "T", "--no-jail", "-v", "--name", "web_1.a"));
	assert_string_equal(o.kernel, "K");
	assert_string_equal(o.initrd, "I");
	assert_string_equal(o.append, "x y z");
	assert_int_equal(o.memory, 64 << 20);
	assert_string_equal(o.trace, "T");
	assert_string_equal(o.name, "web_1.a");
	assert_true(o.stats && o.no_jail && o.verbose);
	assert_null(o.command);
	options_free(&o);

	char *words[] = {"run", "-k", "K", "--", "ls", "-l", "--", NULL};

	assert_true(options_parse_run(&o, 7, words, &e));
	assert_ptr_equal(o.command, words + 4);
	assert_string_equal(o.append, "");
	assert_int_equal(o.memory, 256 << 20);
	options_free(&o);
}

static void test_machine(void **state)
{
	struct run_options o;
	struct error e;

	(void)state;
	assert_true(PARSE(&o, &e, "-k", "K"));
	assert_false(o.pc);
	assert_string_equal(o.engine, "user");
	options_free(&o);
	assert_true(PARSE(&o, &e, "--machine", "pc", "-d", "D", "-d", "E,ro"));
	assert_true(o.pc && !o.pc_serial && !o.kernel);
	assert_string_equal(o.engine, "emulator");
	options_free(&o);
	assert_true(PARSE(&o, &e, "--machine", "pc,serial", "-k", "K", "--engine", "user"));
	assert_true(o.pc && o.pc_serial);
	assert_string_equal(o.engine, "user");
	options_free(&o);
	assert_false(PARSE(&o, &e, "--machine", "vax"));
	assert_non_null(strstr(e.text, "machine 'vax'"));
	assert_false(PARSE(&o, &e, "--machine", "pc", "--engine", "user"));
	assert_non_null(strstr(e.text, "real mode"));
	assert_false(PARSE(&o, &e, "-k", "K", "--bios", "B"));
	assert_false(PARSE(&o, &e, "--machine", "pc", "-k", "K", "--bios", "B"));
	assert_false(PARSE(&o, &e, "--machine", "pc", "-n", "user"));
	assert_false(PARSE(&o, &e, "--machine", "pc", "--deterministic"));
	assert_false(PARSE(&o, &e, "--machine", "pc", "--image", "I"));
}

static void test_gdb(void **state)
{
	struct run_options o;
	struct error e;

	(void)state;
	assert_true(PARSE(&o, &e, "-k", "K"));
	assert_null(o.gdb);
	options_free(&o);
	assert_true(PARSE(&o, &e, "-k", "K", "--gdb"));
	assert_string_equal(o.gdb, "");
	assert_false(o.gdb_wait);
	options_free(&o);
	assert_true(PARSE(&o, &e, "-k", "K", "--gdb-wait"));
	assert_string_equal(o.gdb, "");
	assert_true(o.gdb_wait);
	options_free(&o);
	assert_true(PARSE(&o, &e, "-k", "K", "--gdb-wait", "--gdb=unix:x"));
	assert_string_equal(o.gdb, "unix:x");
	assert_true(o.gdb_wait);
	options_free(&o);
	/* A value behind a space is none. */
	assert_false(PARSE(&o, &e, "-k", "K", "--gdb", "unix:x"));
}

static void expect_devices(const struct run_options *o, const char *expected)
{
	char text[200] = "";

	for (unsigned i = 0; i < o->devices; i++) {
		strcat(text, o->device[i].option);
		strcat(text, "=");
		strcat(text, o->device[i].spec);
		strcat(text, ";");
	}
	assert_string_equal(text, expected);
}

/* --image brings a kernel, memory and a network, unless the user says otherwise. */
static void test_image(void **state)
{
	struct run_options o;
	struct error e;

	(void)state;
	assert_true(PARSE(&o, &e, "--image", "bookworm"));
	assert_string_equal(o.kernel, "6.1");
	assert_int_equal(o.memory, 512 << 20);
	expect_devices(&o, "disk=bookworm;net=user;");

	assert_true(PARSE(&o, &e, "-d", "data", "-n", "tap=t", "-k", "K", "-m", "64M", "--image",
			  "./i,cow", "-d", "more"));
	assert_string_equal(o.kernel, "K");
	assert_int_equal(o.memory, 64 << 20);
	expect_devices(&o, "disk=./i,cow;disk=data;net=tap=t;disk=more;");

	assert_true(PARSE(&o, &e, "--image", "bookworm", "-n", "none"));
	expect_devices(&o, "disk=bookworm;");
	assert_true(PARSE(&o, &e, "-k", "K", "-n", "none", "-n", "user"));
	expect_devices(&o, "net=user;");
	assert_true(PARSE(&o, &e, "-k", "K"));
	expect_devices(&o, "");
}

/* An image needs room among the devices as any other. */
static void test_too_many_devices(void **state)
{
	char *words[2 * DEVICE_OPTIONS_MAX + 4] = {"run", "--image", "i"};
	struct run_options o;
	struct error e;

	(void)state;
	for (unsigned i = 0; i < DEVICE_OPTIONS_MAX; i++) {
		words[3 + 2 * i] = "-d";
		words[4 + 2 * i] = "d";
	}
	assert_true(options_parse_run(&o, 2 * DEVICE_OPTIONS_MAX - 1, words, &e));
	assert_int_equal(o.devices, DEVICE_OPTIONS_MAX);
	assert_string_equal(o.device[0].spec, "i");
	assert_false(options_parse_run(&o, 2 * DEVICE_OPTIONS_MAX + 1, words, &e));
	assert_non_null(strstr(e.text, "more than 16 devices"));
	assert_false(options_parse_run(&o, 2 * DEVICE_OPTIONS_MAX + 3, words, &e));
}

static void test_bad_options(void **state)
{
	struct run_options o;
	struct error e;

	(void)state;
#define REFUSE(why, ...)                                                 \
	do {                                                             \
		assert_false(PARSE(&o, &e, __VA_ARGS__));                \
		if (!strstr(e.text, why))                                \
			fail_msg("'%s' does not say '%s'", e.text, why); \
		options_free(&o);                                        \
	} while (0)
	REFUSE("no kernel given", "-m", "64M");
	REFUSE("'-k' needs a value", "-k");
	REFUSE("'--trace' needs a value", "-k", "K", "--trace");
	REFUSE("unknown option '-Z'", "-k", "K", "-Z");
	REFUSE("unknown option '--zzz'", "-k", "K", "--zzz");
	REFUSE("no command behind '--'", "-k", "K", "--");
	REFUSE("unexpected 'ls'", "-k", "K", "ls");
	REFUSE("memory size 'much'", "-k", "K", "-m", "much");
#undef REFUSE
}

/* ---- the command line ---- */

static bool compose(const struct cmdline_config *c, char text[2048], struct error *e)
{
	return cmdline_linux(c, text, 2048, e);
}

static void test_cmdline(void **state)
{
	struct cmdline_config c = {.append = "loglevel=7", .tsc_khz = 2100000};
	struct error e;
	char text[2048];

	(void)state;
	assert_true(compose(&c, text, &e));
	assert_non_null(strstr(text, "quiet "));
	assert_non_null(strstr(text, " tsc_early_khz=2100000 lpj=21000000 "));
	assert_string_equal(text + strlen(text) - 11, " loglevel=7");
	assert_null(strstr(text, "plex86."));
	assert_null(strstr(text, "root="));
	assert_null(strstr(text, "TERM="));
	c.verbose = c.pipe = c.image = true;
	assert_true(compose(&c, text, &e));
	assert_null(strstr(text, "quiet"));
	assert_non_null(strstr(text, " plex86.pipe "));
	assert_non_null(strstr(text, " TERM=dumb "));
	assert_non_null(strstr(text, " root=/dev/vda rw "));
	c.pipe = false;
	c.captured = true;
	assert_true(compose(&c, text, &e));
	assert_null(strstr(text, "plex86.pipe"));
	assert_non_null(strstr(text, " plex86.captured "));
}

/* Of a kernel that was not built for plex86, HZ is not known. */
static void test_stock_cmdline(void **state)
{
	struct cmdline_config c = {.append = "", .tsc_khz = 2100000, .stock = true};
	struct error e;
	char text[2048];

	(void)state;
	assert_true(compose(&c, text, &e));
	assert_non_null(strstr(text, " tsc_early_khz=2100000 "));
	assert_null(strstr(text, "lpj="));
	assert_non_null(strstr(text, " mitigations=off cryptomgr.notests noisapnp"));
	assert_non_null(strstr(text, " loglevel=3 earlycon="));
	c.verbose = true;
	assert_true(compose(&c, text, &e));
	assert_null(strstr(text, "loglevel"));
	c.stock = false;
	assert_true(compose(&c, text, &e));
	assert_null(strstr(text, "mitigations"));
}

/* What the guest's programs make of it. */
static void test_streams(void **state)
{
	struct cmdline parsed;
	char both[] = "plex86.pipes plex86.pipe x", one[] = "plex86.captured",
	     none[] = "plex86.pip";

	(void)state;
	assert_int_equal(cmdline_parse(&parsed, both), 0);
	assert_true(parsed.pipe && !parsed.captured);
	assert_int_equal(cmdline_parse(&parsed, one), 0);
	assert_true(!parsed.pipe && parsed.captured);
	assert_int_equal(cmdline_parse(&parsed, none), 0);
	assert_true(!parsed.pipe && !parsed.captured);
}

/* What the guest's own parser makes of a command must be the command. */
static void test_command(void **state)
{
	static char *const command[] = {
		"/bin/sh", "-c", "echo \"a b\",'%41' =$x\n\t\x7f\xff", "", "plain_./:=+@-", NULL};
	const struct cmdline_config c = {.append = "", .command = command, .tsc_khz = 1};
	struct error e;
	struct cmdline parsed;
	char text[2048];
	unsigned i;

	(void)state;
	assert_true(compose(&c, text, &e));
	assert_int_equal(cmdline_parse(&parsed, text), 0);
	for (i = 0; command[i]; i++)
		assert_string_equal(parsed.argv[i], command[i]);
	assert_null(parsed.argv[i]);
}

static void test_cmdline_limit(void **state)
{
	struct cmdline_config c = {.append = "", .tsc_khz = 1};
	char text[2048], words[2048];
	struct error e;
	size_t room;

	(void)state;
	assert_true(compose(&c, text, &e));
	room = 2047 - strlen(text) - 1;
	memset(words, 'w', sizeof(words));
	words[room] = 0;
	c.append = words;
	assert_true(compose(&c, text, &e));
	assert_int_equal(strlen(text), 2047);
	words[room] = 'w';
	words[room + 1] = 0;
	assert_false(compose(&c, text, &e));
	assert_non_null(strstr(e.text, "2048 bytes"));
}

/* ---- symbols ---- */

static void test_symbols(void **state)
{
	struct symbols *s;
	struct file f;
	char text[64];

	(void)state;
	make_elf(&f);
	s = symbols_read(f.data, f.size);
	assert_non_null(s);
	assert_string_equal(symbols_text(s, 0xc0100000, text, sizeof(text)), " start+0x0");
	assert_string_equal(symbols_text(s, 0xc010001f, text, sizeof(text)), " start+0x1f");
	assert_string_equal(symbols_text(s, 0xc0100021, text, sizeof(text)), " later+0x1");
	assert_string_equal(symbols_text(s, 0xc00fffff, text, sizeof(text)), "");
	assert_string_equal(symbols_text(s, 0xd0100000, text, sizeof(text)), "");
	assert_string_equal(symbols_text(NULL, 0xc0100000, text, sizeof(text)), "");
	symbols_free(s);
}

static void test_symbols_by_name(void **state)
{
	u64 first = 1, last = 2;
	struct symbols *s;
	struct file f;

	(void)state;
	make_elf(&f);
	s = symbols_read(f.data, f.size);
	assert_true(symbols_find(s, "start", &first, &last));
	assert_int_equal(first, 0xc0100000);
	assert_int_equal(last, 0xc010001f);
	/* Nothing says where the last one ends. */
	assert_true(symbols_find(s, "later", &first, &last));
	assert_int_equal(first, 0xc0100020);
	assert_int_equal(last, first);
	assert_false(symbols_find(s, "star", &first, &last));
	assert_false(symbols_find(s, "", &first, &last));
	assert_false(symbols_find(NULL, "start", &first, &last));
	symbols_free(s);
}

/* ---- doctor ---- */

static void test_json(void **state)
{
	static const char expected[] =
		"{\n  \"can_run\": false,\n  \"checks\": [\n"
		"    {\"id\": \"one\", \"status\": \"ok\", \"found\": \"a \\\"quoted\\\" \\\\ "
		"\\u000a ?? word\", \"cost\": \"\", \"fix\": \"\"},\n"
		"    {\"id\": \"two\", \"status\": \"missing\", \"found\": \"no\", \"cost\": \"much\", "
		"\"fix\": \"do\"}\n  ]\n}\n";
	const struct check checks[] = {
		{"one", CHECK_OK, "a \"quoted\" \\ \n \xc3\xa4 word", "", ""},
		{"two", CHECK_MISSING, "no", "much", "do"},
	};
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	doctor_print_json(checks, 2, out);
	fclose(out);
	assert_string_equal(text, expected);
	free(text);
	assert_true(doctor_can_run(checks, 1));
	assert_false(doctor_can_run(checks, 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_machine),
		cmocka_unit_test(test_gdb),
		cmocka_unit_test(test_deterministic),
		cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_cmdline),
		cmocka_unit_test(test_command),
		cmocka_unit_test(test_stock_cmdline),
		cmocka_unit_test(test_cmdline_limit),
		cmocka_unit_test(test_symbols),
		cmocka_unit_test(test_symbols_by_name),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_image),
		cmocka_unit_test(test_too_many_devices),
		cmocka_unit_test(test_streams),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
