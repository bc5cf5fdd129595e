/*
 * Unit tests of phase1-user/watch/guest-log.c: a ring buffer as Linux leaves it, of both layouts, and
 * damaged ones. That real kernels have these layouts is seen by tests/linux/crash.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "../../phase1-user/watch/guest-log.h"
#include "guest-ram.h"

#define RAM 0x20000u

/* Where things lie. */
enum { PRB = 0x100, RING = 0x200, DESCS = 0x1000, INFOS = 0x2000, DATA = 0x8000 };

#define COUNT_BITS 5
#define SIZE_BITS  9 /* small, so that texts wrap */

static struct vm *vm;
static struct guest_log log_;
static struct guest_log_record r;
static u32 lpos;	  /* where the next text goes */
static u32 next_id;	  /* as Linux: the first is 2 behind the end of the IDs */
static bool finalized_id; /* the layout from 6.1 on */

/* Words of the ring buffer's head. */
enum { COUNT, DESC_AT, INFO_AT, HEAD, TAIL };

static u32 data_word(unsigned i)
{
	return RING + 4 * (5 + finalized_id + i);
}

static void begin(bool finalized)
{
	finalized_id = finalized;
	memset(vm->ram, 0, RAM);
	guest_put32(vm, PRB, RING);
	guest_put32(vm, RING + 4 * COUNT, COUNT_BITS);
	guest_put32(vm, RING + 4 * DESC_AT, DESCS);
	guest_put32(vm, RING + 4 * INFO_AT, INFOS);
	if (finalized)
		guest_put32(vm, RING + 4 * 5, 0x1234567);
	guest_put32(vm, data_word(0), SIZE_BITS);
	guest_put32(vm, data_word(1), DATA);
	lpos = (u32) - (1 << SIZE_BITS);
	next_id = 0x3fffffff & -(1u << COUNT_BITS);
	guest_put32(vm, RING + 4 * TAIL, next_id);
}

static u32 desc_at(u32 id)
{
	return DESCS + (id % (1 << COUNT_BITS)) * 12;
}

static u32 info_at(u32 id)
{
	return INFOS + (id % (1 << COUNT_BITS)) * 88;
}

static void add(const char *text, unsigned level, unsigned facility, unsigned state)
{
	const u32 len = strlen(text), need = (len + 4 + 3) & ~3u, size = 1 << SIZE_BITS;
	const u32 id = next_id, begin_at = lpos;
	u32 at = lpos % size;

	next_id = (next_id + 1) & 0x3fffffff;
	if (at + need > size) { /* it does not fit behind the others */
		lpos += size - at;
		at = 0;
	}
	lpos += need;
	guest_put32(vm, DATA + at, id);
	memcpy(vm->ram + DATA + at + 4, text, len);
	guest_put32(vm, desc_at(id), state << 30 | id);
	guest_put32(vm, desc_at(id) + 4, len ? begin_at : 3);
	guest_put32(vm, desc_at(id) + 8, len ? lpos : 3);
	guest_put32(vm, info_at(id), 7);
	guest_put32(vm, info_at(id) + 8, 0x80000001);
	guest_put32(vm, info_at(id) + 12, 1);
	guest_put32(vm, info_at(id) + 16, level << 29 | facility << 16 | len);
	guest_put32(vm, RING + 4 * HEAD, id);
}

static bool open(void)
{
	return guest_log_open_at(&log_, vm, PRB);
}

static void expect_text(u32 i, const char *text)
{
	assert_true(guest_log_read(&log_, i, &r));
	assert_string_equal(r.text, text);
	assert_int_equal(r.len, strlen(text));
}

static void test_layouts(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		begin(i);
		add("first", 6, 0, 2);
		add("", 5, 1, 2);
		add("being written", 5, 1, 0);
		add("committed", 4, 3, 1);
		add("forgotten", 4, 3, 3);
		assert_true(open());
		assert_int_equal(log_.records, 5);
		expect_text(0, "first");
		assert_int_equal(r.level, 6);
		assert_int_equal(r.seq, 7);
		assert_true(r.ns == 0x180000001);
		expect_text(1, "");
		assert_false(guest_log_read(&log_, 2, &r));
		expect_text(3, "committed");
		assert_int_equal(r.facility, 3);
		assert_false(guest_log_read(&log_, 4, &r));
		assert_false(guest_log_read(&log_, 5, &r));
	}
}

