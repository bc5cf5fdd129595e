/*
 * The state of a machine at rest: that another machine goes on with it, and what it refuses.
 */
#include "mock-host.h"
#include <string.h>
#include "../../common/core.h"
#include "../../common/pv.h"
#include "../../common/state.h"

#define PIT_CONTROL 0x43
#define PIT_0	    0x40
#define PERIOD	    11932 /* PIT clocks: 10 ms */
#define PERIOD_NS   10000000

/* One of a pair: the machine that is left and the one that goes on, with the same RAM. */
static struct vm *go_on_at(struct vm *from, const struct machine_state *s, u64 now)
{
	struct vm *to = vm_create(from->ram_size);

	memcpy(to->ram, from->ram, from->ram_size);
	to->abi = from->abi;
	to->clock.deterministic = from->clock.deterministic;
	to->cpu_identity = from->cpu_identity;
	mock_of(to)->now = now;
	assert_int_equal(state_check(to, s), STATE_OK);
	state_load(to, s);
	return to;
}

static struct machine_state save(struct vm *vm)
{
	struct machine_state s;

	assert_true(state_save(vm, mock_of(vm)->now, &s));
	return s;
}

static void test_registers_and_tables(void **state)
{
	struct vm *vm = *state, *to;
	struct machine_state s;

	vm_paging(vm, 7);
	vm_set_if(vm, FLAG_IF);
	vm->cpu.gpr[GPR_SI] = 0x12345678;
	pv_page(vm)->cr2 = 0xdeadb000;
	pv_page(vm)->iret_site = AT_CODE + 8;
	s = save(vm);
	to = go_on_at(vm, &s, 5);
	assert_int_equal(core_start(to), CORE_RESUME);
	assert_int_equal(to->cpu.gpr[GPR_SI], 0x12345678);
	assert_int_equal(vm_if(to), FLAG_IF);
	assert_int_equal(pv_page(to)->cr2, 0xdeadb000);
	assert_int_equal(pv_page(to)->iret_site, AT_CODE + 8);
	/* Its address space is known, and filled from the guest's tables as it is used. */
	assert_int_equal(mock_mapping(to, AT_DATA), 0);
	assert_int_equal(trap_pf(to, AT_DATA, PF_WRITE), CORE_RESUME);
	assert_int_not_equal(mock_mapping(to, AT_DATA), 0);
	vm_free(to);
}

static void test_user_code(void **state)
{
	struct vm *vm = *state, *to;
	struct machine_state s;

	vm->abi = true;
	vm_abi_user(vm);
	s = save(vm);
	to = go_on_at(vm, &s, 5);
	assert_int_equal(core_start(to), CORE_RESUME);
	assert_int_equal(vm_cpl(to), 3);
	assert_int_equal(to->cpu.seg[SEG_CS].selector, PLEX86_USER_CS);
	assert_int_equal(to->cpu.hw_selector[SEG_CS], PLEX86_USER_CS);
	assert_false(to->stubs.enabled);
	vm_free(to);
}

/* The guest's code reads segment registers natively and keeps what it finds: selectors of the
 * host's that name the same descriptors afterwards, although no register has them now. */
static void test_host_selectors(void **state)
{
	const u16 fs = HOST_LDT_SELECTOR(HOST_SLOT_SEG0 + SEG_FS);
	struct vm *vm = *state, *to;
	struct machine_state s;

	put_descriptor(vm, TLS0, descriptor(AT_DATA, 0xfffff, D_DATA | D_DPL3, D_FLAT));
	assert_true(seg_load(vm, SEG_FS, SMALL));
	assert_int_equal(vm->cpu.hw_selector[SEG_FS], fs);
	assert_true(seg_load(vm, SEG_FS, 0));
	assert_true(seg_load(vm, SEG_GS, TLS0));
	assert_int_equal(vm->cpu.hw_selector[SEG_GS], TLS0);
	s = save(vm);
	to = go_on_at(vm, &s, 5);
	assert_int_equal(core_start(to), CORE_RESUME);
	assert_int_equal(to->cpu.hw_selector[SEG_GS], TLS0);
	assert_int_equal(mock_of(to)->segment[HOST_SLOT_TLS0],
			 mock_of(vm)->segment[HOST_SLOT_TLS0]);
	assert_int_not_equal(mock_of(vm)->segment[HOST_SLOT_SEG0 + SEG_FS], 0);
	assert_int_equal(mock_of(to)->segment[HOST_SLOT_SEG0 + SEG_FS],
			 mock_of(vm)->segment[HOST_SLOT_SEG0 + SEG_FS]);
	vm_free(to);
}

