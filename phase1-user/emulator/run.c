/*
 * Running the guest in the emulated CPU: see run.h.
 */
#include "run.h"
#include "../../common/native.h"
#include "../../common/pv.h"
#include "../vcpu/handover.h"
#include "code.h"
#include "cpu.h"
#include "fpu.h"
#include "mmu.h"
#include "unicorn-check.h"
#include "unicorn-internals.h"
#include "xsave.h"

#define INT80	   0x80
#define INT_LENGTH 2 /* of int n without prefixes */

static struct {
	volatile bool poked; /* by a signal */
	bool doubt;	     /* others may have written guest RAM */
	bool until_user;
	bool pending; /* an interrupt waits for IF */
	bool entered; /* code has been running since then */
	bool opened;  /* stopped because IF is set */
	bool user;    /* stopped because of user code */
} run;

void run_poke(void)
{
	run.poked = true;
	emulated_poke();
}

void run_others_wrote(void)
{
	run.doubt = true;
	emulated_poke();
}

/* Would an interrupt be taken here? The core has said no where the CPU came in; but in a
 * deterministic run where that is depends on the host's signals. */
static bool is_open(const struct emulated_cpu *c)
{
	const bool entered = run.entered || shared->vm.clock.deterministic;

	run.entered = true;
	return entered && run.pending && (c->eflags & FLAG_IF) && !(c->hflags & EMULATED_SHADOW);
}

/* As native_runs() has it of vm->cpu. */
static bool is_native(const struct emulated_cpu *c)
{
	return (c->hflags & EMULATED_CPL) == 3 && !(c->eflags & FLAG_VM) &&
	       (c->eflags & FLAG_IOPL) != FLAG_IOPL &&
	       (c->cr[0] & (CR0_PG | CR0_TS | CR0_EM)) == CR0_PG &&
	       (c->seg[SEG_CS].flags >> 8 & SEG_DB);
}

static bool interrupted(void)
{
	const struct emulated_cpu *c = emulated_cpu();

	if (run.doubt) {
		run.doubt = false;
		code_doubt();
	}
	run.opened = is_open(c);
	if (run.until_user && !run.opened && is_native(c)) {
		run.user = true;
		return true;
	}
	return run.poked || run.opened;
}

/* As on a CPU where it does not trap. */
static bool tsc(u64 *value)
{
	struct vm *vm = &shared->vm;

	if (vm->clock.deterministic || (vm->cpu.cr4 & CR4_TSD))
		return false;
	*value = host_tsc(vm);
	return true;
}

static const struct emulated_owner owner = {
	.page = mmu_page,
	.holds_code = code_hold,
	.is_code = code_is_held,
	.interrupted = interrupted,
	.tsc = tsc,
	.device_read = mmu_device_read,
	.device_write = mmu_device_write,
	.has_fpu = fpu_is_here,
	.xsave = xsave,
	.xrstor = xrstor,
	.xcr0 = xsave_xcr0,
};

const char *run_open(struct vm *vm)
{
	const char *why = unicorn_check();

	if (!why)
		why = emulated_open(vm->ram, vm->ram_size + HOST_EXTRA_BYTES, &owner);
	if (!why && !code_open(vm))
		why = "there is no memory";
	if (why)
		return why;
	fpu_init();
	emulated_set_features(shared->hybrid.on);
	return NULL;
}

/* ---- what a stop is to the core ---- */

static bool has_error(u8 vector)
{
	return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC;
}

/* What faults has RF set in its image (SDM vol. 3, 18.3.1.1). */
static enum core_next fault(struct vm *vm, const struct trap *trap)
{
	vm->cpu.rflags |= FLAG_RF;
	return core_trap(vm, trap);
}

/* Would a process of the host make this known as host_soft() does? Elsewhere the core looks at the
 * instruction. */
static bool is_hosts(const struct vm *vm, const struct emulated_exit *e)
{
	return !vm->levels || (native_runs(vm) && e->length <= INT_LENGTH);
}

/* As the host's kernel and CPU have it for a process: int n is a #GP but for the few that may. */
static enum core_next host_soft(struct vm *vm, const struct emulated_exit *e)
{
	struct trap trap = {.vector = EXC_GP, .error = e->vector * 8u + 2};

	if (e->vector != INT80 && e->vector != EXC_BP && e->vector != EXC_OF)
		return fault(vm, &trap);
	vm->cpu.rip = (u32)(vm->cpu.rip + e->length);
	if (e->vector == INT80)
		return core_int80(vm);
	trap = (struct trap){.vector = e->vector};
	return core_trap(vm, &trap);
}

