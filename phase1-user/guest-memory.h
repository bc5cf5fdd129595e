/*
 * Guest memory by linear address, for looking at a guest that stands still or has died.
 *
 * Owns: the reading. Works on the copy of a machine's state that engine_get_state() gives. Nothing
 * is taken for granted: tables that lead nowhere end the copy.
 */
#ifndef PLEX86_GUEST_MEMORY_H
#define PLEX86_GUEST_MEMORY_H

#include "../common/vm.h"

/* Copy out of the address space in force, as far as it can be read: the number of bytes copied.
 * Addresses wrap at 4 GiB. */
size_t guest_read(const struct vm *vm, u64 la, void *to, size_t len);
/* All of it, or false. */
bool guest_read_all(const struct vm *vm, u64 la, void *to, size_t len);
bool guest_read_u32(const struct vm *vm, u64 la, u32 *value);

#endif
