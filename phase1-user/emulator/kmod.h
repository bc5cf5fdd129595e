/*
 * The hybrid engine's user code in the kernel module: what runs natively does so by an ioctl of
 * /dev/plex86, and its traps are dealt with here. So there are no other processes, and no shadow
 * to agree on with them.
 *
 * Owns: the file that is such a machine (PLEX86_USER_CODE), the page shared with it, and the order
 * of emulated and native code. While vm->native is set the core deals with a trap of native code:
 * common/host.h's services are then those of the module's page and descriptor tables.
 */
#ifndef PLEX86_EMULATOR_KMOD_H
#define PLEX86_EMULATOR_KMOD_H

#include "../../common/vm.h"

/* 0 or a negative error number. */
long kmod_open(void);
/* Run the guest from what the VMM has made of vm->cpu. */
_Noreturn void kmod_run(struct vm *vm);
/* From a signal handler: something has happened. */
void kmod_poke(void);
/* Have the FPU's registers in shared->fpu.area, should the module have them. */
void kmod_fetch_fpu(void);

/* common/host.h's, while vm->native is set. */
enum host_error kmod_map(struct vm *vm, u64 la, u64 gpa, u64 len, unsigned prot);
enum host_error kmod_protect(struct vm *vm, u64 la, u64 len, unsigned prot);
enum host_error kmod_unmap(struct vm *vm, u64 la, u64 len);
enum host_error kmod_set_segment(enum host_slot slot, u64 descriptor);

#endif
