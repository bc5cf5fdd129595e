/*
 * Event trace and statistics: the writer's side.
 */
#include "trace.h"
#include "clock.h"
#include "fnv.h"
#include "pv.h"

/* Is there a better cause of a trap than this? */
static bool says_little(u32 event)
{
	return event == EV_TRAP || event == EV_GATE || event == EV_EMULATE;
}

#define ARITHMETIC (FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_OF)

/* Of what the guest's code has made of its registers. Arithmetic flags are undefined behind many
 * instructions; a register may hold some that were pushed. */
static u32 digest(const struct vm *vm)
{
	const struct vcpu *cpu = &vm->cpu;
	const u32 mask = vm->common_cpu ? ~ARITHMETIC : ~0u;
	u32 hash = FNV32_START;

	for (unsigned i = 0; i < GPR_R8; i++)
		hash = fnv32_add(hash, (u32)cpu->gpr[i] & mask);
	return fnv32_add(hash, (u32)cpu->rflags & mask);
}

void trace(struct vm *vm, enum event event, u64 a, u64 b)
{
	struct trace_ring *ring = vm->trace;
	struct trace_record *r = &ring->record[ring->head % TRACE_RING];
	/* Nothing has been done for this trap yet: spare reading the TSC. */
	const u64 time = vm->stats.trap.cause == EV_TRAP && !vm->clock.deterministic
				 ? vm->stats.trap.begun
				 : clock_tsc(vm);

	vm->stats.count[event]++;
	clock_event(vm, event);
	if (says_little(vm->stats.trap.cause))
		vm->stats.trap.cause = event;
	*r = (struct trace_record){
		.time = time,
		.rip = vm->cpu.rip,
		.a = a,
		.b = b,
		.event = event,
		.cpl = vm_cpl(vm),
		.digest = vm->clock.deterministic ? digest(vm) : 0,
	};
	__atomic_store_n(&ring->head, ring->head + 1, __ATOMIC_RELEASE);
}

bool trace_is_full(const struct vm *vm)
{
	const struct trace_ring *ring = vm->trace;

	return ring->keep &&
	       ring->head - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) > TRACE_RING / 2;
}

void stats_trap_begins(struct vm *vm)
{
	vm->stats.trap.cause = EV_TRAP;
	vm->stats.trap.begun = clock_tsc(vm);
}

void stats_trap_ends(struct vm *vm)
{
	struct vm_stats *s = &vm->stats;
	/* Shared memory: guest code may have written it. */
	const u32 cause = s->trap.cause < EV_COUNT ? s->trap.cause : EV_TRAP;

	s->traps[cause]++;
	s->trap_time[cause] += clock_tsc(vm) - s->trap.begun;
}

void stats_exit_ends(struct vm *vm, u32 kind, u64 since)
{
	if (kind == EXIT_NONE || kind >= EXIT_COUNT)
		return;
	vm->stats.exits[kind]++;
	vm->stats.exit_time[kind] += clock_tsc(vm) - since;
}

void stats_handover_ends(struct vm *vm, const struct vm_stats_trap *trap, u64 since)
{
	const u64 passed = clock_tsc(vm) - since;

	vm->stats.handovers[trap->cause]++;
	vm->stats.handover_time[trap->cause] += passed;
	vm->stats.trap.cause = trap->cause;
	vm->stats.trap.begun = trap->begun + passed;
}

void stats_idle_begins(struct vm *vm)
{
	vm->stats.idle_since = clock_tsc(vm);
}

void stats_idle_ends(struct vm *vm)
{
	const u64 passed = clock_tsc(vm) - vm->stats.idle_since;

	vm->stats.idle_since = 0;
	vm->stats.idle_time += passed;
	vm->stats.trap.begun += passed;
}
