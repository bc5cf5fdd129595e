/*
 * The client's side of the control protocol: see control-client.h.
 */
#include "control-client.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "control-commands.h"

/* ---- finding guests ---- */

static bool connect_to(struct guest *g, const struct control_dir *dir, const char *name)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	memset(g, 0, sizeof(*g));
	g->in = malloc(CLIENT_LINE_MAX);
	if (!g->in)
		return false;
	snprintf(g->name, sizeof(g->name), "%s", name);
	g->fd = control_connect(dir, name);
	if (g->fd >= 0 && !getsockopt(g->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
		g->pid = peer.pid;
	if (g->fd < 0)
		free(g->in);
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
	if (g->fd < 0)
		return;
	close(g->fd);
	g->fd = -1;
	free(g->in);
}

/* ---- talking ---- */

bool guest_send(struct guest *g, const char *line)
{
	const size_t n = strlen(line);

	/* So short a line either goes out at once, or the other side has not read for long. */
	return send(g->fd, line, n, MSG_NOSIGNAL) == (ssize_t)n &&
	       send(g->fd, "\n", 1, MSG_NOSIGNAL) == 1;
}

static u64 now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Take the first line that is JSON out of the buffer, with those before it. NULL: there is none. */
static json_t *take_message(struct guest *g)
{
	json_t *message = NULL;
	char *end;

	while (!message && (end = memchr(g->in, '\n', g->in_len))) {
		const size_t n = end - g->in;

		message = json_loadb(g->in, n, JSON_REJECT_DUPLICATES, NULL);
		g->in_len -= n + 1;
		memmove(g->in, end + 1, g->in_len);
	}
	return message;
}

/* What every reader has to know: that it has ended, and whether we understand each other. */
static void look_at(struct guest *g, const json_t *message)
{
	const json_t *greeting = json_object_get(message, "plex86");
	const char *event = json_string_value(json_object_get(message, "event")), *why;

	if (greeting)
		g->protocol = json_integer_value(json_object_get(greeting, "protocol"));
	if (!event || strcmp(event, "ended"))
		return;
	why = json_string_value(json_object_get(json_object_get(message, "data"), "why"));
	snprintf(g->end, sizeof(g->end), "%s", why ? why : "");
}

json_t *guest_next(struct guest *g, int patience_ms)
{
	const u64 end = now_ms() + patience_ms;
	json_t *message;

	while (!(message = take_message(g))) {
		struct pollfd p = {.fd = g->fd, .events = POLLIN};
		const u64 now = now_ms();
		ssize_t n;

		if (poll(&p, 1, patience_ms < 0 ? -1 : now < end ? (int)(end - now) : 0) == 0) {
			errno = EAGAIN;
			return NULL;
		}
		n = recv(g->fd, g->in + g->in_len, CLIENT_LINE_MAX - g->in_len, 0);
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n <= 0) {
			errno = 0;
			return NULL;
		}
		g->in_len += n;
	}
	look_at(g, message);
	return message;
}

/* The next message that is an answer; the greeting and events are none. */
static json_t *next_answer(struct guest *g, int patience_ms)
{
	const u64 end = now_ms() + patience_ms;
	json_t *message;

	for (;;) {
		const u64 now = now_ms();

		message = guest_next(g, now < end ? (int)(end - now) : 0);
		if (!message || json_object_get(message, "return") ||
		    json_object_get(message, "error"))
			return message;
		json_decref(message);
	}
}

static bool send_request(struct guest *g, const char *command, json_t *arguments)
{
	json_t *request = json_pack("{s:s, s:o*}", "execute", command, "arguments", arguments);
	char *line = json_dumps(request, JSON_COMPACT);
	const bool sent = line && guest_send(g, line);

	free(line);
	json_decref(request);
	return sent;
}

json_t *guest_ask(struct guest *g, const char *command, json_t *arguments, struct error *e)
{
	json_t *answer, *result, *error;

	errno = 0;
	answer = send_request(g, command, arguments) ? next_answer(g, CLIENT_PATIENCE_MS) : NULL;
	if (!answer && errno == EAGAIN) {
		error_set(e, "guest '%s': its plex86 (process %d) does not answer", g->name,
			  g->pid);
		return NULL;
	}
	if (!answer) {
		error_set(e, "guest '%s': it has ended", g->name);
		return NULL;
	}
	if (g->protocol != CONTROL_PROTOCOL)
		error_set(e, "guest '%s': its plex86 is of another version (protocol %d)", g->name,
			  g->protocol);
	else if ((error = json_object_get(answer, "error")))
		error_set(e, "guest '%s': %s", g->name,
			  json_string_value(json_object_get(error, "desc")));
	result = g->protocol == CONTROL_PROTOCOL ? json_incref(json_object_get(answer, "return"))
						 : NULL;
	json_decref(answer);
	return result;
}

static u64 number(const json_t *answer, const char *name)
{
	const json_int_t value = json_integer_value(json_object_get(answer, name));

	return value > 0 ? value : 0;
}

bool guest_status(struct guest *g, struct guest_status *s, struct error *e)
{
	json_t *answer = guest_ask(g, "status", NULL, e);
	const char *state = json_string_value(json_object_get(answer, "state"));

	*s = (struct guest_status){
		.size = number(answer, "memory"),
		.resident = number(answer, "resident"),
		.shared = number(answer, "shared"),
		.uptime = number(answer, "uptime_ns"),
		.traps = number(answer, "traps"),
		.agent = json_is_true(json_object_get(answer, "agent")),
		.paused = state && !strcmp(state, "paused"),
	};
	json_decref(answer);
	return answer != NULL;
}
