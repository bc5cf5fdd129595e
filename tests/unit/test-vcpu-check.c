/*
 * Which states of a vcpu are taken from outside: vcpu_valid().
 */
#include "mock-host.h"

#include <string.h>
#include "../../common/vcpu-check.h"

#define HIGH (1ull << 32)

static void test_reset_and_running(void **state)
{
	struct vm *vm = *state;

	assert_true(vcpu_valid(&vm->cpu));
	vm_user(vm);
	assert_true(vcpu_valid(&vm->cpu));
	vm_abi_user(vm);
	assert_true(vcpu_valid(&vm->cpu));
	vm_kernel(vm);
	vm_paging(vm, KPAGE);
	assert_true(vcpu_valid(&vm->cpu));
	vm->cpu.halted = true;
	assert_true(vcpu_valid(&vm->cpu));
}

/* One field at a time, by its bits: every one of these is refused. */
#define BREAKS(field, value)                                                             \
	{                                                                                \
		offsetof(struct vcpu, field), (value), sizeof(((struct vcpu *)0)->field) \
	}

static void test_single_fields(void **state)
{
	static const struct {
		size_t offset;
		u64 set;
		size_t size;
	} bad[] = {
		BREAKS(gpr[GPR_AX], HIGH),
		BREAKS(gpr[GPR_R15], HIGH),
		BREAKS(rip, HIGH),
		BREAKS(rflags, FLAG_VM),
		BREAKS(rflags, FLAG_IOPL),
		BREAKS(rflags, FLAG_VIP),
		BREAKS(rflags, 1u << 15),
		BREAKS(rflags, HIGH),
		BREAKS(seg[SEG_CS].base, HIGH),
		BREAKS(seg[SEG_CS].attr, SEG_L),
		BREAKS(seg[SEG_DS].attr, 0x0f00),
		BREAKS(ldtr.base, HIGH),
		BREAKS(ldtr.attr, SEG_S),
		BREAKS(ldtr.attr, SEG_TYPE),
		BREAKS(tr.attr, SEG_S),
		BREAKS(tr.attr, SEG_TYPE_DOWN),
		BREAKS(gdtr.base, HIGH),
		BREAKS(idtr.base, HIGH),
		BREAKS(cr0, HIGH),
		BREAKS(cr0, 0x40),
		BREAKS(cr0, CR0_NW),
		BREAKS(cr2, HIGH),
		BREAKS(cr3, HIGH),
		BREAKS(cr4, CR4_VME),
		BREAKS(cr4, HIGH),
		BREAKS(efer, 0x500), /* long mode */
		BREAKS(efer, 1),
		BREAKS(xcr0, 8),
		BREAKS(dr[0], HIGH),
		BREAKS(dr[7], HIGH),
		BREAKS(iopl, 4),
		BREAKS(halted, 2),
		BREAKS(shutdown, 0x80),
	};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		struct vcpu cpu = vm->cpu;
		u64 value = 0;

		memcpy(&value, (u8 *)&cpu + bad[i].offset, bad[i].size);
		value |= bad[i].set;
		memcpy((u8 *)&cpu + bad[i].offset, &value, bad[i].size);
		if (vcpu_valid(&cpu))
			fail_msg("number %u was taken", i);
	}
}

static void test_cleared_bits(void **state)
{
	struct vm *vm = *state;
	struct vcpu cpu = vm->cpu;

	cpu.cr0 &= ~(u64)CR0_PE;
	assert_false(vcpu_valid(&cpu));
	cpu = vm->cpu;
	cpu.rflags &= ~(u64)FLAG_ONE;
	assert_false(vcpu_valid(&cpu));
	cpu = vm->cpu;
	cpu.xcr0 = 0;
	assert_false(vcpu_valid(&cpu));
}

static bool with_segment(struct vm *vm, enum seg_reg reg, u64 desc, u16 selector)
{
	struct vcpu cpu = vm->cpu;

	seg_unpack(desc, selector, &cpu.seg[reg]);
	return vcpu_valid(&cpu);
}

static void test_segment_types(void **state)
{
	const u64 code = descriptor(0, 0xfffff, D_CODE, D_FLAT),
		  code_xo = descriptor(0, 0xfffff, D_CODE_XO, D_FLAT),
		  data = descriptor(0, 0xfffff, D_DATA, D_FLAT),
		  data_ro = descriptor(0, 0xfffff, D_DATA_RO, D_FLAT),
		  absent = descriptor(0, 0xfffff, D_DATA & ~D_ABSENT, D_FLAT),
		  ldt = descriptor(0, 0xfffff, D_LDT, D_FLAT);
	struct vm *vm = *state;

	assert_true(with_segment(vm, SEG_CS, code, KCS));
	assert_true(with_segment(vm, SEG_CS, code_xo, KCS));
	assert_false(with_segment(vm, SEG_CS, data, KCS));
	assert_false(with_segment(vm, SEG_CS, code, 3));
	assert_true(with_segment(vm, SEG_SS, data, KDS));
	assert_false(with_segment(vm, SEG_SS, data_ro, KDS));
	assert_false(with_segment(vm, SEG_SS, code, KDS));
	assert_false(with_segment(vm, SEG_SS, data, 0));
	assert_true(with_segment(vm, SEG_DS, data_ro, KDS));
	assert_true(with_segment(vm, SEG_DS, code, KDS));
	assert_true(with_segment(vm, SEG_DS, absent, 0));
	assert_false(with_segment(vm, SEG_DS, code_xo, KDS));
	assert_false(with_segment(vm, SEG_DS, absent, KDS));
	assert_false(with_segment(vm, SEG_GS, ldt, KDS));
}

