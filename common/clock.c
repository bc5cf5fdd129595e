/*
 * The guest's time: see clock.h.
 */
#include "clock.h"
#include "vm.h"

u64 clock_now(struct vm *vm)
{
	const struct clock *c = &vm->clock;

	return c->deterministic ? c->events * CLOCK_EVENT_NS + c->skipped : host_now(vm);
}

s64 clock_utc(struct vm *vm)
{
	if (!vm->clock.deterministic)
		return host_utc(vm);
	return CLOCK_UTC + (s64)(clock_now(vm) / 1000000000u);
}

u64 clock_tsc(struct vm *vm)
{
	return vm->clock.deterministic ? clock_now(vm) : host_tsc(vm);
}

bool clock_due(struct vm *vm, u64 deadline)
{
	return vm->clock.deterministic ? clock_now(vm) >= deadline : host_due(vm, deadline);
}

void clock_event(struct vm *vm, enum event event)
{
	if (!event_is_visible(event))
		return;
	vm->clock.events++;
	vm->clock.wait_until = 0;
}

bool clock_moved(const struct vm *vm)
{
	return !vm->clock.deterministic || vm->clock.events != vm->clock.settled || vm->cpu.halted;
}

void clock_settled(struct vm *vm)
{
	vm->clock.settled = vm->clock.events;
}

void clock_opened(struct vm *vm)
{
	vm->clock.settled = vm->clock.events - 1;
}

/* Is a wait of `ns` one of the host's that is not over? */
static bool is_waiting(struct vm *vm, u64 ns)
{
	struct clock *c = &vm->clock;
	const u64 now = host_now(vm);

	if (!c->wait_until)
		c->wait_until = now + ns;
	return now < c->wait_until;
}

bool clock_skip(struct vm *vm, u64 deadline)
{
	struct clock *c = &vm->clock;
	const u64 now = clock_now(vm), left = deadline > now ? deadline - now : 0;

	if (!c->deterministic || !deadline || (c->paced && is_waiting(vm, left)))
		return false;
	c->skipped += left;
	c->wait_until = 0;
	return true;
}

u64 clock_wait_until(const struct vm *vm)
{
	return vm->clock.deterministic ? vm->clock.wait_until : vm->timer;
}

bool clock_stops(struct vm *vm)
{
	struct clock *c = &vm->clock;

	if (!c->stop_at || c->events < c->stop_at)
		return false;
	c->stop_at = 0;
	return true;
}

bool clock_flips(struct vm *vm)
{
	struct clock *c = &vm->clock;

	if (!c->flip_at || c->events < c->flip_at)
		return false;
	c->flip_at = 0;
	return true;
}
