/*
 * The checks of `plex86 doctor`: see doctor.h.
 *
 * What plex86 will do is tried rather than looked up: settings, container filters and security
 * modules all have their say in it.
 */
#include "doctor.h"
#include "../engine/engine.h"

#include <asm/ldt.h>
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_ON	     1
#endif
#ifndef ARCH_SET_CPUID
#define ARCH_SET_CPUID 0x1012
#endif
#ifndef MFD_EXEC
#define MFD_EXEC 0x10
#endif

#define DEFAULT_RAM  ((off_t)256 << 20)
#define NEEDED_SPACE ((rlim_t)6 << 30) /* 4 GiB for the guest, the rest for RAM and monitor */
#define EMULATOR_RAM ((u64)4 << 20)
#define MAPS_WANTED  65530
#define SEL_USER32   0x23
#define SEL_LDT0     0x07
#define SEL_USER64   0x33

#define SET(field, ...) snprintf(c->field, sizeof(c->field), __VA_ARGS__)

/* Run fn() in a child: the status it returned, or 256 + the signal it died of, or -1. */
static int in_child(int (*fn)(void))
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		/* Dying is an answer; it need not leave a core file or a sanitizer's report. */
		static const int deadly[] = {SIGSEGV, SIGBUS, SIGILL, SIGSYS, SIGXFSZ};
		const struct rlimit none = {0, 0};

		for (unsigned i = 0; i < sizeof(deadly) / sizeof(deadly[0]); i++)
			signal(deadly[i], SIG_DFL);
		setrlimit(RLIMIT_CORE, &none);
		_exit(fn());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static const char *outcome(int result, char *text, size_t size)
{
	if (result >= 256)
		snprintf(text, size, "killed by signal %d", result - 256);
	else if (result < 0)
		snprintf(text, size, "no child process could be made");
	else
		snprintf(text, size, "%s", strerror(result));
	return text;
}

static bool read_line(const char *path, char *line, size_t size)
{
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(line, size, f);

	if (f)
		fclose(f);
	if (ok)
		line[strcspn(line, "\n")] = 0;
	return ok;
}

/* ---- processor and kernel ---- */

static void check_cpu(struct check *c)
{
	unsigned brand[12] = {0}, eax, ebx, ecx, edx;
	const char *name = (const char *)brand;

	for (unsigned i = 0; i < 3; i++) {
		if (__get_cpuid(0x80000002 + i, &eax, &ebx, &ecx, &edx))
			memcpy(brand + 4 * i, (unsigned[]){eax, ebx, ecx, edx}, 16);
	}
	brand[11] &= 0x00ffffff;
	while (*name == ' ')
		name++;
	SET(found, "x86-64, %s", *name ? name : "without a brand string");
}

static void check_kernel(struct check *c)
{
	struct utsname u;
	int major = 0, minor = 0;

	uname(&u);
	sscanf(u.release, "%d.%d", &major, &minor);
	SET(found, "%s %s", u.sysname, u.release);
	if (major > 5 || (major == 5 && minor >= 11))
		return;
	c->status = CHECK_LIMITED;
	SET(cost, "no syscall user dispatch (Linux 5.11): seccomp traps take its place");
	SET(fix, "use a newer kernel");
}

/* ---- 32-bit code ---- */

/* mov $42,%edi; ljmp $SEL_USER64,$exit   exit: mov $SYS_exit,%eax; syscall */
static const uint8_t code32[] = {0xbf,	     42, 0,    0,	 0, 0xea, 0, 0,	   0,	0,
				 SEL_USER64, 0,	 0xb8, SYS_exit, 0, 0,	  0, 0x0f, 0x05};
#define CODE32_TARGET 6
#define CODE32_EXIT   12
#define CODE32_STATUS 42

