/*
 * Going back in a replay: see travel.h.
 */
#include "travel.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "../snapshot/snapshot.h"

#define STATIONS 16
#define INTERVAL 20000u /* events, at first */

/* A snapshot on the way. */
struct station {
	u64 events;
	size_t input; /* the recorder's next one */
	char path[PATH_MAX];
};

struct travel {
	struct machine *machine;
	char engine[16];
	struct engine_config config;
	const struct snapshot_config *about;
	char directory[PATH_MAX / 2];
	struct station station[STATIONS];
	unsigned stations;
	u64 interval;
	struct error error;
};

/* Where the guest is; how far it may go. */
struct look {
	u64 events, steps;
	struct vcpu cpu;
};

static enum travel_result lost(struct travel *t, const char *why)
{
	error_set(&t->error, "going back: %s", why);
	return TRAVEL_LOST;
}

const char *travel_error(const struct travel *t)
{
	return t->error.text;
}

static bool look(struct travel *t, struct look *l)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return lost(t, "out of memory") != TRAVEL_LOST;
	engine_get_state(t->machine->engine, vm);
	l->events = vm->clock.events;
	l->steps = vm->debug.steps;
	l->cpu = vm->cpu;
	free(vm);
	return true;
}

/* ---- stations ---- */

static void remove_station(struct travel *t, unsigned i)
{
	unlink(t->station[i].path);
	t->stations--;
	memmove(&t->station[i], &t->station[i + 1], (t->stations - i) * sizeof(t->station[0]));
}

/* Every second one goes, but the first stays. */
static void thin_out(struct travel *t)
{
	for (unsigned i = 1; i < t->stations; i++)
		remove_station(t, i);
	t->interval *= 2;
}

static void set_mark(struct travel *t)
{
	recorder_mark(t->machine->recorder, t->station[t->stations - 1].events + t->interval);
}

void travel_note(struct travel *t)
{
	struct machine *m = t->machine;
	struct station *s = &t->station[t->stations];
	struct snapshot_result ignored;
	struct look now;

	if (!look(t, &now))
		return;
	if (t->stations && now.events < s[-1].events + t->interval)
		return;
	s->events = now.events;
	s->input = recorder_position(m->recorder);
	snprintf(s->path, sizeof(s->path), "%s/%016llx", t->directory,
		 (unsigned long long)now.events);
	/* Without it the way back is longer, or if it is the first, there is none. */
	if (!snapshot_take(m, t->about, s->path, &ignored, &t->error))
		return;
	if (++t->stations == STATIONS)
		thin_out(t);
	set_mark(t);
}

/* The last one at or before so many events. */
static unsigned station_before(const struct travel *t, u64 events)
{
	unsigned i = t->stations - 1;

	while (i && t->station[i].events > events)
		i--;
	return i;
}

/* Be there, on another engine: this one has run. */
static bool go_to_station(struct travel *t, unsigned i)
{
	struct machine *m = t->machine;
	struct engine *old = m->engine;
	struct snapshot *s = snapshot_open(t->station[i].path, &t->error);
	struct engine *fresh;
	bool ok;

	if (!s)
		return false;
	fresh = engine_create(t->engine, &t->config, t->error.text, sizeof(t->error.text));
	ok = fresh != NULL;
	if (ok) {
		m->engine = fresh;
		ok = snapshot_restore(s, m, &t->error) &&
		     (engine_take_up(fresh) || error_set(&t->error, "the engine does not start"));
		engine_destroy(ok ? old : fresh);
		if (!ok)
			m->engine = old;
	}
	snapshot_close(s);
	if (ok)
		recorder_rewind(m->recorder, m->engine, t->station[i].input);
	return ok;
}

/* ---- on the way ---- */

static void ask(struct travel *t, u64 steps, const struct debug_request *points)
{
	struct debug_request request = {.step = steps};

	if (points) {
		request = *points;
		request.step = steps;
	}
	engine_set_debug(t->machine->engine, &request);
}

static void drop_trace(struct travel *t)
{
	struct trace_record ignored[64];

	while (engine_read_trace(t->machine->engine, ignored, ARRAY_SIZE(ignored)))
		;
}

