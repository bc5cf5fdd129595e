/*
 * The guest's registers as gdb knows them.
 *
 * Owns: their numbers, names and types, the target description made of them, and the way between
 * their bytes in a packet and the vcpu. Flags are those the guest sees: with the virtual IF and
 * IOPL. System registers can be read only: what hangs on them (mappings, descriptors) is the core's
 * to change, on the guest's own instructions.
 */
#ifndef PLEX86_GDB_REGISTERS_H
#define PLEX86_GDB_REGISTERS_H

#include "../../common/vm.h"
#include "fpu.h"
#include "text.h"

#define GDB_REGISTER_MAX 16 /* bytes */

enum {
	GDB_REG_EIP = 8,
	GDB_REG_EFLAGS,
	GDB_REG_FPU = 16, /* and GDB_FPU_REGS - 1 more */
	GDB_REG_SYSTEM = GDB_REG_FPU + GDB_FPU_REGS,
	GDB_REGISTERS = GDB_REG_SYSTEM + 15
};

/* The vcpu while it stands still. What is written is noted as changed, for the engine to be told.
 */
struct gdb_cpu {
	struct vm *vm;
	size_t fpu_size; /* of `fpu`; less than GDB_XSAVE_MIN: the FPU cannot be seen */
	bool changed, fpu_changed;
	_Alignas(64) u8 fpu[GDB_XSAVE_MAX];
};

/* Bytes of register `n` < GDB_REGISTERS. */
unsigned gdb_register_size(unsigned n);
/* Its bytes as digits, or an `x` for each if it cannot be seen. */
void gdb_register_put(const struct gdb_cpu *cpu, unsigned n, struct gdb_text *reply);
/* `bytes`: gdb_register_size(n) of them. NULL, or why it cannot have that value. */
const char *gdb_register_set(struct gdb_cpu *cpu, unsigned n, const u8 *bytes);
/* The target description. */
#define GDB_DESCRIPTION_MAX 16384u
void gdb_registers_describe(struct gdb_text *xml);

#endif