/* Run code32 on code segment `selector`; does not return if that works. */
static int run_code32(uintptr_t selector)
{
	uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	uint32_t target;

	if (page == MAP_FAILED)
		return errno;
	memcpy(page, code32, sizeof(code32));
	target = (uint32_t)(uintptr_t)page + CODE32_EXIT;
	memcpy(page + CODE32_TARGET, &target, sizeof(target));
	__asm__ volatile("pushq %0; pushq %1; lretq" : : "r"(selector), "r"(page) : "memory");
	__builtin_unreachable();
}

static int try_flat32(void)
{
	return run_code32(SEL_USER32);
}

static int try_ldt(void)
{
	struct user_desc d = {.entry_number = 0,
			      .limit = 0xbffff,
			      .seg_32bit = 1,
			      .contents = MODIFY_LDT_CONTENTS_CODE,
			      .limit_in_pages = 1,
			      .useable = 1};

	if (syscall(SYS_modify_ldt, 0x11, &d, sizeof(d)))
		return errno;
	return run_code32(SEL_LDT0);
}

static void check_compat(struct check *c)
{
	int result = in_child(try_flat32);
	char text[64];

	if (result == CODE32_STATUS) {
		SET(found, "32-bit code runs on the host's own code segment");
		return;
	}
	c->status = CHECK_MISSING;
	SET(found, "32-bit code does not run: %s", outcome(result, text, sizeof(text)));
	SET(fix, "use a kernel and a processor (or hypervisor) that can run 32-bit programs");
}

static void check_ldt(struct check *c)
{
	int result = in_child(try_ldt);
	char text[64];

	if (result == CODE32_STATUS) {
		SET(found, "works, and 32-bit code runs on such a segment");
		return;
	}
	c->status = CHECK_MISSING;
	SET(found, "does not work: %s", outcome(result, text, sizeof(text)));
	SET(cost, "no segments for guest programs");
	SET(fix, "%s",
	    result == ENOSYS ? "use a kernel with CONFIG_MODIFY_LDT_SYSCALL=y"
			     : "let the container's system call filter pass modify_ldt");
}

/* ---- catching system calls and CPUID ---- */

static int try_dispatch(void)
{
	static volatile char selector; /* 0: let system calls pass */

	return prctl(PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, &selector) ? errno : 0;
}

static void check_dispatch(struct check *c)
{
	int result = in_child(try_dispatch);
	char text[64];

	if (result == 0) {
		SET(found, "available");
		return;
	}
	c->status = CHECK_LIMITED;
	SET(found, "not available: %s", outcome(result, text, sizeof(text)));
	SET(cost, "system calls of guest code are caught by seccomp, which is slower");
	SET(fix, "use Linux 5.11 or newer");
}

static int try_seccomp(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {1, &allow};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return errno;
	return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) ? errno : 0;
}

static void check_seccomp(struct check *c)
{
	int result = in_child(try_seccomp);
	char text[64];

	if (result == 0) {
		SET(found, "filters can be installed");
		return;
	}
	c->status = CHECK_MISSING;
	SET(found, "no filter can be installed: %s", outcome(result, text, sizeof(text)));
	SET(cost, "guests cannot be jailed");
	SET(fix, "use a kernel with CONFIG_SECCOMP_FILTER=y");
}

static int try_cpuid_faulting(void)
{
	return syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0) ? errno : 0;
}

static void check_cpuid(struct check *c)
{
	int result = in_child(try_cpuid_faulting);
	char text[64];

	if (result == 0) {
		SET(found, "the processor can make CPUID trap");
		return;
	}
	c->status = CHECK_LIMITED;
	SET(found, "not available: %s", outcome(result, text, sizeof(text)));
	SET(cost, "programs in the guest see the host's processor; its kernel does not");
	SET(fix, "none but another processor (or hypervisor)");
}

/* ---- processes ---- */

#define SPACES 16 /* one process for each guest address space in use */

/* How many more processes can be had, siblings of this one, all at a time? */
static int count_siblings(void)
{
	pid_t pid[SPACES - 1];
	int n = 0;

	while (n < SPACES - 1) {
		pid[n] = syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);
		if (pid[n] < 0)
			break;
		if (pid[n] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
		n++;
	}
	for (int i = 0; i < n; i++)
		kill(pid[i], SIGKILL);
	return n;
}

