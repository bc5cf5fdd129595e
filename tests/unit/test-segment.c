/*
 * Unit tests of common/segment.c and emulate-seg.c: the checks of segment loads (SDM vol. 2, MOV,
 * POP, LDS; vol. 3, chapter 5), the hidden parts, and the selectors chosen on the host.
 */
#include "mock-host.h"

#include <string.h>

static u64 slot(struct vm *vm, unsigned n)
{
	return mock_of(vm)->segment[n];
}

/* mov %ax, reg with the selector in AX, trapped. */
static enum core_next mov_to_seg(struct vm *vm, enum seg_reg reg, u16 selector)
{
	vm->cpu.gpr[GPR_AX] = selector;
	return gp(vm, 0x8e, 0xc0 | reg << 3);
}

static void assert_loads(struct vm *vm, enum seg_reg reg, u16 selector)
{
	u32 rip = vm->cpu.rip;

	assert_next(vm, mov_to_seg(vm, reg, selector), rip + 2);
	assert_int_equal(vm->cpu.seg[reg].selector, selector);
}

static void assert_refused(struct vm *vm, enum seg_reg reg, u16 selector, u8 vector, u32 error)
{
	u32 rip = vm->cpu.rip, sp = vm->cpu.gpr[GPR_SP];
	unsigned cpl = vm_cpl(vm);
	struct vcpu before = vm->cpu;

	assert_fault(vm, mov_to_seg(vm, reg, selector), vector, error, rip);
	assert_memory_equal(&vm->cpu.seg[SEG_DS], &before.seg[SEG_DS], sizeof(struct segment));
	/* Back to where it was, for the next attempt. */
	memcpy(vm->cpu.seg, before.seg, sizeof(before.seg));
	vm->cpu.rip = rip;
	vm->cpu.gpr[GPR_SP] = sp;
	pv_page(vm)->cpl = cpl;
}

/* --------------------------------------------------- hidden parts ---- */

static void test_unpack(void **state)
{
	struct segment s;

	(void)state;
	seg_unpack(descriptor(0x12345678, 0xabcde, D_DATA | D_DPL3, D_FLAT), 0x2b, &s);
	assert_int_equal(s.base, 0x12345678);
	assert_int_equal(s.limit, 0xabcdefff);
	assert_int_equal(s.attr, 0xc0f3);
	assert_int_equal(seg_dpl(&s), 3);
	seg_unpack(descriptor(0xff000000, 0xabcde, D_CODE, D_32), 0x10, &s);
	assert_int_equal(s.base, 0xff000000);
	assert_int_equal(s.limit, 0xabcde);
	assert_true(seg_is_code(&s));
	assert_false(seg_is_conforming(&s));
	/* The bit that would mean 64-bit code is no bit of this CPU. */
	seg_unpack(descriptor(0, 0xfffff, D_CODE, D_FLAT | 2), 0x10, &s);
	assert_int_equal(s.attr, 0xc09b);
}

static void test_access_expand_up(void **state)
{
	struct segment s;

	(void)state;
	seg_unpack(descriptor(0, 0xfff, D_DATA, D_32), 8, &s);
	assert_true(seg_access_ok(&s, 0xffc, 4, true));
	assert_false(seg_access_ok(&s, 0xffd, 4, false));
	assert_false(seg_access_ok(&s, 0xffffffff, 2, false)); /* no wrap */
	seg_unpack(descriptor(0, 0xfff, D_DATA_RO, D_32), 8, &s);
	assert_true(seg_access_ok(&s, 0, 4, false));
	assert_false(seg_access_ok(&s, 0, 4, true));
	seg_unpack(descriptor(0, 0xfff, D_DATA & ~D_ABSENT, D_32), 8, &s);
	assert_false(seg_access_ok(&s, 0, 4, false));
}

