/*
 * The user's terminal: see terminal.h.
 */
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where the guardian keeps what it holds. */
#define GUARD_PIPE 0
#define GUARD_TTY  1

static void ignore_signals(void)
{
	/* SIGTTOU: setting the modes from a background process group would stop it. */
	static const int ignored[] = {SIGHUP,  SIGINT,	SIGQUIT, SIGTERM, SIGTTOU,
				      SIGTTIN, SIGTSTP, SIGPIPE, SIGUSR1, SIGUSR2};

	for (unsigned i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		signal(ignored[i], SIG_IGN);
}

/* Wait for plex86's end. Holds nothing but the pipe and the terminal. */
static void guard(const struct terminal *t, int pipe_fd)
{
	char goodbye;
	ssize_t n;

	ignore_signals();
	setpgid(0, 0);
	prctl(PR_SET_NAME, "plex86-tty");
	/* The pipe's number may be GUARD_TTY, hence the order by way of high numbers. */
	if (dup2(pipe_fd, 1000) < 0 || dup2(t->fd, 1001) < 0 || dup2(1000, GUARD_PIPE) < 0 ||
	    dup2(1001, GUARD_TTY) < 0)
		_exit(1);
	close_range(2, ~0u, 0);
	do {
		n = read(GUARD_PIPE, &goodbye, 1);
	} while (n < 0 && errno == EINTR);
	if (n != 1)
		tcsetattr(GUARD_TTY, TCSANOW, &t->saved);
	_exit(0);
}

static bool start_guardian(struct terminal *t, struct error *e)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return error_set(e, "terminal: creating a pipe: %s", strerror(errno));
	t->guardian = fork();
	if (t->guardian == 0) {
		close(fds[1]);
		guard(t, fds[0]);
	}
	close(fds[0]);
	if (t->guardian < 0) {
		close(fds[1]);
		return error_set(e, "terminal: starting its guardian: %s", strerror(errno));
	}
	t->guardian_fd = fds[1];
	return true;
}

bool terminal_make_raw(struct terminal *t, int fd, struct error *e)
{
	struct termios raw;

	*t = (struct terminal){.fd = fd};
	if (tcgetattr(fd, &t->saved))
		return error_set(e, "terminal: reading its modes: %s", strerror(errno));
	if (!start_guardian(t, e))
		return false;
	raw = t->saved;
	cfmakeraw(&raw);
	/* What the guest says goes elsewhere, and perhaps back here through a pager or tee. */
	if (!isatty(STDOUT_FILENO))
		raw.c_oflag = t->saved.c_oflag;
	/* A read must never block, whoever else reads this terminal. */
	raw.c_cc[VMIN] = 0;
	raw.c_cc[VTIME] = 0;
	t->raw = true;
	if (tcsetattr(fd, TCSANOW, &raw)) {
		error_set(e, "terminal: setting raw mode: %s", strerror(errno));
		terminal_restore(t);
		return false;
	}
	return true;
}

void terminal_restore(struct terminal *t)
{
	if (!t->raw)
		return;
	t->raw = false;
	/* Not TCSADRAIN: that would wait for a reader who may have gone. */
	tcsetattr(t->fd, TCSANOW, &t->saved);
	while (write(t->guardian_fd, "", 1) < 0 && errno == EINTR)
		;
	close(t->guardian_fd);
	while (waitpid(t->guardian, NULL, 0) < 0 && errno == EINTR)
		;
}
