/*
 * The control socket: see control.h.
 */
#include "control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define CLIENTS	    8
#define REQUEST_MAX 256
#define ANSWER_MAX  16384

struct control_client {
	struct control *control;
	struct loop_source source; /* fd -1: free */
	u64 last;		   /* of the requests of all clients, the number of its last one */
	bool awaits_end;
	char in[REQUEST_MAX];
	size_t in_len;
	char out[ANSWER_MAX];
	size_t out_len, out_done;
	bool overflow; /* an answer did not fit */
};

struct control {
	struct control_dir dir;
	char name[CONTROL_NAME_MAX + 1];
	struct loop_source listener;
	struct loop *loop;
	struct machine *machine;
	u64 requests;
	struct control_client client[CLIENTS];
};

/* ---- clients ---- */

static void hang_up(struct control_client *client)
{
	loop_unwatch(client->control->loop, &client->source);
	close(client->source.fd);
	client->source.fd = -1;
}

/* Send what the socket takes. False: the client is gone. */
static bool send_answer(struct control_client *client)
{
	while (client->out_done < client->out_len) {
		ssize_t n = send(client->source.fd, client->out + client->out_done,
				 client->out_len - client->out_done, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		client->out_done += n;
	}
	client->out_len = client->out_done = 0;
	return true;
}

/* The first request in the buffer, cut out of it into `line`; false if none is complete. */
static bool take_request(struct control_client *client, char line[REQUEST_MAX])
{
	char *end = memchr(client->in, '\n', client->in_len);
	size_t n;

	if (!end)
		return false;
	n = end - client->in;
	memcpy(line, client->in, n);
	line[n] = '\0';
	client->in_len -= n + 1;
	memmove(client->in, end + 1, client->in_len);
	return true;
}

/* False: the client has gone. */
static bool read_requests(struct control_client *client)
{
	ssize_t n = recv(client->source.fd, client->in + client->in_len,
			 sizeof(client->in) - client->in_len, 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	client->in_len += n;
	return n > 0;
}

/* One request at a time, so that a client with many does not keep the devices' lock. */
static bool serve(struct control_client *client, u32 events)
{
	struct control *c = client->control;
	char line[REQUEST_MAX];

	if ((events & EPOLLOUT) && !send_answer(client))
		return false;
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !read_requests(client))
		return false;
	if (!client->out_len && take_request(client, line)) {
		client->last = ++c->requests;
		control_run_command(c, client, line);
		if (client->overflow || !send_answer(client))
			return false;
	}
	/* More to send or to answer: come back when there is room for it. */
	if (client->out_len || memchr(client->in, '\n', client->in_len))
		return loop_watch(c->loop, &client->source, EPOLLOUT);
	if (client->in_len == sizeof(client->in))
		return false;
	return loop_watch(c->loop, &client->source, EPOLLIN);
}

static void client_ready(struct loop_source *source, u32 events)
{
	struct control_client *client =
		(struct control_client *)((char *)source - offsetof(struct control_client, source));

	if (!serve(client, events))
		hang_up(client);
}

void control_reply(struct control_client *client, const char *format, ...)
{
	const size_t room = sizeof(client->out) - client->out_len;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(client->out + client->out_len, room, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= room)
		client->overflow = true;
	else
		client->out_len += n;
}

void control_await_end(struct control_client *client)
{
	client->awaits_end = true;
}

/* ---- the socket ---- */

/* A free place, or that of the client which was silent longest. */
static struct control_client *make_place(struct control *c)
{
	struct control_client *oldest = &c->client[0];

	for (unsigned i = 0; i < CLIENTS; i++) {
		struct control_client *client = &c->client[i];

		if (client->source.fd < 0)
			return client;
		/* Whoever waits for the end is silent for a reason. */
		if (client->awaits_end == oldest->awaits_end ? client->last < oldest->last
							     : oldest->awaits_end)
			oldest = client;
	}
	hang_up(oldest);
	return oldest;
}

static bool is_our_user(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) && peer.uid == geteuid();
}

