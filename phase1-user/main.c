/*
 * plex86: the command line. Finds the sub-command and calls it.
 */
#include <stdio.h>
#include <string.h>
#include "cmd/cmd.h"
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
	"  trace     run a guest and write down every virtualization event\n"
	"  profile   run a guest and find out where its kernel spends its time\n"
	"  diff      run a guest on two engines and find where they part\n"
	"  replay    run a recorded guest again, event by event\n"
	"  doctor    tell what this host offers to plex86, what is missing and how to fix it\n"
	"  help      show this text, or that of a command: plex86 help run\n"
	"  version   show the version and what was compiled in\n"
	"\n"
	"plex86 COMMAND --help says more about each.\n"
	"\n"
	"Examples:\n"
	"  plex86 run -k 6.1 -i build/guest/initramfs.cpio.gz\n"
	"  plex86 run --image bookworm -- systemctl is-system-running --wait\n";

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	int (*run_all)(int argc, char **argv,
		       char **all_argv); /* instead: wants main()'s as well */
	const char *help;
} commands[] = {
	{"run", NULL, cmd_run, run_help},
	{"snapshot", cmd_snapshot, NULL, snapshot_help},
	{"resume", NULL, cmd_resume, resume_help},
	{"ps", cmd_ps, NULL, ps_help},
	{"stop", cmd_stop, NULL, stop_help},
	{"pause", cmd_pause, NULL, pause_help},
	{"continue", cmd_continue, NULL, continue_help},
	{"stat", cmd_stat, NULL, stat_help},
	{"control", cmd_control, NULL, control_help},
	{"trace", NULL, cmd_trace, trace_help},
	{"profile", NULL, cmd_profile, profile_help},
	{"diff", cmd_diff, NULL, diff_help},
	{"replay", NULL, cmd_replay, replay_help},
	{"doctor", cmd_doctor, NULL, doctor_help},
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

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
	if (argc < 2)
		return show(help);
	if (argc > 2)
		return usage_error("unexpected", argv[2]);
	for (size_t i = 0; i < COMMANDS; i++)
		if (!strcmp(argv[1], commands[i].name))
			return show(commands[i].help);
	return usage_error("no help on", argv[1]);
}

static int is(const char *word, const char *name, const char *option)
{
	return !strcmp(word, name) || !strcmp(word, option);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "plex86: no command given (see plex86 --help)\n");
		return STATUS_USAGE;
	}
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(argv[1], commands[i].name))
			continue;
		if (commands[i].run_all)
			return commands[i].run_all(argc - 1, argv + 1, argv);
		return commands[i].run(argc - 1, argv + 1);
	}
	if (is(argv[1], "help", "--help") || !strcmp(argv[1], "-h"))
		return cmd_help(argc - 1, argv + 1);
	if (is(argv[1], "version", "--version")) {
		if (argc > 2)
			return usage_error("unexpected", argv[2]);
		return cmd_version();
	}
	return usage_error(argv[1][0] == '-' ? "unknown option" : "unknown command", argv[1]);
}
