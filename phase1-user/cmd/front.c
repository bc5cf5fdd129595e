/*
 * Sub-commands that are plex86 run with one more option: see front.h.
 */
#include "front.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cmd.h"

char **front_arguments(int argc, char **argv, const char *command, struct error *e)
{
	if (optind < argc && !strcmp(argv[optind - 1], "--"))
		return argv + optind;
	error_set(e, "no arguments of plex86 run behind '--' (see plex86 %s --help)", command);
	return NULL;
}

int front_run(const char *option, const char *value, char **arguments, char **all_argv)
{
	char **words;
	int count = 0, status;

	while (arguments[count])
		count++;
	words = calloc(count + 4, sizeof(*words));
	if (!words) {
		fprintf(stderr, "plex86: run: out of memory\n");
		return STATUS_SELF;
	}
	words[0] = (char *)"run";
	words[1] = (char *)option;
	words[2] = (char *)value;
	memcpy(words + 3, arguments, count * sizeof(*words));
	status = cmd_run(count + 3, words, all_argv);
	free(words);
	return status;
}
