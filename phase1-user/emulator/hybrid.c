/*
 * The emulator as one side of the hybrid engine: see hybrid.h.
 */
#include "hybrid.h"
#include "../../common/native.h"
#include "../vcpu/handover.h"
#include "../vcpu/timer.h"
#include "fpu.h"
#include "run.h"
#include "unicorn-internals.h"

/* When the guest was given away: what tells that devices may have written its memory since. */
static struct {
	u64 exits;
	u32 lines;
} given;

/* Where this lies differs from program to program. */
static u8 *ram;

void hybrid_open(struct vm *vm)
{
	ram = vm->ram;
}

/* User code has written to pages that had been translated. */
static void drop_written(struct hybrid *h)
{
	if (!h->written)
		return;
	h->written = false;
	for (u32 frame = 0; frame < HYBRID_FRAMES; frame++) {
		if (h->frame[frame] != FRAME_WRITTEN)
			continue;
		h->frame[frame] = FRAME_PLAIN;
		emulated_drop_code((u64)frame << PAGE_SHIFT_4K);
	}
}

static void take_guest(struct vm *vm)
{
	struct hybrid *h = &shared->hybrid;

	vm->ram = ram;
	vm->trace = &shared->trace;
	vm->translated = h->frame;
	vm->native = false;
	fpu_left();
	timer_resync(vm);
	if (h->flush)
		emulated_flush();
	h->flush = false;
	drop_written(h);
	if (vm->stats.count[EV_EXIT] != given.exits || vm->irq_seen != given.lines)
		run_others_wrote();
}

static void give_guest(struct vm *vm)
{
	fpu_pass();
	given.exits = vm->stats.count[EV_EXIT];
	given.lines = vm->irq_seen;
	pass_guest(TURN_EMULATOR, TURN_VCPU);
}

static void run_until_native(struct vm *vm)
{
	enum core_next next = CORE_RESUME;

	for (;;) {
		run_until_ready(vm, next);
		if (native_runs(vm))
			return;
		next = run_guest(vm, true) == RUN_EXIT ? CORE_EXIT : CORE_RESUME;
	}
}

_Noreturn void hybrid_run(struct vm *vm)
{
	pass_guest(TURN_EMULATOR, TURN_VMM);
	for (;;) {
		take_guest(vm);
		run_until_native(vm);
		give_guest(vm);
	}
}
