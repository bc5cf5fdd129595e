/*
 * The core's upper interface: what an engine calls.
 *
 * An engine runs the guest on the CPU, fills in vm->cpu at each trap, calls core_trap() or
 * core_kick(), and either runs the guest again or hands vm->exit to the VMM.
 */
#ifndef PLEX86_CORE_H
#define PLEX86_CORE_H

#include "vm.h"

enum core_next {
	CORE_RESUME, /* run the guest with vm->cpu */
	CORE_EXIT,   /* vm->exit says why not */
};

/* A hardware exception taken by guest code. */
struct trap {
	u8 vector;
	u32 error;   /* as the hardware gave it */
	u64 address; /* CR2 of a page fault */
};

/* Put the vcpu, the chips and the PV page into their state after reset. RAM must be attached. */
void core_reset(struct vm *vm);
/* vm->cpu.seg[] has been set from outside: bring the host's selectors in line. False: vm->exit. */
bool core_load_segments(struct vm *vm);
/* The first run: with vm->cpu as it was set from outside, or all of it by state_load(). */
enum core_next core_start(struct vm *vm);
/* The guest trapped. */
enum core_next core_trap(struct vm *vm, const struct trap *trap);
/* The same from a CPU that has the guest's privilege levels itself (vm->levels), where not all that
 * stops it is a trap. An exception that is the guest's own: */
enum core_next core_exception(struct vm *vm, const struct trap *trap, bool has_error);
/* The shadow does not allow an access; `trap` says which as a page fault would, whose PF_USER it is
 * that counts, for descriptor tables are read with the kernel's rights: */
enum core_next core_access(struct vm *vm, const struct trap *trap);
/* And core_trap(EXC_GP): the instruction at rip is the core's to emulate; EXC_DB: single step. */

/* The guest came through the gate: vm->cpu is as at the entry of the stub that led there. */
enum core_next core_gate(struct vm *vm);
/* The guest made a host system call by `int $0x80`, undone; rip is behind the instruction. */
enum core_next core_int80(struct vm *vm);
/* Something outside happened (timer, line, kick): look at interrupts. */
enum core_next core_kick(struct vm *vm);
/* The VMM has dealt with vm->exit (reads: with the value in vm->exit): go on. */
enum core_next core_resume(struct vm *vm);
/* The hardware's segment registers as saved at a trap: note what the guest loaded by itself. */
void core_sync_selectors(struct vm *vm, const u16 hw[SEG_COUNT]);
/* When the core wants core_kick() next if the guest does not trap; 0: never. */
u64 core_deadline(struct vm *vm);

#endif
