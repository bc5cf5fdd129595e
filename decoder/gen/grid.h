/*
 * All ModRM bytes of one opcode.
 *
 * Owns: the probes of one opcode over every ModRM.reg and rm, and the reading of a form out of
 * them: what an operand's number follows tells where it is encoded.
 */
#ifndef PLEX86_DECODER_GRID_H
#define PLEX86_DECODER_GRID_H

#include "encode.h"
#include "probe.h"

struct grid {
	const struct point *point;
	bool modrm;		/* the opcode has a ModRM byte */
	bool reg_only[8];	/* ModRM.mod does not matter */
	struct probe mem[8];	/* by reg, with a disp8 of 1 */
	struct probe reg[8][8]; /* by reg and rm */
	unsigned rms;		/* how many rm were asked for: 1 or 8 */
	unsigned opcode_len;	/* bytes before ModRM */
	unsigned mem_len[8];	/* bytes up to the immediate in mem[] */
	bool opcode_names[8];	/* operand n is the register in the opcode's low bits */
};

void grid_fill(struct grid *g, struct prober *prober, const struct point *p);

/* The form of ModRM (mod == 3, reg, rm). */
void grid_form(const struct grid *g, bool mod3, unsigned reg, unsigned rm, struct form *form);

#endif
