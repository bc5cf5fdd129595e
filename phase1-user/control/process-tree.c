/*
 * What a process and its descendants use: see process-tree.h.
 */
#include "process-tree.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static u64 cpu_time(pid_t pid)
{
	struct timespec t;
	clockid_t clock;

	if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
		return 0;
	return (u64)t.tv_sec * 1000000000 + t.tv_nsec;
}

static u64 time_waited(pid_t pid)
{
	char path[64];
	u64 waited = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%*u %" SCNu64, &waited) != 1)
		waited = 0;
	fclose(f);
	return waited;
}

/* Also says whose child it is. */
static pid_t read_status(pid_t pid, u64 *private_bytes)
{
	char path[64], line[256];
	unsigned long long kib;
	pid_t parent = 0;
	FILE *f;

	*private_bytes = 0;
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "PPid: %d", &parent) == 1)
			continue;
		if (sscanf(line, "RssAnon: %llu kB", &kib) == 1 ||
		    sscanf(line, "RssFile: %llu kB", &kib) == 1 ||
		    sscanf(line, "VmPTE: %llu kB", &kib) == 1)
			*private_bytes += kib << 10;
	}
	fclose(f);
	return parent;
}

struct process {
	pid_t pid, parent;
	u64 private;
	bool ours;
};

static size_t read_processes(struct process **list)
{
	DIR *d = opendir("/proc");
	struct dirent *entry;
	size_t n = 0, room = 0;

	*list = NULL;
	while (d && (entry = readdir(d))) {
		struct process p = {.pid = atoi(entry->d_name)};

		if (p.pid <= 0)
			continue;
		if (n == room) {
			struct process *more =
				realloc(*list, (room = room * 2 + 64) * sizeof(**list));

			if (!more)
				break;
			*list = more;
		}
		p.parent = read_status(p.pid, &p.private);
		(*list)[n++] = p;
	}
	if (d)
		closedir(d);
	return n;
}

/* Mark children of marked processes. False: there was none left to mark. */
static bool mark_children(struct process *list, size_t n)
{
	bool marked = false;

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n && !list[i].ours; j++)
			if (list[j].ours && list[i].parent == list[j].pid)
				list[i].ours = marked = true;
	return marked;
}

void process_tree_usage(pid_t pid, struct usage *usage)
{
	struct process *list;
	const size_t n = read_processes(&list);

	memset(usage, 0, sizeof(*usage));
	for (size_t i = 0; i < n; i++)
		list[i].ours = list[i].pid == pid;
	while (mark_children(list, n))
		;
	for (size_t i = 0; i < n; i++) {
		if (!list[i].ours)
			continue;
		usage->cpu_ns += cpu_time(list[i].pid);
		usage->waited_ns += time_waited(list[i].pid);
		usage->private += list[i].private;
	}
	free(list);
}
