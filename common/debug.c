/*
 * Breakpoints, watch points and single steps: see debug.h.
 */
#include "debug.h"
#include "emulate.h"
#include "fnv.h"
#include "mem.h"
#include "paging.h"
#include "pv.h"
#include "shadow-records.h"

#define OPCODE_PUSHF 0x9c
#define OPCODE_POPF  0x9d
#define OPCODE_IRET  0xcf
#define OPCODE_INT1  0xf1

#define UNSIZED 512 /* bytes that an instruction of no fixed size may access: FXSAVE */

static bool is_active(const struct debug *d)
{
	return d->request.count || d->request.step;
}

/* ------------------------------------------------------------- guards ---- */

static bool overlaps(const struct debug_point *p, u32 la, u32 len)
{
	return la - p->la < p->len || p->la - la < len;
}

static bool is_open(const struct debug *d, u32 page)
{
	for (u32 i = 0; i < d->opened; i++)
		if (d->open[i] == page)
			return true;
	return false;
}

static u32 kinds_on(const struct debug *d, u32 page)
{
	u32 kinds = 0;

	for (u32 i = 0; i < d->request.count; i++)
		if (overlaps(&d->request.point[i], page << 12, PAGE_SIZE_4K))
			kinds |= d->request.point[i].kind;
	return kinds;
}

unsigned debug_denied(const struct vm *vm, u32 page)
{
	const struct debug *d = &vm->debug;
	u32 kinds;

	if (!d->request.count || is_open(d, page))
		return 0;
	kinds = kinds_on(d, page);
	return (kinds & DEBUG_EXEC ? HOST_EXEC : 0) | (kinds & DEBUG_WRITE ? HOST_WRITE : 0) |
	       (kinds & DEBUG_READ ? HOST_READ | HOST_WRITE | HOST_EXEC : 0);
}

/* Take from the host's mapping what is denied now. */
static void enforce(struct vm *vm, u32 page)
{
	const u32 record = vm_shadow(vm)->record[page];
	const unsigned denied = debug_denied(vm, page);
	u32 less = record;

	if (!record)
		return;
	if (denied & HOST_EXEC)
		less |= SHADOW_NX;
	if (denied & HOST_WRITE)
		less &= ~SHADOW_WRITE;
	if (denied & HOST_READ || (less != record && host_protect(vm, (u64)page << 12, PAGE_SIZE_4K,
								  shadow_rights(less)) != HOST_OK))
		shadow_drop(vm, page, page + 1);
	else if (less != record)
		shadow_record(vm, page, less);
}

static void enforce_all(struct vm *vm)
{
	const struct debug_request *r = &vm->debug.request;

	for (u32 i = 0; i < r->count; i++) {
		const u32 first = r->point[i].la >> 12;

		enforce(vm, first);
		if (((r->point[i].la + r->point[i].len - 1) >> 12) != first)
			enforce(vm, first + 1);
	}
}

static u32 linear_rip(const struct vm *vm)
{
	return (u32)(vm->cpu.seg[SEG_CS].base + vm->cpu.rip);
}

/* The instruction is over. Code stays open while it runs: it would only fault again. */
static void close_pages(struct vm *vm, bool all)
{
	struct debug *d = &vm->debug;
	const u32 here = linear_rip(vm) >> 12, opened = d->opened;
	u32 was[DEBUG_OPEN];

	mem_copy(was, d->open, sizeof(was));
	d->opened = 0;
	for (u32 i = 0; i < opened; i++) {
		if (!all && was[i] == here && (kinds_on(d, here) & DEBUG_EXEC))
			d->open[d->opened++] = here;
		else
			enforce(vm, was[i]);
	}
}

/* How many bytes does the instruction at rip access? */
static u32 access_size(struct vm *vm)
{
	const struct exception_info exc = vm->exc;
	u32 size = sizeof(u32);
	bool undefined;
	struct insn insn;

	if (fetch_insn(vm, &insn, &undefined)) {
		if (insn.has_mem)
			size = insn.mem.size ? insn.mem.size : UNSIZED;
		else
			size = insn.op_size;
	}
	vm->exc = exc;
	return size;
}