static void test_access_expand_down(void **state)
{
	struct segment s;

	(void)state;
	seg_unpack(descriptor(0, 0xfff, D_DATA_DOWN, D_32), 8, &s);
	assert_false(seg_access_ok(&s, 0xfff, 1, true));
	assert_true(seg_access_ok(&s, 0x1000, 4, true));
	assert_true(seg_access_ok(&s, 0xfffffffc, 4, true));
	seg_unpack(descriptor(0, 0xfff, D_DATA_DOWN, 0), 8, &s);
	assert_true(seg_access_ok(&s, 0xfffc, 4, true));
	assert_false(seg_access_ok(&s, 0xfffd, 4, true));
}

static void test_access_code(void **state)
{
	struct segment s;

	(void)state;
	seg_unpack(descriptor(0, 0xfff, D_CODE, D_32), 8, &s);
	assert_true(seg_access_ok(&s, 0, 4, false));
	assert_false(seg_access_ok(&s, 0, 4, true));
	seg_unpack(descriptor(0, 0xfff, D_CODE_XO, D_32), 8, &s);
	assert_false(seg_access_ok(&s, 0, 4, false));
}

/* ------------------------------------------------ data segment loads ---- */

static void test_null(void **state)
{
	struct vm *vm = *state;

	for (u16 selector = 0; selector < 4; selector++) {
		assert_loads(vm, SEG_DS, selector);
		assert_int_equal(vm->cpu.hw_selector[SEG_DS], 0);
		assert_int_equal(vm->cpu.seg[SEG_DS].attr, 0);
	}
	/* An access through it is a #GP, whatever the address. */
	vm->cpu.gpr[GPR_AX] = AT_DATA;
	assert_false(mem_linear(vm, SEG_DS, AT_DATA, 1, false, &(u64){0}));
	assert_int_equal(vm->exc.vector, EXC_GP);
}

static void test_outside_tables(void **state)
{
	struct vm *vm = *state;

	assert_refused(vm, SEG_DS, GDT_LIMIT + 1, EXC_GP, GDT_LIMIT + 1);
	vm->cpu.gdtr.limit = SPARE + 6; /* the last byte is missing */
	put_descriptor(vm, SPARE, descriptor(0, 0, D_DATA, D_32));
	assert_refused(vm, SEG_DS, SPARE, EXC_GP, SPARE);
	vm->cpu.gdtr.limit++;
	assert_loads(vm, SEG_DS, SPARE);
	assert_refused(vm, SEG_ES, 0x104, EXC_GP, 0x104); /* beyond the LDT */
	vm->cpu.ldtr.selector = 0;
	assert_refused(vm, SEG_ES, 0x0c, EXC_GP, 0x0c);
}

static void test_local_table(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, 0x0c, descriptor(0x1234, 0x10, D_DATA, D_32));
	assert_loads(vm, SEG_FS, 0x0c);
	assert_int_equal(vm->cpu.seg[SEG_FS].base, 0x1234);
}

static void test_data_types(void **state)
{
	struct vm *vm = *state;

	/* Bits 3-0 of the type, for a code or data segment: all but execute-only code. */
	for (unsigned type = 0; type < 16; type++) {
		put_descriptor(vm, SPARE, descriptor(0, 0xff, 0x90 | type, D_32));
		if ((type & 0xa) == 8)
			assert_refused(vm, SEG_ES, SPARE, EXC_GP, SPARE);
		else
			assert_loads(vm, SEG_ES, SPARE);
		/* A system segment is never right. */
		put_descriptor(vm, SPARE, descriptor(0, 0xff, 0x80 | type, D_32));
		assert_refused(vm, SEG_ES, SPARE, EXC_GP, SPARE);
	}
}

/* RPL and CPL against DPL, for data and conforming code. */
static void test_data_privilege(void **state)
{
	struct vm *vm = *state;

	for (unsigned n = 0; n < 32; n++) {
		unsigned rpl = n & 3, dpl = n >> 2 & 3;
		bool user = n & 16, conforming;
		unsigned cpl = user ? 3 : 0;

		user ? vm_user(vm) : vm_kernel(vm);
		for (conforming = false;; conforming = true) {
			u8 access = (conforming ? D_CODE_CONF : D_DATA) | dpl << 5;

			put_descriptor(vm, SPARE, descriptor(0, 0xff, access, D_32));
			if (conforming || (rpl <= dpl && cpl <= dpl))
				assert_loads(vm, SEG_GS, SPARE | rpl);
			else
				assert_refused(vm, SEG_GS, SPARE | rpl, EXC_GP, SPARE);
			if (conforming)
				break;
		}
	}
}

