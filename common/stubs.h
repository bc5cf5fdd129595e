/*
 * The PV page's code stubs: kernel exit and system calls without a trap.
 *
 * Owns: which stubs are in the page, the guest addresses in them, and getting out of a stub that
 * was interrupted. Every stub has a trapping twin, a single hlt at its entry (a ret, where the
 * instruction behind the call traps); it does the same work in the core, and is what there is until
 * the guest's tables suit the fast one.
 */
#ifndef PLEX86_STUBS_H
#define PLEX86_STUBS_H

#include "vm.h"

/* Put the trapping stubs into the page. */
void stubs_reset(struct vm *vm);
/* The core is about to return to user code: put the fast stubs in, or take them out, as the
 * guest's IDT, TSS and GDT require now. */
void stubs_refresh(struct vm *vm);

/* With vm->two_views: where the `int $0x80` that changes views, to that for user code or to that
 * for the kernel, leads. That to the kernel's needs a stack of the user's, since it reads from it.
 */
u32 stubs_view_change(bool user);

/* Does the vcpu stand in a stub? */
bool stubs_contain(const struct vm *vm);
/* Does it stand there without any business? Then stubs_leave() says STUB_EXIT_FOREIGN. */
bool stubs_intruded(const struct vm *vm);

enum stub_exit {
	STUB_EXIT_IRET,	   /* as before an iret at vm->cpu.rip, in guest kernel code: emulate it */
	STUB_EXIT_SYSCALL, /* as before an `int $0x80` at vm->cpu.rip, in guest user code */
	STUB_EXIT_DONE,	   /* the stub's work is done; vm->cpu is where it would have led */
	STUB_EXIT_FOREIGN, /* code that has no business there: a fault of its own */
};
/* Leave the stub: undo what it has done, or finish it. */
enum stub_exit stubs_leave(struct vm *vm);

/* A stub may have changed the privilege level with no trap: the segment registers that follow from
 * that, before anything looks at them. `hw`: the hardware's selectors. */
void stubs_sync_segments(struct vm *vm, const u16 hw[SEG_COUNT]);

#endif
