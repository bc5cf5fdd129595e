/*
 * plex86 ps: the guests that run.
 *
 * Rates are of a short while that ps watches: what a guest did since it was started says little.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "cmd.h"
#include "../control/control-client.h"
#include "../control/process-tree.h"

#define WATCH_MS 300

const char ps_help[] =
	"usage: plex86 ps [--json]\n"
	"\n"
	"List your running guests:\n"
	"  NAME     as given with plex86 run --name, or made of the kernel's name and the PID\n"
	"  PID      of its plex86\n"
	"  STATE    running, or paused (by plex86 pause, or a debugger)\n"
	"  RAM      how much of the guest's memory this host has given it so far, and its size\n"
	"  MONITOR  what plex86's processes use beside that, page tables included\n"
	"  UPTIME   hours:minutes:seconds\n"
	"  TRAPS/S  instructions and interrupts of the guest that plex86 had to deal with (plex86 stat\n"
	"           tells which)\n"
	"  CPU%     of one CPU, all processes of the guest together\n"
	"The last two are of the third of a second that ps watches. A guest whose plex86 does not\n"
	"answer is shown with question marks; plex86 stop --force ends it.\n"
	"\n"
	"Options:\n"
	"      --json  the same for programs: [{\"name\", \"pid\", \"state\", \"size\",\n"
	"              \"resident\", \"monitor\" (bytes), \"uptime\" (s), \"traps_per_s\", \"cpu_percent\",\n"
	"              \"agent\": BOOL (plex86 stop would be heard)}...]; only name and pid if it\n"
	"              does not answer\n"
	"  -h, --help  show this text\n"
	"\n"
	"Only guests of the same user are seen. Their sockets lie in $XDG_RUNTIME_DIR/plex86, or else in\n"
	"/run/user/UID/plex86 or /tmp/plex86-UID.\n"
	"\n"
	"Exit status: 0, also if none runs; 2 for bad usage.\n";

struct row {
	struct guest_status status, later;
	struct usage usage, usage_later;
	bool answers;
};

static double traps_per_s(const struct row *r)
{
	const u64 ns = r->later.uptime - r->status.uptime;

	return ns && r->later.traps > r->status.traps
		       ? (r->later.traps - r->status.traps) * 1e9 / ns
		       : 0;
}

static double cpu_percent(const struct row *r)
{
	const u64 ns = r->later.uptime - r->status.uptime;

	return ns && r->usage_later.cpu_ns > r->usage.cpu_ns
		       ? (r->usage_later.cpu_ns - r->usage.cpu_ns) * 100.0 / ns
		       : 0;
}

static double mib(u64 bytes)
{
	return bytes / 1048576.0;
}

static const char *state(const struct row *r)
{
	return r->later.paused ? "paused" : "running";
}

static void print_row(const struct guest *g, const struct row *r)
{
	const u64 s = r->later.uptime / 1000000000u;
	char ram[32], uptime[32];

	if (!r->answers) {
		printf("%-24s %7d %-7s %13s %9s %10s %9s %6s\n", g->name, g->pid, "?", "?", "?",
		       "?", "?", "?");
		return;
	}
	snprintf(ram, sizeof(ram), "%.0fM/%.0fM", mib(r->later.resident), mib(r->later.size));
	snprintf(uptime, sizeof(uptime), "%" PRIu64 ":%02u:%02u", s / 3600, (unsigned)(s / 60 % 60),
		 (unsigned)(s % 60));
	printf("%-24s %7d %-7s %13s %8.1fM %10s %9.0f %6.1f\n", g->name, g->pid, state(r), ram,
	       mib(r->usage_later.private + r->later.shared), uptime, traps_per_s(r),
	       cpu_percent(r));
}

/* Names need no quoting: see control_name_valid(). */
static void print_json(const struct guest *g, const struct row *r)
{
	printf("\n  {\"name\": \"%s\", \"pid\": %d", g->name, g->pid);
	if (r->answers)
		printf(", \"state\": \"%s\", \"size\": %" PRIu64 ", \"resident\": %" PRIu64
		       ", \"monitor\": %" PRIu64
		       ", \"uptime\": %.3f, \"traps_per_s\": %.1f, \"cpu_percent\": %.2f"
		       ", \"agent\": %s",
		       state(r), r->later.size, r->later.resident,
		       r->usage_later.private + r->later.shared, r->later.uptime / 1e9,
		       traps_per_s(r), cpu_percent(r), r->later.agent ? "true" : "false");
	printf("}");
}

static void watch(struct guest *list, struct row *rows, size_t n)
{
	const struct timespec while_ = {0, WATCH_MS * 1000000};
	struct error e;

	for (size_t i = 0; i < n; i++) {
		process_tree_usage(list[i].pid, &rows[i].usage);
		rows[i].answers = guest_status(&list[i], &rows[i].status, &e);
	}
	if (n)
		nanosleep(&while_, NULL);
	for (size_t i = 0; i < n; i++) {
		process_tree_usage(list[i].pid, &rows[i].usage_later);
		rows[i].answers = rows[i].answers && guest_status(&list[i], &rows[i].later, &e);
	}
}

static int ps(bool json)
{
	struct guest *list;
	const size_t n = guests_open(&list);
	struct row *rows = calloc(n + 1, sizeof(*rows));

	if (!rows) {
		fprintf(stderr, "plex86: ps: out of memory\n");
		return STATUS_SELF;
	}
	watch(list, rows, n);
	if (json)
		putchar('[');
	else
		printf("%-24s %7s %-7s %13s %9s %10s %9s %6s\n", "NAME", "PID", "STATE", "RAM",
		       "MONITOR", "UPTIME", "TRAPS/S", "CPU%");
	for (size_t i = 0; i < n; i++) {
		if (json && i)
			putchar(',');
		if (json)
			print_json(&list[i], &rows[i]);
		else
			print_row(&list[i], &rows[i]);
		guest_close(&list[i]);
	}
	if (json)
		puts("\n]");
	free(rows);
	free(list);
	return STATUS_OK;
}

int cmd_ps(int argc, char **argv)
{
	bool json = false;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			fputs(ps_help, stdout);
			return STATUS_OK;
		}
		if (strcmp(argv[i], "--json")) {
			fprintf(stderr, "plex86: ps: unexpected '%s' (see plex86 ps --help)\n",
				argv[i]);
			return STATUS_USAGE;
		}
		json = true;
	}
	return ps(json);
}
