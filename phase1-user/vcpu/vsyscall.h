/*
 * The system call of the guest's vdso, without `int $0x80`.
 *
 * Owns: struct vsyscall, and the copy of one page of guest RAM behind all others. `int $0x80` may
 * be a dear instruction: where the host is a virtual machine, Linux since 6.7 asks its interrupt
 * controller whether an interrupt has come at that vector, which leaves the virtual machine. So the
 * vcpu processes map, in place of the page that has __kernel_vsyscall, a copy of it with HLT there:
 * a #GP, which is taken for the system call that it stands for. Guest RAM is as it was. The copy is
 * of a page that no user code can write; that the guest's kernel and devices have not written it
 * either is looked at before user code runs.
 */
#ifndef PLEX86_VCPU_VSYSCALL_H
#define PLEX86_VCPU_VSYSCALL_H

#include "hybrid.h"

/* Where the copy is, and what is behind RAM with it. */
#define VSYSCALL_GPA(vm)     (HOST_PV_GPA(vm) + HOST_EXTRA_BYTES)
#define VSYSCALL_EXTRA_BYTES (HOST_EXTRA_BYTES + PAGE_SIZE_4K)

/* User code has executed `int $0x80` at linear `la`, and it has been trapped. If that is the
 * vdso's, its page has a copy from now on, and it is mapped. */
void vsyscall_learn(struct vm *vm, struct hybrid *h, u32 la);
/* Does a #GP at `la` stand for it? */
bool vsyscall_is_call(const struct vm *vm, const struct hybrid *h, u32 la);

/* The active process has mapped, or unmapped, [la, la + len). */
void vsyscall_mapped(struct vm *vm, struct hybrid *h, u64 la, u64 gpa, u64 len, unsigned prot);
void vsyscall_unmapped(struct hybrid *h, u32 active, u64 la, u64 len);
/* User code may write [la, la + len) from now on. */
void vsyscall_writable(struct vm *vm, struct hybrid *h, u64 la, u64 len);
/* User code is going to run, and others have. */
void vsyscall_catch_up(struct vm *vm, struct hybrid *h);

#endif
