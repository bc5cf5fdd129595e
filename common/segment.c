/*
 * Segmentation: see segment.h.
 */
#include "segment.h"
#include "mem.h"
#include "native.h"
#include "pv.h"
#include "shadow-records.h"

#define DESC_ACCESSED (1ull << 40)

/* Flat with a limit of 3 GiB - 1, DPL 3, 32-bit: the ABI's user code and data. */
#define ABI_USER_CODE 0x00cbfb000000ffffull
#define ABI_USER_DATA 0x00cbf3000000ffffull

/* The same up to 4 GiB. */
#define FLAT_CODE 0x00cffb000000ffffull
#define FLAT_DATA 0x00cff3000000ffffull

static bool abi_ldt(const struct vm *vm)
{
	return vm->abi && seg_is_null(vm->cpu.ldtr.selector);
}

bool seg_is_abi_user(const struct vm *vm, u16 selector)
{
	return abi_ldt(vm) && (selector == PLEX86_USER_CS || selector == PLEX86_USER_DS);
}

/* Where the descriptor lies, or false if the selector is null or beyond its table. */
static bool descriptor_address(const struct vm *vm, u16 selector, u64 *la)
{
	u32 offset = selector & ~7u;

	if (seg_is_null(selector))
		return false;
	if (selector & 4) {
		if (seg_is_null(vm->cpu.ldtr.selector) || offset + 7 > vm->cpu.ldtr.limit)
			return false;
		*la = (u32)(vm->cpu.ldtr.base + offset);
		return true;
	}
	if (offset + 7 > vm->cpu.gdtr.limit)
		return false;
	*la = (u32)(vm->cpu.gdtr.base + offset);
	return true;
}

bool seg_fetch(struct vm *vm, u16 selector, enum exception vector, u32 ext, u64 *desc)
{
	u64 la;

	if (seg_is_abi_user(vm, selector)) {
		*desc = selector == PLEX86_USER_CS ? ABI_USER_CODE : ABI_USER_DATA;
		return true;
	}
	if (!descriptor_address(vm, selector, &la))
		return raise_error(vm, vector, (selector & ~3u) | ext);
	return mem_read(vm, la, desc, 8, false);
}

bool seg_descriptor(struct vm *vm, u16 selector, u64 *desc)
{
	struct exception_info before = vm->exc;

	if (seg_fetch(vm, selector, EXC_GP, 0, desc))
		return true;
	vm->exc = before;
	return false;
}

bool seg_ldt_has(struct vm *vm, unsigned entry)
{
	const u64 present = 1ull << 47;
	u64 desc;

	return seg_descriptor(vm, entry << 3 | 4, &desc) && (desc & present);
}

static u64 pack(const struct segment *seg)
{
	u32 limit = seg->attr & SEG_G ? seg->limit >> 12 : seg->limit;

	return (limit & 0xffff) | (u64)(limit & 0xf0000) << 32 | (seg->base & 0xffffff) << 16 |
	       (seg->base & 0xff000000u) << 32 | (u64)seg->attr << 40;
}

bool seg_mark_accessed(struct vm *vm, u16 selector, u64 desc)
{
	u64 la;
	u8 byte = (desc | DESC_ACCESSED) >> 40;

	if ((desc & DESC_ACCESSED) || !descriptor_address(vm, selector, &la))
		return true;
	return mem_write(vm, la + 5, &byte, 1, false);
}

/* ------------------------------------------------- host selectors ---- */

static bool is_flat(const struct segment *seg)
{
	return seg->base == 0 && seg->limit == 0xffffffffu &&
	       (seg->attr & (SEG_P | SEG_DB)) == (SEG_P | SEG_DB);
}

static unsigned tls_slot(u16 selector)
{
	return (unsigned)(selector >> 3) - HOST_TLS_ENTRY;
}

static bool is_tls_selector(u16 selector)
{
	return !(selector & 4) && tls_slot(selector) < HOST_TLS_COUNT;
}