static void test_data_not_present(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, SPARE, descriptor(0, 0xff, D_DATA & ~D_ABSENT, D_32));
	assert_refused(vm, SEG_ES, SPARE, EXC_NP, SPARE);
	/* Type and privilege come first. */
	put_descriptor(vm, SPARE, descriptor(0, 0xff, D_CODE_XO & ~D_ABSENT, D_32));
	assert_refused(vm, SEG_ES, SPARE, EXC_GP, SPARE);
}

static void test_accessed_bit(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, SPARE, descriptor(0, 0xff, 0x92, D_32));
	assert_loads(vm, SEG_ES, SPARE);
	assert_int_equal(get_descriptor(vm, SPARE) >> 40 & 0xff, 0x93);
	put_descriptor(vm, SPARE, descriptor(0, 0xff, 0x12, D_32));
	assert_refused(vm, SEG_ES, SPARE, EXC_NP, SPARE);
	assert_int_equal(get_descriptor(vm, SPARE) >> 40 & 0xff, 0x12);
}

/* Reading the descriptor is a memory access like any other. */
static void test_page_fault_on_table(void **state)
{
	struct vm *vm = *state;

	vm_paging(vm, PTE_P | PTE_W | PTE_U);
	vm->cpu.gdtr.limit = 0x1fff;
	*pte_of(vm, AT_GDT + 0x1000) = 0;
	assert_refused(vm, SEG_ES, 0x1008, EXC_PF, 0);
	assert_int_equal(vm->cpu.cr2, AT_GDT + 0x1008);
}

/* --------------------------------------------------------------- SS ---- */

static void test_ss_checks(void **state)
{
	struct vm *vm = *state;

	assert_refused(vm, SEG_SS, 0, EXC_GP, 0);
	assert_refused(vm, SEG_SS, GDT_LIMIT + 1, EXC_GP, GDT_LIMIT + 1);
	for (unsigned n = 0; n < 16; n++) {
		unsigned rpl = n & 3, dpl = n >> 2;

		put_descriptor(vm, SPARE, descriptor(0, 0xfffff, D_DATA | dpl << 5, D_FLAT));
		if (rpl || dpl)
			assert_refused(vm, SEG_SS, SPARE | rpl, EXC_GP, SPARE);
		else
			assert_loads(vm, SEG_SS, SPARE);
	}
	for (unsigned type = 0; type < 16; type++) {
		vm_kernel(vm);
		put_descriptor(vm, SPARE, descriptor(0, 0xfffff, 0x90 | type, D_FLAT));
		if ((type & 0xa) == 2)
			assert_loads(vm, SEG_SS, SPARE);
		else
			assert_refused(vm, SEG_SS, SPARE, EXC_GP, SPARE);
	}
	vm_kernel(vm);
	put_descriptor(vm, SPARE, descriptor(0, 0xfffff, D_DATA & ~D_ABSENT, D_FLAT));
	assert_refused(vm, SEG_SS, SPARE, EXC_SS, SPARE);
}

static void test_mov_to_cs_is_undefined(void **state)
{
	struct vm *vm = *state;
	u32 rip = vm->cpu.rip;

	vm->cpu.gpr[GPR_AX] = KCS;
	code(vm, 0x8e, 0xc8);
	/* The processor says so itself. */
	delivered(vm, trap_vector(vm, EXC_UD, 0), EXC_UD);
	assert_int_equal(peek32(vm, vm->cpu.gpr[GPR_SP]), rip);
}

/* -------------------------------------------- pop, lds and memory forms ---- */