/* A line that the VMM has raised since, or that was never looked at, interrupts. */
static void test_lines(void **state)
{
	struct vm *vm = *state, *to;
	struct machine_state s;

	pic_ready(vm);
	vm_set_if(vm, FLAG_IF);
	raise_irq(vm);
	s = save(vm);
	assert_int_equal(s.irq_lines, 1u << IRQ);
	to = go_on_at(vm, &s, 5);
	to->irq_lines = s.irq_lines;
	delivered(to, core_start(to), IRQ_VECTOR);
	vm_free(to);
}

/* The timer's next tick is as far away as it was, on whatever clock. */
static void test_timer(void **state)
{
	static const u64 nows[] = {1000, 7777777, 1ull << 50};
	struct vm *vm = *state;
	struct machine_state s;
	u64 left;

	pit_write(&vm->pit, PIT_CONTROL, 0x34, mock_of(vm)->now);
	pit_write(&vm->pit, PIT_0, PERIOD & 0xff, mock_of(vm)->now);
	pit_write(&vm->pit, PIT_0, PERIOD >> 8, mock_of(vm)->now);
	mock_of(vm)->now += PERIOD_NS / 4;
	left = pit_deadline(&vm->pit, mock_of(vm)->now) - mock_of(vm)->now;
	s = save(vm);
	for (unsigned i = 0; i < ARRAY_SIZE(nows); i++) {
		struct vm *to = go_on_at(vm, &s, nows[i]);

		assert_in_range(to->timer - nows[i], left - 2000, left + 2000);
		vm_free(to);
	}
}

static void test_deterministic_time(void **state)
{
	struct vm *vm = *state, *to;
	struct machine_state s;

	vm->clock = (struct clock){
		.deterministic = true, .events = 1234, .settled = 1230, .skipped = 99};
	vm->timer = 4321000;
	s = save(vm);
	to = go_on_at(vm, &s, 5);
	assert_int_equal(clock_now(to), clock_now(vm));
	assert_int_equal(to->clock.settled, 1230);
	assert_int_equal(to->timer, 4321000);
	vm_free(to);
}

static void test_not_in_an_instruction(void **state)
{
	struct vm *vm = *state;
	struct machine_state s;

	vm->pending.kind = PENDING_IO;
	assert_false(state_save(vm, 0, &s));
}

static void test_other_machines(void **state)
{
	struct vm *vm = *state;
	struct machine_state s = save(vm), wrong;

	assert_int_equal(state_check(vm, &s), STATE_OK);
	wrong = s;
	wrong.version++;
	assert_int_equal(state_check(vm, &wrong), STATE_OTHER_BUILD);
	wrong = s;
	wrong.layout++;
	assert_int_equal(state_check(vm, &wrong), STATE_OTHER_BUILD);
	wrong = s;
	wrong.ram_size += PAGE_SIZE_4K;
	assert_int_equal(state_check(vm, &wrong), STATE_OTHER_MACHINE);
	wrong = s;
	wrong.abi = !wrong.abi;
	assert_int_equal(state_check(vm, &wrong), STATE_OTHER_MACHINE);
	for (enum state_error e = STATE_OTHER_BUILD; e < STATE_ERRORS; e++)
		assert_true(state_error_text(e)[0]);
}

