/*
 * The client's side of the control protocol: see control-client.h.
 */
#include "control-client.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- finding guests ---- */

static bool connect_to(struct guest *g, const struct control_dir *dir, const char *name)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	memset(g, 0, sizeof(*g));
	snprintf(g->name, sizeof(g->name), "%s", name);
	g->fd = control_connect(dir, name);
	if (g->fd >= 0 && !getsockopt(g->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		g->pid = peer.pid;
	return g->fd >= 0;
}

static size_t read_guests(const struct control_dir *dir, struct guest **list)
{
	DIR *d = opendir(dir->path);
	struct dirent *entry;
	size_t n = 0;

	while (d && (entry = readdir(d))) {
		char name[CONTROL_NAME_MAX + 1];
		struct guest *more;

		if (!control_name_of(entry->d_name, name, sizeof(name)))
			continue;
		more = realloc(*list, (n + 1) * sizeof(**list));
		if (!more)
			break;
		*list = more;
		if (connect_to(&more[n], dir, name))
			n++;
	}
	if (d)
		closedir(d);
	return n;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct guest *)a)->name, ((const struct guest *)b)->name);
}

size_t guests_open(struct guest **list)
{
	struct control_dir dir;
	struct error ignored;
	size_t n;

	*list = NULL;
	if (!control_dir_open(&dir, false, &ignored))
		return 0;
	n = read_guests(&dir, list);
	control_dir_close(&dir);
	if (n)
		qsort(*list, n, sizeof(**list), by_name);
	return n;
}

static bool open_named(struct guest *g, const char *name, struct error *e)
{
	struct control_dir dir;
	struct error ignored;
	bool found = false;

	if (control_name_valid(name) && control_dir_open(&dir, false, &ignored)) {
		found = connect_to(g, &dir, name);
		control_dir_close(&dir);
	}
	if (!found)
		error_set(e, "guest '%s': no guest of yours has that name (plex86 ps lists them)",
			  name);
	return found;
}

static bool open_only(struct guest *g, struct error *e)
{
	struct guest *list;
	const size_t n = guests_open(&list);

	if (n == 1)
		*g = list[0];
	else if (!n)
		error_set(e, "no guest of yours is running");
	else
		error_set(e, "%zu guests are running: which one? (plex86 ps lists them)", n);
	for (size_t i = 0; n != 1 && i < n; i++)
		guest_close(&list[i]);
	free(list);
	return n == 1;
}

bool guest_open(struct guest *g, const char *name, struct error *e)
{
	return name ? open_named(g, name, e) : open_only(g, e);
}

void guest_close(struct guest *g)
{
	if (g->fd >= 0)
		close(g->fd);
	g->fd = -1;
}

/* ---- talking ---- */

bool guest_request(struct guest *g, const char *line)
{
	char text[128];
	int n = snprintf(text, sizeof(text), "%s\n", line);

	/* So short a line either goes out at once, or the other side has not read for long. */
	return n > 0 && send(g->fd, text, n, MSG_NOSIGNAL) == n;
}

static u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool take_line(struct guest *g, char *line, size_t size)
{
	char *end = memchr(g->in, '\n', g->in_len);
	size_t n;

	if (!end)
		return false;
	n = end - g->in;
	snprintf(line, size, "%.*s", (int)n, g->in);
	g->in_len -= n + 1;
	memmove(g->in, end + 1, g->in_len);
	return true;
}

bool guest_line(struct guest *g, char *line, size_t size, int patience_ms)
{
	const u64 end = now_ms() + patience_ms;

	while (!take_line(g, line, size)) {
		struct pollfd p = {.fd = g->fd, .events = POLLIN};
		const u64 now = now_ms();
		ssize_t n;

		if (poll(&p, 1, now < end ? (int)(end - now) : 0) == 0) {
			errno = EAGAIN;
			return false;
		}
		n = recv(g->fd, g->in + g->in_len, sizeof(g->in) - g->in_len, 0);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0) {
			errno = 0;
			return false;
		}
		g->in_len += n;
	}
	return true;
}

bool guest_ask(struct guest *g, const char *request, void (*take)(void *opaque, char *line),
	       void *opaque, struct error *e)
{
	char line[160];

	if (!guest_request(g, request))
		return error_set(e, "guest '%s': it has ended, or does not answer", g->name);
	while (guest_line(g, line, sizeof(line), CLIENT_PATIENCE_MS)) {
		if (!strcmp(line, "ok"))
			return true;
		if (!strncmp(line, "error ", 6))
			return error_set(e, "guest '%s': %s", g->name, line + 6);
		if (take)
			take(opaque, line);
	}
	if (errno)
		return error_set(e, "guest '%s': its plex86 (process %d) does not answer", g->name,
				 g->pid);
	return error_set(e, "guest '%s': it has ended", g->name);
}

static void take_status(void *opaque, char *line)
{
	struct guest_status *s = opaque;
	const struct {
		const char *name;
		u64 *value;
	} fields[] = {
		{"size", &s->size},	{"resident", &s->resident}, {"shared", &s->shared},
		{"uptime", &s->uptime}, {"traps", &s->traps},
	};
	char name[16], value[32];

	if (sscanf(line, "%15s %31s", name, value) != 2)
		return;
	if (!strcmp(name, "agent"))
		s->agent = !strcmp(value, "yes");
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (!strcmp(name, fields[i].name))
			*fields[i].value = strtoull(value, NULL, 10);
}

bool guest_status(struct guest *g, struct guest_status *status, struct error *e)
{
	memset(status, 0, sizeof(*status));
	return guest_ask(g, "status", take_status, status, e);
}