static void test_mov_from_memory(void **state)
{
	struct vm *vm = *state;

	poke16(vm, AT_DATA, SMALL);
	assert_next(vm, gp(vm, 0x8e, 0x05, IMM32(AT_DATA)), AT_CODE + 6);
	assert_int_equal(vm->cpu.seg[SEG_ES].selector, SMALL);
	assert_int_equal(vm->cpu.seg[SEG_ES].base, AT_DATA);
	assert_int_equal(vm->cpu.seg[SEG_ES].limit, 0xfff);
}

static void test_pop(void **state)
{
	struct vm *vm = *state;

	poke32(vm, AT_KSTACK, 0xdead0000 | SMALL);
	assert_next(vm, gp(vm, 0x1f), AT_CODE + 1);
	assert_int_equal(vm->cpu.seg[SEG_DS].selector, SMALL);
	assert_int_equal(vm->cpu.gpr[GPR_SP], AT_KSTACK + 4);
	poke32(vm, AT_KSTACK + 4, SMALL);
	assert_next(vm, gp(vm, 0x66, 0x0f, 0xa1), AT_CODE + 4); /* 16-bit pop %fs */
	assert_int_equal(vm->cpu.gpr[GPR_SP], AT_KSTACK + 6);
	assert_int_equal(vm->cpu.seg[SEG_FS].selector, SMALL);
	poke32(vm, AT_KSTACK + 6, LDT);
	assert_fault(vm, gp(vm, 0x07), EXC_GP, LDT, AT_CODE + 4);
	assert_int_equal(vm->cpu.gpr[GPR_SP], AT_KSTACK + 6 - 16);
}

static void test_far_pointers(void **state)
{
	static const struct {
		u8 bytes[2], n;
		enum seg_reg reg;
	} forms[] = {
		{{0xc5}, 1, SEG_DS},
		{{0xc4}, 1, SEG_ES},
		{{0x0f, 0xb4}, 2, SEG_FS},
		{{0x0f, 0xb5}, 2, SEG_GS},
	};
	struct vm *vm = *state;

	poke32(vm, AT_DATA, 0x12345678);
	poke16(vm, AT_DATA + 4, SMALL);
	for (unsigned i = 0; i < ARRAY_SIZE(forms); i++) {
		u32 rip = AT_CODE + i * 0x20;

		vm_kernel(vm);
		vm->cpu.rip = rip;
		poke(vm, rip, forms[i].bytes, forms[i].n);
		vm->cpu.rip += forms[i].n;
		code(vm, 0x0d, IMM32(AT_DATA)); /* (AT_DATA), %ecx */
		vm->cpu.rip = rip;
		assert_next(vm, trap_gp(vm), rip + forms[i].n + 5);
		assert_int_equal(vm->cpu.gpr[GPR_CX], 0x12345678);
		assert_int_equal(vm->cpu.seg[forms[i].reg].selector, SMALL);
	}
	vm_kernel(vm);
	poke16(vm, AT_DATA + 4, KDS);
	assert_next(vm, gp(vm, 0x0f, 0xb2, 0x25, IMM32(AT_DATA)), AT_CODE + 7); /* lss */
	assert_int_equal(vm->cpu.gpr[GPR_SP], 0x12345678);
}

static void test_far_pointer_fault_changes_nothing(void **state)
{
	struct vm *vm = *state;

	vm->cpu.gpr[GPR_CX] = 7;
	poke16(vm, AT_DATA + 4, TSS);
	assert_fault(vm, gp(vm, 0xc5, 0x0d, IMM32(AT_DATA)), EXC_GP, TSS, AT_CODE);
	assert_int_equal(vm->cpu.gpr[GPR_CX], 7);
}

static void test_far_pointer_16_bit(void **state)
{
	struct vm *vm = *state;

	vm->cpu.gpr[GPR_CX] = 0xaaaaaaaa;
	poke16(vm, AT_DATA, 0x1234);
	poke16(vm, AT_DATA + 2, SMALL);
	assert_next(vm, gp(vm, 0x66, 0xc5, 0x0d, IMM32(AT_DATA)), AT_CODE + 7);
	assert_int_equal(vm->cpu.gpr[GPR_CX], 0xaaaa1234);
}