static bool in_tls_slot(const struct vm *vm, const struct segment *seg)
{
	return is_tls_selector(seg->selector) &&
	       vm->shadow[vm->pool.active].tls[tls_slot(seg->selector)];
}

/* The selector the hardware must hold for `seg` in register `reg`; 0 if it needs a slot. */
static u16 native_selector(const struct vm *vm, enum seg_reg reg, const struct segment *seg)
{
	if (seg_is_abi_user(vm, seg->selector))
		return seg->selector;
	if (reg == SEG_CS)
		return is_flat(seg) ? HOST_FLAT_CS : 0;
	if (vm->native)
		return seg->selector == HOST_FLAT_DS && is_flat(seg) && seg_is_writable_data(seg)
			       ? HOST_FLAT_DS
			       : 0;
	if (is_flat(seg) && seg_is_writable_data(seg) && !(seg->attr & SEG_TYPE_DOWN)) {
		/* Code may load HOST_FLAT_DS without a trap, and that must show: another flat
		 * selector gets a host selector of its own. SS is not loaded like that. */
		return reg == SEG_SS || seg->selector == HOST_FLAT_DS
			       ? HOST_FLAT_DS
			       : HOST_LDT_SELECTOR(HOST_SLOT_FLAT_DS);
	}
	if (in_tls_slot(vm, seg))
		return seg->selector | 3;
	return 0;
}

static bool stop_for_segment(struct vm *vm, u16 selector)
{
	vm->exit.kind = EXIT_FAULT;
	vm->exit.fault.reason = FAULT_HOST_SEGMENT;
	vm->exit.fault.detail = selector;
	return false;
}

/* That of a register, for any segment. */
static unsigned spare_entry(const struct vm *vm, enum seg_reg reg)
{
	return (vm->native ? native_spare(vm) : HOST_SLOT_SEG0) + reg;
}

/* Is it in use for another segment of the same selector, which was loaded at another time? */
static bool is_taken(const struct vm *vm, enum seg_reg reg, const struct segment *seg)
{
	for (unsigned other = 0; other < SEG_COUNT; other++)
		if (other != reg && (vm->cpu.seg[other].selector ^ seg->selector) < 4 &&
		    pack(&vm->cpu.seg[other]) != pack(seg))
			return true;
	return false;
}

/*
 * The entry of the host's LDT for a segment that it has no selector for. User code of the hybrid
 * engine reads the selector it finds there, and loads it again: it is the guest's own for a segment
 * of its LDT, and differs in the table's bit only for one of its GDT, unless its LDT has that.
 */
static unsigned ldt_entry_for(struct vm *vm, enum seg_reg reg, const struct segment *seg)
{
	const unsigned index = seg->selector >> 3;

	if (!vm->native || reg == SEG_CS || index >= native_spare(vm) || is_taken(vm, reg, seg) ||
	    (!(seg->selector & 4) && seg_ldt_has(vm, index)))
		return spare_entry(vm, reg);
	return index;
}

static enum host_error set_ldt_entry(struct vm *vm, unsigned entry, u64 desc)
{
	return host_set_segment(vm, (vm->native ? HOST_SLOT_LDT0 : 0) + entry, desc);
}

bool seg_install(struct vm *vm, enum seg_reg reg, const struct segment *seg)
{
	u16 hw = native_selector(vm, reg, seg);

	if (!hw) {
		const unsigned entry = ldt_entry_for(vm, reg, seg);

		if (entry == spare_entry(vm, reg))
			vm->slot[reg] = pack(seg);
		if (set_ldt_entry(vm, entry, pack(seg)) != HOST_OK)
			return stop_for_segment(vm, seg->selector);
		hw = HOST_LDT_SELECTOR(entry);
	}
	vm->cpu.seg[reg] = *seg;
	vm->cpu.hw_selector[reg] = hw;
	return true;
}

