/*
 * Handing the guest over to the VMM and waiting for it: the vcpu's side of shared.h.
 *
 * Owns: `mode`, and what becomes of an exit until the guest can run again.
 */
#include "handover.h"
#include "sys.h"
#include <linux/futex.h>
#include <linux/time.h>

static long futex(u32 *word, int op, u32 value, const struct timespec *timeout)
{
	return sys6(__NR_futex, (long)word, op, value, (long)timeout, 0, FUTEX_BITSET_MATCH_ANY);
}

static void wake(enum vcpu_turn turn)
{
	__atomic_store_n(&shared->turn, turn, __ATOMIC_RELEASE);
	sys6(__NR_futex, (long)&shared->turn, FUTEX_WAKE_BITSET, 1, 0, 0, TURN_BIT(turn));
}

static void sleep_until_turn(enum vcpu_turn mine)
{
	u32 turn;

	while ((turn = __atomic_load_n(&shared->turn, __ATOMIC_ACQUIRE)) != mine)
		sys6(__NR_futex, (long)&shared->turn, FUTEX_WAIT_BITSET, turn, 0, 0,
		     TURN_BIT(mine));
}

static void wait_for_turn(enum vcpu_turn mine)
{
	if (!turn_comes(shared, mine, &shared->patience))
		sleep_until_turn(mine);
}

void pass_guest(enum vcpu_turn mine, enum vcpu_turn other)
{
	__atomic_store_n(&shared->mode, MODE_MONITOR, __ATOMIC_SEQ_CST);
	__atomic_store_n(&shared->runner, other, __ATOMIC_SEQ_CST);
	wake(other);
	sleep_until_turn(mine);
}

/* What the VMM has asked for in its turn; senseless, it is as if it had not. */
static void take_requests(struct vm *vm)
{
	if (shared->debug_asked)
		debug_set(vm, &shared->debug);
	shared->debug_asked = 0;
}

/* May the VMM look at the FPU? Not at the exits that there are many of. */
static bool stands_still(u32 kind)
{
	return kind != EXIT_IO && kind != EXIT_MMIO;
}

/* Give vm->exit to the VMM and wait until it has dealt with it. */
void hand_over(void)
{
	struct vm *vm = &shared->vm;
	const u32 kind = vm->exit.kind;
	const u64 since = clock_tsc(vm);
	const enum vcpu_turn mine = __atomic_load_n(&shared->turn, __ATOMIC_RELAXED);

	if (stands_still(kind))
		fpu_give();
	trace(vm, EV_EXIT, kind, 0);
	__atomic_store_n(&shared->mode, MODE_MONITOR, __ATOMIC_SEQ_CST);
	wake(TURN_VMM);
	wait_for_turn(mine);
	take_requests(vm);
	if (stands_still(kind))
		fpu_take_back();
	stats_exit_ends(vm, kind, since);
}

static bool something_new(void)
{
	return __atomic_load_n(&shared->vm.irq_lines, __ATOMIC_SEQ_CST) != shared->vm.irq_seen ||
	       __atomic_load_n(&shared->kick, __ATOMIC_SEQ_CST);
}

/* Wait until `deadline` or until the VMM changes something. */
static void idle(u64 deadline)
{
	u32 seen = __atomic_load_n(&shared->wake, __ATOMIC_ACQUIRE);
	struct timespec at = {
		.tv_sec = deadline / 1000000000u,
		.tv_nsec = deadline % 1000000000u,
	};

	stats_idle_begins(&shared->vm);
	__atomic_store_n(&shared->mode, MODE_IDLE, __ATOMIC_SEQ_CST);
	if (!something_new())
		futex(&shared->wake, FUTEX_WAIT_BITSET, seen, deadline ? &at : NULL);
	__atomic_store_n(&shared->mode, MODE_MONITOR, __ATOMIC_SEQ_CST);
	stats_idle_ends(&shared->vm);
}

/* The VMM asked for attention, or for the trace to be drained. */
static void hand_over_kicked(struct vm *vm)
{
	__atomic_store_n(&shared->kick, 0, __ATOMIC_SEQ_CST);
	vm->exit = (struct vm_exit){.kind = EXIT_KICKED};
	hand_over();
}

/* May the guest run now? From here on the VMM signals what it wants. */
static bool ready_to_run(void)
{
	__atomic_store_n(&shared->mode, MODE_GUEST, __ATOMIC_SEQ_CST);
	if (!something_new() && !trace_is_full(&shared->vm))
		return true;
	__atomic_store_n(&shared->mode, MODE_MONITOR, __ATOMIC_SEQ_CST);
	return false;
}

void run_until_resume(enum core_next next)
{
	struct vm *vm = &shared->vm;

	while (next == CORE_EXIT || !ready_to_run()) {
		bool kicked = __atomic_load_n(&shared->kick, __ATOMIC_SEQ_CST) ||
			      trace_is_full(&shared->vm);

		if (next == CORE_EXIT && vm->exit.kind != EXIT_IDLE) {
			hand_over();
			next = core_resume(vm);
			continue;
		}
		if (kicked)
			hand_over_kicked(vm);
		else if (next == CORE_EXIT)
			idle(vm->exit.deadline);
		next = core_kick(vm);
	}
}
