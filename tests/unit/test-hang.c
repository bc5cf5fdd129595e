/*
 * Unit tests of phase1-user/watch/hang.c: what is progress and what is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "../../phase1-user/watch/hang.h"
#include "guest-ram.h"

#define SECOND 1000000000ull

/* Of the parts that are not under test. */
bool sampler_start(struct sampler *s, struct machine *machine, u64 period_ns, struct error *e)
{
	(void)s, (void)machine, (void)period_ns, (void)e;
	return true;
}

void sampler_stop(struct sampler *s)
{
	(void)s;
}

void machine_hung(struct machine *m)
{
	(void)m;
}

static struct vm *vm;
static struct hang h;
static u64 now;
static struct sight sight;

static void begin(void)
{
	memset(&h, 0, sizeof(h));
	h.limit_ns = SECOND;
	now = 5 * SECOND;
	vm->cpu.rip = 0xc0001000;
	memset(&vm->stats, 0, sizeof(vm->stats));
	sight = (struct sight){.vm = vm, .interrupts = true};
}

/* Look so many times, doing `step` before each; the number of looks until the verdict, 0: none. */
static unsigned watch(unsigned looks, void (*step)(unsigned i))
{
	for (unsigned i = 1; i <= looks; i++) {
		now += hang_period(h.limit_ns);
		step(i);
		if (hang_judge(&h, &sight, now))
			return i;
	}
	return 0;
}

static void spin(unsigned i)
{
	vm->cpu.rip = 0xc0001000 + i % 3 * 5;
	vm->cpu.gpr[GPR_AX] = i;
}

static void spin_with_interrupts(unsigned i)
{
	spin(i);
	vm->stats.count[EV_IRQ]++;
	vm->stats.count[EV_IO]++; /* the handler's: at the PIC, no exit */
	/* Every other time we see a handler, and now and then what runs behind one. */
	sight.interrupts = i % 2;
	vm->cpu.gpr[GPR_SP] = 0xc0100000 - (i % 2 ? 0 : 64) - (i % 21 ? 0 : 128);
}

/* Always within handlers: where it is we do not know. */
static void handlers_alone(unsigned i)
{
	vm->stats.count[EV_IRQ]++;
	sight.interrupts = false;
	vm->cpu.rip = 0xc0002000 + i % 2;
}

static void work(unsigned i)
{
	vm->stats.count[EV_IRQ]++;
	vm->cpu.gpr[GPR_DI] = i;
}

static void test_deaf(void **state)
{
	unsigned looks;

	(void)state;
	begin();
	looks = watch(200, spin);
	assert_in_range(looks, HANG_SAMPLES, HANG_SAMPLES + 2);
	assert_true(h.found && h.deaf);
}

/* Without interrupts it need not be one loop. */
static void deaf_work(unsigned i)
{
	vm->cpu.rip = 0xc0001000 + i * 1000;
	vm->cpu.gpr[GPR_DI] = i;
}

static void test_deaf_work(void **state)
{
	(void)state;
	begin();
	assert_int_not_equal(watch(200, deaf_work), 0);
	assert_true(h.deaf);
}

static void test_spinning(void **state)
{
	(void)state;
	begin();
	vm->cpu.gpr[GPR_SP] = 0xc0100000;
	assert_int_not_equal(watch(200, spin_with_interrupts), 0);
	assert_true(h.found && !h.deaf);
}

static void test_work(void **state)
{
	(void)state;
	begin();
	assert_int_equal(watch(1000, handlers_alone), 0);
	begin();
	assert_int_equal(watch(1000, work), 0);
}

static unsigned which;

/* Spinning, but for one sign of life now and then. */
static void live(unsigned i)
{
	spin(i);
	if (i % 40)
		return;
	switch (which) {
	case 0:
		vm->stats.count[EV_CR]++;
		break;
	case 1:
		vm->stats.exits[EXIT_IO]++;
		break;
	case 2:
		vm->stats.exits[EXIT_MMIO]++;
		break;
	case 3:
		vm->stats.count[EV_PF_GUEST]++;
		break;
	case 4:
		vm->stats.count[EV_DEVICE]++;
		break;
	case 5:
		sight.cpl = 3;
		break;
	case 6:
		hang_judge(&h, NULL, now); /* it idled */
		break;
	}
}

static void user_again(unsigned i)
{
	sight.cpl = 0;
	live(i);
}

static void test_progress(void **state)
{
	(void)state;
	for (which = 0; which <= 6; which++) {
		begin();
		assert_int_equal(watch(1000, user_again), 0);
	}
	which = 99;
	begin();
	assert_int_not_equal(watch(1000, user_again), 0);
}

/* A burst of looks is no verdict, and neither is what was seen before a long gap. */
static void test_gaps(void **state)
{
	(void)state;
	begin();
	for (unsigned i = 0; i < 10 * HANG_SAMPLES; i++)
		assert_false(hang_judge(&h, &sight, now + i));
	for (unsigned i = 0; i < 10; i++) {
		now += SECOND;
		assert_int_equal(watch(HANG_SAMPLES / 2, spin), 0);
	}
	assert_int_not_equal(watch(HANG_SAMPLES, spin), 0);
	/* Few and far between, but not too far. */
	begin();
	for (unsigned i = 0; i < 3; i++, now += SECOND / 2)
		assert_false(hang_judge(&h, &sight, now));
}

static void test_print(void **state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	begin();
	sight.interrupts = false;
	watch(200, spin);
	vm->pic.chip[0].irr = 0x11;
	vm->pic.chip[1].imr = 0x80;
	hang_print(&h, vm, NULL, out);
	fclose(out);
	assert_non_null(
		strstr(text, "no interrupt was delivered in that time; IF was set 0 of 64"));
	assert_non_null(strstr(text, " at c0001005"));
	assert_non_null(strstr(text, "requested: 0 4\n"));
	assert_non_null(strstr(text, "masked: 15\n"));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deaf),	 cmocka_unit_test(test_deaf_work),
		cmocka_unit_test(test_spinning), cmocka_unit_test(test_work),
		cmocka_unit_test(test_progress), cmocka_unit_test(test_gaps),
		cmocka_unit_test(test_print),
	};
	int failed;

	vm = guest_make(0x1000);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	guest_free(vm);
	return failed;
}