static void test_other_cpus(void **state)
{
	struct vm *vm = *state;
	struct machine_state s;

	vm->cpu_identity.told[2] = 0x0f;
	vm->cpu_identity.seen[3] = 0xf0;
	vm->cpu_identity.components = 7;
	vm->cpu_identity.size[2] = 256;
	vm->cpu_identity.offset[2] = 576;
	s = save(vm);
	vm->cpu_identity.told[2] = 0x1f; /* more is no harm */
	assert_int_equal(state_check(vm, &s), STATE_OK);
	vm->cpu_identity.told[2] = 0x17;
	assert_int_equal(state_check(vm, &s), STATE_OTHER_CPU);
	vm->cpu_identity.told[2] = 0x0f;
	vm->cpu_identity.seen[3] = 0x70;
	assert_int_equal(state_check(vm, &s), STATE_OTHER_CPU);
	vm->cpu_identity.seen[3] = 0xf0;
	vm->cpu_identity.components = 0xe7; /* but areas of another size are */
	assert_int_equal(state_check(vm, &s), STATE_OTHER_XSAVE);
	vm->cpu_identity.components = 7;
	vm->cpu_identity.offset[2] = 832;
	assert_int_equal(state_check(vm, &s), STATE_OTHER_XSAVE);
	vm->cpu_identity.offset[2] = 576;
	s.cpu.xcr0 = 0xe7;
	assert_int_equal(state_check(vm, &s), STATE_INVALID);
}

static void test_impossible_chips(void **state)
{
	struct vm *vm = *state;
	const struct machine_state s = save(vm);
	struct machine_state wrong;

#define REFUSED(change)                                                   \
	do {                                                              \
		wrong = s;                                                \
		wrong.change;                                             \
		assert_int_equal(state_check(vm, &wrong), STATE_INVALID); \
	} while (0)
	REFUSED(pic.chip[0].lowest_priority = 8);
	REFUSED(pic.chip[1].init_step = 1);
	REFUSED(pic.chip[1].init_step = 5);
	REFUSED(pit.counter[0].mode = 6);
	REFUSED(pit.counter[1].access = 0);
	REFUSED(pit.counter[2].count = 65537);
	REFUSED(pit.counter[2].armed = true); /* without a count */
	REFUSED(pit.port61 = 4);
	REFUSED(cmos.index = 128);
	REFUSED(cmos.offset = 1ll << 62);
	REFUSED(pv.cpl = 1);
	REFUSED(pv.vif = 1);
	REFUSED(irq_lines = 0x10000);
	REFUSED(cpu.rip = 1ull << 32);
#undef REFUSED
	wrong = s;
	memset(&wrong.pic.chip[0].poll, 2, 1);
	assert_int_equal(state_check(vm, &wrong), STATE_INVALID);
}

/* Whatever passes the check is one that the core can run with: the sanitizers watch. */
static void test_any_byte(void **state)
{
	struct vm *vm = *state;
	const struct machine_state s = save(vm);
	struct vm *to = go_on_at(vm, &s, 5);
	unsigned passed = 0;

	for (size_t i = 0; i < 4 * sizeof(s); i++) {
		struct machine_state damaged = s;

		((u8 *)&damaged)[i % sizeof(s)] = random32();
		((u8 *)&damaged)[random32() % sizeof(s)] ^= 1u << (random32() & 7);
		if (state_check(vm, &damaged) != STATE_OK)
			continue;
		passed++;
		mock_of(to)->now = 1 + random32();
		state_load(to, &damaged);
		core_start(to);
		pit_read(&to->pit, PIT_0, mock_of(to)->now);
		pit_deadline(&to->pit, mock_of(to)->now);
		cmos_read(&to->cmos, 0x71, 1600000000);
		pic_ack(&to->pic);
	}
	assert_in_range(passed, 100, 4 * sizeof(s));
	vm_free(to);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_registers_and_tables),
		VM_TEST(test_user_code),
		VM_TEST(test_host_selectors),
		VM_TEST(test_lines),
		VM_TEST(test_timer),
		VM_TEST(test_deterministic_time),
		VM_TEST(test_not_in_an_instruction),
		VM_TEST(test_other_machines),
		VM_TEST(test_other_cpus),
		VM_TEST(test_impossible_chips),
		VM_TEST(test_any_byte),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
