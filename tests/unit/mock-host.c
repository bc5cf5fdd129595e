/*
 * A host made of arrays: see mock-host.h.
 */
#include "mock-host.h"

#include <string.h>

/* ------------------------------------------------------- common/host.h ---- */

static void set_page(struct mock *m, u32 page, u32 value)
{
	m->mapped += !!value - !!m->page[page];
	m->page[page] = value;
}

/* Slots whose pages, records and tables vm_renew() has to clear. */
static void touch(struct mock *m, u64 la, u64 len)
{
	for (u64 slot = la / PAGING_SLOT_SIZE; slot <= (la + len - 1) / PAGING_SLOT_SIZE; slot++)
		m->touched[m->in_force][slot / 64] |= 1ull << slot % 64;
}

static void note_change(struct mock *m, u64 la, u64 len)
{
	m->changed_from = la >> 12;
	m->changed_to = (la + len) >> 12;
}

static void check_range(u64 la, u64 len)
{
	assert_int_equal(la & 0xfff, 0);
	assert_int_equal(len & 0xfff, 0);
	assert_true(len && la + len <= 1ull << 32);
}

enum host_error host_map(struct vm *vm, u64 la, u64 gpa, u64 len, unsigned prot)
{
	struct mock *m = mock_of(vm);

	check_range(la, len);
	assert_int_equal(gpa & 0xfff, 0);
	assert_true(gpa + len <= vm->ram_size ||
		    (gpa < HOST_PV_GPA(vm) + HOST_EXTRA_BYTES && len == PAGE_SIZE_4K));
	assert_true(prot & HOST_READ);
	m->maps++;
	if (m->fail_maps) {
		m->fail_maps--;
		return m->map_error;
	}
	if (la < vm->low_limit)
		return HOST_LOW;
	note_change(m, la, len);
	touch(m, la, len);
	for (u64 i = 0; i < len >> 12; i++)
		set_page(m, (la >> 12) + i, (gpa + (i << 12)) | (prot & ~HOST_POPULATE));
	return HOST_OK;
}

enum host_error host_protect(struct vm *vm, u64 la, u64 len, unsigned prot)
{
	struct mock *m = mock_of(vm);

	check_range(la, len);
	m->protects++;
	if (m->protect_error)
		return m->protect_error;
	note_change(m, la, len);
	for (u32 page = la >> 12; page < (la + len) >> 12; page++) {
		assert_true(m->page[page]);
		m->page[page] = MOCK_GPA(m->page[page]) | prot;
	}
	return HOST_OK;
}

enum host_error host_unmap(struct vm *vm, u64 la, u64 len)
{
	struct mock *m = mock_of(vm);

	check_range(la, len);
	m->unmaps++;
	for (u64 page = la >> 12; page < (la + len) >> 12; page++)
		set_page(m, page, 0);
	return HOST_OK;
}

static void enter_space(struct mock *m, u32 index)
{
	if (!m->space[index])
		m->space[index] = calloc(SHADOW_PAGES, sizeof(u32));
	assert_non_null(m->space[index]);
	m->mapped_elsewhere[m->in_force] = m->mapped;
	m->page = m->space[index];
	m->in_force = index;
	m->entered |= 1u << index;
	m->mapped = m->mapped_elsewhere[index];
}

enum host_error host_activate(struct vm *vm, unsigned index)
{
	struct mock *m = mock_of(vm);

	assert_true(index < vm->pool.count);
	assert_int_equal(vm->pool.active, m->in_force);
	assert_int_not_equal(index, m->in_force);
	m->activations++;
	if (m->activate_error)
		return m->activate_error;
	memcpy(m->tls[m->in_force], m->segment + HOST_SLOT_TLS0, sizeof(m->tls[0]));
	memcpy(m->segment + HOST_SLOT_TLS0, m->tls[index], sizeof(m->tls[0]));
	enter_space(m, index);
	return HOST_OK;
}

enum host_error host_set_segment(struct vm *vm, enum host_slot slot, u64 desc)
{
	struct mock *m = mock_of(vm);

	assert_true(slot < ARRAY_SIZE(m->segment));
	m->segments++;
	if (m->segment_error)
		return m->segment_error;
	m->segment[slot] = desc;
	return HOST_OK;
}

u64 host_now(struct vm *vm)
{
	return mock_of(vm)->now;
}

bool host_due(struct vm *vm, u64 deadline)
{
	return host_now(vm) >= deadline;
}

