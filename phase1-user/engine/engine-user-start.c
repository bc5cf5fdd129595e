/*
 * The start of the engines made of processes: see engine-user.h.
 *
 * Owns: finding their programs, what these are given, and the errors of their first steps.
 */
#include "engine-user.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *step_text(u32 step)
{
#define VCPU_STEP_TEXT(id, text) [STEP_##id] = text,
	static const char *const texts[] = {VCPU_STEPS(VCPU_STEP_TEXT)};

	return step < STEP_COUNT ? texts[step] : "start";
}

static const char *step_remedy(u32 step)
{
	switch (step) {
	case STEP_LDT:
		return "; the host kernel needs CONFIG_MODIFY_LDT_SYSCALL (see `plex86 doctor`)";
	case STEP_JAIL:
		return "; the host kernel needs seccomp filters, or use --no-jail";
	case STEP_EMULATOR:
		return " (this build knows 2.0.1.post1 of Debian 12 alone: docs/emulator.md)";
	case STEP_TRAPS:
		return "; the host kernel has no Syscall User Dispatch: do not use --no-jail here";
	default:
		return "";
	}
}

/* The vcpu program lies beside this one, or where it is installed. */
static int open_vcpu_program(const char *name, char *err, size_t err_size)
{
	static const char *const places[] = {"", "../libexec/plex86/"};
	char exe[PATH_MAX], path[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	if (n < 0)
		n = 0;
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	if (slash)
		slash[1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		int fd;

		snprintf(path, sizeof(path), "%s%s%s", exe, places[i], name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	snprintf(err, err_size, "'%s%s': %s (it must lie beside plex86)", exe, name,
		 strerror(errno));
	return -1;
}

/* In the child: nothing of the VMM is left open but the two memfds, and the module's machine if
 * there is one. */
static _Noreturn void exec_vcpu(const struct user *e, const char *name, int program)
{
	char *const argv[] = {(char *)name, NULL}, *const envp[] = {NULL};
	const struct rlimit no_core = {0, 0};
	const int high = 100;
	sigset_t none;
	int ram, shared, prog, kmod, last = VCPU_FD_SHARED;

	/* Move out of the way of the fixed numbers first. */
	ram = fcntl(e->base.ram_fd, F_DUPFD, high);
	shared = fcntl(e->shared_fd, F_DUPFD, high);
	prog = fcntl(program, F_DUPFD_CLOEXEC, high);
	kmod = e->kmod_fd >= 0 ? fcntl(e->kmod_fd, F_DUPFD, high) : -1;
	if (ram < 0 || shared < 0 || prog < 0 || dup2(ram, VCPU_FD_RAM) < 0 ||
	    dup2(shared, VCPU_FD_SHARED) < 0)
		_exit(1);
	if (e->kmod_fd >= 0) {
		if (kmod < 0 || dup2(kmod, VCPU_FD_KMOD) < 0)
			_exit(1);
		last = VCPU_FD_KMOD;
	}
	for (int fd = 0; fd < VCPU_FD_RAM; fd++)
		close(fd);
	syscall(SYS_close_range, last + 1, prog - 1, 0);
	syscall(SYS_close_range, prog + 1, ~0u, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Terminal signals are for the VMM to act on. */
	setpgid(0, 0);
	/* A core file would be all of the guest's RAM. */
	setrlimit(RLIMIT_CORE, &no_core);
	syscall(SYS_execveat, prog, "", argv, envp, AT_EMPTY_PATH);
	_exit(127);
}

/* No guest code has run yet: what the first vcpu process says of the others it has started is true.
 */
static void note_processes(struct user *e)
{
	const struct vcpu_shared *s = e->shared;

	for (; e->processes < s->processes && e->processes < SHADOW_COUNT; e->processes++)
		e->pid[e->processes] = s->pid[e->processes];
}

static void explain(const struct user *e, const char *name, char *err, size_t err_size)
{
	const struct vcpu_shared *s = e->shared;

	if (s->failed_step)
		snprintf(err, err_size, "cannot %s: %.*s%s", step_text(s->failed_step),
			 (int)sizeof(s->failed_why) - 1,
			 s->failed_why[0] ? s->failed_why : strerror(s->failed_errno),
			 step_remedy(s->failed_step));
	else
		snprintf(err, err_size, "%s ended at its start (%s %d)", name,
			 WIFSIGNALED(e->status) ? "signal" : "status",
			 WIFSIGNALED(e->status) ? WTERMSIG(e->status) : WEXITSTATUS(e->status));
}

/* Start one more process, and wait until it gives up its first turn. */
static bool start_process(struct user *e, const char *name, enum vcpu_turn turn, char *err,
			  size_t err_size)
{
	int program = open_vcpu_program(name, err, err_size);
	pid_t *pid = &e->pid[e->processes];

	if (program < 0)
		return false;
	e->shared->turn = turn;
	*pid = fork();
	if (*pid == 0)
		exec_vcpu(e, name, program);
	close(program);
	if (*pid < 0) {
		snprintf(err, err_size, "cannot start %s: %s", name, strerror(errno));
		return false;
	}
	e->processes++;
	if (user_wait_for_turn(e))
		return true;
	note_processes(e);
	explain(e, name, err, err_size);
	return false;
}

bool user_start(struct user *e, const char *program, char *err, size_t err_size)
{
	if (!start_process(e, program, TURN_VCPU, err, err_size))
		return false;
	note_processes(e);
	e->base.spaces = e->shared->hybrid.kmod ? SHADOW_COUNT : e->processes;
	if (e->shared->hybrid.on && !e->shared->hybrid.kmod) {
		e->emulator = e->processes;
		if (!start_process(e, EMULATOR_PROGRAM, TURN_EMULATOR, err, err_size))
			return false;
	}
	affinity_init(&e->affinity, e->pid, e->processes);
	return true;
}
