/*
 * Taking up the state of a machine at rest: see state.h.
 */
#include "emulate.h"
#include "interrupt.h"
#include "pv.h"
#include "state.h"
#include "stubs.h"

/* What else is in the page is the monitor's, and as after a reset. */
static void load_pv(struct vm *vm, const struct state_pv *s)
{
	struct pv_page *pv = pv_page(vm);

	pv_reset(vm);
	pv->vif = s->vif;
	pv->cpl = s->cpl;
	pv->esp0 = s->esp0;
	pv->cr2 = s->cr2;
	pv->iret_site = s->iret_site;
	pv->ahead = s->ahead;
	mem_copy((u8 *)pv + PLEX86_PV_AHEAD_TASK, &s->ahead_task, sizeof(s->ahead_task));
}

/* Between then and now no time has passed for the timer chip, whatever other clocks say. */
static void load_time(struct vm *vm, const struct machine_state *s)
{
	u64 now;

	vm->clock.events = s->events;
	vm->clock.settled = s->settled;
	vm->clock.skipped = s->skipped;
	now = clock_now(vm);
	vm->pit = s->pit;
	pit_rebase(&vm->pit, s->now, now);
	if (s->deterministic)
		vm->timer = s->timer;
	else
		timer_update(vm, now);
}

/* Lines that have moved since are news, and device pages are to be looked at: not in a
 * deterministic run, which has none, and where nothing may be news before the next event. */
static void load_lines(struct vm *vm, const struct machine_state *s)
{
	const u32 count = __atomic_load_n(&vm->irq_lines, __ATOMIC_ACQUIRE) & ~0xffffu;

	vm->irq_seen = s->irq_seen | (s->deterministic ? count : count ^ DEVICE_NEWS);
}

void state_load(struct vm *vm, const struct machine_state *s)
{
	vm->cpu = s->cpu;
	mem_set(vm->cpu.hw_selector, 0, sizeof(vm->cpu.hw_selector));
	mem_copy(vm->slot, s->slot, sizeof(vm->slot));
	vm->pic = s->pic;
	vm->cmos = s->cmos;
	load_lines(vm, s);
	load_pv(vm, &s->pv);
	load_time(vm, s);
}
