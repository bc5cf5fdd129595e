/*
 * What `monitor info` and its like tell of a guest that stands still: for monitor.c.
 *
 * Owns: the texts. The state may be anything: guest code that broke out of its process could have
 * written it.
 */
#ifndef PLEX86_GDB_INFO_H
#define PLEX86_GDB_INFO_H

#include "../../common/vm.h"
#include "../engine/engine.h"
#include "memory.h"
#include "text.h"
#include "../watch/symbols.h"

/* `symbols` may be NULL. */
void gdb_info_registers(const struct vm *vm, const struct symbols *symbols, struct gdb_text *out);
/* The newest `count` events, at most GDB_EVENTS_MAX. `khz`: of the guest's TSC. */
#define GDB_EVENTS_MAX 1000u
void gdb_info_events(struct engine *engine, unsigned long khz, const struct symbols *symbols,
		     u32 count, struct gdb_text *out);
void gdb_info_pic(const struct vm *vm, struct gdb_text *out);
void gdb_info_pit(const struct vm *vm, struct gdb_text *out);
/* What the guest's page tables map, neighbours with the same rights as one. */
void gdb_info_mem(const struct vm *vm, struct gdb_text *out);
/* How they translate one address. */
void gdb_info_walk(const struct vm *vm, u32 la, struct gdb_text *out);
void gdb_info_memory(const struct vm *vm, enum gdb_space space, u32 address, u32 len,
		     struct gdb_text *out);

#endif
