/*
 * plex86 diff: one guest on two engines, and where they part.
 *
 * Owns: two children `plex86 run --deterministic`, each writing its trace into a pipe, and the
 * comparison line by line as they come. A deterministic run can be had again: what the machines
 * looked like at the divergence is seen by running both once more up to that event.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../../common/types.h"
#include "cmd.h"
#include "../engine/engine.h"
#include "front.h"
#include "../error.h"

#define HISTORY	   8  /* events shown that both had */
#define ADDED_MAX  16 /* words that a side's command line has before those of the user */
#define SPEC_MAX   128
#define TRACE_PATH 32

const char diff_help[] =
	"usage: plex86 diff [OPTION...] -- RUN-ARGUMENT...\n"
	"\n"
	"Run a guest twice, as plex86 run --deterministic RUN-ARGUMENT... does, each time on another\n"
	"engine, and compare what happens to it: every event with its time, address, arguments and the\n"
	"registers. The first difference ends both; then the last events they had in common are shown,\n"
	"and of both sides the next one with registers, instructions and the walk of the page tables.\n"
	"\n"
	"Options:\n"
	"  -a, --a ENGINE  the one side; default: user\n"
	"  -b, --b ENGINE  the other; default: kmod where there is a /dev/plex86, else user. ENGINE is\n"
	"                    user          ordinary processes, as in plex86 run\n"
	"                    user,no-jail  the same without their system call filter\n"
	"                    kmod          the kernel module\n"
	"                    hybrid        what is not plain user code emulated, that in processes\n"
	"                    hybrid-kmod   the same with that in the kernel module\n"
	"                    emulator      all of it emulated: then both sides have a CPU that can do what\n"
	"                                  the emulated one can, and of registers those bits are left out\n"
	"                                  in which arithmetic flags might be, for some are undefined.\n"
	"                                  Where the host's CPUID cannot trap, the engines part when a\n"
	"                                  program in the guest asks for it\n"
	"  -h, --help      show this text\n"
	"\n"
	"The console of side a goes to standard output, that of b nowhere. A run without an end needs\n"
	"--expect or --timeout among its arguments; if it ends both, that is no difference.\n"
	"\n"
	"Exit status: 0 no difference, 1 a difference, 2 bad usage or no event at all,\n"
	"127 plex86 itself failed.\n"
	"\n"
	"Example:\n"
	"  plex86 diff -- -k 6.1 -i build/guest/initramfs.cpio.gz -- uname -a\n";

enum { STATUS_DIFFER = 1 };

struct side {
	char name; /* a or b */
	const char *spec;
	char words[SPEC_MAX]; /* the spec, cut at its commas */
	const char *added[ADDED_MAX];
	unsigned count; /* of `added` */
	pid_t pid;
	FILE *trace;
	char *line;
	size_t size;
	bool ended;
	int status; /* exit status, or 128 + signal */
};

struct diff {
	struct side side[2];
	char **arguments; /* of run */
	char *history[HISTORY];
	u64 events; /* equal so far */
	struct error error;
};

static int failed(const struct diff *d, int status)
{
	fprintf(stderr, "plex86: diff: %s\n", d->error.text);
	return status;
}

/* ---- sides ---- */

static bool add_word(struct side *s, const char *word)
{
	if (s->count < ADDED_MAX)
		s->added[s->count++] = word;
	return s->count < ADDED_MAX;
}

/* Engine, and variants behind commas. test-flip=N is for tests: a wrong result after N events. */
static bool parse_spec(struct side *s, struct error *e)
{
	char *rest, *word;

	if (strlen(s->spec) >= sizeof(s->words))
		return error_set(e, "engine '%s': too long", s->spec);
	strcpy(s->words, s->spec);
	word = strtok_r(s->words, ",", &rest);
	if (!word || !engine_exists(word))
		return error_set(e,
				 "engine '%s': there is none of this name (see plex86 diff --help)",
				 s->spec);
	add_word(s, "--engine");
	add_word(s, word);
	while ((word = strtok_r(NULL, ",", &rest))) {
		bool ok;

		if (!strcmp(word, "no-jail"))
			ok = add_word(s, "--no-jail");
		else if (!strncmp(word, "test-flip=", 10))
			ok = add_word(s, "--test-flip-after") && add_word(s, word + 10);
		else
			return error_set(e, "engine '%s': no variant '%s' (see plex86 diff --help)",
					 s->spec, word);
		if (!ok)
			return error_set(e, "engine '%s': too many variants", s->spec);
	}
	return true;
}

