/*
 * A debugger that only disturbs: see test-debug.h.
 */
#include "test-debug.h"

#include <string.h>

#define GUEST_START 0x100000u /* of the test guests */

static void add_points(struct debug_request *r)
{
	for (u32 i = 0; i < DEBUG_POINTS; i++) {
		struct debug_point *p = &r->point[r->count++];
		const u32 page = GUEST_START + i / 2 * PAGE_SIZE_4K;

		/* One byte of code, and words that are written or read, in each page. */
		p->la = page + (i % 2 ? PAGE_SIZE_4K / 2 : PAGE_SIZE_4K / 4);
		p->len = i % 2 ? 64 : 1;
		p->kind =
			i % 2 ? (i % 8 == 1 ? DEBUG_READ | DEBUG_WRITE : DEBUG_WRITE) : DEBUG_EXEC;
	}
}

void test_debug(struct engine *e, const char *how)
{
	struct debug_request request = {.step = !strcmp(how, "step")};

	if (!request.step)
		add_points(&request);
	engine_set_debug(e, &request);
}
