/*
 * robust --guest FILE [--module FILE] [--seconds N] [--limit SECONDS] [CASE...]: what users,
 * signals and the host's own events do to a running guest must harm neither it nor the host.
 *
 * Owns: the list of cases, a process for each, and the verdict: "ok", "FAILED" or "skipped" by
 * name; the status is 1 if any failed. A complaint in the kernel's log is a failure of the case it
 * came in.
 */
#define _GNU_SOURCE
#include "robust.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct settings settings = {.seconds = 5, .limit = 240};

static const struct {
	const char *name;
	case_fn *fn;
} cases[] = {
	{"run", case_run},	   {"kill", case_kill},		  {"stop", case_stop},
	{"ptrace", case_ptrace},   {"fork", case_fork},		  {"dup", case_dup},
	{"two", case_two},	   {"memory", case_memory},	  {"arguments", case_arguments},
	{"memlock", case_memlock}, {"leak", case_leak},		  {"fail", case_fail},
	{"migrate", case_migrate}, {"hotplug", case_hotplug},	  {"nmi", case_nmi},
	{"cpu", case_cpu},	   {"fuzz", case_fuzz},		  {"kinds", case_kinds},
	{"user", case_user},	   {"user-fuzz", case_user_fuzz}, {"unload", case_unload},
};

/* ------------------------------------------------------ the kernel's log ---- */

static int log_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/* Does it complain of anything since? The line is left in `line`. */
static bool log_complains(int fd, char *line, size_t size)
{
	static const char *const words[] = {
		"BUG:",	       "WARNING:",	 "Oops",       "general protection", "KASAN",
		"soft lockup", "detected stall", "INFO: task", "possible circular",  "Bad page",
		"refcount_t",  "unchecked MSR",
	};
	ssize_t n;

	while ((n = read(fd, line, size - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		line[n > 0 ? n : 0] = 0;
		for (unsigned i = 0; i < ARRAY_SIZE(words); i++)
			if (strstr(line, words[i]))
				return true;
	}
	return false;
}

/* ------------------------------------------------------------ one case ---- */

static void end_group(pid_t group)
{
	kill(-group, SIGKILL);
	while (waitpid(-group, NULL, 0) > 0)
		;
}

static enum verdict run_in_child(case_fn *fn)
{
	int status;
	pid_t pid = fork();

	if (!pid) {
		setpgid(0, 0);
		alarm(settings.limit);
		status = fn();
		fflush(NULL);
		_exit(status);
	}
	setpgid(pid, pid);
	waitpid(pid, &status, 0);
	end_group(pid);
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	if (WTERMSIG(status) == SIGALRM)
		return failed("no end after %u seconds", settings.limit);
	return failed("signal %d", WTERMSIG(status));
}

static enum verdict run_case(unsigned i)
{
	static const char *const words[] = {"ok", "FAILED", "skipped"};
	char line[1024];
	int log = log_open();
	enum verdict v;

	v = run_in_child(cases[i].fn);
	if (!module_idle())
		v = failed("the module is still in use: %d", module_users());
	if (log_complains(log, line, sizeof(line)))
		v = failed("the kernel: %.200s", line);
	close(log);
	printf("%s %s\n", words[v], cases[i].name);
	fflush(stdout);
	return v;
}

static bool wanted(const char *name, char **names)
{
	if (!*names)
		return true;
	for (; *names; names++)
		if (!strcmp(*names, name))
			return true;
	return false;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: robust --guest FILE [--module FILE] [--seconds N] [--limit SECONDS] [CASE...]\ncases:");
	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++)
		fprintf(stderr, " %s", cases[i].name);
	fprintf(stderr, "\n");
	return 2;
}

int main(int argc, char **argv)
{
	unsigned counts[3] = {0};
	int i;

	(void)argc;
	for (i = 1; argv[i] && argv[i][0] == '-' && argv[i + 1]; i += 2) {
		if (!strcmp(argv[i], "--guest"))
			settings.guest = argv[i + 1];
		else if (!strcmp(argv[i], "--module"))
			settings.module = argv[i + 1];
		else if (!strcmp(argv[i], "--seconds"))
			settings.seconds = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--limit"))
			settings.limit = atoi(argv[i + 1]);
		else
			return usage();
	}
	if (!settings.guest)
		return usage();
	for (unsigned c = 0; c < ARRAY_SIZE(cases); c++)
		if (wanted(cases[c].name, argv + i))
			counts[run_case(c)]++;
	printf("%u ok, %u skipped, %u failed\n", counts[PASSED], counts[SKIPPED], counts[FAILED]);
	return counts[FAILED] || !counts[PASSED];
}