/* In the child. `trace`: where the trace goes, -1: the run is for its report. */
static _Noreturn void exec_run(const struct diff *d, const struct side *s, int trace, u64 stop)
{
	char path[TRACE_PATH], count[TRACE_PATH];
	char **argv;
	size_t n = 0, arguments = 0;
	int null = open("/dev/null", O_RDWR);

	while (d->arguments[arguments])
		arguments++;
	argv = calloc(arguments + ADDED_MAX + 8, sizeof(*argv));
	if (!argv || null < 0)
		_exit(STATUS_SELF);
	argv[n++] = (char *)"plex86";
	argv[n++] = (char *)"run";
	argv[n++] = (char *)"--deterministic";
	for (unsigned i = 0; i < s->count; i++)
		argv[n++] = (char *)s->added[i];
	if (trace >= 0) {
		snprintf(path, sizeof(path), "/dev/fd/%d", trace);
		argv[n++] = (char *)"--trace";
		argv[n++] = path;
	} else {
		snprintf(count, sizeof(count), "%llu", (unsigned long long)stop);
		argv[n++] = (char *)"--stop-after";
		argv[n++] = count;
	}
	for (size_t i = 0; i < arguments; i++)
		argv[n++] = d->arguments[i];
	dup2(null, STDIN_FILENO);
	if (trace < 0 || s->name == 'b')
		dup2(null, STDOUT_FILENO);
	execv("/proc/self/exe", argv);
	_exit(STATUS_SELF);
}

static bool start(struct diff *d, struct side *s)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC))
		return error_set(&d->error, "making a pipe: %s", strerror(errno));
	s->pid = fork();
	if (s->pid == 0) {
		fcntl(ends[1], F_SETFD, 0);
		exec_run(d, s, ends[1], 0);
	}
	close(ends[1]);
	s->trace = s->pid > 0 ? fdopen(ends[0], "r") : NULL;
	if (!s->trace) {
		error_set(&d->error, "starting side %c: %s", s->name, strerror(errno));
		close(ends[0]);
		return false;
	}
	return true;
}

static int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return STATUS_SELF;
	return WIFSIGNALED(status) ? STATUS_SIGNAL + WTERMSIG(status) : WEXITSTATUS(status);
}

static void end(struct side *s)
{
	if (s->trace)
		fclose(s->trace);
	s->trace = NULL;
	if (s->pid > 0) {
		kill(s->pid, SIGTERM);
		s->status = wait_for(s->pid);
	}
	s->pid = 0;
}

static void next(struct side *s)
{
	s->ended = getline(&s->line, &s->size, s->trace) < 0;
}

/* ---- verdict ---- */

static void remember(struct diff *d)
{
	char **place = &d->history[d->events % HISTORY];
	char *taken = d->side[0].line;

	free(*place);
	*place = taken;
	d->side[0].line = NULL;
	d->side[0].size = 0;
	d->events++;
}

static void print_next(const struct side *s)
{
	if (s->ended)
		fprintf(stderr, "%c (%s): no event any more\n", s->name, s->spec);
	else
		fprintf(stderr, "%c (%s): %s", s->name, s->spec, s->line);
}

/* The machine of one side behind the event that differs. */
static void print_machine(const struct diff *d, const struct side *s)
{
	pid_t pid;

	fprintf(stderr, "\nplex86: diff: side %c (%s) at event %llu:\n", s->name, s->spec,
		(unsigned long long)d->events + 1);
	fflush(stderr);
	pid = fork();
	if (pid == 0)
		exec_run(d, s, -1, d->events + 1);
	if (pid > 0)
		wait_for(pid);
}

static int report(struct diff *d)
{
	const u64 first = d->events > HISTORY ? d->events - HISTORY : 0;

	for (unsigned i = 0; i < 2; i++)
		end(&d->side[i]);
	fprintf(stderr,
		"plex86: diff: the engines part at event %llu\n"
		"Both had (seconds, CPL, eip, event):\n",
		(unsigned long long)d->events + 1);
	for (u64 i = first; i < d->events; i++)
		fprintf(stderr, "         %s", d->history[i % HISTORY]);
	for (unsigned i = 0; i < 2; i++)
		print_next(&d->side[i]);
	for (unsigned i = 0; i < 2; i++)
		print_machine(d, &d->side[i]);
	return STATUS_DIFFER;
}

