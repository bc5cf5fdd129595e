/*
 * A hostile guest: what its parts share. Its command line names one way out, and what it needs.
 *
 * Owns: the words of that line, and how an attempt says what came of it:
 *   trying NAME    on its way; it waits for a byte on COM1, so that whoever watches can look first
 *   refused: TRAP  the guest itself was told no, by an exception
 *   held: WHAT     it was let, and has got nothing by it
 *   ESCAPED: WHAT  what must not happen
 */
#ifndef ESCAPE_H
#define ESCAPE_H

#include "guest.h"

#define WORDS	 128
#define RAM_END	 RAM_SIZE /* it is run with -m 16M */
#define DEVICES	 0xd0000000u
#define COM1	 0x3f8
#define COM1_LSR 0x3fd
#define PV_PAGE	 0xfffff000u
#define PHYS_TOP 0xfffff000u

extern char *word[WORDS + 1];
extern unsigned words;

bool is(const char *a, const char *b);
u64 number(const char *text);		/* decimal, or 0x...; may be negative */
u32 number_of(unsigned i, u32 missing); /* word i as a number, or what it is if there is none */

/* A generator of 32-bit numbers, the same for the same seed. */
u32 random(u32 *seed);

/* Say so and stay, for what has been done to be seen. */
void escaped(void) __attribute__((noreturn));
/* The last trap was the answer. */
void refused(void) __attribute__((noreturn));

/* ---- enter.c ---- */

/* What the 64-bit code works on; its layout is known to assembly. */
struct host_call {
	u64 nr, arg[6], result;
	u64 child_stays; /* whoever gets 0 from the call goes nowhere from there */
	u64 via;	 /* the monitor's instruction that makes the call */
	u64 stack;
};
extern struct host_call host_call;

/* In 64-bit mode, with EBX pointing at host_call, a frame for lret on the stack. If that is
 * refused, say so and end. */
void enter_host(void (*entry)(void));
/* [user] [ljmp|lcall|lret|iret] in front of an attempt: how to get to 64-bit code. The first word
 * behind. */
unsigned take_way(unsigned first);

/* ---- the attempts; word[0] is their name, or the one behind take_way()'s ---- */
typedef void attempt_fn(unsigned first);
attempt_fn host_calls;				      /* enter.c */
attempt_fn clobber, deaf, jump, forge, race, bells;   /* shared.c */
attempt_fn frames, sigreturn, batons, map_storm_host; /* shared-frames.c */
attempt_fn entries;				      /* entries.c */
attempt_fn descriptors, placed;			      /* tables.c */
attempt_fn pages, pages_pae, cr3;		      /* pages.c */
attempt_fn pv_page;				      /* pv.c */
attempt_fn queues;				      /* queues.c */
attempt_fn storm;				      /* storms.c */

#endif
