/*
 * The jail: see jail.h.
 *
 * Owns: the seccomp filter. Guest code is translated, so it takes an error of the translator to
 * make a system call at all; then these are what there is. Memory may be mapped, but of no file.
 */
#include "jail.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
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

long jail_setup(void)
{
	const struct sock_filter filter[] = {
		LOAD(DATA(arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		RETURN(SECCOMP_RET_KILL_PROCESS),
		LOAD(DATA(nr)),
		ALLOW(SYS_futex),
		ALLOW(SYS_rt_sigreturn),
		ALLOW(SYS_rt_sigprocmask),
		ALLOW(SYS_timer_settime),
		ALLOW(SYS_clock_gettime),
		ALLOW(SYS_brk),
		ALLOW(SYS_munmap),
		ALLOW(SYS_mremap),
		ALLOW(SYS_mprotect),
		ALLOW(SYS_madvise),
		ALLOW(SYS_exit_group),
		EXPECT(SYS_mmap, 3),
		LOAD(DATA(args[4])),
		EXPECT(NO_FILE, 1),
		RETURN(SECCOMP_RET_ALLOW),
		RETURN(SECCOMP_RET_KILL_PROCESS),
	};
	const struct sock_fprog program = {
		.len = sizeof(filter) / sizeof(filter[0]),
		.filter = (struct sock_filter *)filter,
	};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
		return -errno;
	return 0;
}
