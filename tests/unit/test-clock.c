/*
 * Unit tests of common/clock.c and of what common/trap.c makes of it: in a deterministic run time
 * and interrupts follow from the guest's events and from nothing else.
 */
#include "mock-host.h"
#include <string.h>

static struct vm *deterministic(void **state)
{
	struct vm *vm = *state;

	vm->clock.deterministic = true;
	return vm;
}

/* A visible event that changes nothing: rdtsc. Its value. */
static u64 ask(struct vm *vm)
{
	const u32 rip = vm->cpu.rip;

	assert_next(vm, gp(vm, 0x0f, 0x31), rip + 2);
	vm->cpu.rip = rip;
	return vm->cpu.gpr[GPR_DX] << 32 | vm->cpu.gpr[GPR_AX];
}

static void test_host_time_without(void **state)
{
	struct vm *vm = *state;

	mock_of(vm)->now = 1234;
	mock_of(vm)->utc = 5;
	mock_of(vm)->tsc = 77;
	assert_int_equal(clock_now(vm), 1234);
	assert_int_equal(clock_utc(vm), 5);
	assert_int_equal(ask(vm), 77);
	assert_false(clock_skip(vm, 2000));
	assert_true(clock_moved(vm));
}

static void test_time_is_a_count(void **state)
{
	struct vm *vm = deterministic(state);
	u64 first = ask(vm);

	mock_of(vm)->now += 1000000;
	mock_of(vm)->tsc += 1000000;
	mock_of(vm)->utc += 100;
	assert_int_equal(ask(vm), first + CLOCK_EVENT_NS);
	trace(vm, EV_PF_FILL, 0, 0);
	trace(vm, EV_MAP, 0, 0);
	trace(vm, EV_EXIT, 0, 0);
	trace(vm, EV_KICK, 0, 0);
	assert_int_equal(ask(vm), first + 2 * CLOCK_EVENT_NS);
	assert_int_equal(clock_utc(vm), CLOCK_UTC);
	assert_true(clock_skip(vm, clock_now(vm) + 3000000000u));
	assert_int_equal(clock_utc(vm), CLOCK_UTC + 3);
	assert_false(clock_skip(vm, 0));
}

static void test_interrupts_only_at_events(void **state)
{
	struct vm *vm = deterministic(state);

	pic_ready(vm);
	vm_set_if(vm, FLAG_IF);
	ask(vm);
	raise_irq(vm);
	assert_next(vm, core_kick(vm), AT_CODE); /* when the host's signal comes does not matter */
	assert_next(vm, core_kick(vm), AT_CODE);
	delivered(vm, gp(vm, 0x0f, 0x31), IRQ_VECTOR);
}

static void start_timer(struct vm *vm)
{
	pic_ready(vm);
	pit_write(&vm->pit, 0x43, 0x34, clock_now(vm));
	pit_write(&vm->pit, 0x40, 0xa9, clock_now(vm)); /* 1193 clocks: a millisecond */
	vm->cpu.gpr[GPR_AX] = 0x04;
	assert_next(vm, gp(vm, 0xe6, 0x40), AT_CODE + 2);
}

/* Events until the timer's interrupt. */
static unsigned events_to_tick(struct vm *vm)
{
	for (unsigned n = 1; n < 5000; n++) {
		vm->cpu.rip = AT_CODE;
		mock_of(vm)->now += n * 977; /* the host's own time is no matter */
		gp(vm, 0x0f, 0x31);
		if (vm->cpu.rip != AT_CODE + 2)
			return n;
	}
	return 0;
}

static void test_ticks_are_a_count(void **state)
{
	struct vm *vm = deterministic(state);
	unsigned n;

	vm_set_if(vm, FLAG_IF);
	start_timer(vm);
	n = events_to_tick(vm);
	assert_in_range(n, 995, 1005);
	assert_int_equal(mock_of(vm)->arms, 0);
}

static void test_waits_are_over_at_once(void **state)
{
	struct vm *vm = deterministic(state);
	u64 deadline;

	vm_set_if(vm, FLAG_IF);
	start_timer(vm);
	deadline = core_deadline(vm);
	delivered(vm, gp(vm, 0xf4), 0x20);
	assert_true(clock_now(vm) >= deadline && clock_now(vm) < deadline + 2 * CLOCK_EVENT_NS);
	assert_false(vm->cpu.halted);
}

