/*
 * Guest memory as a debugger sees it: see memory.h.
 */
#include "memory.h"
#include "../../common/paging.h"
#include "../../common/pv.h"

/* `len` bytes at `address`, which lie in one page; NULL: that is not memory. */
static u8 *locate(const struct vm *vm, enum gdb_space space, u32 address, size_t len)
{
	struct walk w;

	if (space == GDB_PHYSICAL)
		return vm_ram(vm, address, len);
	if (pv_is_page(vm, address))
		return (u8 *)pv_page(vm) + address % PAGE_SIZE_4K;
	if (paging_walk(vm, address, &w) != WALK_OK)
		return NULL;
	return vm_ram(vm, w.gpa, len);
}

/* Of `len` bytes at `address`, those in its page. */
static size_t in_page(u32 address, size_t len)
{
	const size_t left = PAGE_SIZE_4K - address % PAGE_SIZE_4K;

	return len < left ? len : left;
}

size_t gdb_memory_read(const struct vm *vm, enum gdb_space space, u32 address, void *to, size_t len)
{
	const u64 end = 1ull << 32;
	size_t done = 0;

	if (len > end - address)
		len = end - address;
	while (done < len) {
		const size_t n = in_page(address + done, len - done);
		const u8 *from = locate(vm, space, address + done, n);

		if (!from)
			break;
		mem_copy((u8 *)to + done, from, n);
		done += n;
	}
	return done;
}

/* Copy, or only see whether it can be done. */
static bool write_pages(const struct vm *vm, enum gdb_space space, u32 address, const u8 *from,
			size_t len, bool copy)
{
	for (size_t done = 0; done < len;) {
		const size_t n = in_page(address + done, len - done);
		u8 *to = locate(vm, space, address + done, n);

		if (!to)
			return false;
		if (copy)
			mem_copy(to, from + done, n);
		done += n;
	}
	return true;
}

bool gdb_memory_write(const struct vm *vm, enum gdb_space space, u32 address, const void *from,
		      size_t len)
{
	if (len > (1ull << 32) - address)
		return false;
	/* What is written may be the page tables themselves: the second pass may find less. */
	return write_pages(vm, space, address, from, len, false) &&
	       write_pages(vm, space, address, from, len, true);
}
