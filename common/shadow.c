/*
 * The shadow: records, faults and views: see shadow.h. Resynchronisation is in resync.c.
 */
#include "shadow.h"
#include "paging.h"
#include "pv.h"
#include "segment.h"
#include "shadow-records.h"
#include "stubs-layout.h"

/* A fault on a page already mapped as it should be happens once or twice for good reasons (the
 * host may have dropped the mapping); the same one over and over is a bug of ours. */
#define MAX_REPEATS 16

/* Pages that one call of the host may map: what a directory entry maps without PAE. */
#define MAX_REACH 1024u

/* Supervisor pages within user code's reach must be hidden before it runs: no fast return. */
static void tell_slow(struct vm *vm)
{
	*(u32 *)((u8 *)pv_page(vm) + STUB_SLOW) = vm_shadow(vm)->supervisor_low;
}

void shadow_tell_stubs(struct vm *vm)
{
	const struct shadow *s = vm_shadow(vm);

	tell_slow(vm);
	mem_copy((u8 *)pv_page(vm) + STUB_TLS, s->tls_seen, sizeof(s->tls_seen));
}

static void set_bit(u64 *words, u32 n, bool value)
{
	const u64 bit = 1ull << (n % 64);

	words[n / 64] = value ? words[n / 64] | bit : words[n / 64] & ~bit;
}

void shadow_record(struct vm *vm, u32 page, u32 value)
{
	struct shadow *s = vm_shadow(vm);
	u32 *record = &s->record[page], old = *record, slot = page / SHADOW_SLOT;

	if (old) {
		s->used[slot]--;
		s->total--;
		s->local[slot] -= !(old & SHADOW_GLOBAL);
		vm->pool.globals[slot] -= !!(old & SHADOW_GLOBAL);
		s->large[slot] -= !!(old & SHADOW_LARGE);
		if (!(old & SHADOW_USER)) {
			s->supervisor[slot]--;
			s->supervisor_low -= slot < SHADOW_USER_SLOTS;
			s->supervisor_total--;
		}
	}
	if (value) {
		s->used[slot]++;
		s->total++;
		s->local[slot] += !(value & SHADOW_GLOBAL);
		vm->pool.globals[slot] += !!(value & SHADOW_GLOBAL);
		s->large[slot] += !!(value & SHADOW_LARGE);
		if (!(value & SHADOW_USER)) {
			s->supervisor[slot]++;
			s->supervisor_low += slot < SHADOW_USER_SLOTS;
			s->supervisor_total++;
		}
	}
	if (value & ~old)
		s->agreed[slot] &= ~(1u << (page % SHADOW_SLOT / 64));
	*record = value;
	set_bit(s->recorded[slot], page % SHADOW_SLOT, value);
	set_bit(s->used_slots, slot, s->used[slot]);
	set_bit(s->local_slots, slot, s->local[slot]);
	tell_slow(vm);
}

void shadow_drop(struct vm *vm, u32 first, u32 end)
{
	struct shadow *s = vm_shadow(vm);
	u32 before = s->total;

	for (u32 page = first; page < end;) {
		u32 slot = page / SHADOW_SLOT;

		if (!s->used[slot]) {
			page = (slot + 1) * SHADOW_SLOT;
			continue;
		}
		if (s->record[page])
			shadow_record(vm, page, 0);
		page++;
	}
	if (s->total == before)
		return;
	trace(vm, EV_UNMAP, (u64)first << 12, end - first);
	host_unmap(vm, (u64)first << 12, (u64)(end - first) << 12);
}

void shadow_drop_slot(struct vm *vm, u32 slot)
{
	if (vm_shadow(vm)->used[slot])
		shadow_drop(vm, slot * SHADOW_SLOT, shadow_slot_end(vm, slot));
}

void shadow_drop_all(struct vm *vm)
{
	struct shadow *s = vm_shadow(vm);

	for (u32 word = 0; word < SHADOW_SLOTS / 64; word++)
		for (u64 left = s->used_slots[word]; left; left &= left - 1)
			shadow_drop_slot(vm, word * 64 + __builtin_ctzll(left));
}

/* ------------------------------------------------------- PV page ---- */

static enum shadow_result stop_for_map(struct vm *vm, u64 la)
{
	vm->exit.kind = EXIT_FAULT;
	vm->exit.fault.reason = FAULT_HOST_MAP;
	vm->exit.fault.detail = la;
	return SHADOW_STOP;
}

