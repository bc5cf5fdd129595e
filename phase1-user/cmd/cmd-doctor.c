/*
 * plex86 doctor.
 */
#include <stdio.h>
#include <string.h>
#include "cmd.h"
#include "doctor.h"
#include "../error.h"

const char doctor_help[] =
	"usage: plex86 doctor [--json]\n"
	"\n"
	"Tell what this host offers to plex86: one line for each check, with what was found, what the\n"
	"lack of it costs and how to fix it. Nothing on the host is changed.\n"
	"\n"
	"Options:\n"
	"      --json  the same for programs: {\"can_run\": BOOL, \"checks\": [{\"id\", \"status\",\n"
	"              \"found\", \"cost\", \"fix\"}...]}\n"
	"  -h, --help  show this text\n"
	"\n"
	"Status of a check: ok; limited: plex86 does without, at the cost told; missing: plex86 cannot\n"
	"run.\n"
	"\n"
	"Exit status: 0 if plex86 can run here, 1 if not, 2 for bad usage.\n";

int cmd_doctor(int argc, char **argv)
{
	struct check checks[DOCTOR_CHECKS_MAX];
	bool json = false;
	size_t n;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help") || !strcmp(argv[i], "-h")) {
			fputs(doctor_help, stdout);
			return STATUS_OK;
		}
		if (strcmp(argv[i], "--json")) {
			fprintf(stderr,
				"plex86: doctor: unknown option '%s' (see plex86 doctor --help)\n",
				argv[i]);
			return STATUS_USAGE;
		}
		json = true;
	}
	n = doctor_run(checks);
	if (json)
		doctor_print_json(checks, n, stdout);
	else
		doctor_print(checks, n, stdout);
	return doctor_can_run(checks, n) ? 0 : 1;
}
