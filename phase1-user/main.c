/*
 * plex86: the command line. Finds the sub-command and calls it.
 */
#include <stdio.h>
#include <string.h>
#include "cmd.h"
#include "error.h"

static const char help[] =
	"usage: plex86 COMMAND [OPTION...]\n"
	"\n"
	"plex86 runs 32-bit x86 operating systems in ordinary Linux processes, without help from the\n"
	"host's kernel and without root: kernels built to be friendly to it run natively.\n"
	"\n"
	"Commands:\n"
	"  run       run a guest; the terminal is its console\n"
	"  snapshot  save a running guest into a file\n"
	"  resume    go on with a guest that was saved\n"
	"  ps        list your running guests\n"
	"  stop      power guests off\n"
	"  pause     have a guest stand still\n"
	"  continue  let it go on\n"
	"  stat      show what a guest makes plex86 do\n"
	"  control   send requests to a guest's control socket (JSON)\n"
	"  diff      run a guest on two engines and find where they part\n"
	"  doctor    tell what this host offers to plex86, what is missing and how to fix it\n"
	"  help      show this text, or that of a command: plex86 help run\n"
	"  version   show the version\n"
	"\n"
	"plex86 COMMAND --help says more about each.\n"
	"\n"
	"Examples:\n"
	"  plex86 run -k 6.1 -i build/guest/initramfs.cpio.gz\n"
	"  plex86 run --image bookworm -- systemctl is-system-running --wait\n";

static int usage_error(const char *what, const char *word)
{
	fprintf(stderr, "plex86: %s '%s' (see plex86 --help)\n", what, word);
	return STATUS_USAGE;
}

static int show(const char *text)
{
	fputs(text, stdout);
	return STATUS_OK;
}

static int cmd_help(int argc, char **argv)
{
	static const struct {
		const char *name, *text;
	} topics[] = {
		{"run", run_help},	     {"ps", ps_help},	      {"stop", stop_help},
		{"stat", stat_help},	     {"pause", pause_help},   {"continue", continue_help},
		{"snapshot", snapshot_help}, {"resume", resume_help}, {"control", control_help},
		{"diff", diff_help},	     {"doctor", doctor_help},
	};

	if (argc < 2)
		return show(help);
	if (argc > 2)
		return usage_error("unexpected", argv[2]);
	for (size_t i = 0; i < sizeof(topics) / sizeof(topics[0]); i++)
		if (!strcmp(argv[1], topics[i].name))
			return show(topics[i].text);
	return usage_error("no help on", argv[1]);
}

static int is(const char *word, const char *name, const char *option)
{
	return !strcmp(word, name) || (option && !strcmp(word, option));
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "plex86: no command given (see plex86 --help)\n");
		return STATUS_USAGE;
	}
	if (is(argv[1], "run", NULL))
		return cmd_run(argc - 1, argv + 1, argv);
	if (is(argv[1], "resume", NULL))
		return cmd_resume(argc - 1, argv + 1, argv);
	if (is(argv[1], "snapshot", NULL))
		return cmd_snapshot(argc - 1, argv + 1);
	if (is(argv[1], "ps", NULL))
		return cmd_ps(argc - 1, argv + 1);
	if (is(argv[1], "stop", NULL))
		return cmd_stop(argc - 1, argv + 1);
	if (is(argv[1], "stat", NULL))
		return cmd_stat(argc - 1, argv + 1);
	if (is(argv[1], "pause", NULL))
		return cmd_pause(argc - 1, argv + 1);
	if (is(argv[1], "continue", NULL))
		return cmd_continue(argc - 1, argv + 1);
	if (is(argv[1], "control", NULL))
		return cmd_control(argc - 1, argv + 1);
	if (is(argv[1], "diff", NULL))
		return cmd_diff(argc - 1, argv + 1);
	if (is(argv[1], "doctor", NULL))
		return cmd_doctor(argc - 1, argv + 1);
	if (is(argv[1], "help", "--help") || is(argv[1], "-h", NULL))
		return cmd_help(argc - 1, argv + 1);
	if (is(argv[1], "version", "--version")) {
		if (argc > 2)
			return usage_error("unexpected", argv[2]);
		return cmd_version();
	}
	return usage_error(argv[1][0] == '-' ? "unknown option" : "unknown command", argv[1]);
}
