/*
 * The 8254 interval timer and port 0x61 (Intel 8254 data sheet).
 *
 * Owns: ports 0x40-0x43 and 0x61, three counters driven by a clock in nanoseconds that the caller
 * passes in. Counter 0's output is IRQ 0; counter 2 is read through port 0x61.
 */
#ifndef PLEX86_PIT_H
#define PLEX86_PIT_H

#include "types.h"

#define PIT_HZ 1193182

struct pit_counter {
	u8 mode;   /* 0-5 */
	u8 access; /* 1 low byte, 2 high byte, 3 low then high */
	bool bcd;
	bool gate;
	bool armed;		    /* a count has been written since the control word */
	bool running;		    /* it is counting: the gate allows it, or has triggered it */
	bool null_count;	    /* a count has been written but not yet loaded */
	bool write_high, read_high; /* second byte of a two-byte access comes next */
	u8 write_low;		    /* first byte of a two-byte write */
	bool latched, status_latched;
	u8 status;
	u16 latch;
	u16 idle;   /* what the counting element shows while no count is loaded */
	u32 reload; /* 1..65536, as last written */
	u32 count;  /* the one counting */
	/* The following are in PIT clocks on the caller's time. */
	u64 start;     /* when `count` was loaded */
	u64 held;      /* clocks already counted when the gate stopped the counter */
	u64 switch_at; /* modes 2, 3: when `reload` replaces `count`; 0: no change waits */
	u64 edges;     /* rising output edges already counted since `start` */
	u64 due;       /* rising edges not yet taken by the caller */
};

struct pit {
	struct pit_counter counter[3];
	u8 port61; /* bits 0, 1 as written */
};

void pit_reset(struct pit *p, u64 now);
/* Rising edges of OUT0 since the last call: after a long pause there can be many, and the caller
 * decides how many interrupts to make of them. */
u64 pit_take_edges(struct pit *p, u64 now);
/* When OUT0 will rise next, on the same clock as `now`; 0 if it will not. */
u64 pit_deadline(const struct pit *p, u64 now);
/* Is it a state that this timer can be in? Times in it may be any. */
bool pit_valid(const struct pit *p);
/* Have it go on at `now` where it stood at `then`, on whatever clock that was. */
void pit_rebase(struct pit *p, u64 then, u64 now);
u8 pit_read(struct pit *p, u16 port, u64 now);
void pit_write(struct pit *p, u16 port, u8 value, u64 now);
static inline bool pit_owns(u16 port)
{
	return (port & ~3) == 0x40 || port == 0x61;
}

#endif
