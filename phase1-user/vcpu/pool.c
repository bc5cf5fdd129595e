/*
 * One process for each shadow, so that a change of guest address space is a change of processes.
 *
 * Owns: making the processes, all of them before the jail closes, and host_activate().
 */
#include "sys.h"
#include "vcpu.h"
#include <linux/sched.h>
#include <linux/signal.h>

static _Noreturn void sleep_for_good(void)
{
	for (;;)
		sys3(__NR_pause, 0, 0, 0);
}

void pool_create(bool (*prepare)(void))
{
	shared->pid[0] = sys3(__NR_getpid, 0, 0, 0);
	for (shared->processes = 1; shared->processes < SHADOW_COUNT; shared->processes++) {
		const u32 number = shared->processes;
		/* Children of the VMM, like us: it ends them, and hears of their end. */
		long pid = sys6(__NR_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0, 0);

		if (pid < 0)
			return; /* we do with those there are */
		if (pid == 0) {
			if (prepare())
				baton_wait(&shared->baton, number);
			sleep_for_good();
		}
		shared->pid[number] = pid;
	}
}

void pool_open(void)
{
	/* One that is not ready could not be told from one that is: all or none. */
	if (baton_all_ready(&shared->baton, shared->processes - 1))
		shared->vm.pool.count = shared->processes;
}

enum host_error host_activate(struct vm *vm, unsigned index)
{
	baton_pass(&shared->baton, index);
	return host_arrive(vm); /* by process `index` */
}
