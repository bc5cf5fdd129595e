/*
 * Guest memory as the guest's own instructions reach it: see mem.h.
 */
#include "mem.h"
#include "paging.h"
#include "pv.h"
#include "segment.h"

bool raise_page_fault(struct vm *vm, u64 la, u32 error)
{
	raise_error(vm, EXC_PF, error);
	vm->exc.address = (u32)la;
	return false;
}

enum mem_target mem_translate(struct vm *vm, u64 la, bool write, bool user, u8 **ptr, u64 *gpa)
{
	struct access access = {.write = write, .user = user};
	enum walk_result result;
	struct walk w;
	u32 error;

	if (pv_is_page(vm, la) && !user) {
		*ptr = (u8 *)pv_page(vm) + (la & 0xfff);
		return MEM_RAM;
	}
	result = paging_walk(vm, la, &w);
	if (result != WALK_OK || !paging_check(vm, result, &w, access, &error)) {
		paging_check(vm, result, &w, access, &error);
		raise_page_fault(vm, la, error);
		return MEM_FAULT;
	}
	paging_mark(vm, &w, write);
	if (write)
		debug_written(vm, la);
	*gpa = w.gpa;
	*ptr = vm_ram(vm, w.gpa, 1);
	if (!*ptr)
		return MEM_DEVICE;
	if (write && vm->translated && vm->translated[w.gpa >> PAGE_SHIFT_4K])
		vm->code_written = true;
	return MEM_RAM;
}

static unsigned in_page(u64 la, unsigned len)
{
	unsigned left = PAGE_SIZE_4K - (la & 0xfff);

	return len < left ? len : left;
}

bool mem_probe_write(struct vm *vm, u64 la, unsigned len, bool user)
{
	unsigned first = in_page(la, len);
	u64 gpa;
	u8 *ptr;

	return mem_translate(vm, (u32)la, true, user, &ptr, &gpa) != MEM_FAULT &&
	       (first == len ||
		mem_translate(vm, (u32)(la + first), true, user, &ptr, &gpa) != MEM_FAULT);
}

bool mem_read(struct vm *vm, u64 la, void *buf, unsigned len, bool user)
{
	u8 *out = buf;

	while (len) {
		unsigned n = in_page(la, len);
		u64 gpa;
		u8 *ptr;

		switch (mem_translate(vm, (u32)la, false, user, &ptr, &gpa)) {
		case MEM_FAULT:
			return false;
		case MEM_DEVICE:
			mem_set(out, 0xff, n); /* nobody answers on the bus */
			break;
		case MEM_RAM:
			mem_copy(out, ptr, n);
			break;
		}
		out += n;
		la += n;
		len -= n;
	}
	return true;
}

bool mem_write(struct vm *vm, u64 la, const void *buf, unsigned len, bool user)
{
	unsigned first = in_page(la, len);
	u8 *ptr[2] = {NULL, NULL};
	u64 gpa;

	/* Both pages are probed before either is written: a fault must leave memory unchanged. */
	if (mem_translate(vm, (u32)la, true, user, &ptr[0], &gpa) == MEM_FAULT)
		return false;
	if (first < len &&
	    mem_translate(vm, (u32)(la + first), true, user, &ptr[1], &gpa) == MEM_FAULT)
		return false;
	if (ptr[0])
		mem_copy(ptr[0], buf, first);
	if (ptr[1])
		mem_copy(ptr[1], (const u8 *)buf + first, len - first);
	return true;
}

bool mem_linear(struct vm *vm, enum seg_reg reg, u64 offset, unsigned len, bool write, u64 *la)
{
	const struct segment *seg = &vm->cpu.seg[reg];

	if (!seg_access_ok(seg, (u32)offset, len, write))
		return !limit_access_fault(vm, reg, (u32)offset, len, write) &&
		       raise_error(vm, reg == SEG_SS ? EXC_SS : EXC_GP, 0);
	*la = (u32)(seg->base + (u32)offset);
	return true;
}

unsigned mem_fetch(struct vm *vm, u8 *buf, unsigned len)
{
	const struct segment *cs = &vm->cpu.seg[SEG_CS];
	bool user = vm_cpl(vm) == 3;
	unsigned done = 0;

	if ((u32)vm->cpu.rip > cs->limit) {
		raise_error(vm, EXC_GP, 0);
		return 0;
	}
	if (len - 1 > cs->limit - (u32)vm->cpu.rip)
		len = cs->limit - (u32)vm->cpu.rip + 1;
	while (done < len) {
		u64 la = (u32)(cs->base + (u32)vm->cpu.rip + done);
		unsigned n = in_page(la, len - done);

		if (!mem_read(vm, la, buf + done, n, user))
			break;
		done += n;
	}
	return done;
}

bool mem_byte_before(struct vm *vm, u64 rip, u8 opcode)
{
	u8 byte;

	return mem_read(vm, (u32)(vm->cpu.seg[SEG_CS].base + rip - 1), &byte, 1, false) &&
	       byte == opcode;
}
