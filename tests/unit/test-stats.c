/*
 * Unit tests of statistics: which cause a trap is counted under and how long it takes, the table,
 * and JSON there and back.
 */
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include "../../phase1-user/control/stats-json.h"
#include "mock-host.h"

static struct stats_row *row_of(struct stats *s, enum stats_kind kind, const char *name)
{
	for (unsigned i = 0; i < s->rows; i++)
		if (s->row[i].kind == kind && !strcmp(s->row[i].name, name))
			return &s->row[i];
	return NULL;
}

/* One trap of 100 cycles in which these events come, the last EV_COUNT. */
static void one_trap(struct vm *vm, const enum event *events)
{
	stats_trap_begins(vm);
	mock_of(vm)->tsc += 100;
	for (; *events != EV_COUNT; events++)
		trace(vm, *events, 0, 0);
	stats_trap_ends(vm);
}

static void test_causes(void **state)
{
	static const enum event io[] = {EV_TRAP, EV_IO, EV_EXIT, EV_COUNT},
				mmio[] = {EV_TRAP, EV_EMULATE, EV_MMIO, EV_COUNT},
				store[] = {EV_TRAP, EV_PV_STORE, EV_IRQ, EV_COUNT},
				other[] = {EV_TRAP, EV_EMULATE, EV_COUNT},
				kick[] = {EV_KICK, EV_IRQ, EV_COUNT}, bare[] = {EV_TRAP, EV_COUNT},
				gate[] = {EV_GATE, EV_CR, EV_SWITCH, EV_COUNT};
	const enum event *const traps[] = {io, mmio, store, other, kick, bare, gate};
	const enum event causes[] = {EV_IO,   EV_MMIO, EV_PV_STORE, EV_EMULATE,
				     EV_KICK, EV_TRAP, EV_CR};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(traps); i++) {
		one_trap(vm, traps[i]);
		assert_int_equal(vm->stats.traps[causes[i]], 1);
		assert_int_equal(vm->stats.trap_time[causes[i]], 100);
	}
	assert_int_equal(vm->stats.count[EV_IRQ], 2);
	assert_int_equal(vm->stats.traps[EV_IRQ], 0);
}

/* Shared memory may hold anything. */
static void test_damaged_cause(void **state)
{
	struct vm *vm = *state;

	stats_trap_begins(vm);
	vm->stats.trap.cause = 0xfffffff0;
	stats_trap_ends(vm);
	assert_int_equal(vm->stats.traps[EV_TRAP], 1);
	stats_exit_ends(vm, 0xfffffff0, 0);
}

/* An exit counts in its trap's time, waiting for an interrupt does not. */
static void test_waits(void **state)
{
	struct vm *vm = *state;
	u64 since;

	stats_trap_begins(vm);
	trace(vm, EV_HLT, 0, 0);
	since = mock_of(vm)->tsc;
	mock_of(vm)->tsc += 30;
	stats_exit_ends(vm, EXIT_MMIO, since);
	stats_idle_begins(vm);
	assert_int_equal(vm->stats.idle_since, mock_of(vm)->tsc);
	mock_of(vm)->tsc += 1000;
	stats_idle_ends(vm);
	mock_of(vm)->tsc += 7;
	stats_trap_ends(vm);
	assert_int_equal(vm->stats.trap_time[EV_HLT], 37);
	assert_int_equal(vm->stats.exits[EXIT_MMIO], 1);
	assert_int_equal(vm->stats.exit_time[EXIT_MMIO], 30);
	assert_int_equal(vm->stats.idle_time, 1000);
	assert_int_equal(vm->stats.idle_since, 0);
}

static void test_collect(void **state)
{
	struct vm_stats v = {.idle_time = 5000, .idle_since = 100000};
	struct stats s;

	(void)state;
	v.traps[EV_IO] = 10;
	v.trap_time[EV_IO] = 40000;
	v.exits[EXIT_IO] = 2;
	v.count[EV_EXIT] = 2;
	/* 2 GHz; the guest has idled for another 5000 cycles. */
	stats_collect(&s, &v, 1000000, 105000, 2000000);
	assert_int_equal(s.ns, 1000000);
	assert_int_equal(s.idle_ns, 5000);
	assert_int_equal(s.rows, 3);
	assert_int_equal(row_of(&s, STATS_TRAP, "io")->count, 10);
	assert_int_equal(row_of(&s, STATS_TRAP, "io")->ns, 20000);
	assert_int_equal(row_of(&s, STATS_EXIT, "io")->count, 2);
	assert_int_equal(row_of(&s, STATS_EVENT, "exit")->count, 2);
	assert_int_equal(stats_traps(&s), 10);
	/* A clock that could not be measured, a wait that begins in the future. */
	stats_collect(&s, &v, 0, 5, 0);
	assert_int_equal(s.idle_ns, 0);
}

