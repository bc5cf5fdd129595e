/*
 * Guest memory by linear address: see guest-memory.h.
 */
#include "guest-memory.h"
#include "../common/paging.h"

size_t guest_read(const struct vm *vm, u64 la, void *to, size_t len)
{
	size_t done = 0;

	while (done < len) {
		const u64 at = (u32)(la + done);
		size_t n = PAGE_SIZE_4K - at % PAGE_SIZE_4K;
		struct walk w;
		const u8 *from;

		if (n > len - done)
			n = len - done;
		if (paging_walk(vm, at, &w) != WALK_OK)
			break;
		from = vm_ram(vm, w.gpa, n);
		if (!from)
			break;
		mem_copy((u8 *)to + done, from, n);
		done += n;
	}
	return done;
}

bool guest_read_all(const struct vm *vm, u64 la, void *to, size_t len)
{
	return guest_read(vm, la, to, len) == len;
}

bool guest_read_u32(const struct vm *vm, u64 la, u32 *value)
{
	return guest_read_all(vm, la, value, sizeof(*value));
}
