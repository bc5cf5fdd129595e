/*
 * The jail: what the vcpu process may still ask of the host once guest code runs in it.
 *
 * Owns: the seccomp filter and Syscall User Dispatch. The filter is the boundary: guest code that
 * finds its way to 64-bit mode can make the calls listed here and nothing else. Dispatch is only
 * the quicker way to turn the guest's own `int $0x80` into a signal.
 */
#include "sys.h"
#include "vcpu.h"
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>

#define DATA(field)   ((u32) __builtin_offsetof(struct seccomp_data, field))
#define ARG_LOW(n)    (DATA(args[0]) + (n)*8)
#define ARG_HIGH(n)   (DATA(args[0]) + (n)*8 + 4)
#define LOAD(offset)  BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define CLEAR(bits)   BPF_STMT(BPF_ALU | BPF_AND | BPF_K, ~(u32)(bits))
#define RETURN(value) BPF_STMT(BPF_RET | BPF_K, (value))
/* Go on if the loaded word equals `value`, else skip `n` instructions. */
#define EXPECT(value, n) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (u32)(value), 0, (n))
/* Call `nr` is allowed. */
#define ALLOW(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (nr), 0, 1), RETURN(SECCOMP_RET_ALLOW)

/* A call on an address range, allowed if the range begins below 4 GiB and is shorter than that:
 * nothing of the monitor lies below 8 GiB. Seven instructions. */
#define ALLOW_LOW_RANGE(nr)                                                              \
	EXPECT(nr, 6), LOAD(ARG_HIGH(0)), EXPECT(0, 3), LOAD(ARG_HIGH(1)), EXPECT(0, 1), \
		RETURN(SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_TRAP)

/* mmap: the same, and of guest RAM only; MAP_POPULATE or not. Twelve instructions. */
#define ALLOW_LOW_MMAP(nr, flags, fd)                                                      \
	EXPECT(nr, 11), LOAD(ARG_HIGH(0)), EXPECT(0, 8), LOAD(ARG_HIGH(1)), EXPECT(0, 6),  \
		LOAD(ARG_LOW(3)), CLEAR(MAP_POPULATE), EXPECT(flags, 3), LOAD(ARG_LOW(4)), \
		EXPECT(fd, 1), RETURN(SECCOMP_RET_ALLOW), RETURN(SECCOMP_RET_TRAP)

static long set_filter(const struct sock_fprog *program)
{
	long ret = sys6(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0);

	if (ret)
		return ret;
	return sys3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)program);
}

long jail_setup(void)
{
	const u64 text = (u64)monitor_text_start;
	const u32 text_size = monitor_text_end - monitor_text_start;
	const u32 i386_set_thread_area = 243;
	const struct sock_filter filter[] = {
		LOAD(DATA(arch)),
		EXPECT(AUDIT_ARCH_I386, 9),
		/* 32-bit calls are the guest's, but for set_thread_area made by the monitor. */
		LOAD(DATA(nr)),
		EXPECT(i386_set_thread_area, 6),
		LOAD(DATA(instruction_pointer) + 4),
		EXPECT(text >> 32, 4),
		LOAD(DATA(instruction_pointer)),
		BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, (u32)text),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, text_size, 1, 0),
		RETURN(SECCOMP_RET_ALLOW),
		RETURN(SECCOMP_RET_TRAP),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		RETURN(SECCOMP_RET_TRAP),
		LOAD(DATA(nr)),
		ALLOW(__NR_futex),
		ALLOW(__NR_rt_sigreturn),
		ALLOW(__NR_rt_sigprocmask),
		ALLOW(__NR_timer_settime),
		ALLOW(__NR_clock_gettime),
		ALLOW(__NR_modify_ldt),
		ALLOW(__NR_exit_group),
		ALLOW_LOW_RANGE(__NR_munmap),
		ALLOW_LOW_RANGE(__NR_mprotect),
		ALLOW_LOW_MMAP(__NR_mmap, MAP_SHARED | MAP_FIXED, VCPU_FD_RAM),
		RETURN(SECCOMP_RET_TRAP),
	};
	const struct sock_fprog program = {
		.len = ARRAY_SIZE(filter),
		.filter = (struct sock_filter *)filter,
	};

	return set_filter(&program);
}

long dispatch_setup(void)
{
	static const u8 block = PR_SYS_DISPATCH_ON;

	/* The range is the monitor's own text and nothing more: with the host's vdso in it, the
	 * guest's sysenter would pass (its landing pad is there when the check is made). */
	return sys6(__NR_prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON,
		    (long)monitor_text_start, monitor_text_end - monitor_text_start, (long)&block,
		    0);
}
