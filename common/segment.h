/*
 * Segmentation: descriptor tables, loads with their checks, and the host selectors behind them.
 *
 * Owns: vm->cpu.seg[] with its hidden parts and vm->cpu.hw_selector[]. The hardware runs all guest
 * code at CPL 3 with selectors of the host's GDT and of a private LDT; this file chooses which.
 */
#ifndef PLEX86_SEGMENT_H
#define PLEX86_SEGMENT_H

#include "vm.h"

/* Read the 8-byte descriptor `selector` names; false if it is outside its table or the table
 * cannot be read (nothing is raised). Null selectors give false. */
bool seg_descriptor(struct vm *vm, u16 selector, u64 *desc);
/* Is there a present segment or gate at that entry of the guest's LDT? */
bool seg_ldt_has(struct vm *vm, unsigned entry);
/* The same on the guest's behalf: raises `vector` with the selector as its error code if there is
 * no such descriptor, and a page fault if it cannot be read. `ext`: the EXT bit. */
bool seg_fetch(struct vm *vm, u16 selector, enum exception vector, u32 ext, u64 *desc);
/* descriptor.c has this, seg_is_loadable() and seg_access_ok(). */
void seg_unpack(u64 desc, u16 selector, struct segment *seg);
static inline unsigned seg_dpl(const struct segment *s)
{
	return (s->attr & SEG_DPL) >> 5;
}
static inline bool seg_is_code(const struct segment *s)
{
	return (s->attr & (SEG_S | SEG_TYPE_CODE)) == (SEG_S | SEG_TYPE_CODE);
}
static inline bool seg_is_conforming(const struct segment *s)
{
	return seg_is_code(s) && (s->attr & SEG_TYPE_DOWN);
}
static inline bool seg_is_writable_data(const struct segment *s)
{
	return (s->attr & (SEG_S | SEG_TYPE_CODE | SEG_TYPE_WRITE)) == (SEG_S | SEG_TYPE_WRITE);
}
/* Of a TSS, busy or not. */
static inline bool seg_is_tss16(const struct segment *s)
{
	return !(s->attr & 8);
}
static inline bool seg_is_null(u16 selector)
{
	return !(selector & ~3);
}
/* Is this one of the ABI's user segments (a 3 GiB limit that stands for page protection)? */
bool seg_is_abi_user(const struct vm *vm, u16 selector);

/* May a register hold it: is it present, and of a type that a load takes (SDM vol. 2, MOV, POP)? */
bool seg_is_loadable(enum seg_reg reg, const struct segment *seg);
/* May [offset, offset + len) be accessed? Present, type and limit (SDM vol. 3, 5.3-5.5). */
bool seg_access_ok(const struct segment *seg, u32 offset, unsigned len, bool write);

/* Set the accessed bit in the descriptor's table entry, as a load does. */
bool seg_mark_accessed(struct vm *vm, u16 selector, u64 desc);

/* Load ES, SS, DS, FS or GS as `mov` does; raises #GP, #NP, #SS or a page fault. */
bool seg_load(struct vm *vm, enum seg_reg reg, u16 selector);
/* Install a segment whose checks are done (CS and SS of transfers) and pick its host selector.
 * False: the host refused it, and vm->exit is set. */
bool seg_install(struct vm *vm, enum seg_reg reg, const struct segment *seg);
/* The guest has loaded, without a trap, a selector that is right on the host as it is. */
void seg_note_native(struct vm *vm, enum seg_reg reg, u16 selector);
void seg_install_null(struct vm *vm, enum seg_reg reg, u16 selector);
/* Returning to an outer level: null the data segments it may not hold (SDM vol. 2, RET). */
void seg_drop_inner(struct vm *vm, unsigned cpl);

/* Fill the host's slots that are always there, and those that depend on LDTR. */
bool seg_init(struct vm *vm);
/* Bring the host's TLS slots in line with GDT entries 12-14 of the guest. */
bool seg_sync_tls(struct vm *vm);
/* The shadow has just been changed, and with it the TLS slots: those that registers name must not
 * be empty. `from`: the shadow in which they were loaded. */
bool seg_carry_tls(struct vm *vm, const struct shadow *from);
/* The guest's LDTR changed: the ABI's user segments exist only while it is null. */
bool seg_sync_ldt(struct vm *vm);

#endif
