/*
 * plex86 replay: a recorded run once more.
 *
 * Owns: the command line of the run that this becomes.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cmd.h"
#include "../error.h"
#include "../record/record-file.h"

#define OPTIONS_MAX 64 /* of the user's, and of ours */

const char replay_help[] =
	"usage: plex86 replay FILE [RUN-OPTION...]\n"
	"\n"
	"Runs a guest again that was run with --deterministic --record FILE: with the same input at the\n"
	"same moments, so that it does the same, event by event. Of the options of plex86 run these make\n"
	"sense here: --engine, --kmod, --gdb, --trace, --stop-after, --stats, --console, --expect,\n"
	"--timeout. Waits take no time, and what you type is for nobody.\n"
	"\n"
	"A run that ended by itself, such as by poweroff, ends again; one that was ended from outside, by\n"
	"Ctrl-A x or a signal, stops where that happened, with a report. One whose FILE was cut off goes\n"
	"on behind it.\n"
	"\n"
	"With --gdb the debugger can go back as well (reverse-stepi, reverse-continue): by snapshots that\n"
	"are kept in TMPDIR or /tmp meanwhile. What it has written into the guest is then lost. Not in a\n"
	"guest with disks or a network: that can only go on. What a guest sends is sent to nobody.\n"
	"\n"
	"Kernel, initrd and disks must lie where they lay, unchanged.\n"
	"\n"
	"Exit status: as of plex86 run; 127 too if it did not go as recorded.\n";

static int failed(const char *text)
{
	fprintf(stderr, "plex86: %s\n", text);
	return STATUS_USAGE;
}

static int run_again(char **options, int count, char *file, struct record_run *run, char **all_argv)
{
	char *argv[2 * OPTIONS_MAX + 2 * RECORD_DISKS_MAX + 2 + RECORD_WORDS_MAX], memory[24];
	char network[4096];
	int n = 0;

	snprintf(memory, sizeof(memory), "%" PRIu64 "K", run->memory >> 10);
	argv[n++] = (char *)"run";
	argv[n++] = (char *)"--deterministic";
	argv[n++] = (char *)"--replay";
	argv[n++] = file;
	argv[n++] = (char *)"-k";
	argv[n++] = run->kernel;
	argv[n++] = (char *)"-m";
	argv[n++] = memory;
	if (run->initrd) {
		argv[n++] = (char *)"-i";
		argv[n++] = run->initrd;
	}
	for (unsigned i = 0; i <= run->disks; i++) {
		if (run->network && i == run->network_place) {
			snprintf(network, sizeof(network), "recorded,%s", run->network);
			argv[n++] = (char *)"-n";
			argv[n++] = network;
		}
		if (i == run->disks)
			break;
		argv[n++] = (char *)"-d";
		argv[n++] = run->disk[i].spec;
	}
	memcpy(argv + n, options, count * sizeof(*argv));
	n += count;
	if (run->command[0])
		argv[n++] = (char *)"--";
	for (char **word = run->command; *word; word++)
		argv[n++] = *word;
	argv[n] = NULL;
	return cmd_run(n, argv, all_argv);
}

int cmd_replay(int argc, char **argv, char **all_argv)
{
	struct record_run run;
	struct error error;
	int status;

	if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) {
		fputs(replay_help, stdout);
		return STATUS_OK;
	}
	if (argc < 2 || argv[1][0] == '-')
		return failed("replay: no recorded run given (see plex86 replay --help)");
	if (argc - 2 > OPTIONS_MAX)
		return failed("replay: too many options");
	for (int i = 2; i < argc; i++)
		if (!strcmp(argv[i], "--"))
			return failed(
				"replay: the command is the recorded one: nothing goes behind --");
	if (!record_read(&run, argv[1], &error))
		return failed(error.text);
	status = run_again(argv + 2, argc - 2, argv[1], &run, all_argv);
	record_free(&run);
	return status;
}
