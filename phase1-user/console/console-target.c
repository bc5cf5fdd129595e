/*
 * Where the guest's console goes: see console-target.h.
 *
 * A pty's master shows by POLLHUP that nobody has its terminal open, but not that somebody opens
 * it: hence the timer.
 */
#include "console-target.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <unistd.h>
#include "listen.h"

#define LOOK_NS 50000000 /* between two looks whether a pty's terminal is open */

static bool open_file(struct console_target *t, const char *path, struct error *e)
{
	t->kind = TARGET_FILE;
	t->out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_CLOEXEC, 0666);
	if (t->out < 0)
		return error_set(e, "console '%s': %s", path, strerror(errno));
	return true;
}

static bool open_socket(struct console_target *t, const char *spec, struct error *e)
{
	t->kind = TARGET_SOCKET;
	t->held = listen_unix(&t->address, spec + strlen("unix:"), LISTEN_MODE_ANY, "console", spec,
			      e);
	return t->held >= 0;
}

/* What is typed at the terminal is the guest's to interpret. */
static bool make_terminal_raw(const char *name)
{
	int fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	struct termios raw;
	bool ok;

	if (fd < 0)
		return false;
	ok = !tcgetattr(fd, &raw);
	cfmakeraw(&raw);
	ok = ok && !tcsetattr(fd, TCSANOW, &raw);
	close(fd);
	return ok;
}

static bool open_pty(struct console_target *t, struct error *e)
{
	t->kind = TARGET_PTY;
	t->held = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (t->held < 0 || grantpt(t->held) || unlockpt(t->held) ||
	    ptsname_r(t->held, t->name, sizeof(t->name)) || !make_terminal_raw(t->name))
		return error_set(e, "console 'pty': %s", strerror(errno));
	return true;
}

bool console_target_open(struct console_target *t, const char *spec, struct error *e)
{
	memset(t, 0, sizeof(*t));
	t->in = t->out = t->held = t->waiter.fd = -1;
	if (!spec) {
		t->in = STDIN_FILENO;
		t->out = STDOUT_FILENO;
		return true;
	}
	if (!spec[0])
		return error_set(e, "console '': neither a file, nor unix:PATH, nor pty");
	if (!strcmp(spec, "pty"))
		return open_pty(t, e);
	if (!strncmp(spec, "unix:", 5))
		return open_socket(t, spec, e);
	return open_file(t, spec, e);
}

/* ---- peers ---- */

static struct console_target *target_of(struct loop_source *waiter)
{
	return (struct console_target *)((char *)waiter - offsetof(struct console_target, waiter));
}

static void client_ready(struct loop_source *source, u32 events)
{
	struct console_target *t = target_of(source);
	int fd = accept4(t->held, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0)
		return;
	/* Others wait in the backlog until this one leaves. */
	loop_unwatch(t->loop, &t->waiter);
	t->in = t->out = fd;
	t->connected(t->owner);
}

static void look_at_pty(struct loop_source *source, u32 events)
{
	struct console_target *t = target_of(source);
	struct pollfd p = {.fd = t->held};
	u64 expirations;

	(void)events;
	if (read(source->fd, &expirations, sizeof(expirations)) != sizeof(expirations))
		return;
	if (t->in >= 0 || (poll(&p, 1, 0) > 0 && (p.revents & POLLHUP)))
		return;
	loop_unwatch(t->loop, &t->waiter);
	t->in = t->out = t->held;
	t->connected(t->owner);
}

static bool make_timer(struct console_target *t)
{
	const struct itimerspec often = {{0, LOOK_NS}, {0, LOOK_NS}};

	if (t->waiter.fd >= 0)
		return true;
	t->waiter.ready = look_at_pty;
	t->waiter.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return t->waiter.fd >= 0 && !timerfd_settime(t->waiter.fd, 0, &often, NULL);
}

bool console_target_wait(struct console_target *t)
{
	t->in = t->out = -1;
	if (t->kind == TARGET_PTY)
		return make_timer(t) && loop_watch(t->loop, &t->waiter, EPOLLIN);
	t->waiter.fd = t->held;
	t->waiter.ready = client_ready;
	return loop_watch(t->loop, &t->waiter, EPOLLIN);
}

void console_target_close(struct console_target *t)
{
	if (t->kind == TARGET_SOCKET && t->in >= 0)
		close(t->in);
	if (t->kind == TARGET_PTY && t->waiter.fd >= 0)
		close(t->waiter.fd);
	if (t->kind == TARGET_FILE && t->out >= 0)
		close(t->out);
	if (console_target_has_peers(t) && t->held >= 0)
		close(t->held);
	if (t->kind == TARGET_SOCKET && t->address.sun_path[0])
		unlink(t->address.sun_path);
	t->held = -1;
}