static unsigned pv_rights(const struct shadow *s)
{
	return HOST_READ | HOST_EXEC | (s->pv_readonly ? 0 : HOST_WRITE);
}

static enum shadow_result pv_fault(struct vm *vm, bool write)
{
	struct shadow *s = vm_shadow(vm);

	if (s->pv_mapped)
		return write ? SHADOW_EMULATE : SHADOW_FILLED;
	if (host_map(vm, PLEX86_PV_PAGE, HOST_PV_GPA(vm), PAGE_SIZE_4K, pv_rights(s)) != HOST_OK)
		return stop_for_map(vm, PLEX86_PV_PAGE);
	s->pv_mapped = true;
	return SHADOW_FILLED;
}

void shadow_pv_protect(struct vm *vm, bool writable)
{
	struct shadow *s = vm_shadow(vm);

	if (s->pv_readonly != writable)
		return;
	s->pv_readonly = !writable;
	if (s->pv_mapped)
		host_protect(vm, PLEX86_PV_PAGE, PAGE_SIZE_4K, pv_rights(s));
}

/* ---------------------------------------------------------- views ---- */

/* Do segment limits keep the user code about to run away from the upper gigabyte? */
static bool user_is_limited(const struct vm *vm)
{
	return seg_is_abi_user(vm, vm->cpu.seg[SEG_CS].selector);
}

static bool is_supervisor(const struct shadow *s, u32 page)
{
	return s->record[page] && !(s->record[page] & SHADOW_USER);
}

/* Neighbours go together: what this costs is calls of the host. */
static void hide_supervisor(struct vm *vm, u32 end_slot)
{
	struct shadow *s = vm_shadow(vm);

	for (u32 slot = 0; slot < end_slot; slot++) {
		const u32 end = (slot + 1) * SHADOW_SLOT;

		for (u32 page = slot * SHADOW_SLOT; s->supervisor[slot] && page < end; page++) {
			const u32 first = page;

			while (page < end && is_supervisor(s, page))
				page++;
			if (page > first)
				shadow_drop(vm, first, page);
		}
	}
}

void shadow_set_user_view(struct vm *vm, bool user)
{
	struct shadow *s = vm_shadow(vm);

	if (!user || vm->two_views)
		return; /* what was hidden comes back by faults */
	if (user_is_limited(vm)) {
		if (s->supervisor_low)
			hide_supervisor(vm, SHADOW_USER_SLOTS);
		return;
	}
	if (s->supervisor_total)
		hide_supervisor(vm, SHADOW_SLOTS);
	if (s->pv_mapped) {
		host_unmap(vm, PLEX86_PV_PAGE, PAGE_SIZE_4K);
		s->pv_mapped = false;
	}
}

/* ---------------------------------------------------------- faults ---- */

static bool progress(struct vm *vm, u64 la, bool write)
{
	struct shadow *s = vm_shadow(vm);
	u64 key = (la & PAGE_MASK_4K) | write;

	if (s->last_fault != key) {
		s->last_fault = key;
		s->repeats = 0;
	}
	if (s->repeats++ < MAX_REPEATS)
		return true;
	vm->exit.kind = EXIT_FAULT;
	vm->exit.fault.reason = FAULT_LOOP;
	vm->exit.fault.detail = la;
	return false;
}

static u32 record_for(const struct vm *vm, u32 page, const struct walk *w, bool writable)
{
	const unsigned denied = debug_denied(vm, page);
	const bool write = writable && !(denied & HOST_WRITE),
		   exec = w->exec && !(denied & HOST_EXEC);

	return (w->gpa & 0xfffff000u) | SHADOW_PRESENT | (write ? SHADOW_WRITE : 0) |
	       (w->user ? SHADOW_USER : 0) | (w->global ? SHADOW_GLOBAL : 0) |
	       (exec ? 0 : SHADOW_NX) | (w->page_size > PAGE_SIZE_4K ? SHADOW_LARGE : 0);
}

/* Is the page one that a debugger wants to see every access to? */
static bool is_hidden(const struct vm *vm, u32 page)
{
	return debug_denied(vm, page) & HOST_READ;
}

/* The page is going to have `record` in place of what it has. */
static void make_way(struct vm *vm, u32 page, u32 record)
{
	const u32 old = vm_shadow(vm)->record[page];

	/* Who else knows the old one must hear of that. */
	if (vm->levels && old && old != record)
		shadow_drop(vm, page, page + 1);
	shadow_record(vm, page, 0);
}

/* Has it a record that keeps it from being mapped together with its neighbours? That of the hybrid
 * engine's emulator does not, unless it has been mapped since: once more is what costs most. */
