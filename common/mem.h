/*
 * Guest memory as the guest's own instructions reach it: by linear address or through a segment.
 *
 * Owns: reads and writes made on the guest's behalf by emulation and reflection. Functions that
 * return bool leave the exception to deliver in vm->exc when they return false. They reach RAM
 * and the PV page; device memory is emulate-mem.c's.
 */
#ifndef PLEX86_MEM_H
#define PLEX86_MEM_H

#include "vm.h"

/* Note an exception to deliver; returns false, so that callers can `return raise(...)`. */
static inline bool raise(struct vm *vm, enum exception vector)
{
	vm->exc = (struct exception_info){.vector = vector};
	return false;
}

static inline bool raise_error(struct vm *vm, enum exception vector, u32 error)
{
	vm->exc = (struct exception_info){.vector = vector, .has_error = true, .error = error};
	return false;
}

/* CR2 changes when the fault is delivered: looking ahead at memory must leave no trace. */
bool raise_page_fault(struct vm *vm, u64 la, u32 error);

/* Access linear memory. `user` selects the rights (false for descriptor tables, TSS, stacks of an
 * inner level). Nothing is written unless all of it can be. */
bool mem_read(struct vm *vm, u64 la, void *buf, unsigned len, bool user);
bool mem_write(struct vm *vm, u64 la, const void *buf, unsigned len, bool user);

/* Could `len` bytes (at most a page) at `la` be written? Sets A and D, as the write will. */
bool mem_probe_write(struct vm *vm, u64 la, unsigned len, bool user);

/* What mem_* would reach: a pointer for RAM and PV page, NULL and *gpa for device memory. Sets A
 * and D. The access must not cross a page. */
enum mem_target { MEM_RAM, MEM_DEVICE, MEM_FAULT };
enum mem_target mem_translate(struct vm *vm, u64 la, bool write, bool user, u8 **ptr, u64 *gpa);

/* Is [offset, offset + len) of segment `reg` beyond the 3 GiB limit of the ABI's user segments,
 * accessed by user code? Then true, with the page fault raised that this stands for (limit.c). */
bool limit_access_fault(struct vm *vm, enum seg_reg reg, u32 offset, unsigned len, bool write);

/* Check seg:offset against limit and type, giving the linear address; raises #GP(0) or #SS(0), or
 * the page fault of the ABI's user limit. */
bool mem_linear(struct vm *vm, enum seg_reg reg, u64 offset, unsigned len, bool write, u64 *la);

/* Copy at most `len` instruction bytes at CS:rip; returns how many could be fetched without a
 * fault; if 0, vm->exc says why. */
unsigned mem_fetch(struct vm *vm, u8 *buf, unsigned len);

/* Is `opcode` the byte in front of CS:rip? */
bool mem_byte_before(struct vm *vm, u64 rip, u8 opcode);

#endif
