/*
 * plex86 profile: a run with --profile.
 *
 * Owns: turning its own options into that one.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cmd.h"
#include "../error.h"
#include "front.h"

#define SPEC_MAX 4096

const char profile_help[] =
	"usage: plex86 profile [OPTION...] -- RUN-ARGUMENT...\n"
	"\n"
	"Run a guest as plex86 run RUN-ARGUMENT... does, look many times a second at what it does, and at\n"
	"the end write how often which function of its kernel was seen: itself, and it or what it called.\n"
	"User code and idling are one line each. The same as plex86 run --profile FILE,...\n"
	"\n"
	"Options:\n"
	"  -o, --output FILE  where to; default: profile.txt, or profile.folded\n"
	"  -F, --hz N         looks a second: 1 to 1000, default 499\n"
	"      --folded       stacks, one a line with semicolons, and how often each was seen: what\n"
	"                     programs that draw flame graphs read (flamegraph.pl, speedscope, inferno)\n"
	"  -h, --help         show this text\n"
	"\n"
	"Callers are found by the kernel's frame pointers (guest/build-kernel's kernels have them);\n"
	"functions without a frame of their own, as some in assembler, hide who called them. A function\n"
	"that the monitor emulates a lot for is seen more often than its instructions alone would be: the\n"
	"time it costs is real. Who needs symbols needs a vmlinux.\n"
	"\n"
	"Exit status: that of plex86 run.\n"
	"\n"
	"Example:\n"
	"  plex86 profile --folded -o boot.folded -- -k 6.1 -i build/guest/initramfs.cpio.gz -- true\n";

enum { OPT_FOLDED = 256 };

struct profile_options {
	const char *output, *hz;
	bool folded, help;
	char **arguments; /* of run */
	char spec[SPEC_MAX];
	struct error error;
};

static bool take_option(struct profile_options *o, int option, char **argv)
{
	switch (option) {
	case 'o':
		o->output = optarg;
		return true;
	case 'F':
		o->hz = optarg;
		return true;
	case OPT_FOLDED:
		o->folded = true;
		return true;
	case 'h':
		o->help = true;
		return true;
	default:
		return error_set(&o->error, "%s '%s' (see plex86 profile --help)",
				 option == ':' ? "no value for option" : "unknown option",
				 argv[optind - 1]);
	}
}

static bool parse(struct profile_options *o, int argc, char **argv)
{
	static const struct option options[] = {{"output", required_argument, NULL, 'o'},
						{"hz", required_argument, NULL, 'F'},
						{"folded", no_argument, NULL, OPT_FOLDED},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "+:o:F:h", options, NULL)) != -1)
		if (!take_option(o, option, argv))
			return false;
	if (o->help)
		return true;
	o->arguments = front_arguments(argc, argv, "profile", &o->error);
	return o->arguments != NULL;
}

static bool compose(struct profile_options *o)
{
	const char *output = o->output ? o->output : o->folded ? "profile.folded" : "profile.txt";
	int n;

	if (strchr(output, ','))
		return error_set(&o->error, "file '%s': no comma can be in its name", output);
	n = snprintf(o->spec, sizeof(o->spec), "%s%s%s%s", output, o->folded ? ",folded" : "",
		     o->hz ? ",hz=" : "", o->hz ? o->hz : "");
	return n < SPEC_MAX || error_set(&o->error, "file '%.40s...': too long a name", output);
}

int cmd_profile(int argc, char **argv, char **all_argv)
{
	struct profile_options *o = calloc(1, sizeof(*o));
	int status = STATUS_OK;

	if (!o) {
		fprintf(stderr, "plex86: profile: out of memory\n");
		return STATUS_SELF;
	}
	if (!parse(o, argc, argv) || (!o->help && !compose(o))) {
		fprintf(stderr, "plex86: profile: %s\n", o->error.text);
		status = STATUS_USAGE;
	} else if (o->help) {
		fputs(profile_help, stdout);
	} else {
		status = front_run("--profile", o->spec, o->arguments, all_argv);
	}
	free(o);
	return status;
}
