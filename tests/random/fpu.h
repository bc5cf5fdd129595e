/*
 * What sequences do to the FPU's register stack, known before they run.
 *
 * Owns: the tracking of which registers are empty. The emulator knows no stack faults and does not
 * mix MMX and x87 as CPUs do (docs/emulator-bugs.md), so that instructions where that would show
 * are left out.
 */
#ifndef RANDOM_FPU_H
#define RANDOM_FPU_H

#include "insn.h"

struct fpu_track {
	unsigned char valid; /* bit i: ST(i) is not empty */
	_Bool mmx;	     /* the registers are MMX's until EMMS */
	_Bool used; /* by x87 arithmetic: condition codes and exception flags have changed */
	_Bool sse;  /* the same of MXCSR */
	_Bool tags; /* FST makes an empty register valid (BUG_TAG) */
};
_Bool is_x87(const struct key *k);
_Bool is_mmx(const struct key *k);
/* Take one instruction into account. False: it must be left out. */
_Bool fpu_step(struct fpu_track *t, const struct key *k);

#endif
