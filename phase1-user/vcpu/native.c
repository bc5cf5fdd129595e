/*
 * The vcpu processes' side of the hybrid engine: passing the guest to the emulator and taking it
 * back.
 *
 * Owns: what of the machine must be brought in line when the guest comes from there: the mappings
 * of this process, segment registers, FPU and timer. hybrid.h has what both sides know of each
 * other.
 */
#include "../../common/segment.h"
#include "vcpu.h"
#include "vsyscall.h"

/* Where these lie differs from program to program, but not among the vcpu processes. */
static u8 *ram;

/* The active process's. */
static void own_map(struct vm *vm)
{
	vm->mapped = &shared->hybrid.map[vm->pool.active].mapped[0][0];
}

void native_setup(struct vm *vm)
{
	ram = vm->ram;
	own_map(vm);
	vm->levels = vm->two_views = true;
	vm->native = true;
	vm->fast_paths = false;
}

static void arrive(struct vm *vm)
{
	vm->ram = ram;
	vm->trace = &shared->trace;
	vm->translated = shared->hybrid.frame;
	vm->native = true;
	fpu_take_back();
}

/* The guest is at something that is not ours to run. */
static enum core_next emulate(struct vm *vm)
{
	struct vm_stats_trap trap = vm->stats.trap;
	const u32 here = vm->pool.active;
	const u64 since = clock_tsc(vm);

	if (trap.cause >= EV_COUNT)
		trap.cause = EV_TRAP;
	fpu_give();
	trace(vm, EV_HANDOVER, 0, 0);
	pass_guest(TURN_VCPU, TURN_EMULATOR);
	arrive(vm);
	if (vm->pool.active != here && vm->pool.active < shared->processes)
		baton_pass(&shared->baton, vm->pool.active);
	own_map(vm);
	if (host_arrive(vm) != HOST_OK) {
		vm->exit = (struct vm_exit){.kind = EXIT_FAULT};
		vm->exit.fault.reason = FAULT_HOST_SEGMENT;
		return CORE_EXIT;
	}
	vsyscall_catch_up(vm, &shared->hybrid);
	hybrid_catch_up(vm, &shared->hybrid);
	stats_handover_ends(vm, &trap, since);
	return native_enter(vm);
}

void run_until_native(enum core_next next)
{
	struct vm *vm = &shared->vm;

	run_until_resume(next);
	while (!native_runs(vm))
		run_until_resume(emulate(vm));
}

void native_start(struct vm *vm)
{
	enum core_next next = seg_init(vm) ? core_start(vm) : CORE_EXIT;

	/* A machine that is not new may be at user code. */
	if (next == CORE_RESUME && native_runs(vm))
		next = native_enter(vm);
	run_until_native(next);
}
