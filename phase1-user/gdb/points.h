/*
 * The debugger's breakpoints and watch points.
 *
 * Owns: the list of those that are set, what the core is asked for because of them, and the words
 * for the stops that come of them. Software and hardware breakpoints are the same here: neither
 * writes into guest memory.
 */
#ifndef PLEX86_GDB_POINTS_H
#define PLEX86_GDB_POINTS_H

#include "../../common/debug.h"
#include "../../common/exit.h"
#include "text.h"

/* The digit behind Z and z. */
enum gdb_point_type {
	GDB_SOFTWARE_BREAK,
	GDB_HARDWARE_BREAK,
	GDB_WATCH_WRITE,
	GDB_WATCH_READ,
	GDB_WATCH_ACCESS,
	GDB_POINT_TYPES
};

struct gdb_point {
	u32 type, la, len;
};

struct gdb_points {
	u32 count;
	struct gdb_point point[DEBUG_POINTS];
};

/* Why a point cannot be; NULL: it can. */
const char *gdb_points_refusal(const struct gdb_point *point);
/* Setting one again changes nothing. False: there are too many. */
bool gdb_points_set(struct gdb_points *points, const struct gdb_point *point);
void gdb_points_clear(struct gdb_points *points, const struct gdb_point *point);
/* What to ask the core for. */
void gdb_points_request(const struct gdb_points *points, bool step, struct debug_request *request);
/* Which `reason` to give for a stop, in a stop reply: "swbreak:;", "watch:c0de0000;" or nothing. */
void gdb_points_reason(const struct gdb_points *points, const struct vm_exit *exit,
		       struct gdb_text *reply);

#endif