/* Run until something stops the guest that is not the replay's own. EXIT_KICKED: somebody waits. */
static void run(struct travel *t, struct vm_exit *exit)
{
	struct machine *m = t->machine;

	for (;;) {
		loop_unlock(m->loop);
		engine_run(m->engine, exit);
		loop_lock(m->loop);
		drop_trace(t);
		if (m->end || (exit->kind == EXIT_KICKED && m->jobs))
			return;
		if (exit->kind == EXIT_DEBUG && exit->debug.reason == DEBUG_STOP_EVENTS) {
			if (recorder_stopped(m->recorder) != RECORDER_GO_ON)
				return;
		} else if (exit->kind != EXIT_KICKED && !machine_answer(m, exit)) {
			return;
		}
		if (m->ending) { /* it has asked for its end by a port */
			m->ending = END_NONE;
			return;
		}
	}
}

/* From wherever, with nobody asking, until there have been `events`. */
static bool run_until(struct travel *t, u64 events, struct look *now)
{
	struct vm_exit exit;

	if (!look(t, now))
		return false;
	if (now->events >= events)
		return true;
	recorder_mark(t->machine->recorder, events);
	run(t, &exit);
	if (!look(t, now))
		return false;
	if (now->events < events)
		lost(t, exit.kind == EXIT_KICKED ? "interrupted"
						 : "the guest did not come here again");
	return now->events >= events;
}

/* RF tells how it came to stand there: by a fault or behind a step. */
static bool is_same(const struct vcpu *a, const struct vcpu *b)
{
	return a->rip == b->rip && !((a->rflags ^ b->rflags) & ~(u64)FLAG_RF) &&
	       !memcmp(a->gpr, b->gpr, sizeof(a->gpr)) && a->cr3 == b->cr3 &&
	       a->halted == b->halted;
}

/* From the first moment with as many events as `here`, step until it is the same. */
static bool count_steps(struct travel *t, const struct look *here, u64 *steps)
{
	const struct debug_request points = {
		.count = 1,
		.point = {{(u32)(here->cpu.seg[SEG_CS].base + here->cpu.rip), 1, DEBUG_EXEC}},
	};
	struct vm_exit exit;
	struct look now;

	recorder_mark(t->machine->recorder, here->events + 1);
	ask(t, ~0ull, &points);
	for (;;) {
		if (!look(t, &now))
			return false;
		*steps = now.steps;
		if (is_same(&now.cpu, &here->cpu))
			return true;
		run(t, &exit);
		if (exit.kind != EXIT_DEBUG || exit.debug.reason != DEBUG_STOP_BREAK)
			break;
	}
	lost(t, exit.kind == EXIT_KICKED
			? "interrupted"
			: "this place is not found in the replay: has the guest been changed?");
	return false;
}

/* Where is it? */
static bool find_place(struct travel *t, struct look *here)
{
	struct look now;

	*here = (struct look){0};
	return look(t, here) && go_to_station(t, station_before(t, here->events)) &&
	       run_until(t, here->events, &now) && count_steps(t, here, &here->steps);
}

static enum travel_result go_to(struct travel *t, u64 events, u64 steps)
{
	struct vm_exit exit;
	struct look now;

	if (!go_to_station(t, station_before(t, events)) || !run_until(t, events, &now))
		return TRAVEL_LOST;
	if (!steps)
		return TRAVEL_THERE;
	recorder_mark(t->machine->recorder, 0);
	ask(t, steps, NULL);
	run(t, &exit);
	if (exit.kind == EXIT_DEBUG && exit.debug.reason == DEBUG_STOP_STEP)
		return TRAVEL_THERE;
	return lost(t,
		    exit.kind == EXIT_KICKED ? "interrupted" : "the guest did not come here again");
}

/* The guest goes on from here; and knows of no debugger. */
static enum travel_result arrive(struct travel *t, enum travel_result result)
{
	t->machine->muted = false;
	t->machine->travelled = true;
	if (result == TRAVEL_LOST)
		return result;
	ask(t, 0, NULL);
	set_mark(t);
	return result;
}

/* The moment before the one at which there were `events`: how far behind which count. */
static bool find_moment_before(struct travel *t, u64 events, struct look *before)
{
	struct vm_exit exit;
	struct look now;

	for (u64 back = 1;; back *= 2) {
		const u64 from = back < events ? events - back : 0;

		if (!go_to_station(t, station_before(t, from)) || !run_until(t, from, before))
			return false;
		if (before->events < events)
			break;
	}
	recorder_mark(t->machine->recorder, events);
	ask(t, ~0ull, NULL);
	run(t, &exit);
	if (!look(t, &now))
		return false;
	before->steps = now.steps;
	return now.events >= events || lost(t, "the guest did not come here again") != TRAVEL_LOST;
}

enum travel_result travel_step_back(struct travel *t, bool ended)
{
	struct look here;

