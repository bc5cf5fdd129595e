/*
 * Running the guest: from PLEX86_RUN until it needs the VMM.
 *
 * Owns: the order of core, guest and VMM. Guest code runs in nexus_run() alone; all else is ordinary
 * kernel code which may sleep and be preempted.
 */
#include "plex86.h"
#include <linux/sched/signal.h>

#define INT80 0x80

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
	int ret;

	if (!deadline)
		return wait_event_interruptible(m->wait, something_new(m)) ? -EINTR : 0;
	if (deadline <= now)
		return 0;
	ret = wait_event_interruptible_hrtimeout(m->wait, something_new(m),
						 ns_to_ktime(deadline - now));
	return ret && ret != -ETIME ? -EINTR : 0;
}

static enum core_next enter_guest(struct machine *m)
{
	u16 hw[SEG_COUNT];
	struct trap trap;
	int vector = nexus_run(m, &trap, hw);

	if (vector == NX_FAULTED)
		return fault(m, FAULT_MONITOR, trap.error);
	if (vector == NX_ABORTED)
		return CORE_RESUME;
	/* After host interrupts as well: the guest may have loaded others since it was entered. */
	core_sync_selectors(&m->vm, hw);
	if (vector < 0)
		return CORE_RESUME;
	stats_trap_begins(&m->vm);
	return vector == INT80 ? core_int80(&m->vm) : core_trap(&m->vm, &trap);
}

static enum core_next begin(struct machine *m)
{
	if (!m->started) {
		m->started = true;
		return core_load_segments(&m->vm) ? core_kick(&m->vm) : CORE_EXIT;
	}
	if (!m->exited)
		return core_kick(&m->vm);
	m->exited = false;
	/* Of all that the VMM can write there, these two are taken. */
	if (m->vm.exit.kind == EXIT_IO && !m->vm.exit.io.write)
		m->vm.exit.io.value = READ_ONCE(m->run->exit.io.value);
	else if (m->vm.exit.kind == EXIT_MMIO && !m->vm.exit.mmio.write)
		m->vm.exit.mmio.value = READ_ONCE(m->run->exit.mmio.value);
	return core_resume(&m->vm);
}

/* CORE_RESUME, unless there is something to look at before the guest may run. */
static enum core_next before_guest(struct machine *m)
{
	if (READ_ONCE(m->kick)) {
		WRITE_ONCE(m->kick, false);
		m->vm.exit = (struct vm_exit){.kind = EXIT_KICKED};
		return CORE_EXIT;
	}
	if (!something_new(m))
		return CORE_RESUME;
	WRITE_ONCE(m->due, false);
	return core_kick(&m->vm);
}

static int loop(struct machine *m)
{
	enum core_next next = begin(m);

	for (;;) {
		if (next == CORE_EXIT && m->vm.exit.kind != EXIT_IDLE)
			break;
		if (signal_pending(current))
			return -EINTR;
		if (next == CORE_EXIT) {
			if (idle(m, m->vm.exit.deadline))
				return -EINTR;
			next = core_kick(&m->vm);
			if (READ_ONCE(m->kick))
				next = CORE_RESUME;
			else
				continue;
		}
		if (need_resched())
			schedule();
		next = before_guest(m);
		if (next == CORE_RESUME && !something_new(m))
			next = enter_guest(m);
	}
	m->exited = true;
	m->run->exit = m->vm.exit;
	return 0;
}

int machine_run(struct machine *m)
{
	int ret;

	if (!m->ready)
		return -EINVAL;
	set_runner(m, current);
	fpu_swap_kvm_fpstate(&m->fpu, true);
	ret = loop(m);
	fpu_swap_kvm_fpstate(&m->fpu, false);
	set_runner(m, NULL);
	return ret;
}
