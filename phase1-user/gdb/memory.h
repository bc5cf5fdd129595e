/*
 * Guest memory as a debugger sees it.
 *
 * Owns: reading and writing it by linear address, through the guest's page tables but whatever the
 * rights in them, or by physical address. Only RAM and the PV page: what device registers do when
 * they are read is no business of a debugger's. Leaves no trace in A and D bits.
 */
#ifndef PLEX86_GDB_MEMORY_H
#define PLEX86_GDB_MEMORY_H

#include "../../common/vm.h"

enum gdb_space { GDB_LINEAR, GDB_PHYSICAL };

/* As many of `len` bytes as there are memory in one piece; returns how many. */
size_t gdb_memory_read(const struct vm *vm, enum gdb_space space, u32 address, void *to,
		       size_t len);
/* All of it or, if any of it is not memory, nothing. */
bool gdb_memory_write(const struct vm *vm, enum gdb_space space, u32 address, const void *from,
		      size_t len);

#endif
