/*
 * Looking at a running guest: see sampler.h.
 */
#include "sampler.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include "../../common/pv.h"

/* The signal that stops the guest also lets it take what interrupt there is, and its handler's
 * first instruction is where it stands then. Of the kernel's registers all but ESP are as they
 * were. */
static void undo_interrupt(struct sampler *s, struct sight *sight)
{
	const u32 pushed = 3 * 4; /* EFLAGS, CS, EIP */
	struct trace_record last[2];

	if (engine_last_events(s->machine->engine, last, 2) != 2 || last[1].event != EV_EXIT ||
	    last[1].a != EXIT_KICKED || last[0].event != EV_IRQ)
		return;
	s->vm->cpu.rip = (u32)last[0].rip;
	sight->cpl = last[0].cpl & 3;
	sight->interrupts = true;
	if (sight->cpl == 0)
		s->vm->cpu.gpr[GPR_SP] = (u32)(s->vm->cpu.gpr[GPR_SP] + pushed);
}

static void stopped(struct machine_job *job)
{
	struct sampler *s = (struct sampler *)((char *)job - offsetof(struct sampler, job));
	struct sight sight = {.vm = s->vm};

	s->waiting = false;
	engine_get_state(s->machine->engine, s->vm);
	sight.cpl = vm_cpl(s->vm);
	sight.interrupts = vm_if(s->vm) != 0;
	undo_interrupt(s, &sight);
	s->look(s, &sight);
}

static void tick(struct loop_source *source, u32 events)
{
	struct sampler *s = (struct sampler *)((char *)source - offsetof(struct sampler, timer));
	u64 expirations;

	(void)events;
	if (read(source->fd, &expirations, sizeof(expirations)) != sizeof(expirations) ||
	    s->machine->paused || s->machine->end)
		return;
	s->missed += expirations - 1;
	if (s->waiting) {
		s->missed++;
	} else if (engine_is_idle(s->machine->engine)) {
		s->look(s, NULL);
	} else {
		s->waiting = true;
		machine_do(s->machine, &s->job);
	}
}

bool sampler_start(struct sampler *s, struct machine *machine, u64 period_ns, struct error *e)
{
	const struct timespec period = {period_ns / 1000000000, period_ns % 1000000000};
	const struct itimerspec when = {period, period};

	s->machine = machine;
	s->job.run = stopped;
	s->timer.ready = tick;
	s->vm = calloc(1, sizeof(*s->vm));
	s->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (s->vm && s->timer.fd >= 0 && !timerfd_settime(s->timer.fd, 0, &when, NULL) &&
	    loop_watch(machine->loop, &s->timer, EPOLLIN))
		return true;
	return error_set(e, "timer: creating it: %s", strerror(s->vm ? errno : ENOMEM));
}

void sampler_stop(struct sampler *s)
{
	if (!s->machine)
		return;
	loop_lock(s->machine->loop);
	if (s->timer.fd >= 0) {
		loop_unwatch(s->machine->loop, &s->timer);
		close(s->timer.fd);
	}
	loop_unlock(s->machine->loop);
	free(s->vm);
	s->machine = NULL;
}
