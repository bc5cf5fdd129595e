/*
 * A random protected-mode machine: descriptor tables, TSS, IDT, stacks, registers, page tables.
 *
 * Owns: where its things lie. Most of it is right, so that a case gets far: odd are a few entries
 * in half of the machines. Linear addresses up to TABLES are mapped, mostly identically.
 */
#ifndef PLEX86_MACHINE_H
#define PLEX86_MACHINE_H

#include "suite.h"

enum {
	AT_MGDT = 0x1fc0, /* tables lie across page borders */
	AT_MLDT = 0x2fe0,
	AT_MIDT = 0x4f80,
	AT_MTSS = 0x6fe0,
	AT_STACKS = 0x8000, /* to AT_STACKS_END */
	AT_STACKS_END = 0xc000,
	AT_MCODE = 0xd100,
	AT_OPERAND = 0xf000, /* the border between two pages */
	TABLES = 0x10000,
	MACHINE_RAM = 0x12000
};
#define MGDT_ENTRIES   16 /* 12 to 14: where Linux has its TLS, and the core slots of the host's */
#define MLDT_ENTRIES   12
#define MIDT_ENTRIES   0x31
#define SYSCALL_VECTOR 0x80 /* it has a gate as well */

void machine_make(struct contest *c);
/* The same in virtual-8086 mode; only an engine whose CPU has the guest's levels has that. */
void machine_enter_vm86(struct contest *c);

/* Write at a linear address of the machine. */
void machine_put(struct contest *c, u32 la, u32 value, unsigned size);
/* A selector for a load: mostly of something. */
u16 random_selector(struct contest *c);
/* Of a code segment of this level, or of a stack segment: mostly. */
u16 random_code_selector(struct contest *c, unsigned level);
u16 random_stack_selector(struct contest *c, unsigned level);
/* A stack pointer for a segment: mostly near a page border. */
u32 random_esp(struct contest *c, u32 base, u32 limit);
/* An offset to jump to. */
u32 random_eip(struct contest *c);

#endif
