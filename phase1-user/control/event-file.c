/*
 * plex86 run --json: see event-file.h.
 *
 * The descriptor may be shared with others, so it is not made non-blocking: poll() tells when a
 * pipe has room, which is then for PIPE_BUF bytes at least.
 */
#include "event-file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

/* Write as long as there is room, or comes within `patience_ms`. */
static void flush(struct event_file *f, int patience_ms)
{
	struct pollfd p = {.fd = f->source.fd, .events = POLLOUT};

	while (f->len && !f->error && (f->regular || poll(&p, 1, patience_ms) > 0)) {
		const size_t n = f->len < PIPE_BUF ? f->len : PIPE_BUF;
		const ssize_t done = write(f->source.fd, f->data, n);

		if (done < 0 && (errno == EINTR || errno == EAGAIN))
			return;
		if (done < 0) {
			f->error = errno;
			return;
		}
		f->len -= done;
		memmove(f->data, f->data + done, f->len);
	}
}

static void ready(struct loop_source *source, u32 events)
{
	struct event_file *f =
		(struct event_file *)((char *)source - offsetof(struct event_file, source));

	(void)events;
	flush(f, 0);
	if (!f->len || f->error)
		loop_unwatch(f->loop, source);
}

static void hear(struct event_listener *listener, const char *line, size_t len)
{
	struct event_file *f =
		(struct event_file *)((char *)listener - offsetof(struct event_file, listener));

	if (f->error)
		return;
	if (len > sizeof(f->data) - f->len) {
		f->error = ENOBUFS;
		return;
	}
	memcpy(f->data + f->len, line, len);
	f->len += len;
	flush(f, 0);
	if (f->len && !f->error)
		loop_watch(f->loop, &f->source, EPOLLOUT);
}

/* fd:N, which the processes that run the guest are not to have. */
static int take_descriptor(const char *number)
{
	char *end;
	const long fd = strtol(number, &end, 10);
	int flags;

	if (number[0] < '0' || number[0] > '9' || *end || fd > INT_MAX) {
		errno = EINVAL;
		return -1;
	}
	flags = fcntl((int)fd, F_GETFL);
	if (flags < 0)
		return -1;
	if ((flags & O_ACCMODE) == O_RDONLY) {
		errno = EBADF;
		return -1;
	}
	if (fd > STDERR_FILENO)
		fcntl((int)fd, F_SETFD, FD_CLOEXEC);
	return fcntl((int)fd, F_DUPFD_CLOEXEC, 3);
}

struct event_file *event_file_open(const char *where, struct error *e)
{
	struct event_file *f = calloc(1, sizeof(*f));
	struct stat st;

	if (!f) {
		error_set(e, "events '%s': out of memory", where);
		return NULL;
	}
	f->source.fd =
		!strncmp(where, "fd:", 3)
			? take_descriptor(where + 3)
			: open(where, O_WRONLY | O_CREAT | O_TRUNC | O_NOCTTY | O_CLOEXEC, 0666);
	if (f->source.fd < 0) {
		error_set(e, "events '%s': %s (--json takes a file or fd:N)", where,
			  strerror(errno));
		free(f);
		return NULL;
	}
	f->regular = !fstat(f->source.fd, &st) && S_ISREG(st.st_mode);
	f->source.ready = ready;
	f->listener.hear = hear;
	return f;
}

void event_file_start(struct event_file *f, struct loop *loop, struct events *events)
{
	f->loop = loop;
	events_listen(events, &f->listener);
}

int event_file_finish(struct event_file *f, int patience_ms)
{
	int error;

	loop_lock(f->loop);
	loop_unwatch(f->loop, &f->source);
	flush(f, patience_ms);
	if (f->len && !f->error)
		f->error = ENOBUFS;
	error = f->error;
	f->error = error ? error : ESHUTDOWN; /* deaf from now on */
	loop_unlock(f->loop);
	return error;
}

void event_file_close(struct event_file *f)
{
	close(f->source.fd);
	free(f);
}