static void test_json(void **state)
{
	static const char *const bad[] = {"{}", "[]", "{\"uptime_ns\":\"x\"}"};
	struct vm_stats v = {.idle_time = 77};
	struct stats s, back;
	json_t *json;

	(void)state;
	for (unsigned i = 0; i < EV_COUNT; i++) {
		v.traps[i] = v.count[i] = (1ull << 62) - i;
		v.trap_time[i] = 1ull << 60;
	}
	for (unsigned i = 0; i < EXIT_COUNT; i++)
		v.exits[i] = i + 1;
	stats_collect(&s, &v, 123, 0, 1000000);
	json = stats_to_json(&s);
	assert_true(stats_from_json(&back, json));
	json_decref(json);
	assert_int_equal(back.rows, 2 * EV_COUNT + EXIT_COUNT);
	assert_true(back.ns == s.ns && back.idle_ns == s.idle_ns);
	for (unsigned i = 0; i < s.rows; i++) {
		assert_int_equal(back.row[i].kind, s.row[i].kind);
		assert_string_equal(back.row[i].name, s.row[i].name);
		assert_true(back.row[i].count == s.row[i].count && back.row[i].ns == s.row[i].ns);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		json = json_loads(bad[i], 0, NULL);
		assert_false(stats_from_json(&back, json));
		json_decref(json);
	}
}

/* However much, and whatever, the other side counts. */
static void test_foreign_json(void **state)
{
	json_t *traps = json_object(), *json;
	struct stats s;
	char name[40];

	(void)state;
	for (unsigned i = 0; i < 2 * STATS_ROWS; i++) {
		snprintf(name, sizeof(name), "a name that is longer than ours %u", i);
		json_object_set_new(traps, name, json_pack("{s:i, s:i}", "count", 1, "ns", -5));
	}
	json = json_pack("{s:i, s:o, s:[i], s:{s:s, s:i}}", "uptime_ns", 1, "traps", traps, "exits",
			 1, "events", "text", "3", "negative", -1);
	assert_true(stats_from_json(&s, json));
	json_decref(json);
	assert_int_equal(s.rows, STATS_ROWS);
	assert_int_equal(s.row[0].ns, 0);
	assert_int_equal(strlen(s.row[0].name), STATS_NAME - 1);
}

static void test_table(void **state)
{
	struct vm_stats v = {.idle_time = 2500000};
	struct stats before, s;
	char text[STATS_TEXT_SIZE];

	(void)state;
	v.traps[EV_IO] = v.count[EV_IO] = 10;
	v.traps[EV_CR] = v.count[EV_CR] = 5;
	stats_collect(&before, &v, 5000000, 0, 1000000);
	v.traps[EV_CR] = v.count[EV_CR] = 25;
	v.trap_time[EV_CR] = 50000;
	v.idle_time = 5000000;
	stats_collect(&s, &v, 10000000, 0, 1000000);
	stats_subtract(&s, &before);
	stats_table(&s, text, sizeof(text));
	assert_non_null(strstr(text, "0.01 s, of which the guest idled 0.00 s (50.00 %)\n"));
	/* 20 in 5 ms, 50 us of it, 2.5 us each. */
	assert_non_null(
		strstr(text, "\n            20  cr                4000.0     1.00      2500\n"));
	assert_non_null(strstr(text, "plex86: events"));
	assert_null(strstr(text, "  io"));
	assert_null(strstr(text, "exits"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_causes),	      VM_TEST(test_damaged_cause),
		VM_TEST(test_waits),	      cmocka_unit_test(test_collect),
		cmocka_unit_test(test_json),  cmocka_unit_test(test_foreign_json),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
