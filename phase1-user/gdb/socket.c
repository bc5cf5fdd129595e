/*
 * A gdb server's socket: see gdb.h.
 *
 * Bytes are read only when those before them have been taken, and a packet is answered only when
 * the answer before has been sent: a debugger that does not read keeps nobody but itself waiting.
 */
#include "gdb.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include "session.h"
#include "../console/listen.h"

#define WHERE_DEFAULT "tcp:127.0.0.1:1234"

struct gdb_server {
	struct gdb session;
	struct loop *loop;
	struct loop_source listener, client; /* fd -1: none */
	struct sockaddr_un address;	     /* sun_path "": it is TCP */
	bool greeted;			     /* the client has sent something */
};

static struct gdb_server *server_of(struct gdb *session)
{
	return (struct gdb_server *)((char *)session - offsetof(struct gdb_server, session));
}

/* ---- the client ---- */

static void hang_up(struct gdb_server *s)
{
	gdb_session_detach(&s->session);
	loop_unwatch(s->loop, &s->client);
	close(s->client.fd);
	s->client.fd = -1;
}

/* Send what the socket takes. False: the client is gone. */
static bool send_output(struct gdb_server *s)
{
	struct gdb *g = &s->session;

	while (g->out_done < g->out_len) {
		ssize_t n = send(s->client.fd, g->out + g->out_done, g->out_len - g->out_done,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		g->out_done += n;
	}
	return true;
}

/* A debugger begins with an acknowledgement, a packet or an interrupt. What does not is something
 * else that has found the port: a browser, say. */
static bool is_debugger(u8 first)
{
	return first == '+' || first == '-' || first == '$' || first == 0x03;
}

/* False: the client has gone. */
static bool receive(struct gdb_server *s)
{
	struct gdb *g = &s->session;
	ssize_t n;

	if (g->in_done < g->in_len)
		return true;
	n = recv(s->client.fd, g->in, sizeof(g->in), 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	g->in_done = 0;
	g->in_len = n;
	if (n && !s->greeted && !is_debugger(g->in[0]))
		return false;
	s->greeted = true;
	return n > 0;
}

/* Events may be those of a client before this one: ask the socket itself. */
static bool is_broken(int fd)
{
	struct pollfd p = {.fd = fd};

	return poll(&p, 1, 0) > 0 && p.revents;
}

static bool watch(struct gdb_server *s)
{
	struct gdb *g = &s->session;
	u32 events = EPOLLIN;

	if (g->out_done < g->out_len)
		events = EPOLLOUT;
	else if (g->hang_up)
		return false;
	else if (gdb_session_waits(g))
		events = 0;
	else if (g->packet || g->in_done < g->in_len)
		events = EPOLLOUT; /* at once, but others have their turn */
	return loop_watch(s->loop, &s->client, events);
}

/* Output may have come to be. */
static void woken(struct gdb *session)
{
	struct gdb_server *s = server_of(session);

	if (s->client.fd >= 0 && (!send_output(s) || !watch(s)))
		hang_up(s);
}

static void client_ready(struct loop_source *source, u32 events)
{
	struct gdb_server *s =
		(struct gdb_server *)((char *)source - offsetof(struct gdb_server, client));
	struct gdb *g = &s->session;

	(void)events;
	if (is_broken(source->fd) || !send_output(s)) {
		hang_up(s);
		return;
	}
	if (g->out_done == g->out_len && !gdb_session_waits(g) && !g->hang_up) {
		if (!receive(s)) {
			hang_up(s);
			return;
		}
		gdb_session_step(g);
	}
	woken(g);
}

static void connection_ready(struct loop_source *source, u32 events)
{
	struct gdb_server *s =
		(struct gdb_server *)((char *)source - offsetof(struct gdb_server, listener));
	const int fd = accept4(source->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), on = 1;

	(void)events;
	if (fd < 0)
		return;
	if (s->client.fd >= 0) {
		close(fd);
		return;
	}
	/* Small packets that are waited for; of a UNIX socket this is no option, and not needed. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	s->client.fd = fd;
	s->greeted = false;
	gdb_session_attach(&s->session);
	woken(&s->session);
}

/* ---- the server ---- */

static bool open_listener(struct gdb_server *s, const char *where, struct error *e)
{
	if (!where[0])
		where = WHERE_DEFAULT;
	if (!strncmp(where, "unix:", 5))
		s->listener.fd = listen_unix(&s->address, where + 5, 0600, "gdb server", where, e);
	else if (!strncmp(where, "tcp:", 4))
		s->listener.fd = listen_tcp(where + 4, "gdb server", where, e);
	else
		return error_set(e, "gdb server '%s': neither tcp:ADDRESS:PORT nor unix:PATH",
				 where);
	return s->listener.fd >= 0;
}

struct gdb_server *gdb_open(const char *where, const struct symbols *symbols, struct error *e)
{
	struct gdb_server *s = calloc(1, sizeof(*s));

	if (!s) {
		error_set(e, "gdb server: out of memory");
		return NULL;
	}
	s->listener.fd = s->client.fd = -1;
	s->listener.ready = connection_ready;
	s->client.ready = client_ready;
	s->session.wake = woken;
	if (!gdb_session_init(&s->session, symbols))
		error_set(e, "gdb server: out of memory");
	else if (open_listener(s, where, e))
		return s;
	gdb_close(s);
	return NULL;
}

/* How gdb is told of it: "target remote WHERE". */
static void describe(const struct gdb_server *s, char *text, size_t size)
{
	struct sockaddr_storage address;
	socklen_t len = sizeof(address);
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address;
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address;
	char host[INET6_ADDRSTRLEN] = "?";

	if (s->address.sun_path[0]) {
		snprintf(text, size, "%s", s->address.sun_path);
		return;
	}
	memset(&address, 0, sizeof(address));
	getsockname(s->listener.fd, (struct sockaddr *)&address, &len);
	if (address.ss_family == AF_INET6) {
		inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		snprintf(text, size, "[%s]:%u", host, ntohs(v6->sin6_port));
	} else {
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		snprintf(text, size, "%s:%u", host, ntohs(v4->sin_port));
	}
}

bool gdb_start(struct gdb_server *s, struct machine *machine, bool wait, struct error *e)
{
	char where[sizeof(s->address.sun_path) + 1];

	s->loop = machine->loop;
	gdb_session_start(&s->session, machine, wait);
	if (!loop_watch(s->loop, &s->listener, EPOLLIN))
		return error_set(e, "gdb server: waiting for debuggers: %s", strerror(errno));
	describe(s, where, sizeof(where));
	fprintf(stderr, "plex86: gdb: target remote %s%s\n", where,
		wait ? " (the guest waits for it)" : "");
	return true;
}

void gdb_end(struct gdb_server *s, int status)
{
	loop_lock(s->loop);
	loop_unwatch(s->loop, &s->listener);
	gdb_session_end(&s->session, status);
	if (s->client.fd >= 0) {
		send_output(s);
		/* What was not read would have the last words thrown away with the connection. */
		while (recv(s->client.fd, s->session.in, sizeof(s->session.in), 0) > 0)
			;
		hang_up(s);
	}
	loop_unlock(s->loop);
}

void gdb_abandon(struct gdb_server *s)
{
	if (s->address.sun_path[0])
		unlink(s->address.sun_path);
}

void gdb_close(struct gdb_server *s)
{
	gdb_abandon(s);
	if (s->listener.fd >= 0)
		close(s->listener.fd);
	if (s->client.fd >= 0)
		close(s->client.fd);
	gdb_session_destroy(&s->session);
	free(s);
}
