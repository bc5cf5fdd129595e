/*
 * The CMOS clock (MC146818): time of day, status registers, 128 bytes of RAM; no alarms.
 *
 * Owns: ports 0x70 and 0x71. The time comes from the caller as seconds since 1970, UTC.
 */
#ifndef PLEX86_CMOS_H
#define PLEX86_CMOS_H

#include "types.h"

struct cmos {
	u8 index;
	u8 ram[128];
	s64 offset;	 /* seconds: what the guest set the clock to, minus the host's time */
	s64 last_update; /* the guest's time when it last looked */
};

/* Is it a state that this clock can be in? */
bool cmos_valid(const struct cmos *c);
void cmos_reset(struct cmos *c);
u8 cmos_read(struct cmos *c, u16 port, s64 utc_seconds);
void cmos_write(struct cmos *c, u16 port, u8 value, s64 utc_seconds);
static inline bool cmos_owns(u16 port)
{
	return (port & ~1) == 0x70;
}

#endif
