/*
 * Unit tests of phase1-user/record/record-file.c: what is written is read again, and what does not fit is
 * refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../phase1-user/record/record-file.h"

#define HEAD "plex86-record 1\nkernel 00000000000000ff /k\nmemory 1048576\ncmdline quiet\n"

static bool parses(struct record_run *run, const char *text)
{
	struct error e;

	return record_parse(run, text, strlen(text), &e);
}

static void assert_refused(const char *text, const char *why)
{
	struct record_run run;
	struct error e;

	assert_false(record_parse(&run, text, strlen(text), &e));
	if (!strstr(e.text, why))
		fail_msg("'%s' for '%s'", e.text, text);
}

static void test_round_trip(void **state)
{
	char disk[] = "/a disk,ro", network[] = "user,mtu=1500", kernel[] = "/a kernel%\n",
	     cmdline[] = "", word[] = "sh", odd[] = "\x7f\xff ;";
	struct record_run run = {.kernel = kernel,
				 .kernel_digest = ~0ull,
				 .memory = 1 << 20,
				 .disk = {{disk, 512, ~0ull}, {disk, 1024, 7}},
				 .disks = 2,
				 .network = network,
				 .network_place = 1,
				 .cmdline = cmdline,
				 .command = {word, odd}},
			  again;
	const struct record_input input = {.events = 7, .length = 3, .data = (u8[]){0, 0x0a, 0xff}};
	u8 bytes[RECORD_FRAME_MAX] = {1, 2, [RECORD_FRAME_MAX - 1] = 0xfe};
	const struct record_input frame = {
		.events = 8, .frame = true, .length = sizeof(bytes), .data = bytes};
	char *text;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	(void)state;
	assert_int_equal(record_write_run(file, &run), 0);
	assert_int_equal(record_write_input(file, &input), 0);
	assert_int_equal(record_write_input(file, &input), 0);
	assert_int_equal(record_write_input(file, &frame), 0);
	assert_int_equal(record_write_end(file, 9, "exited", 3), 0);
	fclose(file);
	assert_true(parses(&again, text));
	assert_string_equal(again.kernel, kernel);
	assert_int_equal(again.kernel_digest, ~0ull);
	assert_null(again.initrd);
	assert_string_equal(again.cmdline, "");
	assert_string_equal(again.command[1], odd);
	assert_null(again.command[2]);
	assert_int_equal(again.disks, 2);
	assert_string_equal(again.disk[0].spec, disk);
	assert_int_equal(again.disk[0].changed_ns, ~0ull);
	assert_int_equal(again.disk[1].size, 1024);
	assert_string_equal(again.network, network);
	assert_int_equal(again.network_place, 1);
	assert_int_equal(again.inputs, 3);
	assert_int_equal(again.input[1].events, 7);
	assert_false(again.input[1].frame);
	assert_memory_equal(again.input[1].data, input.data, 3);
	assert_true(again.input[2].frame);
	assert_int_equal(again.input[2].length, sizeof(bytes));
	assert_memory_equal(again.input[2].data, bytes, sizeof(bytes));
	assert_true(again.ended);
	assert_int_equal(again.end_events, 9);
	assert_string_equal(again.end_how, "exited");
	assert_int_equal(again.end_value, 3);
	record_free(&again);
	free(text);
}

static void test_cut_off(void **state)
{
	struct record_run run;

	(void)state;
	assert_true(parses(&run, HEAD "input 5 41\ninput 6 4"));
	assert_int_equal(run.inputs, 1);
	assert_false(run.ended);
	record_free(&run);
	assert_refused("plex86-record 1\nkernel 0 /k\nmemo", "cut off");
}

static void test_damaged(void **state)
{
	static const char *const lines[] = {
		"input 5 4\n",
		"input 5 4g\n",
		"input 5\n",
		"input x 41\n",
		"input 5 41 42\n",
		"input 5 41\ninput 4 41\n",
		"frame 5 41\n", /* for which card? */
		"network user\nframe 5 4\n",
		"network user\nnetwork user\n",
		"network\n",
		"end 5 exited\n",
		"end 5 exited x\n",
		"end 4 exited 0\ninput 5 41\n",
		"input 5 41\nend 4 a 0\n",
		"end 99999999999999999999 exited 0\n",
		"kernel 0 /again\n",
		"command %4\n",
		"command %00\n",
		"command a b\n",
		"disk 512\n",
		"disk 512 x /d\n",
		"disk 512 7 /d e\n",
		"disk 512 7\n",
		"nonsense\n",
		"\n",
		"end 5 a-word-that-is-longer-than-any-of-ours 0\n",
	};
	char text[512];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		snprintf(text, sizeof(text), "%s%s", HEAD, lines[i]);
		assert_refused(text, "is damaged");
	}
	memcpy(text, HEAD, sizeof(HEAD));
	for (unsigned i = 0; i <= RECORD_DISKS_MAX; i++)
		strcat(text, "disk 512 7 /d\n");
	assert_refused(text, "line 21 is damaged");
	assert_refused("\x7f"
		       "ELF\n",
		       "not a recorded run");
	assert_refused("plex86-record 2\n", "of this version");
	assert_refused("", "not a recorded run");
}

static void test_files(void **state)
{
	struct record_run run;
	struct error e;

	(void)state;
	assert_false(record_read(&run, "/nonexistent", &e));
	assert_string_equal(e.text, "recorded run '/nonexistent': No such file or directory");
	assert_false(record_read(&run, "/", &e));
	assert_non_null(strstr(e.text, "not a file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
