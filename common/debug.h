/*
 * The debugger's side of the core: stopping the guest at places, at accesses and behind each
 * instruction, without a trace of it in guest memory.
 *
 * Owns: what the debugger asks for, and the stops that come of it. A page with a breakpoint is
 * mapped without the right to execute, one with a watch point without the right to write or not at
 * all. Who needs the right has the page opened for one instruction, which the hardware's TF steps
 * over; the guest does not see that flag.
 *
 * Not seen: breakpoints in the PV page; an access (DEBUG_READ) by an instruction that is itself in
 * the page, or that has been given the page for another operand; accesses to pages that the host
 * cannot map. A watch point of one kind stops for changes by the core on the guest's behalf as
 * well, such as an exception's stack frame, and for what devices have written by then.
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
	u64 step;  /* stop behind so many instructions; 0: go on. No interrupt comes before it, but
		    * in a  deterministic run, which goes as it would without a debugger */
	u32 count; /* of points; 0 and no `step`: there is no debugger */
	struct debug_point point[DEBUG_POINTS];
};

/* What the guest may write of its registers: general ones, rip, and the flags that the hardware
 * has. */
struct debug_regs {
	u64 gpr[8];
	u64 rip, rflags;
};

#define DEBUG_OPEN 6 /* pages of one instruction: two each of code, source and destination */

struct debug {
	struct debug_request request;
	u64 steps;		  /* instructions stepped over since that was set */
	u32 guards;		  /* DEBUG_* of all points */
	bool stepping;		  /* the hardware's TF is ours */
	bool guest_tf;		  /* then: the guest's own */
	u8 opcode;		  /* then: of the instruction, if it handles flags; or 0 */
	bool completed;		  /* since the guest last ran an instruction has, or an event */
	bool fresh;		  /* has stopped, and not run an instruction that is known of */
	u32 stopped;		  /* where: a breakpoint there has had its turn while `fresh` */
	bool written;		  /* something may have changed what is watched */
	u64 read;		  /* a bit for each point that was accessed */
	u32 opened;		  /* pages opened */
	u32 open[DEBUG_OPEN];	  /* their numbers */
	u64 digest[DEBUG_POINTS]; /* of what DEBUG_WRITE watches; 0: not there */
};

struct vm;

/* ---- for engines, while the guest stands still (EXIT_DEBUG, EXIT_KICKED) ---- */

/* Replace what is asked for. False: it makes no sense, and nothing has changed. */
bool debug_set(struct vm *vm, const struct debug_request *request);
void debug_set_regs(struct vm *vm, const struct debug_regs *regs);

/* ---- for the core ---- */

/* First of all at each entry: take our TF out of rflags. `trapped`: it is the single-step trap, so
 * the instruction is done. True: TF was ours. */
bool debug_entered(struct vm *vm, bool trapped);
/* Then, if both: true if the trap is the guest's as well, or its int1. */
bool debug_trapped(struct vm *vm);
/* An instruction has been carried out, or an event delivered. */
static inline void debug_completed(struct debug *d)
{
	d->completed = true;
}
/* Last of all before the guest runs: true if it does not, and vm->exit says why. */
bool debug_settle(struct vm *vm);
/* Are interrupts to wait? */
bool debug_holds_interrupts(const struct vm *vm);

/* Which HOST_* rights a page may not be given now. */
unsigned debug_denied(const struct vm *vm, u32 page);
/* An access to `la` that the guest's tables allow has faulted: open its page if it is guarded. */
void debug_fault(struct vm *vm, u32 la, bool write, bool fetch);
/* The core has written to `la` for the guest. */
void debug_written(struct vm *vm, u32 la);
/* Another address space is in force. */
void debug_switched(struct vm *vm);

#endif