static void connection_ready(struct loop_source *source, u32 events)
{
	struct control *c = (struct control *)((char *)source - offsetof(struct control, listener));
	int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct control_client *client;

	(void)events;
	if (fd < 0)
		return;
	if (!is_our_user(fd)) {
		close(fd);
		return;
	}
	client = make_place(c);
	*client = (struct control_client){
		.control = c,
		.source = {.fd = fd, .ready = client_ready},
		.last = ++c->requests,
	};
	if (!loop_watch(c->loop, &client->source, EPOLLIN))
		hang_up(client);
}

/* "linux-6.1-4711": of .../linux-6.1/vmlinux the directory tells more than the file. */
static void derive_name(char *name, size_t size, const char *after)
{
	static const char *const meaningless[] = {"vmlinux", "vmlinuz", "bzImage"};
	const char *file = strrchr(after, '/'), *from = file ? file + 1 : after, *end;
	const int suffix = 12; /* "-" and the pid */

	end = from + strcspn(from, ","); /* a disk's may have options */
	for (unsigned i = 0; i < ARRAY_SIZE(meaningless); i++) {
		if (!file || strcmp(from, meaningless[i]))
			continue;
		end = file;
		for (from = file; from > after && from[-1] != '/';)
			from--;
		break;
	}
	snprintf(name, size, "%.*s",
		 (int)(end - from < CONTROL_NAME_MAX - suffix ? end - from
							      : CONTROL_NAME_MAX - suffix),
		 from);
	for (char *p = name; *p; p++) {
		const char one[] = {'a', *p, '\0'};

		if (!control_name_valid(one))
			*p = '-';
	}
	if (!control_name_valid(name))
		snprintf(name, size, "guest");
	snprintf(name + strlen(name), size - strlen(name), "-%d", getpid());
}

static bool take_name(struct control *c, struct error *e)
{
	c->listener.ready = connection_ready;
	c->listener.fd = control_listen(&c->dir, c->name);
	if (c->listener.fd >= 0)
		return true;
	if (errno == EADDRINUSE)
		return error_set(e,
				 "name '%s': another guest has it (choose another; plex86 ps lists "
				 "those that run)",
				 c->name);
	return error_set(e, "name '%s': a socket in '%s': %s", c->name, c->dir.path,
			 strerror(errno));
}

struct control *control_open(const char *name, const char *after, struct error *e)
{
	struct control *c = calloc(1, sizeof(*c));

	if (!c) {
		error_set(e, "control socket: out of memory");
		return NULL;
	}
	c->listener.fd = c->dir.fd = -1;
	for (unsigned i = 0; i < CLIENTS; i++)
		c->client[i].source.fd = -1;
	if (name)
		snprintf(c->name, sizeof(c->name), "%s", name);
	else
		derive_name(c->name, sizeof(c->name), after);
	if (control_dir_open(&c->dir, true, e) && take_name(c, e))
		return c;
	control_close(c);
	return NULL;
}

bool control_start(struct control *c, struct machine *machine, struct error *e)
{
	c->machine = machine;
	c->loop = machine->loop;
	if (!loop_watch(c->loop, &c->listener, EPOLLIN))
		return error_set(e, "control socket: waiting for clients: %s", strerror(errno));
	return true;
}

void control_end(struct control *c)
{
	loop_lock(c->loop);
	loop_unwatch(c->loop, &c->listener);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct control_client *client = &c->client[i];

		if (client->source.fd < 0)
			continue;
		if (client->awaits_end) {
			control_reply(client, "ended %s\n", machine_end_text(c->machine->end));
			send_answer(client);
		}
		hang_up(client);
	}
	loop_unlock(c->loop);
}

void control_abandon(struct control *c)
{
	struct sockaddr_un address;

	control_address(&c->dir, c->name, &address);
	unlink(address.sun_path);
}

void control_close(struct control *c)
{
	if (c->listener.fd >= 0) {
		control_abandon(c);
		close(c->listener.fd);
	}
	control_dir_close(&c->dir);
	free(c);
}

const char *control_name(const struct control *c)
{
	return c->name;
}

struct machine *control_machine(struct control *c)
{
	return c->machine;
}