/* ------------------------------------------------- lldt, ltr and friends ---- */

static void test_lldt(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, SPARE, descriptor(0x9000, 0x17, D_LDT, 0));
	vm->cpu.gpr[GPR_AX] = SPARE;
	assert_next(vm, gp(vm, 0x0f, 0x00, 0xd0), AT_CODE + 3);
	assert_int_equal(vm->cpu.ldtr.base, 0x9000);
	assert_int_equal(vm->cpu.ldtr.limit, 0x17);
	vm->cpu.gpr[GPR_AX] = 0xffff0003;
	assert_next(vm, gp(vm, 0x0f, 0x00, 0xd0), AT_CODE + 6);
	assert_int_equal(vm->cpu.ldtr.selector, 3);
	vm->cpu.gpr[GPR_CX] = 0xffffffff;
	assert_next(vm, gp(vm, 0x0f, 0x00, 0xc1), AT_CODE + 9); /* sldt %ecx */
	assert_int_equal(vm->cpu.gpr[GPR_CX], 3);
}

/* The checks lldt and ltr share: selector in the GDT, type, then present. */
static void assert_system_load_refused(struct vm *vm, u8 modrm, u16 selector, u8 vector, u32 error)
{
	vm_kernel(vm);
	vm->cpu.gpr[GPR_AX] = selector;
	assert_fault(vm, gp(vm, 0x0f, 0x00, modrm), vector, error, AT_CODE);
}

static void test_lldt_ltr_checks(void **state)
{
	static const u8 modrm[] = {0xd0, 0xd8}, good[] = {D_LDT, D_TSS};
	struct vm *vm = *state;

	for (unsigned i = 0; i < 2; i++) {
		assert_system_load_refused(vm, modrm[i], 0x0c, EXC_GP, 0x0c);
		assert_system_load_refused(vm, modrm[i], GDT_LIMIT + 1, EXC_GP, GDT_LIMIT + 1);
		assert_system_load_refused(vm, modrm[i], KDS | 3, EXC_GP, KDS);
		put_descriptor(vm, SPARE, descriptor(0, 0x67, good[!i], 0));
		assert_system_load_refused(vm, modrm[i], SPARE, EXC_GP, SPARE);
		put_descriptor(vm, SPARE, descriptor(0, 0x67, good[i] & ~D_ABSENT, 0));
		assert_system_load_refused(vm, modrm[i], SPARE, EXC_NP, SPARE);
		vm_user(vm);
		assert_fault(vm, gp(vm, 0x0f, 0x00, modrm[i]), EXC_GP, 0, AT_USER_CODE);
	}
	assert_system_load_refused(vm, 0xd8, 0, EXC_GP, 0);
	assert_system_load_refused(vm, 0xd8, TSS, EXC_GP, TSS); /* busy */
}

static void test_ltr_marks_busy(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, SPARE, descriptor(0x9000, 0x67, D_TSS, 0));
	vm->cpu.gpr[GPR_AX] = SPARE;
	assert_next(vm, gp(vm, 0x0f, 0x00, 0xd8), AT_CODE + 3);
	assert_int_equal(vm->cpu.tr.base, 0x9000);
	assert_int_equal(get_descriptor(vm, SPARE) >> 40 & 0xff, D_TSS_BUSY);
	assert_next(vm, gp(vm, 0x0f, 0x00, 0x0d, IMM32(AT_DATA)), AT_CODE + 10); /* str mem */
	assert_int_equal(peek32(vm, AT_DATA), SPARE); /* two bytes, no more */
}

/* ------------------------------------------------- host selectors ---- */

