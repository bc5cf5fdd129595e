// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * A KUnit suite with a test that passes, one that fails, one that is skipped, and one with
 * parameters of which one fails: what guest/kunit makes of them is shown in docs/kunit.md.
 */
#include <kunit/test.h>

/* Meant to be rounded to the nearest. */
static int interest(int money, int percent)
{
	return money * percent / 100;
}

static void interest_of_round_sums(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, interest(100, 3), 3);
	KUNIT_EXPECT_EQ(test, interest(2000, 5), 100);
}

static void interest_is_rounded(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, interest(150, 3), 5);
}

static void interest_of_debts(struct kunit *test)
{
	kunit_skip(test, "debts are not done yet");
}

struct rate {
	int percent, wanted;
};

static const struct rate rates[] = {{0, 0}, {1, 2}, {2, 4}, {3, 6}};

static void rate_name(const struct rate *rate, char *name)
{
	snprintf(name, KUNIT_PARAM_DESC_SIZE, "%d percent", rate->percent);
}
KUNIT_ARRAY_PARAM(interest_rates, rates, rate_name);

static void interest_of_all_rates(struct kunit *test)
{
	const struct rate *rate = test->param_value;

	KUNIT_EXPECT_EQ(test, interest(190, rate->percent), rate->wanted);
}

static struct kunit_case interest_cases[] = {
	KUNIT_CASE(interest_of_round_sums),
	KUNIT_CASE(interest_is_rounded),
	KUNIT_CASE(interest_of_debts),
	KUNIT_CASE_PARAM(interest_of_all_rates, interest_rates_gen_params),
	{},
};

static struct kunit_suite interest_suite = {
	.name = "interest",
	.test_cases = interest_cases,
};
kunit_test_suite(interest_suite);