s64 host_utc(struct vm *vm)
{
	return mock_of(vm)->utc;
}

u64 host_tsc(struct vm *vm)
{
	return mock_of(vm)->tsc;
}

void host_arm_timer(struct vm *vm, u64 deadline)
{
	mock_of(vm)->armed = deadline;
	mock_of(vm)->arms++;
}

void host_cpuid(struct vm *vm, u32 leaf, u32 subleaf, u32 out[4])
{
	(void)leaf;
	(void)subleaf;
	memcpy(out, mock_of(vm)->cpuid, sizeof(mock_of(vm)->cpuid));
}

/* --------------------------------------------------------- the machine ---- */

void poke(struct vm *vm, u32 gpa, const void *bytes, unsigned len)
{
	assert_true((u64)gpa + len <= vm->ram_size);
	memcpy(vm->ram + gpa, bytes, len);
}

void poke32(struct vm *vm, u32 gpa, u32 value)
{
	poke(vm, gpa, &value, sizeof(value));
}

void poke16(struct vm *vm, u32 gpa, u16 value)
{
	poke(vm, gpa, &value, sizeof(value));
}

static void peek(const struct vm *vm, u32 gpa, void *out, unsigned len)
{
	assert_true((u64)gpa + len <= vm->ram_size);
	memcpy(out, vm->ram + gpa, len);
}

u32 peek32(const struct vm *vm, u32 gpa)
{
	u32 value;

	peek(vm, gpa, &value, sizeof(value));
	return value;
}

u16 peek16(const struct vm *vm, u32 gpa)
{
	return peek8(vm, gpa) | peek8(vm, gpa + 1) << 8;
}

u8 peek8(const struct vm *vm, u32 gpa)
{
	u8 value;

	peek(vm, gpa, &value, sizeof(value));
	return value;
}

u64 descriptor(u32 base, u32 limit, u8 access, u8 flags)
{
	return (limit & 0xffff) | (u64)(limit & 0xf0000) << 32 | (u64)(base & 0xffffff) << 16 |
	       (u64)(base & 0xff000000u) << 32 | (u64)access << 40 | (u64)flags << 52;
}

u64 gate_descriptor(u16 selector, u32 offset, u8 access, u8 params)
{
	return (offset & 0xffff) | (u64)selector << 16 | (u64)params << 32 | (u64)access << 40 |
	       (u64)(offset & 0xffff0000u) << 32;
}

static u32 descriptor_at(u16 selector)
{
	return (selector & 4 ? AT_LDT : AT_GDT) + (selector & ~7u);
}

void put_descriptor(struct vm *vm, u16 selector, u64 desc)
{
	poke(vm, descriptor_at(selector), &desc, sizeof(desc));
}

u64 get_descriptor(struct vm *vm, u16 selector)
{
	u64 desc;

	peek(vm, descriptor_at(selector), &desc, sizeof(desc));
	return desc;
}

void put_gate(struct vm *vm, u8 vector, u16 selector, u32 offset, u8 access)
{
	u64 desc = gate_descriptor(selector, offset, access, 0);

	poke(vm, AT_IDT + vector * 8u, &desc, sizeof(desc));
}

static void load(struct vm *vm, enum seg_reg reg, u16 selector)
{
	struct segment seg;

	seg_unpack(get_descriptor(vm, selector), selector, &seg);
	assert_true(seg_install(vm, reg, &seg));
}

static void enter(struct vm *vm, unsigned cpl, u16 cs, u16 ds, u32 rip, u32 rsp)
{
	load(vm, SEG_CS, cs);
	load(vm, SEG_SS, ds);
	load(vm, SEG_DS, ds);
	load(vm, SEG_ES, ds);
	seg_install_null(vm, SEG_FS, 0);
	seg_install_null(vm, SEG_GS, 0);
	pv_page(vm)->cpl = cpl;
	vm->cpu.rip = rip;
	vm->cpu.gpr[GPR_SP] = rsp;
}

void vm_kernel(struct vm *vm)
{
	enter(vm, 0, KCS, KDS, AT_CODE, AT_KSTACK);
}

void vm_user(struct vm *vm)
{
	enter(vm, 3, UCS, UDS, AT_USER_CODE, AT_USER_STACK);
}

