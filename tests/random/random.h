/*
 * Random user-mode instruction sequences: what the parts of the guest `random` share.
 *
 * Owns: their interfaces. A sequence is a function of seed and number alone; a guest makes it, runs
 * it in ring 3 and says what came of it. Two engines are compared by what they say (compare).
 */
#ifndef RANDOM_H
#define RANDOM_H

#include "guest.h"
#include "fpu.h"
#include "insn.h"

/* ---- Random numbers: the same on every engine ---- */
struct rng {
	u32 state;
};
static inline u32 mix(u32 h, u32 v)
{
	h = (h ^ v) * 0x9e3779b1u;
	return h ^ h >> 15;
}
static inline u32 rng_next(struct rng *r)
{
	r->state = r->state * 1664525u + 1013904223u;
	return mix(r->state, r->state >> 16);
}
static inline u32 rng_below(struct rng *r, u32 n)
{
	return (u64)rng_next(r) * n >> 32;
}
static inline bool one_in(struct rng *r, u32 n)
{
	return rng_below(r, n) == 0;
}

/* ---- Linear addresses, all in the window of the guest library ---- */
#define TEXT	   (WINDOW + 0x1000u) /* two pages, read-only for user code, none behind them */
#define TEXT_SIZE  0x2000u
#define DATA	   (WINDOW + 0x10000u) /* two pages, writable; none before them */
#define DATA_SIZE  0x2000u
#define FIXED	   (WINDOW + 0x12000u) /* one page, read-only; none behind it */
#define STACK	   (WINDOW + 0x20000u) /* one page, writable, alone */
#define STACK_SIZE 0x1000u
#define KERNEL	   (WINDOW + 0x30000u) /* one page of the supervisor's */

/* ---- A sequence: generate.c ---- */
#define MAX_ITEMS 32
struct item {
	u8 bytes[15], length;
	u8 to;	     /* a jump's target: an item behind it, or MAX_ITEMS: the end; 0: no jump */
	u8 relative; /* bytes of the displacement at the end of a jump */
};
struct sequence {
	struct item item[MAX_ITEMS];
	u32 items;
	struct user_state start;
	struct fpu_track fpu; /* at the start */
	/* As laid out: */
	u8 code[512];
	u32 length;
	u32 entry[MAX_ITEMS + 1];     /* where jumps to each item go, and those to the end */
	u32 offset[MAX_ITEMS + 1];    /* of the items: what makes flags defined stands in between */
	u32 undefined[MAX_ITEMS + 1]; /* flags that are undefined in front of it */
	u32 any_undefined;	      /* for whatever is not a boundary */
	bool mmx;		      /* there is some MMX in it */
};
enum mode {
	MODE_VALID, /* instructions of forms.c, run at full speed */
	MODE_SOUP,  /* random bytes, in single steps */
};
struct options {
	u32 seed, first, count, batch, keep, bugs;
	enum mode mode;
	bool list, dump, drop;
};
void generate(struct sequence *s, const struct options *o, u32 number);
/* Write the items that are in `keep` to code[], with what makes undefined flags defined before they
 * are read. */
void lay_out(struct sequence *s, const struct options *o, u32 keep);

/* ---- Running one: run.c ---- */
struct fxsave {
	u16 fcw, fsw;
	u8 ftw, reserved;
	u16 fop;
	u32 fip, fcs, fdp, fds, mxcsr, mxcsr_mask;
	u32 st[8][4], xmm[8][4];
	u32 rest[56];
} __attribute__((aligned(16)));

#define ENDED_BY_CLOCK	 0x100 /* it did not end */
#define ENDED_BY_RULE	 0x101 /* the next instruction is one that is not compared */
#define ENDED_BY_COUNTER 0x102 /* of steps */
struct outcome {
	u32 vector;    /* or ENDED_BY_ */
	struct regs r; /* flags that are undefined there are clear */
	u32 cr2;
	struct fxsave fpu;
};
void run_init(const struct options *o);
/* Run what has been laid out. Memory is as it was left until run_restore(). */
void run(const struct sequence *s, const struct options *o, u32 number, struct outcome *out);
/* What of memory has changed goes into a hash, and is undone; `show` is told of each changed dword.
 */
u32 run_restore(void (*show)(u32 address, u32 was, u32 is));
u32 hash_outcome(const struct outcome *o);

/* ---- dump.c ---- */
void dump(const struct sequence *s, const struct outcome *o, u32 keep);

#endif
