/*
 * The emulator as one side of the hybrid engine: see hybrid.h.
 */
#include "hybrid.h"
#include "../vcpu/handover.h"
#include "../vcpu/timer.h"
#include "fpu.h"
#include "run.h"
#include "unicorn-internals.h"

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
	run_taken_back(vm);
}

static void give_guest(struct vm *vm)
{
	fpu_pass();
	run_given_away(vm);
	pass_guest(TURN_EMULATOR, TURN_VCPU);
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
