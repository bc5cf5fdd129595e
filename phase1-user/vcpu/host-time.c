/*
 * The time that common/host.h asks for, and the timer: system calls and nothing else, for every
 * program that runs the core.
 */
#include "../../common/vm.h"
#include "sys.h"
#include "timer.h"
#include <linux/signal.h>
#include <linux/time.h>

/* Each process's own: its timer, and what that was last told. */
static int timer_id;
static u64 timer_armed;

static u64 clock(int id)
{
	struct timespec t = {0};

	sys3(__NR_clock_gettime, id, (long)&t, 0);
	return (u64)t.tv_sec * 1000000000u + t.tv_nsec;
}

u64 host_now(struct vm *vm)
{
	(void)vm;
	return clock(CLOCK_MONOTONIC);
}

/* The system call costs as much as an emulated instruction. TSCs count at 1 GHz at least: as many
 * cycles as there are nanoseconds left can pass before it is worth another one. */
bool host_due(struct vm *vm, u64 deadline)
{
	static u64 asked_for, asked_at, patience;
	const u64 tsc = host_tsc(vm);
	u64 now;

	if (deadline == asked_for && tsc - asked_at < patience)
		return false;
	now = host_now(vm);
	asked_for = deadline;
	asked_at = tsc;
	patience = deadline > now ? deadline - now : 0;
	return !patience;
}

s64 host_utc(struct vm *vm)
{
	(void)vm;
	return clock(CLOCK_REALTIME) / 1000000000u;
}

long timer_setup(void)
{
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};

	return sys3(__NR_timer_create, CLOCK_MONOTONIC, (long)&event, (long)&timer_id);
}

void host_arm_timer(struct vm *vm, u64 deadline)
{
	struct itimerspec spec = {
		.it_value = {.tv_sec = deadline / 1000000000u, .tv_nsec = deadline % 1000000000u},
	};

	(void)vm;
	timer_armed = deadline;
	sys6(__NR_timer_settime, timer_id, TIMER_ABSTIME, (long)&spec, 0, 0, 0);
}

void timer_resync(struct vm *vm)
{
	if (timer_armed != vm->armed)
		host_arm_timer(vm, vm->armed);
}

u64 host_tsc(struct vm *vm)
{
	(void)vm;
	return __builtin_ia32_rdtsc();
}
