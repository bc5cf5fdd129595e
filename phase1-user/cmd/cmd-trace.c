/*
 * plex86 trace: a run with --trace.
 *
 * Owns: turning its own options into that one.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../common/types.h"
#include "cmd.h"
#include "../error.h"
#include "front.h"
#include "../watch/trace-spec.h"

const char trace_help[] =
	"usage: plex86 trace [OPTION...] -- RUN-ARGUMENT...\n"
	"\n"
	"Run a guest as plex86 run RUN-ARGUMENT... does, and write down every virtualization event: its\n"
	"time, CPL, EIP with symbol, cause, what came of it, and the instruction. The same as\n"
	"plex86 run --trace FILE,code,...\n"
	"\n"
	"Options:\n"
	"  -o, --output FILE    where to; default: trace.txt, or trace.json of format chrome\n"
	"  -f, --format FORMAT  text (the default): a line each; or chrome: JSON that ui.perfetto.dev and\n"
	"                       chrome://tracing open, with a slice for each trap, idle time and\n"
	"                       address space\n"
	"  -e, --events LIST    only these; names and groups with commas between them. A - before one\n"
	"                       takes it away (of all, if it is the first)\n"
	"  -r, --range RANGE    only with EIP in there: START-END in hexadecimal, both included, or a\n"
	"                       symbol of the kernel; may be given again\n"
	"      --no-code        without instructions\n"
	"  -h, --help           show this text\n"
	"\n"
	"Groups: all; visible, what happens to the guest on any engine; engine, the others; interrupts,\n"
	"devices, memory, registers.\n"
	"Events: trap gate inject irq pf-fill pf-guest limit io mmio device cr msr cpuid rdtsc iret\n"
	"  segment table invlpg pv-store hlt int80 int emulate kick map unmap protect resync switch\n"
	"  hand-over tls exit shutdown; common/trace.h says what their arguments are.\n"
	"\n"
	"Instructions are read from the guest's memory when an event is written, up to 4096 events later:\n"
	"right for the kernel unless it has changed its own code meanwhile. Those of other code are shown\n"
	"while its address space is in force. A trap's slice ends at the last event in it: what came\n"
	"after that is not in the trace. Time that plex86 cannot see (the host's) shows as gaps.\n"
	"\n"
	"Exit status: that of plex86 run.\n"
	"\n"
	"Examples:\n"
	"  plex86 trace -o boot.json -f chrome -- -k 6.1 -i build/guest/initramfs.cpio.gz -- true\n"
	"  plex86 trace -e devices,irq -r pit_next_event -- -k 6.1 -i ... -- sleep 1\n";

enum { OPT_NO_CODE = 256 };

struct trace_options {
	const char *output, *format, *events;
	const char *range[TRACE_RANGES];
	unsigned ranges;
	bool no_code, help;
	char **arguments; /* of run */
	char spec[TRACE_SPEC_MAX];
	struct error error;
};

static bool take_option(struct trace_options *o, int option, char **argv)
{
	switch (option) {
	case 'o':
		o->output = optarg;
		return true;
	case 'f':
		o->format = optarg;
		return true;
	case 'e':
		o->events = optarg;
		return true;
	case 'r':
		if (o->ranges == TRACE_RANGES)
			return error_set(&o->error, "more than %d ranges", TRACE_RANGES);
		o->range[o->ranges++] = optarg;
		return true;
	case OPT_NO_CODE:
		o->no_code = true;
		return true;
	case 'h':
		o->help = true;
		return true;
	default:
		return error_set(&o->error, "%s '%s' (see plex86 trace --help)",
				 option == ':' ? "no value for option" : "unknown option",
				 argv[optind - 1]);
	}
}

static bool parse(struct trace_options *o, int argc, char **argv)
{
	static const struct option options[] = {{"output", required_argument, NULL, 'o'},
						{"format", required_argument, NULL, 'f'},
						{"events", required_argument, NULL, 'e'},
						{"range", required_argument, NULL, 'r'},
						{"no-code", no_argument, NULL, OPT_NO_CODE},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "+:o:f:e:r:h", options, NULL)) != -1)
		if (!take_option(o, option, argv))
			return false;
	if (o->help)
		return true;
	o->arguments = front_arguments(argc, argv, "trace", &o->error);
	return o->arguments != NULL;
}

static bool add(struct trace_options *o, const char *key, const char *value)
{
	const size_t used = strlen(o->spec);
	const int n = snprintf(o->spec + used, sizeof(o->spec) - used, "%s%s", key, value);

	return (size_t)n < sizeof(o->spec) - used ||
	       error_set(&o->error, "'%.40s...': too long", value);
}

static bool compose(struct trace_options *o)
{
	const bool chrome = o->format && !strcmp(o->format, "chrome");
	const char *output = o->output ? o->output : chrome ? "trace.json" : "trace.txt";

	if (strchr(output, ','))
		return error_set(&o->error, "file '%s': no comma can be in its name", output);
	if (!add(o, "", output) || (!o->no_code && !add(o, ",code", "")) ||
	    (o->format && !add(o, ",format=", o->format)) ||
	    (o->events && !add(o, ",events=", o->events)))
		return false;
	for (unsigned i = 0; i < o->ranges; i++)
		if (!add(o, ",range=", o->range[i]))
			return false;
	return true;
}

int cmd_trace(int argc, char **argv, char **all_argv)
{
	struct trace_options *o = calloc(1, sizeof(*o));
	int status = STATUS_OK;

	if (!o) {
		fprintf(stderr, "plex86: trace: out of memory\n");
		return STATUS_SELF;
	}
	if (!parse(o, argc, argv) || (!o->help && !compose(o))) {
		fprintf(stderr, "plex86: trace: %s\n", o->error.text);
		status = STATUS_USAGE;
	} else if (o->help) {
		fputs(trace_help, stdout);
	} else {
		status = front_run("--trace", o->spec, o->arguments, all_argv);
	}
	free(o);
	return status;
}
