/*
 * The control socket: see control.h.
 */
#include "control.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "control-commands.h"

#define CLIENTS	 8
#define OUT_ROOM 32768 /* for an answer, and events between answers */

struct control_client {
	struct control *control;
	struct loop_source source; /* fd -1: free, unless `waiting` */
	struct control_session session;
	struct control_request request;
	struct machine_job job;
	bool waiting; /* for the guest to stand still: `job` is to do `request` */
	bool leaving; /* hears what is in `out`, and no more */
	bool eof;
	u64 last; /* of the requests of all clients, the number of its last one */
	char in[CONTROL_REQUEST_MAX];
	size_t in_len;
	char out[OUT_ROOM];
	size_t out_len, out_done;
};

struct control {
	struct control_dir dir;
	char name[CONTROL_NAME_MAX + 1];
	struct loop_source listener;
	struct event_listener ear;
	struct loop *loop;
	struct machine *machine;
	json_t *about;
	u64 requests;
	struct control_client client[CLIENTS];
};

/* ---- clients ---- */

static void hang_up(struct control_client *client)
{
	loop_unwatch(client->control->loop, &client->source);
	close(client->source.fd);
	client->source.fd = -1;
	client->session.subscribed = false;
}

/* Send what the socket takes. False: the client is gone. */
static bool send_out(struct control_client *client)
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

/* A client whose buffer is full does not read: to leave out something would mislead it. */
static void put(struct control_client *client, const char *line, size_t len)
{
	if (client->leaving)
		return;
	if (len > sizeof(client->out) - client->out_len) {
		client->leaving = true;
		return;
	}
	memcpy(client->out + client->out_len, line, len);
	client->out_len += len;
}

/* `answer` is used up. */
static void say(struct control_client *client, json_t *answer)
{
	size_t len;
	char *line = answer ? json_line(answer, &len) : NULL;

	if (line)
		put(client, line, len);
	else
		client->leaving = true;
	free(line);
	json_decref(answer);
}

/* The client may be gone by then, but its place is kept. */
static void guest_stands_still(struct machine_job *job)
{
	struct control_client *client =
		(struct control_client *)((char *)job - offsetof(struct control_client, job));
	json_t *answer = control_run(&client->request, &client->session);

	client->waiting = false;
	if (client->source.fd < 0) {
		json_decref(answer);
		return;
	}
	say(client, answer);
	/* The I/O thread sends it, and goes on with the client's requests. */
	loop_watch(client->control->loop, &client->source, EPOLLOUT);
}

/* False: the client has gone. */
static bool read_requests(struct control_client *client)
{
	ssize_t n = recv(client->source.fd, client->in + client->in_len,
			 sizeof(client->in) - client->in_len, 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	client->in_len += n;
	client->eof = n == 0;
	return true;
}

static bool has_request(const struct control_client *client)
{
	return memchr(client->in, '\n', client->in_len) != NULL;
}

static void take_request(struct control_client *client)
{
	const size_t n = (char *)memchr(client->in, '\n', client->in_len) - client->in;
	json_t *answer;

	client->last = ++client->control->requests;
	if (!control_read(&client->request, client->in, n, &answer)) {
		say(client, answer);
	} else if (control_needs_still(&client->request)) {
		client->waiting = true;
		client->job.run = guest_stands_still;
		machine_do(client->control->machine, &client->job);
	} else {
		say(client, control_run(&client->request, &client->session));
	}
	client->in_len -= n + 1;
	memmove(client->in, client->in + n + 1, client->in_len);
}

/* When to look again; false: never. */
static bool watch(struct control_client *client)
{
	u32 events = EPOLLIN;

	if (client->out_len)
		events = EPOLLOUT;
	else if (client->leaving)
		return false;
	else if (client->waiting)
		events = 0;
	else if (has_request(client))
		events = EPOLLOUT; /* so that others have their turn */
	else if (client->eof)
		return false;
	return loop_watch(client->control->loop, &client->source, events);
}

/* One request at a time, so that a client with many does not keep the devices' lock. */
static bool serve(struct control_client *client, u32 events)
{
	if (!send_out(client))
		return false;
	if ((events & (EPOLLHUP | EPOLLERR)) && client->waiting)
		return false;
	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && !client->eof && !read_requests(client))
		return false;
	if (!client->out_len && !client->leaving && !client->waiting && has_request(client))
		take_request(client);
	if (client->in_len == sizeof(client->in) && !client->waiting && !client->leaving &&
	    !has_request(client)) {
		say(client, control_too_long());
		client->leaving = true;
	}
	return send_out(client) && watch(client);
}

static void client_ready(struct loop_source *source, u32 events)
{
	struct control_client *client =
		(struct control_client *)((char *)source - offsetof(struct control_client, source));

	if (!serve(client, events))
		hang_up(client);
}

static void hear(struct event_listener *ear, const char *line, size_t len)
{
	struct control *c = (struct control *)((char *)ear - offsetof(struct control, ear));

	for (unsigned i = 0; i < CLIENTS; i++) {
		struct control_client *client = &c->client[i];

		if (!client->session.subscribed)
			continue;
		put(client, line, len);
		loop_watch(c->loop, &client->source, EPOLLOUT);
	}
}

/* ---- the socket ---- */

/* A free place, or that of the client which was silent longest. NULL: all wait for an answer. */
static struct control_client *make_place(struct control *c)
{
	struct control_client *oldest = NULL;

	for (unsigned i = 0; i < CLIENTS; i++) {
		struct control_client *client = &c->client[i];

		if (client->waiting)
			continue;
		if (client->source.fd < 0)
			return client;
		/* Whoever waits for events is silent for a reason. */
		if (!oldest || (client->session.subscribed == oldest->session.subscribed
					? client->last < oldest->last
					: oldest->session.subscribed))
			oldest = client;
	}
	if (oldest)
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
	client = is_our_user(fd) ? make_place(c) : NULL;
	if (!client) {
		close(fd);
		return;
	}
	*client = (struct control_client){
		.control = c,
		.source = {.fd = fd, .ready = client_ready},
		.session = {.machine = c->machine, .about = c->about},
		.last = ++c->requests,
	};
	say(client, control_greeting());
	if (!loop_watch(c->loop, &client->source, EPOLLOUT))
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

bool control_start(struct control *c, struct machine *machine, json_t *about, struct error *e)
{
	c->machine = machine;
	c->loop = machine->loop;
	c->about = json_incref(about);
	if (!loop_watch(c->loop, &c->listener, EPOLLIN))
		return error_set(e, "control socket: waiting for clients: %s", strerror(errno));
	c->ear.hear = hear;
	events_listen(&machine->events, &c->ear);
	return true;
}

void control_end(struct control *c)
{
	loop_lock(c->loop);
	loop_unwatch(c->loop, &c->listener);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct control_client *client = &c->client[i];

		if (client->source.fd >= 0) {
			send_out(client);
			hang_up(client);
		}
		if (client->waiting)
			control_free(&client->request);
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
	json_decref(c->about);
	free(c);
}

const char *control_name(const struct control *c)
{
	return c->name;
}
