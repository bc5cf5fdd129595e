/*
 * What has to be known of an instruction to compare two engines by it.
 *
 * Owns: the opcode as a key, the flags an instruction reads, writes and leaves undefined (SDM vol.
 * 2, "Flags Affected"), and the instructions that are not compared. Nothing here needs the guest: a
 * unit test has it too.
 */
#ifndef RANDOM_INSN_H
#define RANDOM_INSN_H

#define P_NONE 1 /* masks of mandatory prefixes */
#define P_66   2
#define P_F3   4
#define P_F2   8
#define P_ANY  15

enum map {
	MAP_1, /* one-byte opcodes */
	MAP_0F,
	MAP_0F38,
	MAP_0F3A,
};

struct key {
	unsigned char map, opcode;
	unsigned char prefix; /* one of P_ */
	unsigned char modrm;
	unsigned char immediate;	   /* where it matters: of shifts the count */
	unsigned char size16;		   /* a prefix 66 is there */
	unsigned char lock, cs, f2_and_f3; /* these prefixes are there */
	unsigned char length;		   /* up to and with the opcode */
};
/* 16 bytes can be read at `p`. False: more prefixes than an instruction may have. */
_Bool insn_key(const unsigned char *p, struct key *k);

struct flag_effect {
	unsigned reads;	    /* of CF PF AF ZF SF OF */
	unsigned defines;   /* these are as the SDM says afterwards, whatever they were */
	unsigned undefined; /* these may be anything */
};
struct flag_effect insn_flags(const struct key *k);

/* Why an instruction is left out: 0, or one of these. Those from BUG_FIRST on are errors of the
 * emulator; a mask with bit n for BUG_FIRST + n lets them in. */
enum left_out {
	COMPARED,
	OUT_HOST,  /* the host's answer, or outside of what plex86 promises (ROADMAP.md) */
	OUT_NEW,   /* an extension that the engines' CPUs do not share */
	OUT_IMPL,  /* the SDM leaves the result to the implementation */
	OUT_STEPS, /* would end single steps */
	BUG_FIRST = 8,
	BUG_ALIGN = BUG_FIRST, /* operands that must be aligned need not be */
	BUG_ARPL,	       /* writes what it does not change */
	BUG_FLDCW,	       /* keeps bits that are reserved */
	BUG_INS,     /* the operand is written before the privilege is looked at, and may fault */
	BUG_LOOPE,   /* flags are lost where ECX ends it */
	BUG_PUNPCKL, /* reads 64 bits, not 32 */
	BUG_ENTER,   /* does not probe the stack it makes */
	BUG_MXCSR_RESERVED, /* LDMXCSR takes reserved bits */
	BUG_RET_IMM,	    /* takes its operand for a signed one */
	BUG_CONSTANT,	    /* FLDL2T and its kin are not rounded */
	BUG_FLD,	    /* does not look at NaNs and unsupported formats */
	BUG_FIST,	    /* what is too large is not the integer indefinite */
	BUG_INT1,
	BUG_CMPPS,     /* predicates above 7 are #UD */
	BUG_ENTER16,   /* writes EBP, not BP */
	BUG_CMPXCHG8B, /* flags other than ZF change; QEMU 7.2 */
	BUG_TAG,       /* FST to an empty register leaves it empty */
	BUG_FCOMI,     /* OF, SF, AF are left as they were */
	/* Not of one instruction: */
	BUG_LIMITS, /* neither limits nor null selectors are looked at */
	BUG_LONG,   /* what is several accesses is done in part when one faults: 80 bits, PUSHA */
	BUG_RMW,    /* the write of a read-modify-write is reported as a read */
	BUG_MMX,    /* exponents are not set; what faults has switched to MMX already */
	BUG_FSW,    /* exception flags of x87 */
	BUG_MXCSR,  /* exception flags of SSE */
};
unsigned insn_left_out(const struct key *k);
/* The same where operands are not chosen. */
unsigned insn_left_out_of_soup(const struct key *k);
/* FNSTSW, FSTENV's kin and STMXCSR: they show exception flags and condition codes. */
_Bool insn_reads_status(const struct key *k);
/* Those that BUG_LONG is about. */
_Bool insn_is_long(const struct key *k);
_Bool insn_is_popa(const struct key *k);
/* The number of the SSE register that a long one loads, or -1. */
int insn_loads_xmm(const struct key *k);

#endif
