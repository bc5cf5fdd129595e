/*
 * The guest's console: see console.h.
 *
 * Input: a terminal is always read, so that Ctrl-A works although the guest does not read; what
 * then exceeds the queue is dropped, as by a terminal. A pipe is read only while the queue is
 * empty. A regular file cannot be waited for, nor need it be: it is read when the guest has room.
 */
#include "console.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include "terminal.h"

#define OUT_SIZE  65536u /* a power of two */
#define IN_SIZE	  32768u
#define READ_MAX  4096u	 /* quoting makes at most 4 of each byte */
#define GATHER_NS 500000 /* how long output waits for more: one write, not one for each byte */
#define SEGMENT	  1024u	 /* a Linux tty loses what exceeds 4095 bytes of one line */

#define CTRL_A 0x01
#define CTRL_D 0x04
#define CTRL_V 0x16
#define DELETE 0x7f

static const char help[] = "\nplex86: Ctrl-A x  leave: end the guest\n"
			   "        Ctrl-A s  show statistics\n"
			   "        Ctrl-A a  send Ctrl-A to the guest\n"
			   "        Ctrl-A h  this help\n";

struct console {
	struct loop *loop;
	struct console_config config;
	struct console_target *target;
	struct terminal terminal;
	struct loop_source in;
	bool is_terminal, is_file, eof;
	bool has_peers;	  /* the target is a socket or a pty: somebody may be there or not */
	bool command;	  /* Ctrl-A was typed: the next byte is a command */
	unsigned segment; /* bytes since the last end of line, when quoting */
	u8 input[IN_SIZE];
	size_t input_len;

	pthread_t writer;
	bool writing; /* the thread exists */
	bool closing, discard;
	bool idle; /* the writer has nothing in hand */
	int stale; /* a socket to be closed when the writer is done with it, or -1 */
	pthread_cond_t filled, emptied;
	u32 head, tail; /* bytes ever queued and taken */
	u8 output[OUT_SIZE];
};

/* ---- output ---- */

static int write_all(int fd, const u8 *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EAGAIN) {
			struct pollfd p = {.fd = fd, .events = POLLOUT};

			if (poll(&p, 1, -1) > 0 && !(p.revents & POLLOUT))
				return EPIPE;
			continue;
		}
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno;
		data += n;
		len -= n;
	}
	return 0;
}

/* Take up to `size` bytes from the queue. */
static size_t take_output(struct console *c, u8 *data, size_t size)
{
	size_t n = 0;

	while (n < size && c->tail != c->head)
		data[n++] = c->output[c->tail++ % OUT_SIZE];
	return n;
}

static void output_failed(struct console *c, int error)
{
	c->discard = true;
	c->tail = c->head;
	c->config.event(c->config.owner, CONSOLE_LOST, error);
}

static void close_stale(struct console *c)
{
	if (c->stale >= 0)
		close(c->stale);
	c->stale = -1;
}

static void *writer_thread(void *arg)
{
	static const struct timespec gather = {0, GATHER_NS};
	struct console *c = arg;
	u8 data[16384];

	loop_lock(c->loop);
	for (;;) {
		size_t n;
		int fd, error;

		while (c->head == c->tail && !c->closing)
			pthread_cond_wait(&c->filled, &c->loop->lock);
		if (c->head == c->tail)
			break;
		c->idle = false;
		if (!c->closing && c->head - c->tail < sizeof(data)) {
			loop_unlock(c->loop);
			nanosleep(&gather, NULL);
			loop_lock(c->loop);
		}
		n = take_output(c, data, sizeof(data));
		fd = c->target->out;
		pthread_cond_broadcast(&c->emptied);
		loop_unlock(c->loop);
		error = fd < 0 ? 0 : write_all(fd, data, n);
		loop_lock(c->loop);
		c->idle = true;
		close_stale(c);
		/* Of a peer that has gone the I/O thread hears, too. */
		if (error && !c->has_peers)
			output_failed(c, error);
		pthread_cond_broadcast(&c->emptied);
	}
	loop_unlock(c->loop);
	return NULL;
}

void console_write(struct console *c, const u8 *data, size_t len)
{
	while (len) {
		while (c->head - c->tail == OUT_SIZE && !c->discard)
			pthread_cond_wait(&c->emptied, &c->loop->lock);
		if (c->discard)
			return;
		if (c->head == c->tail)
			pthread_cond_signal(&c->filled);
		c->output[c->head++ % OUT_SIZE] = *data++;
		len--;
	}
}

void console_give_up(struct console *c)
{
	c->discard = true;
	pthread_cond_broadcast(&c->emptied);
}

void console_message(struct console *c, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n' && c->terminal.raw)
			fputc('\r', stderr);
		fputc(*text, stderr);
	}
	fflush(stderr);
}

