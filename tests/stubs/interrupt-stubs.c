/*
 * interrupt-stubs LOOK PLEX86 ARGUMENT...: run plex86 and interrupt the guest inside the PV page's
 * stubs, and on the monitor's side of the gate. LOOK: where the monitor goes, if a signal has come
 * while it was in the gate, by offset from the gate's entry.
 *
 * Owns: the proof that a signal may come before any instruction of a stub. The vcpu process is
 * traced from outside: a hardware breakpoint stops it at one offset within the stubs after the
 * other, and there it gets the signal the VMM kicks it with. (Single steps would not do: the TF
 * they need shows in what the stubs' own pushf and popf see.) The guest must not notice: the exit
 * status is plex86's, and its output the test's to compare.
 *
 * Says how many boundaries were hit; fails if there were too few, or if the gate was left for the
 * guest and a signal forgotten.
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
#include "../../common/stubs-layout.h"

#define STUB_BYTES  0x100
#define HITS	    8 /* at each boundary */
#define HOST_CS64   0x33
#define PATIENCE_US 40000 /* how long an offset may wait to be reached: most are no boundaries */

struct stub {
	const char *name;
	unsigned long entry;
	unsigned least; /* boundaries that a busy guest comes by; behind mov to SS is none */
	unsigned hits[STUB_BYTES]; /* by offset of the instruction interrupted */
};

enum { IRET, INT80, TRAP, GATE, STUBS };
static struct stub stubs[STUBS] = {
	[IRET] = {.name = "iret", .entry = PLEX86_PV_PAGE + PLEX86_PV_STUB_IRET, .least = 36},
	[INT80] = {.name = "int80", .entry = PLEX86_PV_PAGE + PLEX86_PV_STUB_INT80, .least = 16},
	[TRAP] = {.name = "trap", .entry = PLEX86_PV_PAGE + PLEX86_PV_STUB_TRAP, .least = 4},
	[GATE] = {.name = "gate", .least = 30}, /* entry: once the monitor has said where */
};

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

static unsigned long look;	  /* address of LOOK */
static bool owed;		  /* the process was interrupted in the gate and must look */
static unsigned owing, forgotten; /* how often it was, and did not */

/* Where the monitor takes over, by the PV page; false before it has said so. */
static bool find_gate(pid_t pid)
{
	errno = 0;
	stubs[GATE].entry = ptrace(PTRACE_PEEKDATA, pid, PLEX86_PV_PAGE + STUB_GATE, NULL);
	return !errno && stubs[GATE].entry;
}

/* Stop at `offset` of those among stubs [first, end) that have not been hit often enough there; at
 * the gate's way out where the monitor looks again; and, with the gate, where the guest is back. */
static void set_breakpoints(pid_t pid, unsigned offset, unsigned first, unsigned end)
{
	unsigned long enable = 1;

	set_debug_register(pid, 7, 0);
	set_debug_register(pid, 0, look);
	for (unsigned i = first, n = 1; i < end; i++, n++) {
		if (stubs[i].hits[offset] >= HITS)
			continue;
		set_debug_register(pid, n, stubs[i].entry + offset);
		enable |= 1ul << (2 * n); /* on execution */
	}
	if (first == GATE) {
		set_debug_register(pid, 3, stubs[TRAP].entry);
		enable |= 1ul << (2 * 3);
	}
	set_debug_register(pid, 7, enable);
}

/* A SIGTRAP: count it, if it is from our breakpoint at `offset` of a stub. Gives the signal that
 * the process shall have instead. */
static int at_breakpoint(pid_t pid, unsigned offset)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, pid, NULL, &regs))
		return 0;
	/* Guest code has run since the last one. */
	if (regs.rip >= stubs[TRAP].entry && regs.rip < stubs[TRAP].entry + STUB_BYTES) {
		forgotten += owed;
		owed = false;
	}
	for (unsigned i = 0; i < STUBS; i++) {
		if (regs.rip != stubs[i].entry + offset || stubs[i].hits[offset] >= HITS)
			continue;
		stubs[i].hits[offset]++;
		owed = regs.cs == HOST_CS64 && regs.rip < look; /* there it looks already */
		owing += owed;
		return SIGUSR1;
	}
	if (regs.rip == look)
		owed = false;
	else if (regs.rip < PLEX86_PV_PAGE)
		return SIGTRAP; /* the guest's own */
	return 0;
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

/* Interrupt each stub at `offset`, as often as HITS if it is reached at all. Expects and leaves
 * the process stopped. False: it has ended. */
static bool attack(pid_t pid, unsigned offset, unsigned first, unsigned stubs_end)
{
	const double end = now_us() + PATIENCE_US;
	int status, sig = 0;

	owed = false; /* stopping the process may have hidden that it looked */
	while (now_us() < end) {
		set_breakpoints(pid, offset, first, stubs_end);
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
		if (sig == SIGTRAP)
			sig = at_breakpoint(pid, offset);
	}
	/* Let the last signal in. */
	if (ptrace(PTRACE_CONT, pid, NULL, sig))
		return false;
	stop_process(pid);
	return true;
}

static void trace(pid_t pid)
{
	while (!find_gate(pid)) {
		if (ptrace(PTRACE_CONT, pid, NULL, 0))
			return;
		usleep(500);
		stop_process(pid);
	}
	look += stubs[GATE].entry;
	/* The entries come last: while the guest boots, the trapping stubs are there. */
	for (unsigned offset = 1; offset <= STUB_BYTES; offset++)
		if (!attack(pid, offset % STUB_BYTES, IRET, GATE) ||
		    !attack(pid, offset % STUB_BYTES, GATE, STUBS))
			return;
	set_debug_register(pid, 7, 0);
	ptrace(PTRACE_DETACH, pid, NULL, 0);
}

static int report(void)
{
	int missed = 0;

	for (unsigned i = 0; i < STUBS; i++) {
		unsigned boundaries = 0, hits = 0;

		for (unsigned o = 0; o < STUB_BYTES; o++) {
			boundaries += stubs[i].hits[o] != 0;
			hits += stubs[i].hits[o];
		}
		printf("interrupt-stubs: %s: %u boundaries, %u interrupts\n", stubs[i].name,
		       boundaries, hits);
		missed += boundaries < stubs[i].least;
	}
	printf("interrupt-stubs: %u in the gate, %u of them forgotten\n", owing, forgotten);
	return missed || forgotten || !owing;
}

int main(int argc, char **argv)
{
	pid_t plex86, vcpu = 0;
	int status;

	if (argc < 3) {
		fprintf(stderr, "usage: interrupt-stubs LOOK PLEX86 ARGUMENT...\n");
		return 2;
	}
	look = strtoul(argv[1], NULL, 0);
	sigaction(SIGALRM, &(struct sigaction){.sa_handler = on_alarm}, NULL);
	plex86 = fork();
	if (plex86 < 0)
		die("fork");
	if (!plex86) {
		execv(argv[2], argv + 2);
		die(argv[2]);
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
		fprintf(stderr, "interrupt-stubs: boundaries were missed, or signals lost\n");
		return 1;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