static bool is_taken(struct vm *vm, u32 page, u32 record)
{
	const u32 old = vm_shadow(vm)->record[page];

	if (!old || !vm->native || old != record)
		return old;
	return vm->mapped && vm->mapped[page / 64] >> (page % 64) & 1;
}

/* May `page` be mapped together with a neighbour whose record is `like`, `delta` pages away? */
static bool extends(struct vm *vm, u32 page, u32 like, s32 delta)
{
	struct walk w;

	if ((u64)page << 12 < vm->low_limit || pv_is_page(vm, (u64)page << 12) ||
	    is_taken(vm, page, like + ((u32)delta << 12)) || is_hidden(vm, page))
		return false;
	if (paging_walk(vm, (u64)page << 12, &w) != WALK_OK || !w.accessed)
		return false;
	if (!vm_ram(vm, w.gpa & PAGE_MASK_4K, PAGE_SIZE_4K))
		return false;
	return record_for(vm, page, &w, w.write && w.dirty) == like + ((u32)delta << 12);
}

/* How far around a page others may be mapped with it. Kernel memory is mapped by ranges as long as
 * its tables allow, and large pages whole; of user pages some, since most of a program's are never
 * touched again. */
static u32 reach_of(const struct vm *vm, u32 record)
{
	const bool user_page = (record & SHADOW_USER) && (vm->cpu.cr0 & CR0_PG);

	return user_page && !(record & SHADOW_LARGE) ? SHADOW_REACH : MAX_REACH;
}

/* [first, end) has been mapped, `page` with `record`. */
static void record_range(struct vm *vm, u32 first, u32 end, u32 page, u32 record)
{
	struct shadow *s = vm_shadow(vm);
	struct paging_root root;

	paging_active_root(vm, &root);
	for (u32 p = first; p < end; p++) {
		shadow_record(vm, p, record + ((p - page) << 12));
		if (p == first || p % SHADOW_SLOT == 0)
			shadow_note_pde(s, p / SHADOW_SLOT,
					paging_directory(vm, &root, p / SHADOW_SLOT));
	}
}

/* Map [first, end) around `page` in one call: neighbours with the same rights whose gpa follows. */
static enum shadow_result map_around(struct vm *vm, u32 page, u32 record)
{
	u32 base = page & ~(MAX_REACH - 1), first = page, end = page + 1;
	u32 reach = reach_of(vm, record);
	unsigned prot = shadow_rights(record);
	enum host_error err;
	u64 gpa;

	/* What is few and has been used will be used; so will a large page, or it would be none. */
	if ((record & SHADOW_USER) && (vm->cpu.cr0 & CR0_PG))
		prot |= HOST_POPULATE;
	while (first > base && page - first < reach &&
	       extends(vm, first - 1, record, first - 1 - page))
		first--;
	while (end < base + MAX_REACH && end - page < reach && extends(vm, end, record, end - page))
		end++;
	gpa = (record & 0xfffff000u) - ((u64)(page - first) << 12);
	err = host_map(vm, (u64)first << 12, gpa, (u64)(end - first) << 12, prot);
	if (err == HOST_LIMIT) {
		shadow_drop_all(vm);
		err = host_map(vm, (u64)first << 12, gpa, (u64)(end - first) << 12, prot);
	}
	if (err == HOST_LOW)
		return SHADOW_EMULATE;
	if (err != HOST_OK)
		return stop_for_map(vm, (u64)first << 12);
	trace(vm, EV_MAP, (u64)first << 12, end - first);
	record_range(vm, first, end, page, record);
	return SHADOW_FILLED;
}

/* The page is mapped and only lacks the right to be written. */
static bool grant_write(struct vm *vm, u32 page, u32 record)
{
	if ((vm_shadow(vm)->record[page] ^ record) != SHADOW_WRITE || !(record & SHADOW_WRITE))
		return false;
	if (host_protect(vm, (u64)page << 12, PAGE_SIZE_4K, shadow_rights(record)) != HOST_OK)
		return false; /* mapping it anew may still work */
	shadow_record(vm, page, record);
	return true;
}

/* Device memory: its registers may be read without a trap if they lie in a page of ours. */
static enum shadow_result device_fault(struct vm *vm, u32 page, const struct walk *w, bool write)
{
	const u32 record = record_for(vm, page, w, false);
	const u64 la = (u64)page << 12;
	unsigned index;