static bool is_late(const struct diff *d)
{
	return d->side[0].status == STATUS_LATE || d->side[1].status == STATUS_LATE;
}

/* Hear a side out, whose events nothing can be compared with any more. */
static void drain(struct side *s)
{
	while (!s->ended)
		next(s);
	if (s->pid > 0)
		s->status = wait_for(s->pid);
	s->pid = 0;
}

/* At least one of the traces has come to its end. */
static int judge_end(struct diff *d)
{
	struct side *a = &d->side[0], *b = &d->side[1];
	const bool both = a->ended && b->ended;

	for (unsigned i = 0; i < 2; i++)
		if (d->side[i].ended)
			drain(&d->side[i]);
	/* A run that --timeout ended has no last event of its own; but one that hung is told from
	 * it by the other's having ended by itself. */
	if (!both && !is_late(d))
		return report(d);
	drain(a);
	drain(b);
	if (a->status != b->status) {
		fprintf(stderr,
			"plex86: diff: after %llu equal events a (%s) ended with status %d, b (%s) "
			"with %d\n",
			(unsigned long long)d->events, a->spec, a->status, b->spec, b->status);
		return d->events ? STATUS_DIFFER : STATUS_USAGE;
	}
	if (!d->events) {
		error_set(&d->error, "no event to compare: both ended with status %d", a->status);
		return failed(d, STATUS_USAGE);
	}
	fprintf(stderr, "plex86: diff: %llu events, no difference; %s %d\n",
		(unsigned long long)d->events,
		is_late(d) ? "stopped by --timeout, status" : "both ended with status",
		is_late(d) ? STATUS_LATE : a->status);
	return STATUS_OK;
}

static int compare(struct diff *d)
{
	struct side *a = &d->side[0], *b = &d->side[1];

	if (!start(d, a) || !start(d, b))
		return failed(d, STATUS_SELF);
	for (;;) {
		next(a);
		next(b);
		if (a->ended || b->ended)
			return judge_end(d);
		if (strcmp(a->line, b->line))
			return report(d);
		remember(d);
	}
}

/* An emulated CPU is another than the host's. */
static bool with_emulator(const struct diff *d)
{
	for (unsigned i = 0; i < 2; i++)
		if (!strcmp(d->side[i].words, ENGINE_EMULATOR))
			return true;
	return false;
}

static bool add_common(struct diff *d)
{
	if (!with_emulator(d))
		return true;
	return (add_word(&d->side[0], "--common-cpu") && add_word(&d->side[1], "--common-cpu")) ||
	       error_set(&d->error, "too many variants");
}

static bool parse(struct diff *d, int argc, char **argv, bool *help)
{
	static const struct option options[] = {{"a", required_argument, NULL, 'a'},
						{"b", required_argument, NULL, 'b'},
						{"help", no_argument, NULL, 'h'},
						{NULL, 0, NULL, 0}};
	int option;

	optind = 1;
	while ((option = getopt_long(argc, argv, "+:a:b:h", options, NULL)) != -1) {
		switch (option) {
		case 'a':
			d->side[0].spec = optarg;
			break;
		case 'b':
			d->side[1].spec = optarg;
			break;
		case 'h':
			*help = true;
			return true;
		default:
			return error_set(&d->error, "%s '%s' (see plex86 diff --help)",
					 option == ':' ? "no value for option" : "unknown option",
					 argv[optind - 1]);
		}
	}
	d->arguments = front_arguments(argc, argv, "diff", &d->error);
	return d->arguments && parse_spec(&d->side[0], &d->error) &&
	       parse_spec(&d->side[1], &d->error) && add_common(d);
}

/* What there is to compare with. */
static const char *other_engine(void)
{
	return access("/dev/plex86", F_OK) ? ENGINE_DEFAULT : ENGINE_KMOD;
}

int cmd_diff(int argc, char **argv)
{
	struct diff d = {.side = {{.name = 'a', .spec = ENGINE_DEFAULT},
				  {.name = 'b', .spec = other_engine()}}};
	bool help = false;
	int status;

	if (!parse(&d, argc, argv, &help))
		return failed(&d, STATUS_USAGE);
	if (help) {
		fputs(diff_help, stdout);
		return STATUS_OK;
	}
	status = compare(&d);
	for (unsigned i = 0; i < 2; i++) {
		end(&d.side[i]);
		free(d.side[i].line);
	}
	for (unsigned i = 0; i < HISTORY; i++)
		free(d.history[i]);
	return status;
}
