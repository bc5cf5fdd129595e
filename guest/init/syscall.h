/*
 * The few system calls the init needs, without a C library (int $0x80, i386 numbers).
 *
 * Owns: system call numbers, kernel constants and structures as the i386 kernel ABI defines them.
 * No policy here. Every function returns what the kernel does: a result, or a negative errno.
 */
#ifndef PLEX86_INIT_SYSCALL_H
#define PLEX86_INIT_SYSCALL_H

enum {
	NR_EXIT = 1, NR_FORK = 2, NR_READ = 3, NR_WRITE = 4, NR_OPEN = 5, NR_CLOSE = 6,
	NR_EXECVE = 11, NR_LSEEK = 19, NR_GETPID = 20, NR_MOUNT = 21, NR_SYNC = 36, NR_KILL = 37,
	NR_MKDIR = 39, NR_UMOUNT2 = 52, NR_IOCTL = 54, NR_FCNTL = 55, NR_DUP2 = 63, NR_SETSID = 66,
	NR_CHROOT = 61, NR_SETHOSTNAME = 74, NR_UNAME = 122, NR_FINIT_MODULE = 350,
	NR_REBOOT = 88, NR_WAIT4 = 114, NR_CHDIR = 12, NR_NANOSLEEP = 162,
	NR_RT_SIGPROCMASK = 175, NR_RT_SIGTIMEDWAIT = 177, NR_SOCKET = 359,
};

enum { ENOENT = 2, ENXIO = 6, ECHILD = 10, EACCES = 13, EBUSY = 16, ENOTDIR = 20 };
enum { O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_CREAT = 0100, O_NOCTTY = 0400, O_TRUNC = 01000 };
enum { O_NONBLOCK = 04000, O_ASYNC = 020000, O_CLOEXEC = 02000000, F_SETFL = 4, F_SETOWN = 8 };
enum { MS_RDONLY = 1, MS_REMOUNT = 32, MS_BIND = 4096, MS_MOVE = 8192, MNT_DETACH = 2 };
enum { SIGKILL = 9, SIGUSR1 = 10, SIGUSR2 = 12, SIGTERM = 15, SIGCHLD = 17, SIGIO = 29 };
enum { SIG_SETMASK = 2, WNOHANG = 1 };

enum { TCGETS = 0x5401, TCSETS = 0x5402, TCSBRK = 0x5409, TIOCSCTTY = 0x540e };
enum { TIOCMBIS = 0x5416, TIOCM_OUT1 = 0x2000 };
enum { SIOCGIFFLAGS = 0x8913, SIOCSIFFLAGS = 0x8914, IFF_UP = 1, AF_INET = 2, SOCK_DGRAM = 2 };

enum {
	REBOOT_MAGIC1 = (int)0xfee1dead, REBOOT_MAGIC2 = 672274793,
	REBOOT_RESTART = 0x01234567, REBOOT_POWER_OFF = 0x4321fedc, REBOOT_HALT = (int)0xcdef0123,
};

/* Flags and control characters of a terminal that init changes. */
enum { ICRNL = 0400, IXON = 02000, OPOST = 1, ISIG = 1, ECHO = 010 };
#define CRTSCTS 0x80000000u
enum { VERASE = 2, VKILL = 3, VREPRINT = 12, VWERASE = 14 };

struct termios {
	unsigned int c_iflag, c_oflag, c_cflag, c_lflag;
	unsigned char c_line, c_cc[19];
};

struct ifreq {
	char name[16];
	short flags;
	char rest[14];
};

struct utsname {
	char sysname[65], nodename[65], release[65], version[65], machine[65], domain[65];
};

struct timespec {
	int tv_sec, tv_nsec;
};

/* The kernel's signal set: bit n-1 is signal n. */
struct sigset {
	unsigned int bits[2];
};

static inline int syscall5(int nr, long a, long b, long c, long d, long e)
{
	int ret;

	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e)
			 : "memory");
	return ret;
}

static inline int syscall3(int nr, long a, long b, long c)
{
	return syscall5(nr, a, b, c, 0, 0);
}

static inline int sys_open(const char *path, int flags)
{
	return syscall3(NR_OPEN, (long)path, flags, 0);
}

static inline int sys_close(int fd)
{
	return syscall3(NR_CLOSE, fd, 0, 0);
}

static inline int sys_read(int fd, void *buf, unsigned int len)
{
	return syscall3(NR_READ, fd, (long)buf, len);
}

static inline int sys_write(int fd, const void *buf, unsigned int len)
{
	return syscall3(NR_WRITE, fd, (long)buf, len);
}

static inline int sys_ioctl(int fd, unsigned int request, const void *arg)
{
	return syscall3(NR_IOCTL, fd, request, (long)arg);
}

static inline int sys_wait4(int pid, int *status, int options)
{
	return syscall5(NR_WAIT4, pid, (long)status, options, 0, 0);
}

static inline int sys_sigmask(const struct sigset *set)
{
	return syscall5(NR_RT_SIGPROCMASK, SIG_SETMASK, (long)set, 0, sizeof(*set), 0);
}

/* Waits for one of the blocked signals in set and returns its number; -EAGAIN if none came within
 * `limit`, which may be NULL. */
static inline int sys_sigwait(const struct sigset *set, const struct timespec *limit)
{
	return syscall5(NR_RT_SIGTIMEDWAIT, (long)set, 0, (long)limit, sizeof(*set), 0);
}

_Noreturn static inline void sys_exit(int status)
{
	for (;;)
		syscall3(NR_EXIT, status, 0, 0);
}

#endif
