/*
 * What the vcpu processes' system call filter lets through, asked of the host's kernel: each call
 * is made by a process of its own, which the filter ends with SIGSYS or not.
 *
 * usage: audit-jail, or audit-jail-emulator [kmod] for the emulator's, and that with the module
 * Prints "64 NUMBER" for each 64-bit call and "32 NUMBER" for each 32-bit one that passes at all,
 * with arguments as the monitor has them, and then checks which arguments do not. 77: no filters
 * here.
 */
#include "../../phase1-user/vcpu/shared.h"
#include "../../phase1-user/vcpu/sys.h"
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS 1024u	   /* more than there are numbers of any kind */
#define X32   0x40000000u  /* __X32_SYSCALL_BIT */
#define LOW   0x20000000ul /* below 4 GiB, above mmap_min_addr, and nothing is there */
#define TOP   0x100000000ul

/* The monitor's text, of which jail.c wants to know where it is: this one function. */
__asm__(".globl monitor_text_start, monitor_text_end, inside_int80\n"
	".text\n"
	"monitor_text_start:\n"
	"inside_int80: mov %edi, %eax\n"
	"push %rbx\n xor %ebx, %ebx\n int $0x80\n pop %rbx\n ret\n"
	"monitor_text_end: nop\n nop\n");
long inside_int80(unsigned nr);
extern const char monitor_text_start[];
#ifdef EMULATOR
#include "../../phase1-user/emulator/jail.h"
#include "../../phase2-kmod/plex86-ioctl.h"

static bool kmod;

static long set_jail(void)
{
	return jail_setup(kmod);
}
#else
long jail_setup(void); /* jail.c; its header and libc do not go together */

static long set_jail(void)
{
	return jail_setup();
}
#endif

/* How each maps memory: of guest RAM, or of no file. */
#ifdef EMULATOR
#define MAP_FLAGS (MAP_PRIVATE | MAP_ANONYMOUS)
#define MAP_FD	  (-1)
#else
#define MAP_FLAGS (MAP_SHARED | MAP_FIXED)
#define MAP_FD	  VCPU_FD_RAM
#endif

struct call {
	enum { CALL_64, CALL_32_INSIDE, CALL_32_OUTSIDE } how;
	unsigned nr;
	long arg[6];
};

static void make(const struct call *c)
{
	long ret;

	if (c->how == CALL_64)
		sys6(c->nr, c->arg[0], c->arg[1], c->arg[2], c->arg[3], c->arg[4], c->arg[5]);
	else if (c->how == CALL_32_INSIDE)
		inside_int80(c->nr);
	else
		__asm__ volatile("int $0x80" : "=a"(ret) : "a"(c->nr), "b"(0) : "memory");
}

/* A filter that lets nothing through but the end. */
static long cage_setup(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_exit_group, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
	};
	const struct sock_fprog program = {ARRAY_SIZE(filter), filter};

	sys6(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0);
	return sys3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, 0, (long)&program);
}

/* Does the filter let it through? Whatever the kernel then makes of it. */
static int passes_filter(const struct call *c, long (*setup)(void))
{
	const struct rlimit no_core = {0, 0};
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		if (setup())
			sys_exit(77);
		make(c);
		sys_exit(0);
	}
	if (child < 0 || waitpid(child, &status, 0) < 0) {
		perror("audit-jail");
		_exit(1);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
		printf("skipped: this host takes no seccomp filter\n");
		_exit(77);
	}
	return !(WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS);
}

/* The same, but for what no filter sees: since 6.14 the kernel has calls for its own trampolines
 * (uretprobe, uprobe), which do nothing elsewhere. */
static int passes(const struct call *c)
{
	return passes_filter(c, set_jail) &&
	       (c->nr == __NR_exit_group || !passes_filter(c, cage_setup));
}

static void list_calls(void)
{
	for (unsigned nr = 0; nr < CALLS; nr++) {
		struct call c = {CALL_64, nr, {0}};
		int passed = passes(&c);
		/* What passes with these arguments only. */
		struct call mapping = {CALL_64, nr, {LOW, 4096, PROT_READ, MAP_FLAGS, MAP_FD, 0}};

#ifdef EMULATOR
		struct call module = {CALL_64, nr, {VCPU_FD_KMOD, PLEX86_USER_RUN}};

		passed |= nr == __NR_ioctl && passes(&module);
#endif
		if (passed || passes(&mapping))
			printf("64 %u\n", nr);
		c.how = CALL_32_INSIDE;
		if (passes(&c))
			printf("32 %u\n", nr);
	}
}