static void check_processes(struct check *c)
{
	int n = in_child(count_siblings);

	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	if (n == SPACES - 1) {
		SET(found, "%d for a guest can be had", SPACES);
		return;
	}
	c->status = CHECK_LIMITED;
	SET(found, "only %d for a guest can be had", n < 0 || n >= SPACES ? 1 : n + 1);
	SET(cost, "the guest's own processes unmap one another's memory when they take turns");
	SET(fix, "raise the limit of processes (ulimit -u, or pids.max of the container)");
}

/* ---- memory ---- */

static int try_low_page(void)
{
	void *p = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

	return p == MAP_FAILED ? errno : 0;
}

static void check_low_addresses(struct check *c)
{
	char line[32] = "unknown";

	read_line("/proc/sys/vm/mmap_min_addr", line, sizeof(line));
	if (in_child(try_low_page) == 0) {
		SET(found, "%s, and page 0 can be mapped", line);
		return;
	}
	c->status = CHECK_LIMITED;
	SET(found, "%s: lower addresses cannot be mapped", line);
	SET(cost, "guest accesses there are emulated, one trap each; Linux guests make few");
	SET(fix,
	    "run as root, or sysctl vm.mmap_min_addr=0 (weakens the host); mostly not worth it");
}

static void check_map_count(struct check *c)
{
	char line[32];

	if (!read_line("/proc/sys/vm/max_map_count", line, sizeof(line))) {
		SET(found, "unknown: /proc/sys/vm/max_map_count cannot be read");
		return;
	}
	SET(found, "%s mappings a process", line);
	if (atol(line) >= MAPS_WANTED)
		return;
	c->status = CHECK_LIMITED;
	SET(cost, "mappings are evicted and made again more often");
	SET(fix, "sysctl vm.max_map_count=%d", MAPS_WANTED);
}

static int try_memfd(void)
{
	int fd = syscall(SYS_memfd_create, "plex86-doctor", MFD_CLOEXEC | MFD_EXEC);

	/* Kernels before 6.3 do not know the flag and need none. */
	if (fd < 0 && errno == EINVAL)
		fd = syscall(SYS_memfd_create, "plex86-doctor", MFD_CLOEXEC);
	if (fd < 0 || ftruncate(fd, DEFAULT_RAM))
		return errno;
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_SHARED, fd, 0) == MAP_FAILED)
		return errno;
	return 0;
}

static void check_memfd(struct check *c)
{
	int result = in_child(try_memfd);
	char text[64];

	if (result == 0) {
		SET(found, "memory files can be made and run code");
		return;
	}
	c->status = CHECK_MISSING;
	SET(found, "a 256 MiB memory file for guest RAM cannot be used: %s",
	    outcome(result, text, sizeof(text)));
	SET(fix, "%s",
	    result == EACCES ? "sysctl vm.memfd_noexec=0, or let the security module pass it"
	    : result == 256 + SIGXFSZ ? "raise the limit of file sizes (ulimit -f)"
				      : "see the error; Linux 3.17 is needed");
}

static void check_address_space(struct check *c)
{
	struct rlimit limit;

	getrlimit(RLIMIT_AS, &limit);
	if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= NEEDED_SPACE) {
		SET(found, "no limit in the way");
		return;
	}
	c->status = CHECK_MISSING;
	SET(found, "limited to %llu MiB", (unsigned long long)limit.rlim_cur >> 20);
	SET(cost, "4 GiB of addresses for the guest and its RAM do not fit");
	SET(fix, "ulimit -v unlimited");
}

