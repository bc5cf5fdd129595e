/*
 * System calls of the vcpu process, which has no libc.
 *
 * Owns: the raw call and the few wrappers the process needs. Results are as the kernel gives
 * them: negative error numbers on failure.
 */
#ifndef PLEX86_VCPU_SYS_H
#define PLEX86_VCPU_SYS_H

#include "../../common/types.h"
#include <asm/unistd_64.h>

static inline long sys6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline long sys3(long nr, long a, long b, long c)
{
	return sys6(nr, a, b, c, 0, 0, 0);
}

static inline long sys_mmap(u64 addr, u64 len, int prot, int flags, int fd, u64 offset)
{
	return sys6(__NR_mmap, addr, len, prot, flags, fd, offset);
}

static inline _Noreturn void sys_exit(int status)
{
	for (;;)
		sys3(__NR_exit_group, status, 0, 0);
}

/* The errors that are not final. */
enum { SYS_ENOMEM = 12, SYS_ETIMEDOUT = 110 };

#endif