void seg_install_null(struct vm *vm, enum seg_reg reg, u16 selector)
{
	vm->cpu.seg[reg] = (struct segment){.selector = selector};
	/* SS cannot be null at CPL 3: the guest's kernel may not run with one either. */
	vm->cpu.hw_selector[reg] = reg == SEG_SS ? HOST_FLAT_DS : 0;
}

void seg_drop_inner(struct vm *vm, unsigned cpl)
{
	static const enum seg_reg data[] = {SEG_ES, SEG_DS, SEG_FS, SEG_GS};

	for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
		const struct segment *seg = &vm->cpu.seg[data[i]];

		if (seg_is_null(seg->selector) || seg_is_conforming(seg) || seg_dpl(seg) >= cpl)
			continue;
		seg_install_null(vm, data[i], 0);
	}
}

/* ---------------------------------------------------------- loads ---- */

static bool load_ss(struct vm *vm, u16 selector)
{
	unsigned cpl = vm_cpl(vm);
	struct segment seg;
	u64 desc;

	if (seg_is_null(selector))
		return raise_error(vm, EXC_GP, 0);
	if (!seg_fetch(vm, selector, EXC_GP, 0, &desc))
		return false;
	seg_unpack(desc, selector, &seg);
	if ((selector & 3) != cpl || !seg_is_writable_data(&seg) || seg_dpl(&seg) != cpl)
		return raise_error(vm, EXC_GP, selector & ~3);
	if (!(seg.attr & SEG_P))
		return raise_error(vm, EXC_SS, selector & ~3);
	return seg_mark_accessed(vm, selector, desc) && seg_install(vm, SEG_SS, &seg);
}

bool seg_load(struct vm *vm, enum seg_reg reg, u16 selector)
{
	unsigned rpl = selector & 3, cpl = vm_cpl(vm);
	struct segment seg;
	u64 desc;

	if (reg == SEG_SS)
		return load_ss(vm, selector);
	if (seg_is_null(selector)) {
		seg_install_null(vm, reg, selector);
		return true;
	}
	if (is_tls_selector(selector) && !seg_sync_tls(vm))
		return false;
	if (!seg_fetch(vm, selector, EXC_GP, 0, &desc))
		return false;
	seg_unpack(desc, selector, &seg);
	/* Data or readable code (SDM vol. 2, MOV). */
	if (!(seg.attr & SEG_S) || (seg.attr & (SEG_TYPE_CODE | SEG_TYPE_WRITE)) == SEG_TYPE_CODE)
		return raise_error(vm, EXC_GP, selector & ~3);
	if (!seg_is_conforming(&seg) && (rpl > seg_dpl(&seg) || cpl > seg_dpl(&seg)))
		return raise_error(vm, EXC_GP, selector & ~3);
	if (!(seg.attr & SEG_P))
		return raise_error(vm, EXC_NP, selector & ~3);
	return seg_mark_accessed(vm, selector, desc) && seg_install(vm, reg, &seg);
}

/* ------------------------------------------------ TLS slots and LDT ---- */

/* What a host TLS slot may hold: present 32-bit data of DPL 3, as Linux puts there. */
static bool fits_tls(u64 desc)
{
	struct segment seg;

	seg_unpack(desc, 0, &seg);
	return (seg.attr & (SEG_P | SEG_S | SEG_DB)) == (SEG_P | SEG_S | SEG_DB) &&
	       !(seg.attr & SEG_TYPE_CODE) && seg_dpl(&seg) == 3;
}

void seg_note_native(struct vm *vm, enum seg_reg reg, u16 selector)
{
	struct segment seg = {.selector = selector};
	u64 desc;

	if (seg_descriptor(vm, selector, &desc))
		seg_unpack(desc, selector, &seg);
	/* The guest's table may have been changed since, or never have said what the host's does.
	 */
	if (!seg_is_null(selector) && !seg_is_loadable(reg, &seg))
		seg_unpack(is_tls_selector(selector) ? vm_shadow(vm)->tls[tls_slot(selector)]
			   : reg == SEG_CS	     ? FLAT_CODE
						     : FLAT_DATA,
			   selector, &seg);
	vm->cpu.seg[reg] = seg;
	vm->cpu.hw_selector[reg] = selector;
}