/* IDs, positions and the ring of texts wrap. */
static void test_wraps(void **state)
{
	char text[64];

	(void)state;
	begin(true);
	for (unsigned i = 0; i < 31; i++) {
		snprintf(text, sizeof(text), "record number %u", i);
		add(text, 6, 0, 2);
	}
	assert_true(open());
	assert_int_equal(log_.records, 31);
	/* The newest texts have overwritten those before them, which Linux's readers see as well.
	 */
	for (unsigned i = 15; i < 31; i++) {
		snprintf(text, sizeof(text), "record number %u", i);
		expect_text(i, text);
	}
	assert_false(guest_log_read(&log_, 0, &r));
}

static void test_long_text(void **state)
{
	const u32 id = 0x3fffffff & -(1u << COUNT_BITS);

	(void)state;
	begin(true);
	add("text", 6, 0, 2);
	assert_true(open());
	/* A length that the block has not; what is behind the text is padding. */
	guest_put32(vm, info_at(id) + 16, 0xffff);
	expect_text(0, "text");
	/* A block larger than what we keep. */
	guest_put32(vm, data_word(0), 12);
	guest_put32(vm, desc_at(id) + 4, 0);
	guest_put32(vm, desc_at(id) + 8, 2000);
	memset(vm->ram + DATA + 4, 'x', 2000);
	guest_put32(vm, DATA, id);
	assert_true(open());
	assert_true(guest_log_read(&log_, 0, &r));
	assert_int_equal(r.len, GUEST_LOG_TEXT);
	assert_int_equal(strlen(r.text), GUEST_LOG_TEXT);
}

static void test_panic(void **state)
{
	(void)state;
	begin(true);
	add("Kernel panic - not syncing: said by a program", 0, 1, 2);
	add("Kernel panic - not syncing: not an emergency", 5, 0, 2);
	add("about a Kernel panic - not syncing", 0, 0, 2);
	assert_true(open());
	assert_false(guest_log_panic(&log_, &r));
	add("Kernel panic - not syncing: true", 0, 0, 2);
	add("---[ end Kernel panic - not syncing: true ]---", 0, 0, 2);
	assert_true(open());
	assert_true(guest_log_panic(&log_, &r));
	assert_string_equal(r.text, "Kernel panic - not syncing: true");
}

static void test_damaged(void **state)
{
	/* Words of the head, and what they must not be. */
	static const struct {
		unsigned word;
		u32 value;
	} cases[] = {
		{COUNT, 0},
		{COUNT, 3},
		{COUNT, 21},
		{COUNT, 0xffffffff},
		{DESC_AT, 0},
		{DESC_AT, 2},
		{DESC_AT, RAM - 8},
		{DESC_AT, 0xfffffffc},
		{INFO_AT, 0},
		{INFO_AT, RAM},
		{INFO_AT, 0xfffff000},
		{HEAD, 0x100},
		{TAIL, 0x3fffff00},
		{6, 3},
		{6, 28},
		{7, 0},
		{7, RAM - 4},
		{7, 0xffffff00},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin(true);
		add("text", 6, 0, 2);
		assert_true(open());
		guest_put32(vm, RING + 4 * cases[i].word, cases[i].value);
		assert_false(open());
	}
	begin(true);
	assert_false(guest_log_open_at(&log_, vm, RAM - 2));
	assert_false(guest_log_open_at(&log_, vm, 0xfffffffe));
	guest_put32(vm, PRB, RAM - 8);
	assert_false(open());
	assert_false(guest_log_open(&log_, vm, NULL));
}

static void test_damaged_records(void **state)
{
	static const struct {
		u32 at, value; /* of the descriptor */
	} cases[] = {
		{0, 2u << 30 | 5}, /* another's */
		{4, 1},		   /* not a block's beginning */
		{4, 2},
		{8, 2},
		{8, 0},				    /* no length */
		{8, 0x7fffff00},		    /* another turn of the ring */
		{4, (u32) - (1 << SIZE_BITS) + 16}, /* a block of another */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		begin(true);
		add("text that is longer", 6, 0, 2);
		assert_true(open());
		expect_text(0, "text that is longer");
		guest_put32(vm, desc_at(0) + cases[i].at, cases[i].value);
		assert_false(guest_log_read(&log_, 0, &r));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layouts),	  cmocka_unit_test(test_wraps),
		cmocka_unit_test(test_long_text), cmocka_unit_test(test_panic),
		cmocka_unit_test(test_damaged),	  cmocka_unit_test(test_damaged_records),
	};
	int failed;

	vm = guest_make(RAM);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	guest_free(vm);
	return failed;
}