/* ---- input ---- */

static void queue_input(struct console *c, u8 byte)
{
	if (c->input_len < IN_SIZE)
		c->input[c->input_len++] = byte;
}

/* A byte from a pipe, made safe from the guest's line discipline. */
static void queue_quoted(struct console *c, u8 byte)
{
	if (byte == '\n') {
		c->segment = 0;
		queue_input(c, byte);
		return;
	}
	if ((byte < 0x20 && byte != '\t') || byte == DELETE)
		queue_input(c, CTRL_V);
	queue_input(c, byte);
	/* Behind other bytes ^D is no end of file: it hands over an incomplete line. */
	if (++c->segment == SEGMENT) {
		queue_input(c, CTRL_D);
		c->segment = 0;
	}
}

static void input_ended(struct console *c)
{
	c->eof = true;
	loop_unwatch(c->loop, &c->in);
	if (!c->config.quote_pipe || c->is_terminal || c->has_peers)
		return;
	if (c->segment)
		queue_input(c, CTRL_D);
	queue_input(c, CTRL_D);
}

static void run_command(struct console *c, u8 byte)
{
	switch (byte) {
	case 'x':
	case 'X':
		c->config.event(c->config.owner, CONSOLE_QUIT, 0);
		break;
	case 's':
	case 'S':
		c->config.event(c->config.owner, CONSOLE_STATS, 0);
		break;
	case 'a':
	case CTRL_A:
		queue_input(c, CTRL_A);
		break;
	case 'h':
	case '?':
		console_message(c, help);
		break;
	}
}

static void queue_typed(struct console *c, u8 byte)
{
	if (c->command) {
		c->command = false;
		run_command(c, byte);
	} else if (byte == CTRL_A) {
		c->command = true;
	} else {
		queue_input(c, byte);
	}
}

/* Read once and queue it. False at the end of input, which a terminal has only if it is gone. */
static bool read_input(struct console *c, bool gone)
{
	u8 data[READ_MAX];
	ssize_t n = read(c->in.fd, data, sizeof(data));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n == 0 && c->is_terminal && !gone)
		return true;
	if (n <= 0) {
		input_ended(c);
		return false;
	}
	for (ssize_t i = 0; i < n; i++) {
		if (c->is_terminal)
			queue_typed(c, data[i]);
		else if (c->config.quote_pipe && !c->has_peers)
			queue_quoted(c, data[i]);
		else
			queue_input(c, data[i]);
	}
	return true;
}

static void give_input(struct console *c)
{
	size_t n = c->config.room(c->config.owner);

	if (n > c->input_len)
		n = c->input_len;
	if (n == 0)
		return;
	n = c->config.receive(c->config.owner, c->input, n);
	c->input_len -= n;
	memmove(c->input, c->input + n, c->input_len);
}

/* Pass on what is queued, and see to it that more is read when there is room for it. */
static void move_input(struct console *c)
{
	give_input(c);
	while (c->is_file && !c->eof && c->input_len == 0 && c->config.room(c->config.owner)) {
		read_input(c, false);
		give_input(c);
	}
	if (c->eof || c->is_file || c->is_terminal)
		return;
	/* Of a peer that goes we want to hear in any case. */
	if (c->has_peers)
		loop_watch(c->loop, &c->in, c->input_len ? 0 : EPOLLIN);
	else if (c->input_len)
		loop_unwatch(c->loop, &c->in);
	else if (!c->in.watched)
		loop_watch(c->loop, &c->in, EPOLLIN);
}

/* ---- peers ---- */

static void peer_came(void *owner)
{
	struct console *c = owner;

	c->in.fd = c->target->in;
	c->eof = false;
	c->config.event(c->config.owner, CONSOLE_RESIZED, 0);
	move_input(c);
}

static void peer_went(struct console *c)
{
	loop_unwatch(c->loop, &c->in);
	c->eof = true;
	/* The writer may be at it still: then it closes it. */
	if (c->target->kind == TARGET_SOCKET && (c->idle || c->stale >= 0))
		close(c->in.fd);
	else if (c->target->kind == TARGET_SOCKET)
		c->stale = c->in.fd;
	console_target_wait(c->target);
}

static void peer_ready(struct console *c, u32 events)
{
	const bool gone = events & (EPOLLHUP | EPOLLERR);
	bool more = false;

	/* What a peer has sent before it went is read now or never. */
	do {
		more = (gone || (events & EPOLLIN)) && read_input(c, false);
	} while (gone && more && c->input_len + READ_MAX <= IN_SIZE);
	if (c->target->kind == TARGET_PTY && more)
		c->config.event(c->config.owner, CONSOLE_RESIZED, 0);
	if (gone)
		peer_went(c);
	else if (!more)
		/* It will send no more, but may still want to read. */
		loop_watch(c->loop, &c->in, 0);
	move_input(c);
}