void vm_abi_user(struct vm *vm)
{
	static const enum seg_reg data[] = {SEG_SS, SEG_DS, SEG_ES};
	struct segment seg;
	u64 desc;

	vm->abi = true;
	vm->cpu.ldtr = (struct segment){0};
	assert_true(seg_sync_ldt(vm));
	vm_user(vm);
	assert_true(seg_descriptor(vm, PLEX86_USER_CS, &desc));
	seg_unpack(desc, PLEX86_USER_CS, &seg);
	assert_true(seg_install(vm, SEG_CS, &seg));
	assert_true(seg_descriptor(vm, PLEX86_USER_DS, &desc));
	seg_unpack(desc, PLEX86_USER_DS, &seg);
	for (unsigned i = 0; i < ARRAY_SIZE(data); i++)
		assert_true(seg_install(vm, data[i], &seg));
}

static void fill_tables(struct vm *vm)
{
	const u32 all = 0xfffff;

	put_descriptor(vm, KCS, descriptor(0, all, D_CODE, D_FLAT));
	put_descriptor(vm, KDS, descriptor(0, all, D_DATA, D_FLAT));
	put_descriptor(vm, UCS, descriptor(0, all, D_CODE | D_DPL3, D_FLAT));
	put_descriptor(vm, UDS, descriptor(0, all, D_DATA | D_DPL3, D_FLAT));
	put_descriptor(vm, TSS, descriptor(AT_TSS, 0x67, D_TSS_BUSY, 0));
	put_descriptor(vm, LDT, descriptor(AT_LDT, 0xff, D_LDT, 0));
	put_descriptor(vm, SMALL, descriptor(AT_DATA, 0xfff, D_DATA | D_DPL3, D_32));
	for (unsigned vector = 0; vector < 256; vector++)
		put_gate(vm, vector, KCS, HANDLER(vector), D_INT32);
	poke32(vm, AT_TSS + 4, AT_TSS_STACK);
	poke16(vm, AT_TSS + 8, KDS);
	poke16(vm, AT_TSS + 0x66, 0x68); /* no I/O bitmap */
}

void vm_restart(struct vm *vm)
{
	mock_of(vm)->now = 1000000;
	vm->trace = &mock_of(vm)->trace;
	enter_space(mock_of(vm), 0);
	core_reset(vm);
	fill_tables(vm);
	vm->cpu.gdtr = (struct table_register){.base = AT_GDT, .limit = GDT_LIMIT};
	vm->cpu.idtr = (struct table_register){.base = AT_IDT, .limit = 256 * 8 - 1};
	seg_unpack(get_descriptor(vm, TSS), TSS, &vm->cpu.tr);
	seg_unpack(get_descriptor(vm, LDT), LDT, &vm->cpu.ldtr);
	vm_kernel(vm);
	assert_true(core_load_segments(vm));
}

static void renew_slot(struct mock *m, u32 index, u32 slot)
{
	struct shadow *s = &m->vm.shadow[index];
	const u32 page = slot * SHADOW_SLOT;

	memset(s->record + page, 0, SHADOW_SLOT * sizeof(*s->record));
	memset(s->recorded[slot], 0, sizeof(s->recorded[slot]));
	memset(s->pte + page, 0, SHADOW_SLOT * sizeof(*s->pte));
	/* Without PAE entries are half as long, and so lie elsewhere. */
	memset((u8 *)s->pte + page * 4, 0, SHADOW_SLOT * 4);
	memset(m->space[index] + page, 0, SHADOW_SLOT * sizeof(u32));
}

/* All of a shadow but what is by pages is short. */
static void renew_shadow(struct mock *m, u32 index)
{
	struct shadow *s = &m->vm.shadow[index];

	for (u32 word = 0; word < SHADOW_SLOTS / 64; word++)
		for (u64 left = m->touched[index][word]; left; left &= left - 1)
			renew_slot(m, index, word * 64 + __builtin_ctzll(left));
	memset(s->used_slots, 0,
	       offsetof(struct shadow, pte) - offsetof(struct shadow, used_slots));
	memset(s->agreed, 0, sizeof(s->agreed));
}

void vm_renew(struct vm *vm)
{
	struct mock *m = mock_of(vm);
	const struct vm old = {.ram = vm->ram, .ram_size = vm->ram_size};
	u32 *space[SHADOW_COUNT];

	for (u32 i = 0; i < SHADOW_COUNT; i++)
		if (m->entered & 1u << i)
			renew_shadow(m, i);
		else
			vm->shadow[i].space = 0;
	memcpy(space, m->space, sizeof(space));
	memset(m, 0, offsetof(struct vm, shadow));
	memset(&m->page, 0, sizeof(*m) - offsetof(struct mock, page));
	memcpy(m->space, space, sizeof(space));
	vm->ram = old.ram;
	vm->ram_size = old.ram_size;
	vm_restart(vm);
}

