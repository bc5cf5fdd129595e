/*
 * The shape of the generated opcode tables.
 *
 * Owns: what decoder/gen/ writes and decode.c reads, and nothing else: neither users of the decoder
 * nor the disassembler see it.
 *
 * An opcode leads to a form through a chain of choices ("nodes"): `opcode_roots` gives the first
 * node, a node names what it chooses by and lists its children, and a child with FORM_LEAF set is
 * an index into `opcode_forms`. A choice that makes no difference has no node, and equal nodes are
 * stored once, which keeps the tables small although they are the product of exhaustive probing.
 */
#ifndef PLEX86_DECODER_FORM_H
#define PLEX86_DECODER_FORM_H

#include "../common/types.h"

/* Opcode maps: the legacy four, then VEX and EVEX, whose first row is 0F. */
enum {
	MAP_ONE,
	MAP_0F,
	MAP_0F38,
	MAP_0F3A,
	MAP_VEX_0F,
	MAP_VEX_0F38,
	MAP_VEX_0F3A,
	MAP_EVEX_0F,
	MAP_EVEX_0F38,
	MAP_EVEX_0F3A,
	MAP_COUNT
};

/* What a node chooses by. */
enum choice {
	BY_MODE,   /* enum insn_mode */
	BY_PREFIX, /* enum prefix_state */
	BY_PP,	   /* VEX.pp, EVEX.pp: none, 66, F3, F2 */
	BY_W,	   /* REX.W, VEX.W, EVEX.W */
	BY_VVVV,   /* VEX, EVEX: 0: unused (1111b), 1: register 1-7, 2: register 8-31 */
	BY_R,	   /* VEX.R, EVEX.R or R' set */
	BY_L,	   /* VEX.L */
	BY_LL,	   /* EVEX.L'L */
	BY_BCAST,  /* EVEX.b */
	BY_MASK,   /* EVEX: 0: aaa and z zero, 1: aaa, 2: aaa and z, 3: z alone */
	BY_MOD,	   /* 0: memory, 1: register (ModRM.mod == 3) */
	BY_REG,	   /* ModRM.reg, three bits */
	BY_RM,	   /* ModRM.rm, three bits */
	CHOICES
};

enum { CHOICE_MAX = 8 }; /* children of the widest node */

/* The prefixes that select an instruction or its operand size. */
enum prefix_state { PFX_NONE, PFX_66, PFX_F3, PFX_F2, PFX_66_F3, PFX_66_F2, PREFIX_STATES };

#define FORM_LEAF 0x8000u

enum {
	FORM_VALID = 1,
	FORM_MODRM = 2,
	FORM_LOCK = 4,	     /* LOCK is allowed with a memory destination */
	FORM_STACK = 8,	     /* operand size defaults to 64 bits in 64-bit mode */
	FORM_NEAR = 16,	     /* operand size is always 64 bits in 64-bit mode */
	FORM_VSIB = 32,	     /* the index is a vector register */
	FORM_IMPLICIT = 64,  /* memory operand DS:[rDI] without a ModRM memory form (MASKMOVQ) */
	FORM_REG_ONLY = 128, /* ModRM.mod is ignored (moves to and from control registers) */
};

/* What follows ModRM, SIB and displacement. */
enum imm_form {
	IMM_NONE,
	IMM_UNSIGNED, /* imm_bytes bytes, zero-extended */
	IMM_SIGNED,   /* imm_bytes bytes, sign-extended */
	IMM_FAR,      /* offset of imm_bytes - 2 bytes, then a selector */
	IMM_MOFFS,    /* address of addr_size bytes; it is the memory operand */
	IMM_SKIP,     /* imm_bytes bytes nobody needs the value of (ENTER, EXTRQ) */
};

/* Where an operand comes from. For the last two groups the low bits are the register. */
enum operand_source {
	SRC_NONE,
	SRC_MEM,
	SRC_IMM,
	SRC_REL,
	SRC_FAR,
	SRC_GPR_REG,
	SRC_GPR_RM,
	SRC_GPR_OPCODE,
	SRC_SEG_REG,
	SRC_CR_REG,
	SRC_DR_REG,
	SRC_GPR_FIXED = 0x10,
	SRC_SEG_FIXED = 0x18,
};

struct form_operand {
	u8 source; /* enum operand_source */
	u8 size;
	u8 access;
};

struct form {
	u8 op;	  /* enum insn_op */
	u8 flags; /* FORM_* */
	u8 imm;	  /* enum imm_form */
	u8 imm_bytes;
	u8 disp8; /* log2 of the EVEX displacement scale */
	u8 mem_access;
	u16 mem_size;
	struct form_operand opnd[3];
};

#endif
