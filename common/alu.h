/*
 * Integer arithmetic with EFLAGS, for emulated memory operands.
 */
#ifndef PLEX86_ALU_H
#define PLEX86_ALU_H

#include "vcpu.h"

/* Apply `op` (OP_ADD ... OP_NEG) to `size`-byte operands. The result goes to *result, the six
 * arithmetic flags to *flags. False if `op` is not arithmetic. */
bool alu(enum insn_op op, unsigned size, u64 a, u64 b, u64 *result, u64 *flags);

#endif
