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
	u8 mode;          /* 0-5 */
	u8 access;        /* 1 low byte, 2 high byte, 3 low then high */
	bool bcd;
	bool gate;
	bool armed;       /* a count has been loaded and runs */
	bool write_high, read_high; /* second byte of a two-byte access comes next */
	u8 write_low;     /* first byte of a two-byte write */
	bool latched, status_latched;
	u8 status;
	u16 latch;
	u32 reload;       /* 1..65536 */
	u64 start_ns;     /* when the present count was loaded */
	u64 edges;        /* rising output edges already reported since start_ns */
};

struct pit {
	struct pit_counter counter[3];
	u8 port61; /* bits 0, 1 as written */
};

void pit_reset(struct pit *p, u64 now);
/* Rising edges of OUT0 since the last call. */
u64 pit_take_edges(struct pit *p, u64 now);
/* When OUT0 will rise next, on the same clock as `now`; 0 if it will not. */
u64 pit_deadline(const struct pit *p, u64 now);
u8 pit_read(struct pit *p, u16 port, u64 now);
void pit_write(struct pit *p, u16 port, u8 value, u64 now);
static inline bool pit_owns(u16 port)
{
	return (port & ~3) == 0x40 || port == 0x61;
}

#endif
