/*
 * Which of the guest's pages have been translated: see code.h.
 */
#include "code.h"
#include "../vcpu/handover.h"
#include "unicorn-internals.h"

#include <stdlib.h>

static struct {
	u8 *held;	/* struct vm's `translated` */
	u64 *digest;	/* of these */
	u32 *looked_at; /* the epoch in which that was last true */
	u32 epoch;
	u64 pages;
} code;

bool code_open(struct vm *vm)
{
	code.pages = (vm->ram_size + HOST_EXTRA_BYTES) / PAGE_SIZE_4K;
	if (code.pages > HYBRID_FRAMES)
		return false;
	code.held = shared->hybrid.frame;
	code.digest = calloc(code.pages, sizeof(*code.digest));
	code.looked_at = calloc(code.pages, sizeof(*code.looked_at));
	vm->translated = code.held;
	return code.digest && code.looked_at;
}

/* Four lanes, so that the multiplications overlap. */
static u64 digest_of(const u8 *page)
{
	const u64 factor = 0x9e3779b97f4a7c15ull;
	const u64 *word = (const u64 *)page;
	u64 lane[4] = {1, 2, 3, 4}, sum = 0;

	for (unsigned i = 0; i < PAGE_SIZE_4K / sizeof(u64); i += 4)
		for (unsigned n = 0; n < 4; n++)
			lane[n] = ((lane[n] ^ word[i + n]) * factor) ^ (lane[n] >> 29);
	for (unsigned n = 0; n < 4; n++)
		sum = (sum ^ lane[n] ^ (lane[n] >> 32)) * factor;
	return sum;
}

bool code_is_held(u64 physical)
{
	const u64 page = physical / PAGE_SIZE_4K;

	return page < code.pages && code.held[page];
}

void code_hold(u64 physical, bool holds)
{
	const u64 page = physical / PAGE_SIZE_4K;

	if (page >= code.pages)
		return;
	if (holds && code.held[page] != FRAME_TRANSLATED)
		shared->hybrid.translations++;
	code.held[page] = holds ? FRAME_TRANSLATED : FRAME_PLAIN;
	if (!holds)
		return;
	code.digest[page] = digest_of(shared->vm.ram + physical);
	code.looked_at[page] = code.epoch;
}

void code_doubt(void)
{
	code.epoch++;
	/* What it has in its TLB it would enter unasked. */
	emulated_flush();
}

void code_verify(struct vm *vm, u64 physical)
{
	const u64 page = physical / PAGE_SIZE_4K;

	if (!code_is_held(physical) || code.looked_at[page] == code.epoch)
		return;
	code.looked_at[page] = code.epoch;
	if (digest_of(vm->ram + page * PAGE_SIZE_4K) != code.digest[page])
		emulated_drop_code(page * PAGE_SIZE_4K);
}
