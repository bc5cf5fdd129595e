/*
 * A user at a terminal: runs a command on one of its own and follows a script.
 *
 * usage: session COMMAND [ARGUMENT...] <SCRIPT
 * The script's lines are "wait WORDS", until the command's output has them behind what was waited
 * for last, and "type WORDS", which adds the return key. Then whatever comes is read until the
 * command ends. All output goes to standard output; the exit status is the command's.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <utmp.h>

#define PATIENCE_MS 600000 /* for what must happen on a host however slow */
#define OUTPUT_MAX  (1 << 20)

static char output[OUTPUT_MAX];
static size_t used, seen;
static int master;

static _Noreturn void give_up(const char *why, const char *words)
{
	printf("\nsession: %s%s\n", why, words);
	exit(99);
}

/* Read what there is to read; 0 at the end of the output. */
static int read_some(const char *awaited)
{
	struct pollfd p = {.fd = master, .events = POLLIN};
	ssize_t n;

	if (used == OUTPUT_MAX)
		give_up("too much output, waiting for: ", awaited);
	if (poll(&p, 1, PATIENCE_MS) <= 0)
		give_up("nothing more comes, waiting for: ", awaited);
	n = read(master, output + used, OUTPUT_MAX - used);
	/* EIO: nobody has the terminal any more. */
	if (n <= 0)
		return 0;
	fwrite(output + used, 1, n, stdout);
	fflush(stdout);
	used += n;
	return 1;
}

static void wait_for(const char *words)
{
	const char *at;

	while (!(at = memmem(output + seen, used - seen, words, strlen(words))))
		if (!read_some(words))
			give_up("the command has ended, waiting for: ", words);
	seen = at - output + strlen(words);
}

static void type(const char *words)
{
	char line[1024];
	int n = snprintf(line, sizeof(line), "%s\r", words);

	if (n >= (int)sizeof(line) || write(master, line, n) != n)
		give_up("cannot type: ", words);
}

int main(int argc, char **argv)
{
	static char line[1024];
	const struct winsize size = {.ws_row = 24, .ws_col = 200};
	int slave, status;
	pid_t pid;

	if (argc < 2 || openpty(&master, &slave, NULL, NULL, &size))
		return 99;
	pid = fork();
	if (pid == 0) {
		close(master);
		login_tty(slave);
		execvp(argv[1], argv + 1);
		_exit(98);
	}
	close(slave);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		if (!strncmp(line, "wait ", 5))
			wait_for(line + 5);
		else if (!strncmp(line, "type ", 5))
			type(line + 5);
		else
			give_up("what is this: ", line);
	}
	while (read_some("its end"))
		;
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 99;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