static void test_host_selectors_of_flat_segments(void **state)
{
	struct vm *vm = *state;

	assert_int_equal(vm->cpu.hw_selector[SEG_CS], HOST_FLAT_CS);
	assert_int_equal(vm->cpu.hw_selector[SEG_SS], HOST_FLAT_DS);
	/* KDS is not HOST_FLAT_DS: a load of that by the guest must show. */
	assert_loads(vm, SEG_DS, KDS);
	assert_int_equal(vm->cpu.hw_selector[SEG_DS], HOST_LDT_SELECTOR(HOST_SLOT_FLAT_DS));
	assert_int_equal(slot(vm, HOST_SLOT_FLAT_DS), 0x00cff3000000ffffull);
	assert_loads(vm, SEG_DS, UDS);
	assert_int_equal(vm->cpu.hw_selector[SEG_DS], HOST_FLAT_DS);
}

static void test_host_selectors_of_others(void **state)
{
	static const struct {
		u32 base, limit;
		u8 access, flags;
	} odd[] = {
		{0x1000, 0xfffff, D_DATA, D_FLAT}, {0, 0xffffe, D_DATA, D_FLAT},
		{0, 0xfffff, D_DATA, D_32},	   {0, 0xfffff, D_DATA, D_4K},
		{0, 0xfffff, D_DATA_RO, D_FLAT},   {0, 0xfffff, D_CODE, D_FLAT},
		{0, 0x12345, D_DATA_DOWN, D_FLAT},
	};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(odd); i++) {
		u64 desc = descriptor(odd[i].base, odd[i].limit, odd[i].access, odd[i].flags);

		put_descriptor(vm, SPARE, desc);
		assert_loads(vm, SEG_FS, SPARE);
		assert_int_equal(vm->cpu.hw_selector[SEG_FS],
				 HOST_LDT_SELECTOR(HOST_SLOT_SEG0 + SEG_FS));
		assert_int_equal(slot(vm, HOST_SLOT_SEG0 + SEG_FS), desc);
	}
}

static void test_host_refuses(void **state)
{
	struct vm *vm = *state;

	mock_of(vm)->segment_error = HOST_FAIL;
	assert_stopped(vm, mov_to_seg(vm, SEG_FS, SMALL), FAULT_HOST_SEGMENT);
	assert_int_equal(vm->exit.fault.detail, SMALL);
	assert_false(core_load_segments(vm));
}

static void test_tls_slots(void **state)
{
	struct vm *vm = *state;
	u64 desc = descriptor(0xb7000000, 0xfffff, 0xf2, D_FLAT);

	put_descriptor(vm, TLS0, desc);
	assert_loads(vm, SEG_GS, TLS0);
	assert_int_equal(vm->cpu.hw_selector[SEG_GS], TLS0);
	assert_int_equal(slot(vm, HOST_SLOT_TLS0), desc | 1ull << 40);
	/* Unchanged descriptors cost no host call. */
	mock_of(vm)->segments = 0;
	assert_true(seg_sync_tls(vm));
	assert_int_equal(mock_of(vm)->segments, 0);
	/* An emptied slot is taken from the registers as well: the host could not load it. */
	put_descriptor(vm, TLS0, 0);
	assert_true(seg_sync_tls(vm));
	assert_int_equal(slot(vm, HOST_SLOT_TLS0), 0);
	assert_int_equal(vm->cpu.hw_selector[SEG_GS], 0);
}

static void test_tls_slots_hold_user_data_only(void **state)
{
	static const struct {
		u8 access, flags;
	} unfit[] = {{0x93, D_FLAT}, {0xfb, D_FLAT}, {0xf3, D_4K}, {0x73, D_FLAT}};
	struct vm *vm = *state;

	for (unsigned i = 0; i < ARRAY_SIZE(unfit); i++) {
		put_descriptor(vm, TLS0 + 8, descriptor(8, 8, unfit[i].access, unfit[i].flags));
		assert_true(seg_sync_tls(vm));
		assert_int_equal(slot(vm, HOST_SLOT_TLS0 + 1), 0);
	}
}