	if (!t->stations)
		return TRAVEL_LOST;
	t->machine->muted = true;
	if (!find_place(t, &here))
		return arrive(t, TRAVEL_LOST);
	if (here.steps && !ended)
		return arrive(t, go_to(t, here.events, here.steps - 1));
	if (here.events <= t->station[0].events && !ended)
		return arrive(t, go_to_station(t, 0) ? TRAVEL_BEGIN : TRAVEL_LOST);
	if (!find_moment_before(t, here.events, &here))
		return arrive(t, TRAVEL_LOST);
	return arrive(t, go_to(t, here.events, here.steps));
}

/* Is this a stop that `points` have made? */
static bool is_hit(const struct vm_exit *exit)
{
	return exit->kind == EXIT_DEBUG &&
	       (exit->debug.reason == DEBUG_STOP_BREAK || exit->debug.reason == DEBUG_STOP_WATCH);
}

/* From station `i` to the next, or if that is behind it to `here`, or where the guest `ended`:
 * count what `points` stop for, up to `wanted`, where it then stands. False: lost. */
static bool count_hits(struct travel *t, unsigned i, const struct look *here, bool ended,
		       const struct debug_request *points, u64 wanted, u64 *hits,
		       struct vm_exit *exit)
{
	const bool last = i + 1 == t->stations || t->station[i + 1].events > here->events;
	const u64 end = last ? here->events : t->station[i + 1].events;
	bool stepping = false;
	struct look now;

	*hits = 0;
	if (!go_to_station(t, i) || !look(t, &now))
		return false;
	recorder_mark(t->machine->recorder, end);
	ask(t, 0, points);
	for (;;) {
		/* The last way is counted in steps. The first is none: it tells what the
		 * instruction that made the event has touched. */
		if (now.events >= end && !stepping) {
			if (!last)
				return true;
			recorder_mark(t->machine->recorder, 0);
			ask(t, here->steps ? here->steps : 1, points);
			stepping = true;
		}
		run(t, exit);
		if (!look(t, &now))
			return false;
		if (is_hit(exit)) {
			if (++*hits == wanted)
				return true;
			continue;
		}
		if ((stepping && exit->kind == EXIT_DEBUG) ||
		    (ended && exit->kind != EXIT_KICKED && now.events >= end))
			return true;
		if (exit->kind != EXIT_DEBUG || now.events < end) {
			lost(t, exit->kind == EXIT_KICKED ? "interrupted"
							  : "the guest did not come here again");
			return false;
		}
	}
}

enum travel_result travel_run_back(struct travel *t, const struct debug_request *points, bool ended,
				   struct vm_exit *exit)
{
	struct look here;
	u64 hits;

	if (!t->stations)
		return TRAVEL_LOST;
	t->machine->muted = true;
	if (!find_place(t, &here))
		return arrive(t, TRAVEL_LOST);
	for (unsigned i = station_before(t, here.events) + 1; i-- > 0;) {
		if (!count_hits(t, i, &here, ended, points, 0, &hits, exit))
			return arrive(t, TRAVEL_LOST);
		if (!hits)
			continue;
		if (!count_hits(t, i, &here, ended, points, hits, &hits, exit))
			return arrive(t, TRAVEL_LOST);
		/* Behind an access in one direction is before it in the other. */
		if (exit->debug.reason == DEBUG_STOP_WATCH)
			return travel_step_back(t, false);
		return arrive(t, TRAVEL_THERE);
	}
	return arrive(t, go_to_station(t, 0) ? TRAVEL_BEGIN : TRAVEL_LOST);
}

/* ---- beginning and end ---- */

struct travel *travel_create(struct machine *machine, const char *engine,
			     const struct engine_config *config,
			     const struct snapshot_config *about, struct error *e)
{
	const char *directory = getenv("TMPDIR");
	struct travel *t = calloc(1, sizeof(*t));

	if (!t) {
		error_set(e, "replay: out of memory");
		return NULL;
	}
	t->machine = machine;
	t->config = *config;
	t->about = about;
	t->config.stop_at = 0;
	t->interval = INTERVAL;
	snprintf(t->engine, sizeof(t->engine), "%s", engine);
	snprintf(t->directory, sizeof(t->directory), "%s/plex86-replay-XXXXXX",
		 directory && *directory ? directory : "/tmp");
	if (mkdtemp(t->directory))
		return t;
	error_set(e, "replay: a directory for snapshots, '%s': %s", t->directory, strerror(errno));
	free(t);
	return NULL;
}

void travel_destroy(struct travel *t)
{
	if (!t)
		return;
	while (t->stations)
		remove_station(t, t->stations - 1);
	rmdir(t->directory);
	free(t);
}