static void note_access(struct vm *vm, u32 la, bool write)
{
	struct debug *d = &vm->debug;
	u32 size;

	if (!(d->guards & DEBUG_READ))
		return;
	size = access_size(vm);
	for (u32 i = 0; i < d->request.count; i++) {
		const struct debug_point *p = &d->request.point[i];

		if ((p->kind & DEBUG_READ) && (!write || (p->kind & DEBUG_WRITE)) &&
		    overlaps(p, la, size))
			d->read |= 1ull << i;
	}
}

void debug_fault(struct vm *vm, u32 la, bool write, bool fetch)
{
	struct debug *d = &vm->debug;
	const u32 page = la >> 12;
	const unsigned needed = fetch ? HOST_EXEC : write ? HOST_WRITE : HOST_READ;

	if (!(debug_denied(vm, page) & needed))
		return;
	if (!fetch)
		note_access(vm, la, write);
	if (write)
		d->written = true;
	if (d->opened == DEBUG_OPEN)
		close_pages(vm, true);
	d->open[d->opened++] = page;
}

void debug_written(struct vm *vm, u32 la)
{
	struct debug *d = &vm->debug;

	if ((d->guards & DEBUG_WRITE) && (kinds_on(d, la >> 12) & DEBUG_WRITE))
		d->written = true;
}

/* ------------------------------------------------------- watched bytes ---- */

/* Not through mem.h: looking must leave no accessed bits behind. */
static const u8 *byte_at(const struct vm *vm, u32 la)
{
	struct walk w;

	if (paging_walk(vm, la, &w) != WALK_OK)
		return NULL;
	return vm_ram(vm, w.gpa, 1);
}

/* 0: some of it is not there. */
static u64 digest_of(const struct vm *vm, const struct debug_point *p)
{
	u64 digest = FNV64_START;
	const u8 *at = NULL;

	for (u32 i = 0; i < p->len; i++) {
		at = at && (p->la + i) % PAGE_SIZE_4K ? at + 1 : byte_at(vm, p->la + i);
		if (!at)
			return 0;
		digest = fnv64_add(digest, *at);
	}
	return digest | 1;
}

static void take_digests(struct vm *vm)
{
	struct debug *d = &vm->debug;

	d->written = false;
	for (u32 i = 0; i < d->request.count; i++)
		if (d->request.point[i].kind & DEBUG_WRITE)
			d->digest[i] = digest_of(vm, &d->request.point[i]);
}

/* The points whose bytes are others now. */
static u64 take_changes(struct vm *vm)
{
	struct debug *d = &vm->debug;
	u64 changed = 0;

	if (!d->written)
		return 0;
	d->written = false;
	for (u32 i = 0; i < d->request.count; i++) {
		const u64 was = d->digest[i];

		if (!(d->request.point[i].kind & DEBUG_WRITE))
			continue;
		d->digest[i] = digest_of(vm, &d->request.point[i]);
		if (was && d->digest[i] && was != d->digest[i])
			changed |= 1ull << i;
	}
	return changed;
}

void debug_switched(struct vm *vm)
{
	if (!vm->debug.request.count)
		return;
	enforce_all(vm);
	take_digests(vm);
}

/* ---------------------------------------------------------- the engine ---- */

static bool is_sensible(const struct debug_request *r)
{
	if (r->count > DEBUG_POINTS)
		return false;
	for (u32 i = 0; i < r->count; i++) {
		const struct debug_point *p = &r->point[i];

		if (!p->len || p->len > DEBUG_POINT_MAX || p->la + (p->len - 1) < p->la ||
		    !p->kind || p->kind > (DEBUG_EXEC | DEBUG_WRITE | DEBUG_READ) ||
		    ((p->kind & DEBUG_EXEC) && p->len != 1))
			return false;
	}
	return true;
}

bool debug_set(struct vm *vm, const struct debug_request *request)
{
	struct debug *d = &vm->debug;

	if (!is_sensible(request))
		return false;
	close_pages(vm, true);
	d->request = *request;
	d->guards = 0;
	for (u32 i = 0; i < request->count; i++)
		d->guards |= request->point[i].kind;
	d->read = d->steps = 0;
	debug_switched(vm);
	return true;
}

/* ------------------------------------------------------ single stepping ---- */

bool debug_entered(struct vm *vm, bool trapped)
{
	struct debug *d = &vm->debug;
	const bool ours = d->stepping;

	d->stepping = false;
	if (!ours || d->guest_tf)
		return ours;
	/* Behind popf and iret the flag is what they loaded. */
	if (!trapped || (d->opcode != OPCODE_POPF && d->opcode != OPCODE_IRET))
		vm->cpu.rflags &= ~(u64)FLAG_TF;
	return ours;
}

