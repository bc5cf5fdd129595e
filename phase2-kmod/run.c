/*
 * Running the guest: from PLEX86_RUN until it needs the VMM.
 *
 * Owns: the order of core, guest and VMM, and when we are away (nexus.c): from before the guest
 * runs until a host interrupt, an exit, or until the core wants something of the host.
 */
#include "plex86.h"
#include "../common/stubs.h"
#include <linux/sched/signal.h>

void machine_notify(struct machine *m)
{
	unsigned long flags;

	spin_lock_irqsave(&m->runner_lock, flags);
	if (m->runner)
		kick_process(m->runner);
	spin_unlock_irqrestore(&m->runner_lock, flags);
	wake_up(&m->wait);
}

static void set_runner(struct machine *m, struct task_struct *task)
{
	spin_lock_irq(&m->runner_lock);
	m->runner = task;
	spin_unlock_irq(&m->runner_lock);
}

static bool something_new(struct machine *m)
{
	return READ_ONCE(m->vm.irq_lines) != m->vm.irq_seen || READ_ONCE(m->due) ||
	       READ_ONCE(m->kick);
}

static enum core_next fault(struct machine *m, enum plex86_fault reason, u64 detail)
{
	m->vm.exit = (struct vm_exit){.kind = EXIT_FAULT};
	m->vm.exit.fault.reason = reason;
	m->vm.exit.fault.detail = detail;
	return CORE_EXIT;
}

/* Wait until `deadline` or until something changes. -EINTR: a signal. */
static int idle(struct machine *m, u64 deadline)
{
	const u64 now = ktime_get_ns();
	int ret = 0;

	if (deadline && deadline <= now)
		return 0;
	stats_idle_begins(&m->vm);
	WRITE_ONCE(m->run->idle, 1);
	if (!deadline)
		ret = wait_event_interruptible(m->wait, something_new(m));
	else
		ret = wait_event_interruptible_hrtimeout(m->wait, something_new(m),
							 ns_to_ktime(deadline - now));
	WRITE_ONCE(m->run->idle, 0);
	stats_idle_ends(&m->vm);
	return ret && ret != -ETIME ? -EINTR : 0;
}

static enum core_next enter_guest(struct machine *m)
{
	struct vm *vm = &m->vm;
	u16 hw[SEG_COUNT];
	struct trap trap;
	int vector;

	if (m->in_trap)
		stats_trap_ends(vm);
	m->in_trap = false;
	/* What only the stubs have done since is not to be undone. */
	if (m->core_ran)
		m->view = vm_cpl(vm) == 3 ? VIEW_USER : VIEW_KERNEL;
	m->core_ran = false;
	vector = nexus_run(m, &trap, hw);
	if (vector == NX_FAULTED)
		return fault(m, FAULT_MONITOR, trap.address);
	if (vector == NX_ABORTED)
		return CORE_RESUME;
	/* After host interrupts as well: the guest may have loaded others since it was entered. */
	core_sync_selectors(vm, hw);
	if (vector < 0 || vector == NX_VIEW_CHANGED)
		return CORE_RESUME;
	stats_trap_begins(vm);
	m->in_trap = true;
	m->core_ran = true;
	if (vector != INT80)
		return core_trap(vm, &trap);
	/* In a stub, but not on a stack of the user's: nobody's system call. */
	if (stubs_contain(vm))
		return core_trap(vm, &(struct trap){.vector = EXC_GP});
	return core_int80(vm);
}

static enum core_next begin(struct machine *m)
{
	struct vm *vm = &m->vm;

	if (!m->started) {
		m->started = true;
		return core_start(vm);
	}
	if (!m->exited)
		return core_kick(vm);
	m->exited = false;
	stats_exit_ends(vm, vm->exit.kind, m->exit_at);
	/* Of all that the VMM can write there, these two are taken. */
	if (vm->exit.kind == EXIT_IO && !vm->exit.io.write)
		vm->exit.io.value = READ_ONCE(m->run->exit.io.value);
	else if (vm->exit.kind == EXIT_MMIO && !vm->exit.mmio.write)
		vm->exit.mmio.value = READ_ONCE(m->run->exit.mmio.value);
	return core_resume(vm);
}

/* Away, interrupts off: is there something to look at before the guest may run? What comes from now
 * on interrupts it. False: no. */
static bool look(struct machine *m, enum core_next *next)
{
	const bool kick = READ_ONCE(m->kick);

	/* What stands in a stub could not be taken up by another engine, whose stubs are others. */
	if (kick && stubs_contain(&m->vm) && !stubs_intruded(&m->vm)) {
		m->core_ran = true;
		*next = core_kick(&m->vm);
		return true;
	}
	if (kick || trace_is_full(&m->vm)) {
		WRITE_ONCE(m->kick, false);
		m->vm.exit = (struct vm_exit){.kind = EXIT_KICKED};
		*next = CORE_EXIT;
		return true;
	}
	if (!something_new(m))
		return false;
	WRITE_ONCE(m->due, false);
	m->core_ran = true;
	*next = core_kick(&m->vm);
	return true;
}

bool must_return(void)
{
	return signal_pending(current) || test_thread_flag(TIF_NOTIFY_RESUME);
}

bool yield_to_host(void)
{
	if (must_return())
		return false;
	if (need_resched())
		schedule();
	cond_resched(); /* tells RCU, too */
	return true;
}

/* The guest waits. -EINTR: a signal. */
static int wait_for_news(struct machine *m, enum core_next *next)
{
	go_home(m);
	if (!yield_to_host() || idle(m, m->vm.exit.deadline))
		return -EINTR;
	/* A kick is for look() to see; what is due the core looks at now, or a guest that goes on
	 * waiting would not sleep. */
	WRITE_ONCE(m->due, false);
	m->core_ran = true;
	*next = READ_ONCE(m->kick) ? CORE_RESUME : core_kick(&m->vm);
	return 0;
}

static int loop(struct machine *m)
{
	enum core_next next = begin(m);

	m->core_ran = true;
	for (;;) {
		if (next == CORE_EXIT && m->vm.exit.kind != EXIT_IDLE)
			return 0;
		if (next == CORE_EXIT) {
			if (wait_for_news(m, &next))
				return -EINTR;
			continue;
		}
		if (!m->away) {
			if (!yield_to_host())
				return -EINTR;
			go_away(m);
		}
		if (must_return() || need_resched())
			go_home(m);
		else if (!look(m, &next))
			next = enter_guest(m);
	}
}

int machine_run(struct machine *m)
{
	int ret;

	if (!m->ready)
		return -EINVAL;
	set_runner(m, current);
	fpu_swap_kvm_fpstate(&m->fpu, true);
	ret = loop(m);
	go_home(m);
	fpu_swap_kvm_fpstate(&m->fpu, false);
	set_runner(m, NULL);
	if (ret)
		return ret;
	m->exited = true;
	m->exit_at = host_tsc(&m->vm);
	m->run->exit = m->vm.exit;
	return 0;
}