static void input_ready(struct loop_source *source, u32 events)
{
	struct console *c = (struct console *)((char *)source - offsetof(struct console, in));

	if (c->has_peers) {
		peer_ready(c, events);
		return;
	}
	if (c->is_terminal && c->input_len > IN_SIZE - READ_MAX)
		c->input_len = IN_SIZE - READ_MAX;
	read_input(c, events & (EPOLLHUP | EPOLLERR));
	move_input(c);
}

void console_drained(struct console *c)
{
	move_input(c);
}

/* ---- beginning and end ---- */

struct console *console_open(struct loop *loop, const struct console_config *config,
			     struct error *e)
{
	struct console *c = calloc(1, sizeof(*c));
	pthread_condattr_t clock;

	if (!c) {
		error_set(e, "console: out of memory");
		return NULL;
	}
	c->loop = loop;
	c->config = *config;
	c->idle = true;
	c->stale = -1;
	c->target = config->target;
	c->has_peers = console_target_has_peers(c->target);
	c->in.fd = c->target->in;
	c->in.ready = input_ready;
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&c->filled, NULL);
	pthread_cond_init(&c->emptied, &clock);
	pthread_condattr_destroy(&clock);
	c->is_terminal = c->target->kind == TARGET_STDIO && isatty(STDIN_FILENO);
	if (c->is_terminal && !terminal_make_raw(&c->terminal, STDIN_FILENO, e)) {
		free(c);
		return NULL;
	}
	return c;
}

/* Wait for input, or for a peer. */
static bool watch_input(struct console *c)
{
	if (c->has_peers) {
		c->eof = true;
		c->target->loop = c->loop;
		c->target->connected = peer_came;
		c->target->owner = c;
		return console_target_wait(c->target);
	}
	if (c->target->in < 0) {
		c->eof = true;
	} else if (!loop_watch(c->loop, &c->in, EPOLLIN)) {
		/* EPERM: a regular file. EBADF: closed, that is at its end. */
		c->is_file = errno == EPERM;
		c->eof = !c->is_file;
	}
	return true;
}

bool console_size(const struct console *c, unsigned *columns, unsigned *rows)
{
	const struct console_target *t = c->target;
	struct winsize size;

	if (t->kind == TARGET_PTY
		    ? ioctl(t->held, TIOCGWINSZ, &size)
		    : t->kind != TARGET_STDIO || (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) &&
						  ioctl(STDOUT_FILENO, TIOCGWINSZ, &size)))
		return false;
	*columns = size.ws_col;
	*rows = size.ws_row;
	return true;
}

bool console_start(struct console *c, struct error *e)
{
	bool ok;
	int error = pthread_create(&c->writer, NULL, writer_thread, c);

	if (error)
		return error_set(e, "console: starting its thread: %s", strerror(error));
	c->writing = true;
	loop_lock(c->loop);
	ok = watch_input(c);
	if (ok)
		move_input(c);
	else
		error_set(e, "console: waiting for somebody: %s", strerror(errno));
	loop_unlock(c->loop);
	return ok;
}

static struct timespec deadline_in(int ms)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	t.tv_sec += ms / 1000;
	t.tv_nsec += ms % 1000 * 1000000l;
	if (t.tv_nsec >= 1000000000) {
		t.tv_nsec -= 1000000000;
		t.tv_sec++;
	}
	return t;
}

/* True if all output has been written. */
static bool drain(struct console *c, int patience_ms)
{
	const struct timespec end = deadline_in(patience_ms > 0 ? patience_ms : 0);
	bool late = false;

	c->closing = true;
	pthread_cond_signal(&c->filled);
	while ((c->head != c->tail || !c->idle) && !late) {
		if (patience_ms >= 0)
			late = pthread_cond_timedwait(&c->emptied, &c->loop->lock, &end) != 0;
		else if (c->discard)
			late = true;
		else
			pthread_cond_wait(&c->emptied, &c->loop->lock);
	}
	return !late;
}

bool console_close(struct console *c, int patience_ms)
{
	bool drained;

	loop_lock(c->loop);
	drained = !c->writing || drain(c, patience_ms);
	c->eof = true;
	loop_unwatch(c->loop, &c->in);
	loop_unlock(c->loop);
	terminal_restore(&c->terminal);
	if (!drained)
		return false;
	if (c->writing)
		pthread_join(c->writer, NULL);
	close_stale(c);
	if (c->target->waiter.watched)
		loop_unwatch(c->loop, &c->target->waiter);
	/* The I/O thread may still hold an event of our source: it must end first. */
	loop_stop(c->loop);
	free(c);
	return true;
}
