/*
 * Why the core stopped running the guest: what it asks of the VMM.
 *
 * Owns: struct vm_exit. The VMM must treat what it reads here as written by the guest.
 */
#ifndef PLEX86_EXIT_H
#define PLEX86_EXIT_H

#include "types.h"

enum exit_kind {
	EXIT_NONE,
	EXIT_IO,       /* port access: io.* */
	EXIT_MMIO,     /* access to guest-physical memory that is not RAM: mmio.* */
	EXIT_IDLE,     /* hlt with IF=1: the engine waits for `deadline` or an interrupt line */
	EXIT_HALTED,   /* hlt with IF=0 and nothing that could wake it */
	EXIT_SHUTDOWN, /* triple fault */
	EXIT_DEBUG,    /* the debugger's, or --stop-after: debug.* */
	EXIT_KICKED,   /* engine_kick(), or the trace ring wants draining */
	EXIT_BELL,     /* an engine's own: doorbells have been rung, the guest is still running */
	EXIT_FAULT,    /* the monitor met something it does not support: fault.* */
	EXIT_COUNT
};

/* What EXIT_FAULT can mean; vm_fault_text() has a sentence for each. */
enum vm_fault {
	FAULT_NONE,
	FAULT_INSN,	    /* an instruction the core does not emulate at this place */
	FAULT_FETCH,	    /* the bytes at CS:EIP cannot be read */
	FAULT_MODE,	    /* 16-bit, vm86 or long mode asked for */
	FAULT_TASK,	    /* task switch through a task gate or TSS */
	FAULT_PAGING,	    /* unsupported paging mode */
	FAULT_HOST_MAP,	    /* the host refused a mapping */
	FAULT_HOST_SEGMENT, /* the host refused a segment descriptor */
	FAULT_LOOP,	    /* the same fault again and again with no progress */
	FAULT_ESCAPE,	    /* guest code left 32-bit mode or made a host system call */
	FAULT_MONITOR,	    /* a trap inside the monitor itself */
	FAULT_GONE,	    /* the engine's process ended: its wait status */
	FAULT_HOST,	    /* the host would not run the guest any more: an error number */
	FAULT_COUNT
};

/* What EXIT_DEBUG can mean. */
enum debug_stop {
	DEBUG_STOP_EVENTS, /* as many events as struct clock's stop_at */
	DEBUG_STOP_STEP,
	DEBUG_STOP_BREAK, /* at a breakpoint: its address */
	DEBUG_STOP_WATCH, /* behind an access to watched memory: the point's address */
	DEBUG_STOP_COUNT
};

struct vm_exit {
	u32 kind; /* enum exit_kind */
	union {
		struct {
			u16 port;
			u8 size; /* 1, 2 or 4 */
			bool write;
			u32 value; /* out: what is written; in: set by the VMM before resuming */
		} io;
		struct {
			u64 gpa;
			u8 size; /* 1, 2, 4 or 8 */
			bool write;
			u64 value;
		} mmio;
		struct {
			u32 reason; /* enum vm_fault */
			u64 detail; /* an address, a selector or a host error number */
		} fault;
		struct {
			u32 reason; /* enum debug_stop */
			u64 address;
			u64 steps; /* instructions stepped over since debug_set() */
		} debug;
		u64 deadline; /* host_now() clock, ns; 0: none */
	};
};

const char *vm_fault_text(enum vm_fault reason);
/* One word. */
const char *vm_exit_text(enum exit_kind kind);

#endif
