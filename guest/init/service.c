/*
 * plex86-exec: what guest/build-rootfs puts into a disk image to run the host's command under the
 * image's own init system.
 *
 * Owns: three roles, told apart by the first argument. Freestanding i386, like the init.
 *
 *   plex86-exec            started by plex86-exec.service on the console once the system is up.
 *                          Runs the command of the kernel command line (cmdline.h), keeps its
 *                          status in /run/plex86-status and ends; systemd then powers off.
 *   plex86-exec poweroff   called by systemd-shutdown when all file systems are unmounted or
 *                          read-only: only now gives the kept status to the host, which ends the
 *                          machine. Any other word (reboot, halt), or no status: does nothing.
 *   plex86-exec console    called by root's login shell on the console, if the host gave no command
 *                          and its standard input is no terminal: sets the console up for that and
 *                          tells the host that input may come.
 */
#include "command.h"
#include "syscall.h"

#include <stddef.h>

static const char status_file[] = "/run/plex86-status";

static void keep(int status)
{
	unsigned char byte = (unsigned char)status;
	int fd = syscall3(NR_OPEN, (long)status_file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	if (fd < 0) {
		complain("cannot write", status_file, fd);
		return;
	}
	sys_write(fd, &byte, 1);
	sys_close(fd);
}

static int is(const char *word, const char *name)
{
	while (*name && *word == *name) {
		word++;
		name++;
	}
	return *word == *name;
}

static void report_kept(void)
{
	unsigned char byte;
	int fd = sys_open(status_file, O_RDONLY);

	if (fd < 0)
		return;
	if (sys_read(fd, &byte, 1) == 1)
		report(byte);
}

static int run(char **argv, char **env)
{
	int waited, pid = syscall3(NR_FORK, 0, 0, 0);

	if (pid == 0)
		command_exec(argv[0], argv, env);
	if (pid < 0) {
		complain("cannot fork for", argv[0], pid);
		return STATUS_CANNOT_RUN;
	}
	while (sys_wait4(pid, &waited, 0) != pid)
		;
	return command_status(waited);
}

/* The command has a terminal, but what reads its output is none. */
static void no_colours(char **env)
{
	static char dumb[] = "TERM=dumb";

	for (; *env; env++)
		if (begins(*env, "TERM="))
			*env = dumb;
}

_Noreturn void start(long *stack)
{
	char **argv = (char **)(stack + 1), **env = argv + stack[0] + 1;
	struct cmdline cl;

	if (stack[0] > 1) {
		if (is(argv[1], "poweroff"))
			report_kept();
		if (is(argv[1], "console") && command_read(&cl) == 0)
			console_set(&cl);
		sys_exit(0);
	}
	console_open();
	if (command_read(&cl) < 0) {
		say("plex86-exec: cannot decode plex86.exec= on the kernel command line\n");
		keep(STATUS_BAD_COMMAND);
		sys_exit(0);
	}
	console_set(&cl);
	if (cl.pipe || cl.captured)
		no_colours(env);
	if (cl.argv[0])
		keep(run(cl.argv, env));
	flush();
	sys_exit(0);
}
