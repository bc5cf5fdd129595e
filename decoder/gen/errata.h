/*
 * Where Capstone is wrong.
 *
 * Owns: the border between probe.c, which asks Capstone, and errata.c, which knows its errors.
 */
#ifndef PLEX86_DECODER_ERRATA_H
#define PLEX86_DECODER_ERRATA_H

#include "probe.h"

enum { ERRATA_MAX = 64 };

/* Set `p` right, Capstone's answer for `bytes`, and note in p->errata which rows did it. */
void errata_apply(struct probe *p, const u8 *bytes, enum insn_mode mode);

/*
 * Set right size and disp8 of the EVEX memory operand of `evex`. Capstone scales disp8 by `scale`;
 * `right` is better known.
 */
void errata_evex(struct probe *p, const u8 *evex, unsigned scale, enum insn_mode mode,
		 unsigned right);

/* The first byte that is not a prefix. */
const u8 *errata_opcode(const u8 *bytes, enum insn_mode mode);

/* What row n of the table says, NULL past its end. */
const char *errata_name(unsigned n);

#endif