static enum core_next exception(struct vm *vm, const struct emulated_exit *e)
{
	const struct trap trap = {.vector = e->vector, .error = e->error};

	if (e->vector == EXC_NM && fpu_fetch())
		return CORE_RESUME;
	if (e->vector == EXC_DB)
		return core_trap(vm, &trap);
	if (!vm->levels)
		return fault(vm, &trap);
	vm->cpu.rflags |= FLAG_RF;
	return core_exception(vm, &trap, has_error(e->vector));
}

static enum core_next page(struct vm *vm, const struct emulated_exit *e)
{
	const struct trap trap = {
		.vector = EXC_PF,
		.error = (e->write ? PF_WRITE : 0) | (e->fetch ? PF_FETCH : 0) |
			 (e->user ? PF_USER : 0),
		.address = e->address,
	};

	if (!vm->levels)
		return fault(vm, &trap);
	vm->cpu.rflags |= FLAG_RF;
	return core_access(vm, &trap);
}

static enum core_next answer(struct vm *vm, const struct emulated_exit *e)
{
	const struct trap instruction = {.vector = EXC_GP};

	switch (e->stop) {
	case STOP_INTERRUPT:
		run.poked = false;
		trace(vm, EV_KICK, 0, 0);
		if (run.opened)
			clock_opened(vm);
		return core_kick(vm);
	case STOP_EXCEPTION:
		return exception(vm, e);
	case STOP_SOFT:
		return is_hosts(vm, e) ? host_soft(vm, e) : fault(vm, &instruction);
	case STOP_PAGE:
		return page(vm, e);
	case STOP_WRAPPED:
		return CORE_RESUME;
	case STOP_INSTRUCTION:
		return fault(vm, &instruction);
	case STOP_LIBRARY:
		break;
	}
	vm->exit = (struct vm_exit){.kind = EXIT_FAULT};
	vm->exit.fault.reason = FAULT_MONITOR;
	vm->exit.fault.detail = e->error;
	return CORE_EXIT;
}

/* One stop: until the core has an answer. */
static enum core_next run_once(struct vm *vm)
{
	const u32 lines = vm->irq_seen;
	struct emulated_exit e;
	enum core_next next;

	run.entered = run.opened = run.user = false;
	cpu_load(vm);
	emulated_execute(&e);
	cpu_save(vm);
	if (run.user)
		return CORE_RESUME;
	stats_trap_begins(vm);
	next = answer(vm, &e);
	if (vm->code_written || vm->irq_seen != lines)
		run.doubt = true;
	vm->code_written = false;
	stats_trap_ends(vm);
	return next;
}

enum run_reason run_guest(struct vm *vm, bool until_user)
{
	run.until_user = until_user;
	do {
		run.pending = vm->levels && pic_pending(&vm->pic);
		if (run_once(vm) == CORE_EXIT)
			return RUN_EXIT;
		if (run.user)
			return RUN_USER;
	} while (!trace_is_full(vm) && !__atomic_load_n(&shared->kick, __ATOMIC_SEQ_CST));
	return RUN_KICKED;
}

/* May others than the guest have written its memory since then? What answers an access to a port
 * does not. */
static bool others_wrote(const struct vm *vm, u64 exits, bool port)
{
	return vm->stats.count[EV_EXIT] - exits > port;
}

void run_until_ready(struct vm *vm, enum core_next next)
{
	const bool port = next == CORE_EXIT && vm->exit.kind == EXIT_IO;
	const u64 exits = vm->stats.count[EV_EXIT];

	run_until_resume(next);
	if (others_wrote(vm, exits, port))
		run_others_wrote();
}

void run_until_native(struct vm *vm)
{
	enum core_next next = CORE_RESUME;

	for (;;) {
		run_until_ready(vm, next);
		if (native_runs(vm))
			return;
		next = run_guest(vm, true) == RUN_EXIT ? CORE_EXIT : CORE_RESUME;
	}
}

/* What tells that devices have written guest RAM while the guest was in other hands. */
static struct {
	u64 exits;
	u32 lines;
} given;

void run_given_away(const struct vm *vm)
{
	given.exits = vm->stats.count[EV_EXIT];
	given.lines = vm->irq_seen;
}

void run_taken_back(const struct vm *vm)
{
	if (vm->stats.count[EV_EXIT] != given.exits || vm->irq_seen != given.lines)
		run_others_wrote();
}
