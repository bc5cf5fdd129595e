/*
 * Event trace and statistics: the writer's side.
 */
#include "trace.h"
#include "pv.h"

/* Is there a better cause of a trap than this? */
static bool says_little(u32 event)
{
	return event == EV_TRAP || event == EV_GATE || event == EV_EMULATE;
}

void trace(struct vm *vm, enum event event, u64 a, u64 b)
{
	struct trace_ring *ring = &vm->trace;
	struct trace_record *r = &ring->record[ring->head % TRACE_RING];
	/* Nothing has been done for this trap yet: spare reading the TSC. */
	const u64 time = vm->stats.cause == EV_TRAP ? vm->stats.begun : host_tsc(vm);

	vm->stats.count[event]++;
	if (says_little(vm->stats.cause))
		vm->stats.cause = event;
	*r = (struct trace_record){
		.time = time,
		.rip = vm->cpu.rip,
		.a = a,
		.b = b,
		.event = event,
		.cpl = vm_cpl(vm),
	};
	__atomic_store_n(&ring->head, ring->head + 1, __ATOMIC_RELEASE);
}

void stats_trap_begins(struct vm *vm)
{
	vm->stats.cause = EV_TRAP;
	vm->stats.begun = host_tsc(vm);
}

void stats_trap_ends(struct vm *vm)
{
	struct vm_stats *s = &vm->stats;
	/* Shared memory: guest code may have written it. */
	const u32 cause = s->cause < EV_COUNT ? s->cause : EV_TRAP;

	s->traps[cause]++;
	s->trap_time[cause] += host_tsc(vm) - s->begun;
}

void stats_exit_ends(struct vm *vm, u32 kind, u64 since)
{
	if (kind == EXIT_NONE || kind >= EXIT_COUNT)
		return;
	vm->stats.exits[kind]++;
	vm->stats.exit_time[kind] += host_tsc(vm) - since;
}

void stats_idle_begins(struct vm *vm)
{
	vm->stats.idle_since = host_tsc(vm);
}

void stats_idle_ends(struct vm *vm)
{
	const u64 passed = host_tsc(vm) - vm->stats.idle_since;

	vm->stats.idle_since = 0;
	vm->stats.idle_time += passed;
	vm->stats.begun += passed;
}
