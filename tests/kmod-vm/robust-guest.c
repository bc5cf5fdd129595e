/*
 * The VMM that robust.c's cases torment: see robust.h.
 */
#define _GNU_SOURCE
#include "robust.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORT_MORE  0xf5
#define MORE	   0x55
#define PORT_COM1  0x3f8
#define WAIT_MS	   60000
#define MXCSR_ODD  0x7f80u /* rounds towards zero, all exceptions masked */
#define ODD_NUMBER 0x0123456789abcdefull

/* ----------------------------------------------------------- helpers ---- */

static void say(const char *what, const char *format, va_list args)
{
	printf("  %s: ", what);
	vprintf(format, args);
	printf("\n");
}

enum verdict failed(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("failed", format, args);
	va_end(args);
	return FAILED;
}

enum verdict skipped(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("skipped", format, args);
	va_end(args);
	return SKIPPED;
}

void *shared_memory(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		abort();
	return p;
}

void sleep_ms(unsigned ms)
{
	const struct timespec t = {ms / 1000, ms % 1000 * 1000000l};

	nanosleep(&t, NULL);
}

bool file_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return ok;
}

bool file_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n, used = 0;

	if (fd < 0)
		return false;
	while ((n = read(fd, text + used, size - 1 - used)) > 0)
		used += n;
	close(fd);
	text[used] = 0;
	return n == 0;
}

long file_number(const char *path, const char *field)
{
	static char text[65536];
	const size_t len = strlen(field);

	if (!file_read(path, text, sizeof(text)))
		return -1;
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, field, len) && strchr(": \t", line[len]))
			return atol(line + len + strspn(line + len, ": \t"));
	}
	return -1;
}

unsigned cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

bool bind_to_cpu(pid_t pid, unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(pid, sizeof(set), &set);
}

int module_users(void)
{
	char text[32];

	return file_read("/sys/module/plex86/refcnt", text, sizeof(text)) ? atoi(text) : -1;
}

bool module_idle(void)
{
	for (unsigned i = 0; i < 100; i++) {
		if (module_users() == 0)
			return true;
		sleep_ms(50);
	}
	return false;
}

/* --------------------------------------------------------- the guest ---- */

/* PLEX86_RUN, with registers in use that the kernel must give back: 0 or a negative error. */
static long run_ioctl(int fd, struct watch *w)
{
	const u64 before = ODD_NUMBER ^ w->rounds;
	u32 mxcsr = MXCSR_ODD;
	u64 after;
	long ret;

	asm volatile("ldmxcsr %[mxcsr]\n\t"
		     "movq %[before], %%xmm15\n\t"
		     "syscall\n\t"
		     "movq %%xmm15, %[after]\n\t"
		     "stmxcsr %[mxcsr]"
		     : "=a"(ret), [after] "=r"(after), [mxcsr] "+m"(mxcsr)
		     : "a"(SYS_ioctl), "D"((long)fd), "S"((long)PLEX86_RUN),
		       "d"(0l), [before] "r"(before)
		     : "rcx", "r11", "xmm15", "memory");
	if (after != before || mxcsr != MXCSR_ODD)
		w->host_fpu_wrong++;
	return ret;
}

/* True: the guest has ended. */
static bool port(struct vm_exit *exit, struct watch *w, int *status)
{
	const size_t said = strlen(w->said);

	if (!exit->io.write) {
		exit->io.value = ~0u;
		if (exit->io.port != PORT_MORE)
			return false;
		w->rounds++;
		if (!*(volatile bool *)&w->enough)
			exit->io.value = MORE;
		return false;
	}
	if (exit->io.port == PORT_COM1 && said < sizeof(w->said) - 1)
		w->said[said] = exit->io.value;
	*status = exit->io.value & 0x7f;
	return exit->io.port == GUEST_PORT_EXIT;
}

int guest_run(struct kmod_guest *g, struct watch *w, bool once)
{
	int status = 0;
	long ret;

	do {
		ret = run_ioctl(g->fd, w);
		if (ret == -EINTR)
			continue;
		if (ret < 0) {
			errno = -ret;
			return -1;
		}
		switch (g->run->exit.kind) {
		case EXIT_IO:
			if (port(&g->run->exit, w, &status))
				return status;
			break;
		case EXIT_MMIO:
			g->run->exit.mmio.value = ~0ull;
			break;
		case EXIT_KICKED:
			break;
		case EXIT_FAULT:
			return GUEST_BROKEN + g->run->exit.fault.reason;
		default:
			return GUEST_BROKEN;
		}
	} while (!once);
	return -2;
}

void *run_thread(void *opaque)
{
	struct runner *r = opaque;

	r->watch->status = guest_run(&r->guest, r->watch, false);
	return NULL;
}

bool guest_goes_on(const struct watch *w, u32 rounds)
{
	const volatile struct watch *now = w;
	const u32 until = now->rounds + rounds;

	for (unsigned ms = 0; now->rounds < until; ms += 2) {
		if (now->status != -1) {
			failed("the guest has ended with %d: %s", now->status, w->said);
			return false;
		}
		if (ms > WAIT_MS) {
			failed("the guest does not go on: round %u", now->rounds);
			return false;
		}
		sleep_ms(2);
	}
	return true;
}

/* ----------------------------------------------------------- the VMM ---- */

static void be_vmm(struct watch *w)
{
	struct kmod_guest g;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (kmod_guest_create(&g, settings.guest))
		_exit(FAILED);
	w->status = guest_run(&g, w, false);
	kmod_guest_close(&g);
	_exit(PASSED);
}

bool vmm_start(struct vmm *v)
{
	v->watch = shared_memory(sizeof(*v->watch));
	v->watch->status = -1;
	fflush(NULL);
	v->pid = fork();
	if (!v->pid)
		be_vmm(v->watch);
	return v->pid > 0 && guest_goes_on(v->watch, 1);
}

bool vmm_end(struct vmm *v)
{
	int status;

	v->watch->enough = true;
	if (waitpid(v->pid, &status, 0) != v->pid || !WIFEXITED(status))
		return false;
	if (v->watch->status || v->watch->host_fpu_wrong)
		failed("the guest ended with %d, VMM's registers wrong %u times: %s",
		       v->watch->status, v->watch->host_fpu_wrong, v->watch->said);
	return !v->watch->status && !v->watch->host_fpu_wrong;
}

void vmm_kill(struct vmm *v)
{
	kill(v->pid, SIGKILL);
	waitpid(v->pid, NULL, 0);
}

bool vmms_start(struct vmm *v, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!vmm_start(&v[i]))
			return false;
	return true;
}

bool vmms_end(struct vmm *v, unsigned n)
{
	bool ok = true;

	for (unsigned i = 0; i < n; i++)
		ok &= vmm_end(&v[i]);
	return ok;
}
