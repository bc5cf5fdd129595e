/*
 * The jail: see jail.h.
 *
 * Owns: the seccomp filter. Guest code is translated, so it takes an error of the translator to
 * make a system call at all; then these are what there is. Memory may be mapped, but of no file.
 */
#include "jail.h"
#include "../../phase2-kmod/plex86-ioctl.h"
#include "../vcpu/shared.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define DATA(field)   ((unsigned)offsetof(struct seccomp_data, field))
#define LOAD(offset)  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))
/* Go on if the loaded word equals `value`, else skip `n` instructions. */
#define EXPECT(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(value), 0, (n))
#define ALLOW(nr)	 EXPECT(nr, 1), RETURN(SECCOMP_RET_ALLOW)
#define NO_FILE		 (-1)

/* Calls that may have any arguments. */
static const struct sock_filter any[] = {
	LOAD(DATA(arch)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
	RETURN(SECCOMP_RET_KILL_PROCESS),
	LOAD(DATA(nr)),
	ALLOW(SYS_futex),
	ALLOW(SYS_rt_sigreturn),
	ALLOW(SYS_rt_sigprocmask),
	ALLOW(SYS_timer_settime),
	ALLOW(SYS_clock_gettime),
	ALLOW(SYS_gettimeofday), /* of the library, where the vdso has no clock */
	ALLOW(SYS_brk),
	ALLOW(SYS_munmap),
	ALLOW(SYS_mremap),
	ALLOW(SYS_mprotect),
	ALLOW(SYS_madvise),
	ALLOW(SYS_exit_group),
};

/* Of the kernel module what concerns user code, which checks it all. */
static const struct sock_filter module[] = {
	EXPECT(SYS_ioctl, 12), LOAD(DATA(args[0])),    EXPECT(VCPU_FD_KMOD, 9),
	LOAD(DATA(args[1])),   ALLOW(PLEX86_USER_RUN), ALLOW(PLEX86_USER_MAP),
	ALLOW(PLEX86_GET_FPU), ALLOW(PLEX86_SET_FPU),  RETURN(SECCOMP_RET_KILL_PROCESS),
};

static const struct sock_filter rest[] = {
	EXPECT(SYS_mmap, 3),
	LOAD(DATA(args[4])),
	EXPECT(NO_FILE, 1),
	RETURN(SECCOMP_RET_ALLOW),
	RETURN(SECCOMP_RET_KILL_PROCESS),
};

static void append(struct sock_fprog *p, const struct sock_filter *part, size_t bytes)
{
	memcpy(p->filter + p->len, part, bytes);
	p->len += bytes / sizeof(*part);
}

long jail_setup(bool kmod)
{
	struct sock_filter filter[(sizeof(any) + sizeof(module) + sizeof(rest)) / sizeof(any[0])];
	struct sock_fprog program = {.filter = filter};

	append(&program, any, sizeof(any));
	if (kmod)
		append(&program, module, sizeof(module));
	append(&program, rest, sizeof(rest));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
		return -errno;
	return 0;
}
