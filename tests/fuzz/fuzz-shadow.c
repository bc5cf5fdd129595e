/*
 * Fuzzing the page walk and the shadows: a guest that edits its page tables, touches pages,
 * invalidates and changes address spaces as the input says, against a model of what a TLB may hold
 * (tests/unit/shadow-model.h).
 *
 * The first byte chooses the format of the tables; the rest are the guest's choices, two bytes
 * each.
 */
#include "../unit/shadow-model.h"
#include "fuzz-input.h"

#define STEPS 200

static u32 choose(void *opaque)
{
	return fuzz_take(opaque, 2);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct vm *vm;
	struct fuzz_input in = {data, size};
	const bool pae = fuzz_take(&in, 1) & 1;

	if (!vm)
		vm = vm_create(SHADOW_MODEL_RAM);
	shadow_model_start(vm, pae, choose, &in);
	for (unsigned i = 0; i < STEPS && in.left; i++)
		shadow_model_step(vm);
	shadow_model_check(vm);
	shadow_model_end(vm);
	return 0;
}