static int failures;

static void expect(const char *what, int wanted, struct call c)
{
	if (passes(&c) == wanted)
		return;
	printf("FAIL: %s: %s\n", what, wanted ? "refused" : "passed");
	failures++;
}

#ifndef EMULATOR
static void check_ranges(void)
{
	const long fixed = MAP_SHARED | MAP_FIXED, ram = VCPU_FD_RAM;
	const int ranges[] = {__NR_munmap, __NR_mprotect, __NR_mmap};

	for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
		const unsigned nr = ranges[i];
		const struct call at = {CALL_64, nr, {LOW, 4096, PROT_READ, fixed, ram, 0}};
		struct call c = at;

		expect("a low range", 1, c);
		c.arg[0] = TOP - 4096;
		expect("the last page below 4 GiB", 1, c);
		c.arg[0] = TOP;
		expect("a range from 4 GiB on", 0, c);
		c.arg[0] = (long)monitor_text_start & ~4095l;
		expect("the monitor's text", 0, c);
		c = at;
		c.arg[1] = TOP;
		expect("a range of 4 GiB", 0, c);
	}
	expect("a mapping that is populated", 1,
	       (struct call){CALL_64, __NR_mmap, {LOW, 4096, 1, fixed | MAP_POPULATE, ram}});
	expect("a mapping where it likes", 0,
	       (struct call){CALL_64, __NR_mmap, {LOW, 4096, 1, MAP_SHARED, ram}});
	expect("a private mapping", 0,
	       (struct call){CALL_64, __NR_mmap, {LOW, 4096, 1, MAP_PRIVATE | MAP_FIXED, ram}});
	expect("an anonymous mapping", 0,
	       (struct call){CALL_64, __NR_mmap, {LOW, 4096, 1, fixed | MAP_ANONYMOUS, ram}});
}
#endif

#ifdef EMULATOR
static void check_module(void)
{
	static const unsigned long allowed[] = {PLEX86_USER_RUN, PLEX86_USER_MAP, PLEX86_GET_FPU,
						PLEX86_SET_FPU};
	static const unsigned long refused[] = {PLEX86_RUN, PLEX86_CREATE, PLEX86_SET_MEMORY,
						PLEX86_GET_STATE, 0x5401};

	for (unsigned i = 0; i < ARRAY_SIZE(allowed); i++) {
		struct call c = {CALL_64, __NR_ioctl, {VCPU_FD_KMOD, allowed[i]}};

		expect("an ioctl of the module", kmod, c);
		c.arg[0] = VCPU_FD_SHARED;
		expect("the same of another file", 0, c);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(refused); i++)
		expect("another ioctl of the module", 0,
		       (struct call){CALL_64, __NR_ioctl, {VCPU_FD_KMOD, refused[i]}});
}
#endif

static void check_arguments(void)
{
#ifdef EMULATOR
	check_module();
#else
	check_ranges();
#endif
	for (int fd = -1; fd < 8; fd++)
		if (fd != MAP_FD)
			expect("a mapping of another file", 0,
			       (struct call){CALL_64,
					     __NR_mmap,
					     {LOW, 4096, 1, MAP_SHARED | MAP_FIXED, fd}});
	for (unsigned nr = 0; nr < CALLS; nr++) {
		expect("an x32 call", 0, (struct call){CALL_64, nr | X32, {0}});
		expect("a 32-bit call from elsewhere", 0, (struct call){CALL_32_OUTSIDE, nr, {0}});
	}
}

int main(int argc, char **argv)
{
	const int ram = memfd_create("ram", MFD_CLOEXEC);

#ifdef EMULATOR
	kmod = argc > 1 && !strcmp(argv[1], "kmod");
#else
	(void)argc;
	(void)argv;
#endif
	/* What a call that passes may reach: nothing but this. */
	if (ram < 0 || ftruncate(ram, 4096) || dup2(ram, VCPU_FD_RAM) < 0)
		return 1;
	setvbuf(stdout, NULL, _IONBF, 0);
	list_calls();
	check_arguments();
	if (!failures)
		printf("arguments: as they should be\n");
	return failures != 0;
}
