/*
 * Which guest address space has which shadow.
 *
 * Owns: the pool, the switch from one shadow to another, and what a sleeping shadow missed: global
 * pages survive CR3 loads, so invlpg and flushes elsewhere must reach them before they can be used
 * again (SDM vol. 3, 4.10.4). Pages that are not global are compared with the tables at each load.
 */
#include "paging.h"
#include "pv.h"
#include "segment.h"
#include "shadow-records.h"
#include "shadow.h"

static bool stop_for_host(struct vm *vm)
{
	vm->exit = (struct vm_exit){.kind = EXIT_FAULT};
	vm->exit.fault.reason = FAULT_HOST_SEGMENT;
	vm->exit.fault.detail = vm->cpu.cr3;
	return false;
}

static bool activate(struct vm *vm, u32 index)
{
	const struct shadow *old = vm_shadow(vm);

	trace(vm, EV_SWITCH, index, vm->cpu.cr3);
	if (host_activate(vm, index) != HOST_OK)
		return stop_for_host(vm);
	vm->pool.active = index;
	if (!seg_carry_tls(vm, old))
		return false;
	shadow_tell_stubs(vm);
	return true;
}

/* Is the address space no more, or are all its tables others by now? Then nothing is lost. */
static bool is_dead(const struct vm *vm, const struct shadow *s)
{
	struct paging_root root;

	if (!s->space)
		return true;
	paging_root(vm, s->space & ~1u, &root);
	for (u32 word = 0; word < SHADOW_SLOTS / 64; word++)
		for (u64 left = s->used_slots[word]; left; left &= left - 1) {
			u32 slot = word * 64 + __builtin_ctzll(left);

			if (s->local[slot] &&
			    !shadow_pde_differs(s->pde[slot], paging_directory(vm, &root, slot)))
				return false;
		}
	return true;
}

/* The shadow of `space`, or the one it will have: a dead one, the last that died, for its kernel
 * half and the host's caches are the warmest; or that of the space that has not run for longest. */
static u32 shadow_for(const struct vm *vm, u32 space)
{
	const struct shadow *oldest = vm->shadow, *dead = NULL;

	for (u32 i = 0; i < vm->pool.count; i++)
		if (vm->shadow[i].space == space)
			return i;
	for (u32 i = 0; i < vm->pool.count; i++) {
		const struct shadow *s = &vm->shadow[i];

		if (s->last_active < oldest->last_active)
			oldest = s;
		if ((!dead || s->last_active > dead->last_active) && is_dead(vm, s))
			dead = s;
	}
	return (dead ? dead : oldest) - vm->shadow;
}

/* What was invalidated while the shadow slept. True: all of it is in doubt. */
static bool catch_up(struct vm *vm)
{
	struct shadow *s = vm_shadow(vm);
	const u64 end = vm->pool.log_end, missed = end - s->log_seen;

	s->log_seen = end;
	if (missed > SHADOW_LOG)
		return true;
	for (u64 i = end - missed; i != end; i++)
		shadow_invalidate(vm, (u64)vm->pool.log[i % SHADOW_LOG] << 12);
	return false;
}

bool shadow_load_cr3(struct vm *vm)
{
	const u32 space = shadow_space(vm);
	struct shadow *s;
	bool all;
	u32 index;

	if (!(vm->cpu.cr0 & CR0_PG))
		return true;
	vm->pool.loads++;
	index = shadow_for(vm, space);
	if (index != vm->pool.active && !activate(vm, index))
		return false;
	s = vm_shadow(vm);
	all = catch_up(vm) || !(vm->cpu.cr4 & CR4_PGE);
	/* A TLB knows another space's global pages for a while, but not again after that. */
	if (!all && s->space != space)
		shadow_resync_moved(vm);
	s->space = space;
	s->last_active = vm->pool.loads;
	shadow_resync(vm, all);
	debug_switched(vm);
	return true;
}

/* Whatever any shadow holds may be wrong now. The sleeping ones see that they missed too much. */
static void doubt_all(struct vm *vm)
{
	vm->pool.log_end += SHADOW_LOG + 1;
	vm_shadow(vm)->log_seen = vm->pool.log_end;
}

bool shadow_set_paging(struct vm *vm)
{
	doubt_all(vm);
	shadow_drop_all(vm);
	vm_shadow(vm)->space = 0;
	vm_shadow(vm)->last_active = 0;
	return shadow_load_cr3(vm);
}

bool shadow_set_format(struct vm *vm)
{
	for (u32 i = 0; i < vm->pool.count; i++) {
		mem_set(vm->shadow[i].agreed, 0, sizeof(vm->shadow[i].agreed));
		vm->shadow[i].space = 0;
	}
	return shadow_set_paging(vm);
}

void shadow_flush(struct vm *vm)
{
	doubt_all(vm);
	if (vm->cpu.cr0 & CR0_PG)
		shadow_resync(vm, true);
}

/* Has a sleeping shadow global pages in the slot? They alone are of interest elsewhere. */
static bool others_have_globals(const struct vm *vm, u32 slot)
{
	const struct shadow *s = &vm->shadow[vm->pool.active];

	return vm->pool.globals[slot] > (u32)(s->used[slot] - s->local[slot]);
}

void shadow_invlpg(struct vm *vm, u64 la)
{
	const u32 page = (u32)la >> 12, slot = page / SHADOW_SLOT;
	struct shadow *s = vm_shadow(vm);

	trace(vm, EV_INVLPG, la, s->record[page]);
	if (pv_is_page(vm, la))
		return;
	if (others_have_globals(vm, slot) ||
	    (!paging_is_pae(vm) && others_have_globals(vm, slot ^ 1))) {
		vm->pool.log[vm->pool.log_end++ % SHADOW_LOG] = page;
		s->log_seen = vm->pool.log_end;
	}
	shadow_invalidate(vm, la);
}
