/*
 * The vcpu processes' CPU affinity: see affinity.h.
 */
#include "affinity.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_TSC      125000000u /* some 50 ms */
#define MANY_SWITCHES 50u	 /* between two looks */
#define LONG_WAIT_NS  10000000u	 /* for a CPU, between two looks: somebody else uses it */
#define SWITCH_NS     20000u	 /* but so long at each switch, for the one before to leave it */
#define MAX_PAUSE     8u	 /* looks, some second */

void affinity_init(struct affinity *a, const pid_t *pid, unsigned n)
{
	*a = (struct affinity){.pid = pid, .n = n};
	if (sched_getaffinity(pid[0], sizeof(a->allowed), &a->allowed))
		CPU_ZERO(&a->allowed);
}

static bool read_line(pid_t pid, const char *name, char *line, size_t size)
{
	char path[64];
	FILE *f;
	bool ok;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	f = fopen(path, "re");
	ok = f && fgets(line, size, f);
	if (f)
		fclose(f);
	return ok;
}

/* How long all of them together have been waiting for a CPU, in ns; false if the host does not say.
 */
static bool time_waited(const struct affinity *a, u64 *waited)
{
	char line[128];
	u64 one;

	*waited = 0;
	for (unsigned i = 0; i < a->n && a->pid[i] > 0; i++) {
		if (!read_line(a->pid[i], "schedstat", line, sizeof(line)) ||
		    sscanf(line, "%*u %" SCNu64, &one) != 1)
			return false;
		*waited += one;
	}
	return true;
}

/* The CPU a process last ran on, or -1. */
static int cpu_of(pid_t pid)
{
	char line[1024], *field;

	if (!read_line(pid, "stat", line, sizeof(line)))
		return -1;
	field = strrchr(line, ')'); /* the name's end, field 2 */
	for (unsigned n = 2; field && n < 39; n++)
		field = strchr(field + 1, ' ');
	return field ? atoi(field) : -1;
}

static void set_all(const struct affinity *a, const cpu_set_t *cpus)
{
	for (unsigned i = 0; i < a->n; i++)
		if (a->pid[i] > 0) /* it has not ended; 0 would be this process */
			sched_setaffinity(a->pid[i], sizeof(*cpus), cpus);
}

static void bind(struct affinity *a, unsigned active)
{
	int cpu = cpu_of(a->pid[active < a->n ? active : 0]);
	cpu_set_t one;

	if (cpu < 0 || !CPU_ISSET(cpu, &a->allowed) || !time_waited(a, &a->waited))
		return;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	set_all(a, &one);
	a->bound = true;
}

static void release(struct affinity *a)
{
	set_all(a, &a->allowed);
	a->bound = false;
}

/* The CPU was taken away for a moment, or others use it all the time: then, the longer the more
 * often it has been so. Not all machines at the same time, or they would meet again. */
static unsigned pause_after(struct affinity *a)
{
	a->contended = a->contended * 2 + 1;
	if (a->contended > MAX_PAUSE)
		a->contended = MAX_PAUSE;
	return a->contended + a->pid[0] % a->contended;
}

void affinity_look(struct affinity *a, u64 switches, unsigned active)
{
	const u64 now = __builtin_ia32_rdtsc();
	u64 waited, passed;
	bool often, contended;

	if (now - a->last < LOOK_TSC || a->n < 2 || CPU_COUNT(&a->allowed) < 2)
		return;
	passed = switches - a->switches;
	often = passed > MANY_SWITCHES;
	a->last = now;
	a->switches = switches;
	if (!a->bound) {
		if (a->pause)
			a->pause--;
		else if (often)
			bind(a, active);
		return;
	}
	contended =
		!time_waited(a, &waited) || waited - a->waited > LONG_WAIT_NS + passed * SWITCH_NS;
	a->waited = waited;
	if (!contended)
		a->contended = 0;
	if (often && !contended)
		return;
	release(a);
	if (contended)
		a->pause = pause_after(a);
}
