/*
 * What monitor commands tell of memory: page tables and what is in it; see info.h.
 */
#include "info.h"

#include <inttypes.h>
#include "../../common/paging.h"

#define END (1ull << 32)

/* ---- one address ---- */

static const char *level_name(const struct vm *vm, unsigned level)
{
	static const char *const two[] = {"PDE", "PTE"}, *const three[] = {"PDPTE", "PDE", "PTE"};

	if (paging_is_pae(vm))
		return level < ARRAY_SIZE(three) ? three[level] : "?";
	return level < ARRAY_SIZE(two) ? two[level] : "?";
}

static void put_entry(const struct vm *vm, const struct walk *w, unsigned level,
		      struct gdb_text *out)
{
	const u64 entry = w->entry[level];
	const bool large = w->page_size > PAGE_SIZE_4K && level + 1 == w->levels;

	gdb_print(out, "%-5s at %08" PRIx64 ": %0*" PRIx64, level_name(vm, level),
		  w->entry_gpa[level], paging_is_pae(vm) ? 16 : 8, entry);
	if (!(entry & PTE_P)) {
		gdb_print(out, "  not present\n");
		return;
	}
	if (level < w->registers) {
		gdb_print(out, "  present, as loaded with CR3\n");
		return;
	}
	gdb_print(out, "  present, %s, %s%s%s%s%s%s\n", entry & PTE_W ? "writable" : "read-only",
		  entry & PTE_U ? "user" : "supervisor", entry & PTE_A ? ", accessed" : "",
		  entry & PTE_D ? ", dirty" : "", entry & PTE_G ? ", global" : "",
		  (entry & PTE_NX) && paging_is_pae(vm) ? ", no execution" : "",
		  large ? ", large page" : "");
}

void gdb_info_walk(const struct vm *vm, u32 la, struct gdb_text *out)
{
	struct walk w;
	const enum walk_result result = paging_walk(vm, la, &w);

	if (!(vm->cpu.cr0 & CR0_PG)) {
		gdb_print(out, "%08" PRIx32 ": paging is off: it is the physical address\n", la);
		return;
	}
	for (unsigned i = 0; i < w.levels && i < ARRAY_SIZE(w.entry); i++)
		put_entry(vm, &w, i, out);
	if (result == WALK_OK)
		gdb_print(out, "%08" PRIx32 " -> %08" PRIx64 "%s\n", la, w.gpa,
			  vm_ram(vm, w.gpa, 1) ? "" : " (not RAM)");
	else
		gdb_print(out, "%08" PRIx32 " is not mapped%s\n", la,
			  result == WALK_RESERVED ? ": a reserved bit is set" : "");
}

/* ---- all of them ---- */

/* A range of linear addresses with the same rights. */
struct range {
	u64 from;
	bool mapped, write, user, exec, global;
};

static bool same_rights(const struct range *a, const struct range *b)
{
	return a->mapped == b->mapped && a->write == b->write && a->user == b->user &&
	       a->exec == b->exec && a->global == b->global;
}

static void put_range(const struct range *r, u64 end, struct gdb_text *out)
{
	if (r->mapped)
		gdb_print(out, "%08" PRIx64 "-%08" PRIx64 " %8" PRIu64 " KiB  %c%c%c %s%s\n",
			  r->from, end - 1, (end - r->from) >> 10, 'r', r->write ? 'w' : '-',
			  r->exec ? 'x' : '-', r->user ? "user" : "supervisor",
			  r->global ? ", global" : "");
}

/* How much lies at `la` of which one walk tells everything. */
static u64 piece(const struct vm *vm, u64 la, enum walk_result result, const struct walk *w)
{
	u64 size = w->page_size;

	if (result != WALK_OK) {
		size = PAGE_SIZE_4K;
		if (paging_is_pae(vm))
			size = w->levels == 1 ? 1u << 30 : w->levels == 2 ? PAGING_SLOT_SIZE : size;
		else if (w->levels == 1)
			size = LARGE_PAGE_SIZE;
	}
	return size - la % size;
}

void gdb_info_mem(const struct vm *vm, struct gdb_text *out)
{
	struct range now = {.from = 0};

	if (!(vm->cpu.cr0 & CR0_PG)) {
		gdb_print(out, "paging is off: linear addresses are physical ones\n");
		return;
	}
	for (u64 la = 0; la < END && !out->full;) {
		struct walk w;
		const enum walk_result result = paging_walk(vm, la, &w);
		const bool mapped = result == WALK_OK;
		const struct range next = {la,
					   mapped,
					   mapped && w.write,
					   mapped && w.user,
					   mapped && w.exec,
					   mapped && w.global};

		if (!same_rights(&now, &next)) {
			put_range(&now, la, out);
			now = next;
		}
		la += piece(vm, la, result, &w);
	}
	put_range(&now, END, out);
}

/* ---- what is in it ---- */

static void put_line(struct gdb_text *out, u32 address, const u8 *bytes, size_t n)
{
	gdb_print(out, "%08" PRIx32, address);
	for (size_t i = 0; i < 16; i++) {
		if (i < n)
			gdb_print(out, "%s%02x", i % 8 ? " " : "  ", bytes[i]);
		else
			gdb_print(out, "%s  ", i % 8 ? " " : "  ");
	}
	gdb_print(out, "  ");
	for (size_t i = 0; i < n; i++)
		gdb_print(out, "%c", bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '.');
	gdb_print(out, "\n");
}

void gdb_info_memory(const struct vm *vm, enum gdb_space space, u32 address, u32 len,
		     struct gdb_text *out)
{
	u8 bytes[16];
	u32 done = 0;

	while (done < len && !out->full) {
		const u32 wanted = len - done < sizeof(bytes) ? len - done : sizeof(bytes);
		const size_t n = gdb_memory_read(vm, space, address + done, bytes, wanted);

		if (n)
			put_line(out, address + done, bytes, n);
		done += n;
		if (n < wanted) {
			gdb_print(out, "%08" PRIx32 " is not memory\n", address + done);
			return;
		}
	}
}
