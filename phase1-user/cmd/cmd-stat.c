/*
 * plex86 stat: what a running guest makes its monitor do.
 */
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "cmd.h"
#include "../control/control-client.h"
#include "../control/stats-json.h"

#define INTERVAL_MAX 86400.0

const char stat_help[] =
	"usage: plex86 stat [OPTION...] [NAME]\n"
	"\n"
	"Show what the running guest NAME (plex86 ps lists them; not needed if there is but one) made\n"
	"plex86 do since it was started: traps by their cause, exits to the devices, and events, with\n"
	"counts, counts per second, share of time and mean time. plex86 run --stats shows the same when\n"
	"the guest ends.\n"
	"\n"
	"TIME % and MEAN NS are of the time spent in plex86 on a trap, exits included and idling not.\n"
	"What the host's kernel needs to deliver a signal and to return comes on top: about a\n"
	"microsecond for each trap. An event may be part of a trap of another cause.\n"
	"\n"
	"Options:\n"
	"  -i, --interval SEC  show what happened every SEC seconds, until the guest ends\n"
	"  -n, --count N       end after N intervals (of 1 s without -i)\n"
	"      --json          one JSON object a line: what the command stats answers, and the name\n"
	"                      (docs/control.md)\n"
	"  -h, --help          show this text\n"
	"\n"
	"Exit status: 0; 1 if the guest does not answer; 2 for bad usage, or if there is no such guest.\n";

static int usage_error(const char *what, const char *word)
{
	fprintf(stderr, "plex86: stat: %s '%s' (see plex86 stat --help)\n", what, word);
	return STATUS_USAGE;
}

static bool read_stats(struct guest *g, struct stats *s, struct error *e)
{
	json_t *answer = guest_ask(g, "stats", NULL, e);
	const bool ok = answer && stats_from_json(s, answer);

	if (answer && !ok)
		error_set(e, "guest '%s': its counters cannot be understood", g->name);
	json_decref(answer);
	return ok;
}

static void show_json(const struct guest *g, const struct stats *s)
{
	json_t *line = json_pack("{s:s}", "name", g->name), *counters = stats_to_json(s);

	json_object_update(line, counters);
	json_dumpf(line, stdout, JSON_COMPACT);
	putchar('\n');
	fflush(stdout);
	json_decref(counters);
	json_decref(line);
}

static void show(const struct guest *g, const struct stats *s, bool json, bool redraw)
{
	static const char home_and_clear[] = "\033[H\033[2J";
	char text[STATS_TEXT_SIZE];

	if (json) {
		show_json(g, s);
		return;
	}
	stats_table(s, text, sizeof(text));
	printf("%s%s:%s", redraw ? home_and_clear : "", g->name, text);
	fflush(stdout);
}

static void sleep_for(double seconds)
{
	const struct timespec t = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};

	nanosleep(&t, NULL);
}

/* `count` tables, or as long as the guest runs if that is 0. */
static int watch(struct guest *g, double interval, unsigned long count, bool json)
{
	struct stats before, now, passed;
	struct error e;
	bool ok = read_stats(g, &before, &e);

	for (unsigned long i = 0; ok && (!count || i < count); i++) {
		sleep_for(interval);
		ok = read_stats(g, &now, &e);
		if (!ok)
			break;
		passed = now;
		stats_subtract(&passed, &before);
		show(g, &passed, json, isatty(STDOUT_FILENO));
		before = now;
	}
	if (!ok)
		fprintf(stderr, "plex86: stat: %s\n", e.text);
	return ok || !count ? STATUS_OK : 1;
}

static int once(struct guest *g, bool json)
{
	struct stats s;
	struct error e;

	if (!read_stats(g, &s, &e)) {
		fprintf(stderr, "plex86: stat: %s\n", e.text);
		return 1;
	}
	show(g, &s, json, false);
	return STATUS_OK;
}

static int stat_guest(const char *name, double interval, unsigned long count, bool json)
{
	struct guest g;
	struct error e;
	int status;

	if (!guest_open(&g, name, &e)) {
		fprintf(stderr, "plex86: stat: %s\n", e.text);
		return STATUS_USAGE;
	}
	status = interval > 0 ? watch(&g, interval, count, json) : once(&g, json);
	guest_close(&g);
	return status;
}

int cmd_stat(int argc, char **argv)
{
	static const struct option options[] = {{"interval", required_argument, NULL, 'i'},
						{"count", required_argument, NULL, 'n'},
						{"json", no_argument, NULL, 'j'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	unsigned long count = 0;
	double interval = 0;
	bool json = false;
	int option;
	char *end;

	optind = 1;
	while ((option = getopt_long(argc, argv, ":i:n:h", options, NULL)) != -1) {
		switch (option) {
		case 'i':
			interval = strtod(optarg, &end);
			if (*end || !(interval > 0 && interval <= INTERVAL_MAX))
				return usage_error("not a number of seconds:", optarg);
			break;
		case 'n':
			count = strtoul(optarg, &end, 10);
			if (optarg[0] < '1' || optarg[0] > '9' || *end)
				return usage_error("not a number of intervals:", optarg);
			break;
		case 'j':
			json = true;
			break;
		case 'h':
			fputs(stat_help, stdout);
			return STATUS_OK;
		case ':':
			return usage_error("no value for", argv[optind - 1]);
		default:
			return usage_error("unknown option", argv[optind - 1]);
		}
	}
	if (optind + 1 < argc)
		return usage_error("unexpected", argv[optind + 1]);
	if (count && !interval)
		interval = 1;
	return stat_guest(optind < argc ? argv[optind] : NULL, interval, count, json);
}