/* A slot is empty now: no register may go on naming it. */
static void forget_selector(struct vm *vm, u16 selector)
{
	for (unsigned reg = 0; reg < SEG_COUNT; reg++)
		if ((vm->cpu.hw_selector[reg] & ~3) == selector && reg != SEG_CS)
			seg_install_null(vm, reg, 0);
}

bool seg_sync_tls(struct vm *vm)
{
	struct shadow *s = vm_shadow(vm);
	u64 *tls = s->tls;

	if (vm->levels)
		return true; /* its slots are none of the host's */
	for (unsigned i = 0; i < HOST_TLS_COUNT; i++) {
		u64 desc = 0;
		u16 selector = (HOST_TLS_ENTRY + i) << 3;

		if (!seg_descriptor(vm, selector, &desc))
			desc = 0;
		s->tls_seen[i] = desc;
		if (!fits_tls(desc))
			desc = 0;
		desc |= desc ? DESC_ACCESSED : 0;
		if (desc == tls[i])
			continue;
		trace(vm, EV_TLS, i, desc);
		if (host_set_segment(vm, HOST_SLOT_TLS0 + i, desc) != HOST_OK)
			return stop_for_segment(vm, selector);
		tls[i] = desc;
		if (!desc)
			forget_selector(vm, selector);
	}
	shadow_tell_stubs(vm);
	return true;
}

static bool is_named(const struct vm *vm, u16 selector)
{
	for (unsigned reg = 0; reg < SEG_COUNT; reg++)
		if ((vm->cpu.hw_selector[reg] & ~3) == selector)
			return true;
	return false;
}

bool seg_carry_tls(struct vm *vm, const struct shadow *from)
{
	struct shadow *to = vm_shadow(vm);

	for (unsigned i = 0; i < HOST_TLS_COUNT; i++) {
		const u16 selector = (HOST_TLS_ENTRY + i) << 3;

		if (to->tls[i] || !from->tls[i] || !is_named(vm, selector))
			continue;
		trace(vm, EV_TLS, i, from->tls[i]);
		if (host_set_segment(vm, HOST_SLOT_TLS0 + i, from->tls[i]) != HOST_OK)
			return stop_for_segment(vm, selector);
		to->tls[i] = from->tls[i];
		to->tls_seen[i] = from->tls_seen[i];
	}
	return true;
}

bool seg_init(struct vm *vm)
{
	if (!vm->native && host_set_segment(vm, HOST_SLOT_FLAT_DS, FLAT_DATA) != HOST_OK)
		return stop_for_segment(vm, HOST_FLAT_DS);
	/* Of a machine that is not new: its code has read such selectors, and kept them. */
	for (unsigned reg = 0; reg < SEG_COUNT; reg++)
		if (vm->slot[reg] &&
		    set_ldt_entry(vm, spare_entry(vm, reg), vm->slot[reg]) != HOST_OK)
			return stop_for_segment(vm, HOST_LDT_SELECTOR(spare_entry(vm, reg)));
	return seg_sync_ldt(vm);
}

bool seg_sync_ldt(struct vm *vm)
{
	bool abi = abi_ldt(vm);

	if (host_set_segment(vm, HOST_SLOT_USER_CS, abi ? ABI_USER_CODE : 0) != HOST_OK ||
	    host_set_segment(vm, HOST_SLOT_USER_DS, abi ? ABI_USER_DATA : 0) != HOST_OK)
		return stop_for_segment(vm, PLEX86_USER_CS);
	if (!abi) {
		forget_selector(vm, PLEX86_USER_CS & ~3);
		forget_selector(vm, PLEX86_USER_DS & ~3);
	}
	return true;
}
