/*
 * interrupt-stubs PLEX86 ARGUMENT...: run plex86 and interrupt the guest inside the PV page's
 * stubs.
 *
 * Owns: the proof that a signal may come before any instruction of a stub. The vcpu process is
 * traced from outside: a hardware breakpoint stops it at one offset within the stubs after the
 * other, and there it gets the signal the VMM kicks it with. (Single steps would not do: the TF
 * they need shows in what the stubs' own pushf and popf see.) The guest must not notice: the exit
 * status is plex86's, and its output the test's to compare.
 *
 * Says how many boundaries were hit; fails if there were too few.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/ptrace.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../../guest/include/plex86-abi.h"

#define IRET_ENTRY  (PLEX86_PV_PAGE + PLEX86_PV_STUB_IRET)
#define INT80_ENTRY (PLEX86_PV_PAGE + PLEX86_PV_STUB_INT80)
#define STUB_BYTES  0x100
#define HITS	    8	  /* at each boundary */
#define PATIENCE_US 40000 /* how long an offset may wait to be reached: most are no boundaries */

struct stub {
	const char *name;
	unsigned long entry;
	unsigned least; /* boundaries that a busy guest comes by; behind mov to SS is none */
	unsigned hits[STUB_BYTES]; /* by offset of the instruction interrupted */
};

static struct stub stubs[2] = {{.name = "iret", .entry = IRET_ENTRY, .least = 40},
			       {.name = "int80", .entry = INT80_ENTRY, .least = 11}};

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "interrupt-stubs: %s: %s\n", what, strerror(errno));
	exit(2);
}

/* The host does not let us: skip. */
static _Noreturn void lacking(const char *what)
{
	fprintf(stderr, "interrupt-stubs: skipped: no %s: %s\n", what, strerror(errno));
	exit(77);
}

/* The child of `parent` whose name is plex86-vcpu; 0 if there is none (yet). */
static pid_t find_vcpu(pid_t parent)
{
	char path[64], name[64];
	pid_t pid, found = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
	f = fopen(path, "r");
	while (f && !found && fscanf(f, "%d", &pid) == 1) {
		FILE *comm;

		snprintf(path, sizeof(path), "/proc/%d/comm", pid);
		comm = fopen(path, "r");
		if (comm && fgets(name, sizeof(name), comm) && !strcmp(name, "plex86-vcpu\n"))
			found = pid;
		if (comm)
			fclose(comm);
	}
	if (f)
		fclose(f);
	return found;
}

static void set_debug_register(pid_t pid, unsigned n, unsigned long value)
{
	if (ptrace(PTRACE_POKEUSER, pid, offsetof(struct user, u_debugreg) + n * sizeof(long),
		   value))
		lacking("hardware breakpoints");
}

/* Stop at `offset` of both stubs. */
static void set_breakpoints(pid_t pid, unsigned offset)
{
	const unsigned long execute_0_and_1 = 0x5;

	set_debug_register(pid, 7, 0);
	for (unsigned i = 0; i < 2; i++)
		set_debug_register(pid, i, stubs[i].entry + offset);
	set_debug_register(pid, 7, execute_0_and_1);
}

static unsigned long ip_of(pid_t pid)
{
	struct user_regs_struct regs;

	return ptrace(PTRACE_GETREGS, pid, NULL, &regs) ? 0 : regs.rip;
}

/* Count the breakpoint at `offset`, if that is where the process stands. */
static bool is_hit(pid_t pid, unsigned offset)
{
	unsigned long ip = ip_of(pid);

	for (unsigned i = 0; i < 2; i++) {
		if (ip != stubs[i].entry + offset)
			continue;
		stubs[i].hits[offset]++;
		return true;
	}
	return false;
}

static void on_alarm(int sig)
{
	(void)sig;
}

