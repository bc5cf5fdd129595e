/*
 * A machine for the gdb server's session: what it calls of machine.h and engine.h, with a guest
 * that runs no code.
 *
 * Owns: struct mock_machine. The guest stands still when a test says so (mock_stand()), and what
 * the engine is told can be looked at.
 */
#ifndef PLEX86_MOCK_MACHINE_H
#define PLEX86_MOCK_MACHINE_H

#include "../../phase1-user/gdb/session.h"

struct mock_machine {
	struct machine machine;
	struct vm *vm; /* RAM and PV page are its */
	struct debug_request debug;
	unsigned debug_calls, regs_calls, fpu_calls, wakes;
	bool has_fpu, fpu_refused;
	u8 fpu[GDB_XSAVE_MAX];
	struct gdb gdb;
};

/* A guest that is `vm`, which runs, and a server that listens. */
struct mock_machine *mock_machine_create(struct vm *vm, const struct symbols *symbols);
/* The same once more; what `vm` is like is the caller's. */
void mock_machine_restart(struct mock_machine *m);
void mock_machine_free(struct mock_machine *m);
/* The run thread comes by: the guest stands between two instructions. */
void mock_stand(struct mock_machine *m);
/* It has this exit; did the debugger take it? */
bool mock_exit(struct mock_machine *m, const struct vm_exit *exit);
/* Bytes from the debugger: as many as are taken at once. */
void mock_receive(struct mock_machine *m, const void *bytes, size_t len);

#endif