/* Who waits for nothing but input gets it where it waits: no event would come before. */
static void test_news_where_it_waits(void **state)
{
	struct vm *vm = deterministic(state);

	pic_ready(vm);
	vm_set_if(vm, FLAG_IF);
	assert_int_equal(gp(vm, 0xf4), CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_IDLE);
	assert_int_equal(vm->exit.deadline, 0);
	raise_irq(vm);
	delivered(vm, core_kick(vm), IRQ_VECTOR);
}

/* A stop comes before the wait is skipped, so that there can be news in it. */
static void test_stops_where_it_waits(void **state)
{
	struct vm *vm = deterministic(state);
	u64 before;

	vm_set_if(vm, FLAG_IF);
	start_timer(vm);
	before = clock_now(vm);
	vm->clock.stop_at = vm->clock.events + 1;
	assert_int_equal(gp(vm, 0xf4), CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_DEBUG);
	assert_true(vm->cpu.halted);
	assert_true(clock_now(vm) < before + 10 * CLOCK_EVENT_NS);
	delivered(vm, core_resume(vm), 0x20);
}

static void test_paced_waits_take_the_hosts_time(void **state)
{
	struct vm *vm = deterministic(state);
	u64 until, before;

	vm->clock.paced = true;
	vm_set_if(vm, FLAG_IF);
	start_timer(vm);
	before = clock_now(vm);
	assert_int_equal(gp(vm, 0xf4), CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_IDLE);
	until = vm->exit.deadline;
	assert_in_range(until - mock_of(vm)->now, 900000, 1100000);
	mock_of(vm)->now = until - 1;
	assert_int_equal(core_kick(vm), CORE_EXIT);
	assert_int_equal(vm->exit.deadline, until);
	assert_true(clock_now(vm) < before + 10 * CLOCK_EVENT_NS); /* to the guest it is not over */
	mock_of(vm)->now = until;
	delivered(vm, core_kick(vm), 0x20);
}

/* A tick that is masked wakes nobody: each one gives the VMM a chance to end the run. */
static void test_wait_that_nothing_ends(void **state)
{
	struct vm *vm = deterministic(state);
	u64 before;

	vm_set_if(vm, FLAG_IF);
	start_timer(vm);
	pic_write(&vm->pic, 0x21, 0xff);
	before = clock_now(vm);
	assert_int_equal(gp(vm, 0xf4), CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_KICKED);
	assert_true(clock_now(vm) > before + 900000);
	assert_int_equal(core_resume(vm), CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_KICKED);
}

static void test_stops_where_asked(void **state)
{
	struct vm *vm = deterministic(state);

	vm->clock.stop_at = vm->clock.events + 2;
	ask(vm);
	assert_int_equal(gp(vm, 0x0f, 0x31), CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_DEBUG);
	assert_int_equal(core_resume(vm), CORE_RESUME); /* once */
}

static void test_digest_tells_registers(void **state)
{
	struct vm *vm = deterministic(state);
	const struct trace_record *record = vm->trace->record;
	u32 first;

	trace(vm, EV_HLT, 0, 0);
	first = record[(vm->trace->head - 1) % TRACE_RING].digest;
	trace(vm, EV_HLT, 0, 0);
	assert_int_equal(record[(vm->trace->head - 1) % TRACE_RING].digest, first);
	vm->cpu.gpr[GPR_DI] ^= 1;
	trace(vm, EV_HLT, 0, 0);
	assert_int_not_equal(record[(vm->trace->head - 1) % TRACE_RING].digest, first);
}

static void test_random_numbers_are_hidden(void **state)
{
	struct vm *vm = *state;
	u32 out[4];

	memset(mock_of(vm)->cpuid, 0xff, sizeof(mock_of(vm)->cpuid));
	vcpu_cpuid(vm, 1, 0, out);
	assert_true(out[2] & 1u << 30);
	vcpu_cpuid(vm, 7, 0, out);
	assert_true(out[1] & 1u << 18);
	deterministic(state);
	vcpu_cpuid(vm, 1, 0, out);
	assert_false(out[2] & 1u << 30);
	vcpu_cpuid(vm, 7, 0, out);
	assert_false(out[1] & 1u << 18);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_host_time_without),
		VM_TEST(test_time_is_a_count),
		VM_TEST(test_interrupts_only_at_events),
		VM_TEST(test_ticks_are_a_count),
		VM_TEST(test_waits_are_over_at_once),
		VM_TEST(test_news_where_it_waits),
		VM_TEST(test_stops_where_it_waits),
		VM_TEST(test_paced_waits_take_the_hosts_time),
		VM_TEST(test_wait_that_nothing_ends),
		VM_TEST(test_stops_where_asked),
		VM_TEST(test_digest_tells_registers),
		VM_TEST(test_random_numbers_are_hidden),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
