/*
 * The debugger's side of the core: stopping the guest at places, at accesses and behind each
 * instruction, without a trace of it in guest memory.
 *
 * Owns: what the debugger asks for, and the stops that come of it. A page with a breakpoint is
 * mapped without the right to execute, one with a watch point without the right to write, or not at
 * all; code that needs the right is stepped by the hardware's TF, one instruction at a time, and
 * does not see that flag.
 */
#ifndef PLEX86_DEBUG_H
#define PLEX86_DEBUG_H

#include "types.h"

#define DEBUG_POINTS	64
#define DEBUG_POINT_MAX 4096u /* bytes that one may watch */

/* What an access must be for the guest to stop; a mask. */
enum { DEBUG_EXEC = 1, DEBUG_WRITE = 2, DEBUG_READ = 4 };

/* Linear addresses, in whatever address space is in force. DEBUG_EXEC: the first byte of an
 * instruction, before it runs. The others stop behind the access; DEBUG_WRITE alone only if the
 * bytes have changed. */
struct debug_point {
	u32 la, len; /* 1 to DEBUG_POINT_MAX; of DEBUG_EXEC 1 */
	u32 kind;
};

struct debug_request {
	bool step; /* stop behind the next instruction; no interrupt comes before it */
	u32 count; /* of points; 0 and no `step`: there is no debugger */
	struct debug_point point[DEBUG_POINTS];
};

#endif
