/*
 * Unit tests of phase1-user/watch/profile.c and tally.c: what is asked for, what looks add up to, and
 * what happens when there is more than we want to keep.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "../../phase1-user/watch/profile.h"
#include "guest-ram.h"
#include "loader-files.h"

#define RAM 0x10000u

/* Of the part that is not under test. */
bool sampler_start(struct sampler *s, struct machine *machine, u64 period_ns, struct error *e)
{
	(void)s, (void)machine, (void)period_ns, (void)e;
	return true;
}

void sampler_stop(struct sampler *s)
{
	(void)s;
}

static struct vm *vm;
static struct error error;

static void test_tally(void **state)
{
	struct tally t = {0};
	char name[16];

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "%u", i % 1000);
		tally_find(&t, name)->count++;
	}
	tally_find(&t, "7")->count++;
	assert_int_equal(t.used, 1000);
	tally_sort(&t);
	assert_string_equal(t.entry[0].name, "7");
	assert_int_equal(t.entry[0].count, 6);
	assert_string_equal(t.entry[1].name, "0");
	assert_string_equal(t.entry[2].name, "1");
	assert_string_equal(t.entry[3].name, "10");
	assert_int_equal(t.entry[999].count, 5);
	tally_free(&t);
	assert_int_equal(t.used, 0);
}

static void test_tally_is_bounded(void **state)
{
	struct tally t = {0};
	char name[16];

	(void)state;
	for (unsigned i = 0; i < TALLY_MAX; i++) {
		snprintf(name, sizeof(name), "%u", i);
		assert_non_null(tally_find(&t, name));
	}
	assert_null(tally_find(&t, "one more"));
	assert_non_null(tally_find(&t, "0"));
	tally_free(&t);
}

static void test_words(void **state)
{
	static const struct {
		const char *spec, *why;
	} cases[] = {
		{"", "No such file"},
		{"/dev/null,", "no option ''"},
		{"/dev/null,fold", "no option 'fold'"},
		{"/dev/null,hz=", "''"},
		{"/dev/null,hz=0", "'0'"},
		{"/dev/null,hz=1001", "'1001'"},
		{"/dev/null,hz=+1", "'+1'"},
		{"/dev/null,hz=1x", "'1x'"},
		{"/nowhere/at/all", "No such file"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct profile p = {0};

		assert_false(profile_open(&p, cases[i].spec, NULL, &error));
		assert_non_null(strstr(error.text, cases[i].why));
		profile_close(&p);
	}
}

/* Look so many times at code at `eip`, called from `caller`. */
static void take(struct profile *p, u32 eip, u32 caller, unsigned times)
{
	const struct sight sight = {.vm = vm};

	vm->cpu.rip = eip;
	vm->cpu.gpr[GPR_BP] = 0x8000;
	guest_put32(vm, 0x8000, 0);
	guest_put32(vm, 0x8004, caller);
	while (times--)
		profile_take(p, &sight);
}

/* What is written behind all looks, to be freed. */
static char *profile_text(const char *words, const struct symbols *symbols)
{
	const struct sight user = {.vm = vm, .cpl = 3};
	struct profile p = {0};
	char *text = NULL;
	char spec[64];
	size_t size;

	snprintf(spec, sizeof(spec), "/dev/null%s", words);
	assert_true(profile_open(&p, spec, symbols, &error));
	fclose(p.file);
	p.file = open_memstream(&text, &size);
	take(&p, 0x2000, 0x3000, 3);
	take(&p, 0x2000, 0x4000, 2);
	take(&p, 0x3000, 0x3000, 4);
	take(&p, 0x2000, 0x2004, 1);
	profile_take(&p, &user);
	for (unsigned i = 0; i < 9; i++)
		profile_take(&p, NULL);
	assert_int_equal(profile_write(&p), 0);
	profile_close(&p);
	return text;
}

static void test_folded(void **state)
{
	char *text = profile_text(",folded,hz=10", NULL);

	(void)state;
	assert_string_equal(text, "kernel;00003000;00003000 4\n"
				  "kernel;00003000;00002000 3\n"
				  "kernel;00004000;00002000 2\n"
				  "kernel;00002004;00002000 1\n"
				  "user 1\n"
				  "idle 9\n");
	free(text);
}

/* The same names at both ends of a stack count once. */
static void test_histogram(void **state)
{
	char *text = profile_text("", NULL);

	(void)state;
	assert_non_null(strstr(text,
			       "20 looks, 499 a second (0 more were missed): kernel 50.0 %, user "
			       "5.0 %, idle 45.0 %\n"));
	assert_non_null(strstr(text, "   9.09    9.09        1  [user code]\n"
				     "  54.55   54.55        6  00002000\n"
				     "  36.36   63.64        4  00003000\n"
				     "   0.00    9.09        0  00002004\n"
				     "   0.00   18.18        0  00004000\n"));
	free(text);
}

/* Names are those of functions, and nothing in them breaks a line in two. */
static void test_names(void **state)
{
	struct profile p = {0};
	struct symbols *symbols;
	struct file *f = calloc(1, sizeof(*f));
	char *text = NULL, *name;
	size_t size;

	(void)state;
	make_elf(f);
	name = memmem(f->data, f->size, "start", 6);
	assert_non_null(name);
	memcpy(name, "s;a\n ", 5);
	symbols = symbols_read(f->data, f->size);
	assert_true(profile_open(&p, "/dev/null,folded", symbols, &error));
	fclose(p.file);
	p.file = open_memstream(&text, &size);
	take(&p, 0xc0100010, 0xc0100021, 1);
	assert_int_equal(profile_write(&p), 0);
	profile_close(&p);
	assert_string_equal(text, "kernel;s?a?? 1\n");
	free(text);
	symbols_free(symbols);
	free(f);
}

static void test_full(void **state)
{
	struct profile p = {0};

	(void)state;
	assert_true(profile_open(&p, "/dev/full", NULL, &error));
	assert_int_not_equal(profile_write(&p), 0);
	profile_close(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tally),	  cmocka_unit_test(test_tally_is_bounded),
		cmocka_unit_test(test_words),	  cmocka_unit_test(test_folded),
		cmocka_unit_test(test_histogram), cmocka_unit_test(test_names),
		cmocka_unit_test(test_full),
	};
	int failed;

	vm = guest_make(RAM);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	guest_free(vm);
	return failed;
}