static void check_memory(struct check *c)
{
	unsigned long long kib = 0;
	FILE *f = fopen("/proc/meminfo", "re");
	char line[128];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "MemAvailable: %llu", &kib) == 1)
			break;
	}
	if (f)
		fclose(f);
	if (!kib) {
		SET(found, "unknown: /proc/meminfo cannot be read");
		return;
	}
	SET(found, "%llu MiB available", kib >> 10);
	if (kib >= (unsigned long long)DEFAULT_RAM >> 10)
		return;
	c->status = CHECK_LIMITED;
	SET(cost, "a guest that uses its 256 MiB may be killed or swapped");
	SET(fix, "give guests less (plex86 run -m)");
}

static void check_huge_pages(struct check *c)
{
	char line[128], *mark;

	if (!read_line("/sys/kernel/mm/transparent_hugepage/shmem_enabled", line, sizeof(line))) {
		c->status = CHECK_LIMITED;
		SET(found, "not available");
		SET(cost, "some percent of memory-bound work");
		return;
	}
	mark = strchr(line, '[');
	SET(found, "shmem_enabled is %.*s", mark ? (int)strcspn(mark + 1, "]") : 0,
	    mark ? mark + 1 : "");
	if (!mark || (strncmp(mark, "[never]", 7) && strncmp(mark, "[deny]", 6)))
		return;
	c->status = CHECK_LIMITED;
	SET(cost, "some percent of memory-bound work");
	SET(fix, "echo advise > /sys/kernel/mm/transparent_hugepage/shmem_enabled");
}

/* ---- the kernel module ---- */

static void check_kmod(struct check *c)
{
	int fd = open("/dev/plex86", O_RDWR | O_CLOEXEC);

	if (fd >= 0) {
		close(fd);
		SET(found, "/dev/plex86 can be opened");
		return;
	}
	c->status = CHECK_LIMITED;
	SET(found, "/dev/plex86: %s", strerror(errno));
	SET(cost, "guests run in user space only, where each trap costs more");
	SET(fix, "%s",
	    errno == EACCES ? "get access to /dev/plex86"
			    : "load the plex86 module, once there is one for this kernel");
}

/* ---- the emulator ---- */

static void check_emulator(struct check *c)
{
	const struct engine_config config = {.ram_size = EMULATOR_RAM};
	char why[sizeof(c->found)];
	/* Where files may not be as large as guest RAM, that is to be told, not to be died of. */
	void (*before)(int) = signal(SIGXFSZ, SIG_IGN);
	struct engine *e = engine_create(ENGINE_EMULATOR, &config, why, sizeof(why));

	signal(SIGXFSZ, before);
	if (e) {
		engine_destroy(e);
		SET(found, "plex86-emulator runs, and libunicorn does what it relies on");
		return;
	}
	c->status = CHECK_LIMITED;
	SET(found, "%s", why);
	SET(cost, "no guests but those made for plex86");
	SET(fix, "apt-get install libunicorn-dev (Debian 12), build plex86 again");
}

static const struct {
	const char *id;
	void (*run)(struct check *c);
} list[] = {
	{"cpu", check_cpu},
	{"kernel", check_kernel},
	{"compat32", check_compat},
	{"modify_ldt", check_ldt},
	{"user_dispatch", check_dispatch},
	{"seccomp", check_seccomp},
	{"cpuid_fault", check_cpuid},
	{"processes", check_processes},
	{"mmap_min_addr", check_low_addresses},
	{"max_map_count", check_map_count},
	{"memfd", check_memfd},
	{"address_space", check_address_space},
	{"memory", check_memory},
	{"huge_pages", check_huge_pages},
	{"kmod", check_kmod},
	{"emulator", check_emulator},
};

size_t doctor_run(struct check checks[DOCTOR_CHECKS_MAX])
{
	const size_t n = sizeof(list) / sizeof(list[0]);

	_Static_assert(sizeof(list) / sizeof(list[0]) <= DOCTOR_CHECKS_MAX, "too many checks");
	for (size_t i = 0; i < n; i++) {
		checks[i] = (struct check){.id = list[i].id};
		list[i].run(&checks[i]);
	}
	return n;
}
