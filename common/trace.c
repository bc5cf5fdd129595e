/*
 * Event trace and statistics: the writer's side.
 */
#include "trace.h"
#include "pv.h"

void trace(struct vm *vm, enum event event, u64 a, u64 b)
{
	struct trace_ring *ring = &vm->trace;
	struct trace_record *r = &ring->record[ring->head % TRACE_RING];

	vm->stats.count[event]++;
	*r = (struct trace_record){
		.time = host_tsc(vm),
		.rip = vm->cpu.rip,
		.a = a,
		.b = b,
		.event = event,
		.cpl = vm_cpl(vm),
	};
	__atomic_store_n(&ring->head, ring->head + 1, __ATOMIC_RELEASE);
}