struct vm *vm_create(u64 ram_size)
{
	struct mock *m = calloc(1, sizeof(*m));
	struct vm *vm = &m->vm;

	assert_non_null(m);
	vm->ram_size = ram_size;
	vm->ram = calloc(1, ram_size + HOST_EXTRA_BYTES);
	assert_non_null(vm->ram);
	vm_restart(vm);
	return vm;
}

void vm_spaces(struct vm *vm, u32 count)
{
	assert_in_range(count, 1, SHADOW_COUNT);
	vm->pool.count = count;
}

void vm_free(struct vm *vm)
{
	for (u32 i = 0; i < SHADOW_COUNT; i++)
		free(mock_of(vm)->space[i]);
	free(vm->ram);
	free(mock_of(vm));
}

int vm_setup(void **state)
{
	*state = vm_create(VM_RAM);
	return 0;
}

int vm_teardown(void **state)
{
	vm_free(*state);
	return 0;
}

void vm_paging(struct vm *vm, u32 pte)
{
	poke32(vm, AT_PD, AT_PT | PTE_P | PTE_W | PTE_U);
	for (u32 page = 0; page < 1024; page++)
		poke32(vm, AT_PT + page * 4, page << 12 | pte);
	vm->cpu.cr3 = AT_PD;
	vm->cpu.cr0 |= CR0_PG | CR0_WP;
	vm->cpu.cr4 |= CR4_PSE | CR4_PGE;
	assert_true(shadow_set_paging(vm));
}

u32 *pde_of(struct vm *vm, u32 la)
{
	return (u32 *)(vm->ram + (vm->cpu.cr3 & 0xfffff000u)) + (la >> 22);
}

u32 *pte_of(struct vm *vm, u32 la)
{
	return (u32 *)(vm->ram + (*pde_of(vm, la) & 0xfffff000u)) + (la >> 12 & 0x3ff);
}

/* ---------------------------------------------------------- running ---- */

enum core_next trap_vector(struct vm *vm, u8 vector, u32 error)
{
	const struct trap trap = {.vector = vector, .error = error};

	return core_trap(vm, &trap);
}

enum core_next trap_gp(struct vm *vm)
{
	return trap_vector(vm, EXC_GP, 0);
}

enum core_next trap_pf(struct vm *vm, u32 la, u32 error)
{
	const struct trap trap = {.vector = EXC_PF, .error = error, .address = la};

	return core_trap(vm, &trap);
}

void assert_next(struct vm *vm, enum core_next next, u32 rip)
{
	assert_int_equal(next, CORE_RESUME);
	assert_int_equal(vm->cpu.rip, rip);
}

static bool has_error_code(u8 vector)
{
	return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC;
}

struct frame delivered(struct vm *vm, enum core_next next, u8 vector)
{
	u32 sp = vm->cpu.gpr[GPR_SP];
	struct frame f = {0};

	assert_next(vm, next, HANDLER(vector));
	if (has_error_code(vector)) {
		f.error = peek32(vm, sp);
		sp += 4;
	}
	peek(vm, sp, &f.eip, sizeof(f) - offsetof(struct frame, eip));
	return f;
}

void assert_fault(struct vm *vm, enum core_next next, u8 vector, u32 error, u32 rip)
{
	struct frame f = delivered(vm, next, vector);

	assert_int_equal(f.error, error);
	assert_int_equal(f.eip, rip);
}

void assert_stopped(struct vm *vm, enum core_next next, enum vm_fault reason)
{
	assert_int_equal(next, CORE_EXIT);
	assert_int_equal(vm->exit.kind, EXIT_FAULT);
	assert_int_equal(vm->exit.fault.reason, reason);
}

void pic_ready(struct vm *vm)
{
	pic_write(&vm->pic, 0x20, 0x11);
	pic_write(&vm->pic, 0x21, 0x20);
	pic_write(&vm->pic, 0x21, 0x04);
	pic_write(&vm->pic, 0x21, 0x01);
	pic_write(&vm->pic, 0x21, 0x00);
}

void raise_irq(struct vm *vm)
{
	vm->irq_lines |= 1u << IRQ;
}

u32 random32(void)
{
	static u64 x = 0x9e3779b97f4a7c15ull; /* xorshift: the same numbers in every run */

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x >> 16;
}