static void test_abi_segments(void **state)
{
	struct vm *vm = *state;

	assert_false(seg_is_abi_user(vm, PLEX86_USER_CS));
	vm_abi_user(vm);
	assert_true(seg_is_abi_user(vm, PLEX86_USER_CS));
	assert_true(seg_is_abi_user(vm, PLEX86_USER_DS));
	assert_false(seg_is_abi_user(vm, PLEX86_USER_DS & ~3));
	assert_int_equal(vm->cpu.hw_selector[SEG_CS], PLEX86_USER_CS);
	assert_int_equal(vm->cpu.seg[SEG_DS].limit, PLEX86_USER_LIMIT - 1);
	assert_int_equal(slot(vm, HOST_SLOT_USER_CS), 0x00cbfb000000ffffull);
	assert_int_equal(slot(vm, HOST_SLOT_USER_DS), 0x00cbf3000000ffffull);
	/* A guest with an LDT of its own has no use for them. */
	vm->cpu.ldtr.selector = LDT;
	assert_true(seg_sync_ldt(vm));
	assert_int_equal(slot(vm, HOST_SLOT_USER_DS), 0);
	assert_int_equal(vm->cpu.hw_selector[SEG_DS], 0);
}

static void test_drop_inner(void **state)
{
	struct vm *vm = *state;

	put_descriptor(vm, SPARE, descriptor(0, 0xfffff, D_CODE_CONF, D_FLAT));
	assert_loads(vm, SEG_DS, KDS);
	assert_loads(vm, SEG_ES, UDS);
	assert_loads(vm, SEG_FS, SPARE);
	seg_drop_inner(vm, 3);
	assert_int_equal(vm->cpu.seg[SEG_DS].selector, 0);
	assert_int_equal(vm->cpu.seg[SEG_ES].selector, UDS);
	assert_int_equal(vm->cpu.seg[SEG_FS].selector, SPARE);
}

static void test_sync_selectors(void **state)
{
	struct vm *vm = *state;
	u16 hw[SEG_COUNT];

	memcpy(hw, vm->cpu.hw_selector, sizeof(hw));
	core_sync_selectors(vm, hw);
	assert_int_equal(vm->cpu.seg[SEG_DS].selector, KDS);
	hw[SEG_DS] = HOST_FLAT_DS; /* the guest executed mov $0x2b, %ds */
	hw[SEG_FS] = 3;
	core_sync_selectors(vm, hw);
	assert_int_equal(vm->cpu.seg[SEG_DS].selector, UDS);
	assert_int_equal(vm->cpu.seg[SEG_DS].limit, 0xffffffff);
	assert_int_equal(vm->cpu.hw_selector[SEG_DS], HOST_FLAT_DS);
	assert_int_equal(vm->cpu.seg[SEG_FS].selector, 3);
	assert_int_equal(vm->cpu.seg[SEG_ES].selector, KDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		VM_TEST(test_unpack),
		VM_TEST(test_access_expand_up),
		VM_TEST(test_access_expand_down),
		VM_TEST(test_access_code),
		VM_TEST(test_null),
		VM_TEST(test_outside_tables),
		VM_TEST(test_local_table),
		VM_TEST(test_data_types),
		VM_TEST(test_data_privilege),
		VM_TEST(test_data_not_present),
		VM_TEST(test_accessed_bit),
		VM_TEST(test_page_fault_on_table),
		VM_TEST(test_ss_checks),
		VM_TEST(test_mov_to_cs_is_undefined),
		VM_TEST(test_mov_from_memory),
		VM_TEST(test_pop),
		VM_TEST(test_far_pointers),
		VM_TEST(test_far_pointer_fault_changes_nothing),
		VM_TEST(test_far_pointer_16_bit),
		VM_TEST(test_lldt),
		VM_TEST(test_lldt_ltr_checks),
		VM_TEST(test_ltr_marks_busy),
		VM_TEST(test_host_selectors_of_flat_segments),
		VM_TEST(test_host_selectors_of_others),
		VM_TEST(test_host_refuses),
		VM_TEST(test_tls_slots),
		VM_TEST(test_tls_slots_hold_user_data_only),
		VM_TEST(test_abi_segments),
		VM_TEST(test_drop_inner),
		VM_TEST(test_sync_selectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
