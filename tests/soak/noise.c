/*
 * noise NAME: until SIGTERM, move all processes whose names begin with NAME from CPU to CPU, and
 * send NMIs to the CPUs they run on, at any moment. For a host of its own with two CPUs or more, as
 * tests/kmod-vm/run --smp 2 --append iomem=relaxed is. Prints how many moves and NMIs there were;
 * fails if there were none.
 *
 * Owns: the affinity of these processes, and the level of the kernel's messages.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "../kmod-vm/nmi.h"

static volatile sig_atomic_t enough;

static void on_term(int signal)
{
	(void)signal;
	enough = 1;
}

static bool bind_to(pid_t pid, unsigned cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(pid, sizeof(set), &set);
}

static bool is_named(pid_t pid, const char *name)
{
	char path[64], text[64] = "";
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 && !strncmp(text, name, strlen(name));
}

/* Each process to another CPU than its neighbour, and than the last time. */
static long move_all(const char *name, unsigned round, unsigned cpus)
{
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	long moves = 0;

	if (!proc)
		return 0;
	while ((entry = readdir(proc))) {
		pid_t pid = isdigit(entry->d_name[0]) ? atoi(entry->d_name) : 0;

		if (pid > 0 && is_named(pid, name))
			moves += bind_to(pid, (round + moves) % cpus);
	}
	closedir(proc);
	return moves;
}

int main(int argc, char **argv)
{
	const unsigned cpus = sysconf(_SC_NPROCESSORS_ONLN);
	volatile u32 *apic = nmi_map_apic();
	const long before = nmi_count();
	long moves = 0, nmis;

	if (argc != 2 || cpus < 2) {
		fprintf(stderr, "usage: noise NAME, on a host with two CPUs or more\n");
		return 2;
	}
	signal(SIGTERM, on_term);
	for (unsigned round = 0; !enough; round++) {
		const struct timespec pause = {.tv_nsec = round * 7919l % 400 * 1000000};

		/* The NMI goes to the CPUs where we are not. */
		if (!bind_to(0, round % cpus) || !nmi_send(apic))
			break;
		if (round % 4 == 0)
			moves += move_all(argv[1], round / 4, cpus);
		nanosleep(&pause, NULL);
	}
	nmis = nmi_count() - before;
	printf("%ld moves to another CPU, %ld NMIs by %s\n", moves, nmis,
	       apic ? "the APIC" : "sysrq l");
	return enough && moves > 0 && nmis > 0 ? 0 : 1;
}