/* pushf has shown our flag to the guest: of 2 bytes or 4, TF is in the second. */
static void repair_pushed(struct vm *vm)
{
	const struct segment *ss = &vm->cpu.seg[SEG_SS];
	const u32 sp = (u32)vm->cpu.gpr[GPR_SP] & (ss->attr & SEG_DB ? ~0u : 0xffffu);
	const u32 la = (u32)(ss->base + sp + 1);
	u8 byte;

	if (!mem_read(vm, la, &byte, 1, false))
		return;
	byte &= ~(FLAG_TF >> 8);
	mem_write(vm, la, &byte, 1, false);
}

bool debug_trapped(struct vm *vm)
{
	struct debug *d = &vm->debug;

	debug_completed(d);
	if (d->opcode == OPCODE_PUSHF && !d->guest_tf)
		repair_pushed(vm);
	return d->guest_tf || d->opcode == OPCODE_INT1;
}

static bool is_prefix(u8 byte)
{
	static const u8 prefixes[] = {0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65,
				      0x66, 0x67, 0xf0, 0xf2, 0xf3};

	for (unsigned i = 0; i < sizeof(prefixes); i++)
		if (byte == prefixes[i])
			return true;
	return false;
}

/* The opcode at rip if it is one that TF changes the meaning of; else 0. */
static u8 flags_opcode(struct vm *vm)
{
	const struct exception_info exc = vm->exc;
	u8 bytes[INSN_MAX], opcode = 0;
	unsigned n = mem_fetch(vm, bytes, sizeof(bytes)), i = 0;

	vm->exc = exc;
	while (i < n && is_prefix(bytes[i]))
		i++;
	if (i < n)
		opcode = bytes[i];
	switch (opcode) {
	case OPCODE_PUSHF:
	case OPCODE_POPF:
	case OPCODE_IRET:
	case OPCODE_INT1:
		return opcode;
	}
	return 0;
}

static void begin_step(struct vm *vm)
{
	struct debug *d = &vm->debug;

	d->stepping = true;
	d->guest_tf = vm->cpu.rflags & FLAG_TF;
	d->opcode = flags_opcode(vm);
	vm->cpu.rflags |= FLAG_TF;
}

/* --------------------------------------------------------------- stops ---- */

static bool stop(struct vm *vm, enum debug_stop reason, u32 address)
{
	vm->exit = (struct vm_exit){.kind = EXIT_DEBUG};
	vm->exit.debug.reason = reason;
	vm->exit.debug.address = address;
	vm->exit.debug.steps = vm->debug.steps;
	vm->debug.fresh = true;
	vm->debug.stopped = linear_rip(vm);
	return true;
}

static bool at_breakpoint(const struct vm *vm)
{
	const struct debug_request *r = &vm->debug.request;
	const u32 la = linear_rip(vm);

	for (u32 i = 0; i < r->count; i++)
		if ((r->point[i].kind & DEBUG_EXEC) && r->point[i].la == la)
			return true;
	return false;
}

/* What an instruction, or the core in its place, has done. */
static bool stops_behind(struct vm *vm)
{
	struct debug *d = &vm->debug;
	u64 hit;

	if (!d->completed)
		return false;
	d->completed = d->fresh = false;
	d->steps++;
	close_pages(vm, false);
	hit = take_changes(vm) | d->read;
	d->read = 0;
	if (hit)
		return stop(vm, DEBUG_STOP_WATCH, d->request.point[__builtin_ctzll(hit)].la);
	return d->request.step && d->steps >= d->request.step &&
	       stop(vm, DEBUG_STOP_STEP, linear_rip(vm));
}

bool debug_settle(struct vm *vm)
{
	struct debug *d = &vm->debug;

	if (!is_active(d))
		return false;
	if (stops_behind(vm))
		return true;
	if (d->stopped != linear_rip(vm))
		d->fresh = false; /* it ran without a trap on its way */
	if (!d->fresh && at_breakpoint(vm))
		return stop(vm, DEBUG_STOP_BREAK, linear_rip(vm));
	if (d->request.step || d->opened)
		begin_step(vm);
	return false;
}

bool debug_holds_interrupts(const struct vm *vm)
{
	return vm->debug.request.step && !vm->cpu.halted && !vm->clock.deterministic;
}
