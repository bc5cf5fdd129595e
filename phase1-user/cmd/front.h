/*
 * Sub-commands that are plex86 run with one more option.
 *
 * Owns: the words behind their `--`, and the run that they become.
 */
#ifndef PLEX86_FRONT_H
#define PLEX86_FRONT_H

#include "../error.h"

/* After getopt has stopped at them: the arguments of plex86 run, behind `--`. NULL: there are none.
 */
char **front_arguments(int argc, char **argv, const char *command, struct error *e);
/* plex86 run OPTION VALUE ARGUMENT...: its status. */
int front_run(const char *option, const char *value, char **arguments, char **all_argv);

#endif
