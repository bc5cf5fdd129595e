/*
 * How much console input a guest gets, and when: see input-gate.h.
 */
#include "input-gate.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define MCR_RTS	    0x02
#define MCR_OUT1    0x04
#define NS_PER_BYTE 1000u /* 1 MB/s: a hundred times a real line, and Linux keeps up */
#define BUDGET_MAX  4096u
#define REFILL_NS   1000000u
#define WAITED_NS   100000000u /* between looks how long it has waited */
#define LOOK_NS	    2000000u   /* between looks whether it idles */
/* A guest that never idles shall have its input all the same. */
#define PROBE_NS ((u64)1000000000)

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void open_at(struct input_gate *g, u64 ns)
{
	const struct itimerspec when = {.it_value = {ns / 1000000000, ns % 1000000000}};

	timerfd_settime(g->timer.fd, TFD_TIMER_ABSTIME, &when, NULL);
}

static void timer_ready(struct loop_source *source, u32 events)
{
	struct input_gate *g =
		(struct input_gate *)((char *)source - offsetof(struct input_gate, timer));
	u64 expirations;

	(void)events;
	if (read(source->fd, &expirations, sizeof(expirations)) == sizeof(expirations))
		g->opened(g->owner);
}

bool input_gate_init(struct input_gate *g, struct loop *loop, const struct serial *serial,
		     struct error *e)
{
	g->serial = serial;
	g->loop = loop;
	g->filled = now_ns();
	g->budget = BUDGET_MAX;
	g->timer.ready = timer_ready;
	g->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (g->timer.fd < 0 || !loop_watch(loop, &g->timer, EPOLLIN))
		return error_set(e, "console: creating its timer: %s", strerror(errno));
	return true;
}

void input_gate_destroy(struct input_gate *g)
{
	loop_unwatch(g->loop, &g->timer);
	if (g->timer.fd >= 0)
		close(g->timer.fd);
}

void input_gate_hold(struct input_gate *g, unsigned patience_s)
{
	g->flow = true;
	g->hold = true;
	g->patience = (u64)patience_s * 1000000000;
	g->held_since = now_ns();
	g->hold_until = g->held_since + g->patience;
	open_at(g, g->hold_until);
}

/* What the guest has spent waiting for the host's CPU is none of its time: on a busy host it would
 * get its input before it has a terminal to take it, and lose it. */
static bool patience_ends(struct input_gate *g, u64 now)
{
	u64 end;

	if (now < g->hold_until)
		return false;
	end = g->held_since + g->patience + g->waited(g->owner);
	if (now >= end)
		return true;
	g->hold_until = end > now + WAITED_NS ? end : now + WAITED_NS;
	open_at(g, g->hold_until);
	return false;
}

static bool is_early(struct input_gate *g, u64 now)
{
	if (g->hold && ((g->serial->mcr & MCR_OUT1) || patience_ends(g, now)))
		g->hold = false;
	return g->hold;
}

static bool is_held(struct input_gate *g, u64 now)
{
	return is_early(g, now) || (g->flow && !(g->serial->mcr & MCR_RTS));
}

void input_gate_probing(struct input_gate *g)
{
	g->probing = true;
	g->probed_by = now_ns() + PROBE_NS;
}

bool input_gate_holds(struct input_gate *g)
{
	u64 now;

	if (!g->probing && !g->hold)
		return false;
	now = now_ns();
	if (g->probing && (now >= g->probed_by || g->idle(g->owner)))
		g->probing = false;
	if (is_early(g, now))
		open_at(g, g->hold_until);
	else if (g->probing)
		open_at(g, now + LOOK_NS);
	return g->hold || g->probing;
}

static void refill(struct input_gate *g, u64 now)
{
	const u64 earned = (now - g->filled) / NS_PER_BYTE;

	g->budget = earned > BUDGET_MAX - g->budget ? BUDGET_MAX : g->budget + earned;
	g->filled += earned * NS_PER_BYTE;
}

/* Has the guest had a look at an empty FIFO? Filled up while an interrupt handler empties it, it
 * would keep the line high; the handler gives up at some point (Linux: 512 rounds), and on an
 * edge-triggered line there would never be another interrupt. */
static bool is_taken(struct input_gate *g, u64 now)
{
	if (g->serial->found_empty)
		return true;
	/* A driver that does not look has time to leave its handler. */
	if (g->serial->rx_count == 0 && now >= g->passed + REFILL_NS)
		return true;
	open_at(g, now + REFILL_NS);
	return false;
}

size_t input_gate_room(struct input_gate *g)
{
	const size_t room = serial_room(g->serial);
	u64 now;

	if (room == 0)
		return 0;
	now = now_ns();
	if (is_held(g, now) || !is_taken(g, now))
		return 0;
	refill(g, now);
	if (g->budget == 0)
		open_at(g, now + REFILL_NS);
	return room < g->budget ? room : g->budget;
}

void input_gate_passed(struct input_gate *g, size_t bytes)
{
	g->budget -= bytes < g->budget ? bytes : g->budget;
	if (bytes)
		g->passed = now_ns();
}
