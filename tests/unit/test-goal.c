/*
 * Unit tests of phase1-user/watch/goal.c: in which of a guest's words a pattern is found. The timer is
 * tested with guests (tests/linux/goal).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../phase1-user/watch/goal.h"

static struct goal goal;
static unsigned met;

static void count(void *owner)
{
	assert_ptr_equal(owner, &goal);
	met++;
}

static void start(const char *regex)
{
	struct error e;

	memset(&goal, 0, sizeof(goal));
	goal.met = count;
	goal.owner = &goal;
	met = 0;
	assert_true(goal_init(&goal, NULL, 0, regex, &e));
}

static void look(const char *text)
{
	goal_look(&goal, (const u8 *)text, strlen(text));
}

static void test_lines_and_pieces(void **state)
{
	(void)state;
	start("login: $");
	look("Debian\r\n");
	look("lo");
	look("gin:");
	assert_int_equal(met, 0);
	look(" ");
	assert_int_equal(met, 1);
	look("again login: "); /* once is enough */
	assert_int_equal(met, 1);
	goal_destroy(&goal);
}

static void test_not_across_lines(void **state)
{
	(void)state;
	start("one *two");
	look("one\n");
	look("two\none\r\ntwo\n");
	assert_int_equal(met, 0);
	look("a one two b\nc\n");
	assert_int_equal(met, 1);
	goal_destroy(&goal);
}

static void test_anchors_and_what_shows_nothing(void **state)
{
	static const u8 bytes[] = {'\0', 'd', '\r', 'o', '\0', 'n', 'e', '\r', '\n'};

	(void)state;
	start("^done$");
	look("undone\n");
	assert_int_equal(met, 0);
	goal_look(&goal, bytes, sizeof(bytes));
	assert_int_equal(met, 1);
	goal_destroy(&goal);
}

static void test_long_lines(void **state)
{
	char piece[1000];

	(void)state;
	memset(piece, 'x', sizeof(piece));
	piece[sizeof(piece) - 1] = '\0';
	start("needle$");
	for (unsigned i = 0; i < 50; i++)
		look(piece);
	assert_int_equal(met, 0);
	look("needle");
	assert_int_equal(met, 1);
	goal_destroy(&goal);
}

static void test_nothing_waited_for(void **state)
{
	struct error e;

	(void)state;
	memset(&goal, 0, sizeof(goal));
	assert_true(goal_init(&goal, NULL, 0, NULL, &e));
	look("anything\n");
	goal_destroy(&goal);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines_and_pieces),
		cmocka_unit_test(test_not_across_lines),
		cmocka_unit_test(test_anchors_and_what_shows_nothing),
		cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_nothing_waited_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
