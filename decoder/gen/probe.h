/*
 * Asking Capstone about one encoding.
 *
 * Owns: the reduced view of Capstone's answer that the generator and the decoder tests share, with
 * Capstone's known errors set right. Host programs only.
 */
#ifndef PLEX86_DECODER_PROBE_H
#define PLEX86_DECODER_PROBE_H

#include <capstone/capstone.h>

#include "../decode.h"

struct probe_operand {
	enum operand_kind kind; /* OPND_REL and OPND_FAR are told from OPND_IMM by the operation */
	bool vector;		/* OPND_REG outside the general registers */
	u8 reg;			/* as numbered in struct operand */
	bool high_byte;
	u8 size;
	u64 imm;
};

struct probe {
	bool valid;
	u8 length;
	unsigned id; /* Capstone's instruction id */
	enum insn_op op;
	bool has_mem, vsib;
	unsigned vector_size; /* of the first operand in another register file, 0 without one */
	unsigned nopnds;
	struct probe_operand opnd[8];
	u8 base, index, scale, seg; /* seg is REG_NONE unless overridden */
	s64 disp;
	unsigned mem_size, mem_access;
	u64 errata; /* bit n: row n of the table in errata.c changed this answer */
};

struct prober {
	csh handle[3]; /* by enum insn_mode */
	cs_insn *insn;
};

bool prober_open(struct prober *p);
void prober_close(struct prober *p);

/* What Capstone makes of the instruction at `address`. */
void probe(struct prober *p, const u8 *bytes, unsigned n, enum insn_mode mode, u64 address,
	   struct probe *out);

/* The operation of a Capstone instruction (capstone-ops.c). */
enum insn_op capstone_op(const cs_insn *insn);

/* Access to operand `index` of `op` by the SDM's description; only for what is not OP_OTHER. */
unsigned op_access(enum insn_op op, unsigned index);

#endif
