/*
 * What this host offers to plex86: the result of each check, and how results are shown.
 *
 * Owns: struct check, the list of checks and the two forms of output. Checks change nothing on the
 * host; what cannot be tried without harm is tried in a child process.
 */
#ifndef PLEX86_DOCTOR_H
#define PLEX86_DOCTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum check_status {
	CHECK_OK,
	CHECK_LIMITED, /* there, but less than one would wish; or missing, and plex86 does without
			*/
	CHECK_MISSING, /* plex86 cannot run */
};

struct check {
	const char *id; /* stable, for scripts */
	enum check_status status;
	char found[160]; /* what was found */
	char cost[160];	 /* what the lack of it costs; "" if nothing */
	char fix[200];	 /* what to do about it; "" if nothing */
};

#define DOCTOR_CHECKS_MAX 20

/* Run all checks; returns how many there are. */
size_t doctor_run(struct check checks[DOCTOR_CHECKS_MAX]);
/* Can plex86 run with these results? */
bool doctor_can_run(const struct check *checks, size_t n);

void doctor_print(const struct check *checks, size_t n, FILE *out);
void doctor_print_json(const struct check *checks, size_t n, FILE *out);

#endif
