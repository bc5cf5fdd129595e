/*
 * Emulation of the instructions that trap at CPL 3.
 *
 * Owns: what the emulate-*.c files and trap.c share. Each handler does one family; the dispatch
 * table is in emulate.c.
 */
#ifndef PLEX86_EMULATE_H
#define PLEX86_EMULATE_H

#include "core.h"

enum emu {
	EMU_NEXT,    /* done: go on behind the instruction */
	EMU_SHADOW,  /* the same, but debug traps wait for the next instruction (mov, pop to SS) */
	EMU_DONE,    /* done, and rip is set */
	EMU_IRET,    /* the same, and so is RF */
	EMU_HANDLER, /* an interrupt was the instruction; rip and flags are its handler's */
	EMU_FAULT,   /* deliver vm->exc; rip is the instruction's */
	EMU_EXIT,    /* vm->exit is set; core_resume() finishes or repeats the instruction */
	EMU_OTHER,   /* not for emulation here: it is the guest's own fault */
};

typedef enum emu emu_fn(struct vm *vm, const struct insn *insn);

/* Emulate the instruction at CS:rip, which trapped with an exception that has an error code. */
enum emu emulate(struct vm *vm, const struct trap *trap);
/* Emulate an access to memory that the hardware cannot make (device, low page, PV page). */
emu_fn emulate_memory;
/* Fetch and decode at CS:rip. False: vm->exc (page fault) or *undefined is set. */
bool fetch_insn(struct vm *vm, struct insn *insn, bool *undefined);
/* Move rip behind the instruction. */
void insn_skip(struct vm *vm, const struct insn *insn);

/* clang-format off */
emu_fn emulate_in, emulate_out, emulate_ins, emulate_outs;                   /* emulate-io.c */
emu_fn emulate_mov_from_cr, emulate_mov_to_cr, emulate_mov_from_dr, emulate_mov_to_dr,
	emulate_clts, emulate_lmsw, emulate_smsw;                            /* emulate-cr.c */
emu_fn emulate_rdmsr, emulate_wrmsr, emulate_rdtsc, emulate_cpuid, emulate_invd, emulate_wbinvd,
	emulate_xsetbv, emulate_xgetbv, emulate_hlt, emulate_cli, emulate_sti,
	emulate_invlpg;                                                      /* emulate-sys.c */
emu_fn emulate_table_load, emulate_table_store, emulate_lldt, emulate_ltr, emulate_sldt,
	emulate_str, emulate_mov_to_seg, emulate_pop_seg, emulate_load_far; /* emulate-seg.c */
emu_fn emulate_iret, emulate_int, emulate_int3, emulate_into, emulate_int1, emulate_ljmp,
	emulate_lcall, emulate_lret;                                         /* emulate-far.c */
/* clang-format on */

/* Port access by the core's own chips; false if the port is the VMM's. */
bool core_port(struct vm *vm, u16 port, unsigned size, bool write, u32 *value);
/* Finish an `in` or `ins` with the value the VMM gave. */
enum emu finish_in(struct vm *vm, const struct insn *insn, u32 value);
/* Finish a device-memory read. */
enum emu finish_mmio(struct vm *vm, const struct insn *insn, u64 value);

/* CPUID as the guest sees it. */
void vcpu_cpuid(struct vm *vm, u32 leaf, u32 subleaf, u32 out[4]);
/* The same for our own use, of which the trace knows nothing. */
void vcpu_describe(struct vm *vm, u32 leaf, u32 subleaf, u32 out[4]);

/* XCR0 bits the guest may set; 0 if XSAVE is hidden. */
u64 vcpu_xcr0_mask(struct vm *vm);
/* Does the processor have NX, and so IA32_EFER? */
bool vcpu_has_nx(struct vm *vm);

/* A user #GP(0)/#SS(0) that stems from the 3 GiB limit of the ABI's user segments is really a
 * page fault: true if so, with vm->exc set. */
bool limit_fault(struct vm *vm, const struct insn *insn);
/* The same for instruction bytes at `la`. */
bool limit_fetch_fault(struct vm *vm, u32 la);

/* Operand access. Register sizes are 1, 2, 4 bytes; 4-byte writes clear the upper half. */
u64 reg_read(const struct vm *vm, const struct operand *o);
void reg_write(struct vm *vm, const struct operand *o, u64 value);
/* Offset of the memory operand within its segment, truncated to the address size. */
u64 mem_offset(const struct vm *vm, const struct insn *insn);
/* Read or write a register or memory operand; false: vm->exc is set. */
bool operand_read(struct vm *vm, const struct insn *insn, unsigned i, unsigned size, u64 *value);
bool operand_write(struct vm *vm, const struct insn *insn, unsigned i, unsigned size, u64 value);
/* Pop `size` bytes without moving the stack pointer: `depth` bytes up from it. */
bool stack_peek(struct vm *vm, u32 depth, unsigned size, u32 *value);
/* Are `n` items from there on within the stack's limits? If not, #SS(0) is raised. */
bool stack_holds(struct vm *vm, u32 depth, unsigned n, unsigned size);

#endif
