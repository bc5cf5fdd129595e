/*
 * What the user of a run waits for: see goal.h.
 */
#include "goal.h"
#include "../pattern.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

static void timer_ready(struct loop_source *source, u32 events)
{
	struct goal *g = (struct goal *)((char *)source - offsetof(struct goal, timer));
	u64 expirations;

	(void)events;
	if (read(source->fd, &expirations, sizeof(expirations)) == sizeof(expirations))
		g->late(g->owner);
}

static bool set_timer(struct goal *g, u64 ns, struct error *e)
{
	const struct itimerspec when = {.it_value = {ns / 1000000000, ns % 1000000000}};

	g->timer.ready = timer_ready;
	g->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (g->timer.fd >= 0 && !timerfd_settime(g->timer.fd, 0, &when, NULL) &&
	    loop_watch(g->loop, &g->timer, EPOLLIN))
		return true;
	return error_set(e, "timeout: creating its timer: %s", strerror(errno));
}

bool goal_init(struct goal *g, struct loop *loop, u64 timeout_ns, const char *regex,
	       struct error *e)
{
	g->loop = loop;
	g->timer.fd = -1;
	if (regex) {
		if (!pattern_compile(&g->regex, "expect", regex, e))
			return false;
		g->waiting = true;
	}
	return !timeout_ns || set_timer(g, timeout_ns, e);
}

void goal_destroy(struct goal *g)
{
	if (g->timer.fd >= 0) {
		loop_unwatch(g->loop, &g->timer);
		close(g->timer.fd);
		g->timer.fd = -1;
	}
	if (g->waiting)
		regfree(&g->regex);
	g->waiting = false;
}

static void add(struct goal *g, char c)
{
	const size_t keep = GOAL_LINE_MAX / 2;

	if (g->used == GOAL_LINE_MAX) {
		memmove(g->line, g->line + g->used - keep, keep);
		g->used = keep;
	}
	g->line[g->used++] = c;
}

static bool matches(struct goal *g)
{
	g->line[g->used] = '\0';
	return !regexec(&g->regex, g->line, 0, NULL, 0);
}

/* A prompt has no end of line: what there is of one counts. */
void goal_look(struct goal *g, const u8 *data, size_t n)
{
	bool met = false;

	if (!g->waiting)
		return;
	for (size_t i = 0; i < n && !met; i++) {
		const bool end = data[i] == '\n';

		if (!end && data[i] != '\r' && data[i] != '\0')
			add(g, data[i]);
		if (end || i + 1 == n)
			met = matches(g);
		if (end)
			g->used = 0;
	}
	if (!met)
		return;
	g->waiting = false;
	regfree(&g->regex);
	g->met(g->owner);
}
