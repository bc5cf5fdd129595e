/*
 * Passing the baton: see baton.h. The change of stacks is in start.S.
 */
#include "baton.h"
#include "sys.h"
#include <linux/futex.h>
#include <linux/signal.h>
#include <linux/time.h>

static u32 self; /* this process; each has its own copy */

/* start.S: save the registers that a call must keep, and the stack in b->stack; call baton_sleep()
 * on this process's own stack; go on where b->stack says. */
__attribute__((visibility("hidden"))) void baton_switch(struct baton *b, u32 to);
/* start.S: go on where b->stack says. */
__attribute__((visibility("hidden"))) _Noreturn void baton_resume(struct baton *b);
struct baton *baton_sleep(struct baton *b, u32 to); /* called by baton_switch() */

static void futex_wake(u32 *word)
{
	sys3(__NR_futex, (long)word, FUTEX_WAKE, 1);
}

static void wait_for_call(struct baton *b)
{
	u32 *call = &b->call[self];

	while (!__atomic_exchange_n(call, 0, __ATOMIC_ACQUIRE))
		sys6(__NR_futex, (long)call, FUTEX_WAIT, 0, 0, 0, 0);
}

struct baton *baton_sleep(struct baton *b, u32 to)
{
	__atomic_store_n(&b->call[to], 1, __ATOMIC_RELEASE);
	futex_wake(&b->call[to]);
	wait_for_call(b);
	return b;
}

static void set_signal_mask(u64 mask)
{
	sys6(__NR_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, sizeof(mask), 0, 0);
}

void baton_pass(struct baton *b, u32 to)
{
	if (b->fpu) {
		set_signal_mask(~0ull);
		__asm__ volatile("xsave64 (%0)" : : "r"(b->fpu), "a"(-1), "d"(-1) : "memory");
	}
	baton_switch(b, to);
	if (b->fpu) {
		__asm__ volatile("xrstor64 (%0)" : : "r"(b->fpu), "a"(-1), "d"(-1) : "memory");
		set_signal_mask(0);
	}
}

_Noreturn void baton_wait(struct baton *b, u32 number)
{
	self = number;
	set_signal_mask(~0ull);
	__atomic_add_fetch(&b->ready, 1, __ATOMIC_RELEASE);
	futex_wake(&b->ready);
	wait_for_call(b);
	baton_resume(b);
}

bool baton_all_ready(struct baton *b, u32 n)
{
	const struct timespec patience = {.tv_sec = 1};
	u32 ready;

	while ((ready = __atomic_load_n(&b->ready, __ATOMIC_ACQUIRE)) < n)
		if (sys6(__NR_futex, (long)&b->ready, FUTEX_WAIT, ready, (long)&patience, 0, 0) ==
		    -SYS_ETIMEDOUT)
			return false;
	return true;
}