/* The next stop of the process. 0: none within PATIENCE_US; -1: it has ended. */
static int next_stop(pid_t pid, int *status)
{
	const struct itimerval patience = {.it_value = {.tv_usec = PATIENCE_US}}, off = {0};
	pid_t got;

	setitimer(ITIMER_REAL, &patience, NULL);
	got = waitpid(pid, status, __WALL);
	setitimer(ITIMER_REAL, &off, NULL);
	if (got < 0 && errno == EINTR)
		return 0;
	return got == pid && WIFSTOPPED(*status) ? 1 : -1;
}

static void stop_process(pid_t pid)
{
	int status;

	if (ptrace(PTRACE_INTERRUPT, pid, NULL, 0) || waitpid(pid, &status, __WALL) != pid)
		die("stopping the vcpu process");
	/* It may have stopped for a signal instead: that must not get lost. */
	if (WIFSTOPPED(status) && status >> 16 == 0 && WSTOPSIG(status) != SIGTRAP)
		ptrace(PTRACE_CONT, pid, NULL, WSTOPSIG(status));
	else
		return;
	if (waitpid(pid, &status, __WALL) != pid) /* the interruption, at last */
		die("stopping the vcpu process");
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

/* Interrupt the stubs at `offset`, as often as HITS if it is reached at all. Expects and leaves
 * the process stopped. False: it has ended. */
static bool attack(pid_t pid, unsigned offset)
{
	const double end = now_us() + PATIENCE_US;
	unsigned hits = 0;
	int status, sig = 0;

	set_breakpoints(pid, offset);
	while (hits < HITS && (hits || now_us() < end)) {
		if (ptrace(PTRACE_CONT, pid, NULL, sig))
			return false;
		switch (next_stop(pid, &status)) {
		case -1:
			return false;
		case 0:
			stop_process(pid);
			return true;
		}
		sig = status >> 16 ? 0 : WSTOPSIG(status); /* else an event of ptrace's own */
		if (sig == SIGTRAP && is_hit(pid, offset)) {
			sig = SIGUSR1;
			hits++;
		}
	}
	/* Let the last signal in. */
	if (ptrace(PTRACE_CONT, pid, NULL, sig))
		return false;
	stop_process(pid);
	return true;
}

static void trace(pid_t pid)
{
	/* The entries come last: while the guest boots, the trapping stubs are there. */
	for (unsigned offset = 1; offset <= STUB_BYTES; offset++)
		if (!attack(pid, offset % STUB_BYTES))
			return;
	set_debug_register(pid, 7, 0);
	ptrace(PTRACE_DETACH, pid, NULL, 0);
}

static int report(void)
{
	int missed = 0;

	for (unsigned i = 0; i < 2; i++) {
		unsigned boundaries = 0, hits = 0;

		for (unsigned o = 0; o < STUB_BYTES; o++) {
			boundaries += stubs[i].hits[o] != 0;
			hits += stubs[i].hits[o];
		}
		printf("interrupt-stubs: %s: %u boundaries, %u interrupts\n", stubs[i].name,
		       boundaries, hits);
		missed += boundaries < stubs[i].least;
	}
	return missed;
}

int main(int argc, char **argv)
{
	pid_t plex86, vcpu = 0;
	int status;

	if (argc < 2) {
		fprintf(stderr, "usage: interrupt-stubs PLEX86 ARGUMENT...\n");
		return 2;
	}
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
	plex86 = fork();
	if (plex86 < 0)
		die("fork");
	if (!plex86) {
		execv(argv[1], argv + 1);
		die(argv[1]);
	}
	while (!vcpu && waitpid(plex86, &status, WNOHANG) == 0) {
		usleep(500);
		vcpu = find_vcpu(plex86);
	}
	if (!vcpu)
		die("looking for the vcpu process");
	if (ptrace(PTRACE_SEIZE, vcpu, NULL, 0))
		lacking("ptrace");
	stop_process(vcpu);
	trace(vcpu);
	if (waitpid(plex86, &status, 0) != plex86)
		die("waiting for plex86");
	if (report()) {
		fprintf(stderr, "interrupt-stubs: boundaries were missed\n");
		return 1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