	if (write || la < vm->low_limit || !device_page_find(vm, w->gpa, &index))
		return SHADOW_EMULATE;
	if (vm_shadow(vm)->record[page] == record && !progress(vm, la, write))
		return SHADOW_STOP;
	shadow_drop(vm, page, page + 1);
	/* If the host has no room the access is emulated, as it is where there is no such page. */
	if (host_map(vm, la, HOST_DEVICE_GPA(vm, index), PAGE_SIZE_4K,
		     shadow_rights(record | SHADOW_NX)) != HOST_OK)
		return SHADOW_EMULATE;
	trace(vm, EV_MAP, la, 1);
	shadow_record(vm, page, record);
	shadow_note_pde(vm_shadow(vm), page / SHADOW_SLOT, w->directory);
	return SHADOW_FILLED;
}

enum shadow_result shadow_fault(struct vm *vm, u64 la, bool write, bool fetch, bool user,
				u32 *error)
{
	struct access access = {.write = write, .fetch = fetch, .user = user};
	u32 page = (u32)la >> 12;
	enum walk_result result;
	struct walk w;
	u32 record;

	if (pv_is_page(vm, la) && !user)
		return pv_fault(vm, write);
	result = paging_walk(vm, la, &w);
	if (!paging_check(vm, result, &w, access, error))
		return SHADOW_GUEST;
	if (pv_is_page(vm, la)) {
		*error |= PF_PRESENT; /* not for user code, whatever the guest's tables say */
		return SHADOW_GUEST;
	}
	paging_mark(vm, &w, write);
	if (!vm_ram(vm, w.gpa & PAGE_MASK_4K, PAGE_SIZE_4K))
		return device_fault(vm, page, &w, write);
	if (la < vm->low_limit)
		return SHADOW_EMULATE;
	/* Never writable before D is set. With CR0.WP clear the kernel may write read-only pages,
	 * and the page stays writable for user code until the next resync: Linux never does it. */
	debug_fault(vm, la, write, fetch);
	record = record_for(vm, page, &w, w.dirty && (w.write || write));
	if (vm_shadow(vm)->record[page] == record && !progress(vm, la, write))
		return SHADOW_STOP;
	trace(vm, EV_PF_FILL, la, w.gpa);
	if (grant_write(vm, page, record))
		return SHADOW_FILLED;
	make_way(vm, page, record);
	return map_around(vm, page, record);
}

/* ------------------------------------------------- expected faults ---- */

static void set_expected(struct vm *vm, struct expected_page expected)
{
	vm->expected = expected;
	*(u32 *)((u8 *)pv_page(vm) + STUB_EXPECT) = expected.pending;
}

void shadow_expect(struct vm *vm, u64 la, bool write, u32 ahead)
{
	const struct expected_page page = {
		.pending = true, .write = write, .la = la, .ahead = ahead};

	/* Without the gate it costs the trap it spares. */
	if (vm->native || (vm->gate && vm->fast_paths))
		set_expected(vm, page);
}

/* Map what the tables have at `la`. A and D are the guest's to set, since nothing has been accessed
 * as yet. A page that user code may not see would have to be hidden again. */
static void fill_expected(struct vm *vm, u32 la, bool write)
{
	u32 page = la >> 12, record;
	struct walk w;

	if (la < vm->low_limit || pv_is_page(vm, la) || paging_walk(vm, la, &w) != WALK_OK ||
	    !vm_ram(vm, w.gpa & PAGE_MASK_4K, PAGE_SIZE_4K))
		return;
	record = record_for(vm, page, &w, w.dirty && w.write);
	if (!w.accessed || is_hidden(vm, page) || !w.user || (write && !(record & SHADOW_WRITE)) ||
	    vm_shadow(vm)->record[page] == record)
		return;
	trace(vm, EV_PF_FILL, la, w.gpa);
	if (grant_write(vm, page, record))
		return;
	make_way(vm, page, record);
	/* If this fails, the fault that we wanted to spare comes, and tells. */
	if (map_around(vm, page, record) != SHADOW_FILLED)
		vm->exit.kind = EXIT_NONE;
}

void shadow_fill_expected(struct vm *vm)
{
	const struct expected_page expected = vm->expected;

	if (!expected.pending)
		return;
	set_expected(vm, (struct expected_page){0});
	if (!(vm->cpu.cr0 & CR0_PG))
		return;
	/* One call maps all of them if their frames follow one another. */
	for (u32 i = 0; i <= expected.ahead; i++)
		fill_expected(vm, expected.la + i * PAGE_SIZE_4K, expected.write);
}