/* No descriptor has such a limit, and what the host would be given is another. */
static void test_limits(void **state)
{
	struct vm *vm = *state;
	struct vcpu cpu = vm->cpu;

	cpu.seg[SEG_ES].limit = 0xfffff000u;
	assert_false(vcpu_valid(&cpu));
	cpu.seg[SEG_ES].attr &= ~SEG_G;
	assert_false(vcpu_valid(&cpu));
	cpu.seg[SEG_ES].limit = 0xfffff;
	assert_true(vcpu_valid(&cpu));
	cpu.seg[SEG_ES].attr |= SEG_G;
	assert_true(vcpu_valid(&cpu));
}

static void test_system_segments(void **state)
{
	struct vm *vm = *state;
	struct vcpu cpu = vm->cpu;

	cpu.tr.attr &= ~2; /* not busy */
	assert_true(vcpu_valid(&cpu));
	cpu.tr.attr &= ~SEG_P;
	assert_false(vcpu_valid(&cpu));
	cpu.tr.selector = 0;
	assert_true(vcpu_valid(&cpu));
	cpu.ldtr = cpu.seg[SEG_DS];
	assert_false(vcpu_valid(&cpu));
	cpu.ldtr.selector = 3;
	assert_true(vcpu_valid(&cpu));
}

/* What the host's registers hold is not taken from outside: not even for a moment, in which a
 * selector that seems to name an empty slot would cost a register its segment. */
static void test_hardware_selectors_are_made_anew(void **state)
{
	struct vm *vm = *state;

	vm->cpu.hw_selector[SEG_CS] = 0xf83;
	vm->cpu.hw_selector[SEG_SS] = PLEX86_USER_DS;
	vm->cpu.hw_selector[SEG_DS] = PLEX86_USER_DS;
	assert_true(vcpu_valid(&vm->cpu));
	assert_true(core_load_segments(vm));
	assert_int_equal(vm->cpu.hw_selector[SEG_CS], HOST_FLAT_CS);
	assert_int_equal(vm->cpu.hw_selector[SEG_SS], HOST_FLAT_DS);
	assert_int_equal(vm->cpu.seg[SEG_SS].selector, KDS);
	assert_int_equal(vm->cpu.seg[SEG_DS].selector, KDS);
	assert_true(vm->cpu.seg[SEG_DS].attr & SEG_P);
}

/* What the guest has written to its table behind a load that did not trap is not what the register
 * holds: the state stays one that a register can have. */
static void test_sync_selectors_of_lost_descriptors(void **state)
{
	struct vm *vm = *state;
	u16 hw[SEG_COUNT];

	put_descriptor(vm, TLS0, descriptor(0x1234000, 0xfffff, D_DATA | D_DPL3, D_FLAT));
	assert_true(seg_sync_tls(vm));
	put_descriptor(vm, TLS0, 0);
	put_descriptor(vm, UDS, 0);
	put_descriptor(vm, UCS, descriptor(0, 0xfffff, D_DATA, D_FLAT));
	memcpy(hw, vm->cpu.hw_selector, sizeof(hw));
	hw[SEG_GS] = TLS0;
	hw[SEG_DS] = HOST_FLAT_DS;
	hw[SEG_CS] = HOST_FLAT_CS | 3;
	vm->cpu.hw_selector[SEG_CS] = 0;
	core_sync_selectors(vm, hw);
	assert_int_equal(vm->cpu.seg[SEG_GS].base, 0x1234000);
	assert_int_equal(vm->cpu.seg[SEG_DS].limit, 0xffffffff);
	assert_true(seg_is_code(&vm->cpu.seg[SEG_CS]));
	assert_true(vcpu_valid(&vm->cpu));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_sync_selectors_of_lost_descriptors),
		VM_TEST(test_reset_and_running),
		VM_TEST(test_single_fields),
		VM_TEST(test_cleared_bits),
		VM_TEST(test_segment_types),
		VM_TEST(test_limits),
		VM_TEST(test_system_segments),
		VM_TEST(test_hardware_selectors_are_made_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
