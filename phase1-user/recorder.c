/*
 * Recording and replaying: see recorder.h.
 */
#include "recorder.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct recorder {
	FILE *file; /* NULL: a replay */
	const struct record_run *run;
	struct engine *engine;
	struct serial *serial;
	u64 user_stop;
	size_t next; /* of a replay's inputs */
	u8 queue[RECORD_INPUT_MAX];
	size_t queued;
	int error;
	char difference[160];
};

struct recorder *recorder_create(const char *path, const struct record_run *run, struct error *e)
{
	struct recorder *r = calloc(1, sizeof(*r));

	if (!r) {
		error_set(e, "record '%s': out of memory", path);
		return NULL;
	}
	r->file = fopen(path, "we");
	r->error = r->file ? record_write_run(r->file, run) : errno;
	if (!r->error)
		return r;
	error_set(e, "record '%s': %s", path, strerror(r->error));
	recorder_free(r);
	return NULL;
}

struct recorder *recorder_replay(const struct record_run *run)
{
	struct recorder *r = calloc(1, sizeof(*r));

	if (r)
		r->run = run;
	return r;
}

void recorder_free(struct recorder *r)
{
	if (r && r->file)
		fclose(r->file);
	free(r);
}

/* Did the recorded run end by something outside, which its replay has to be told? */
static bool ends_by_itself(const struct record_run *run)
{
	static const char *const outside[] = {"quit",	"timeout",     "expected",  "stopped",
					      "signal", "output-lost", "trace-lost"};

	if (!run->ended)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(outside); i++)
		if (!strcmp(run->end_how, outside[i]))
			return false;
	return true;
}

/* Where a replay has to be interrupted next; 0: nowhere. */
static u64 next_stop(const struct recorder *r)
{
	if (r->next < r->run->inputs)
		return r->run->input[r->next].events;
	if (!r->run->ended)
		return 0;
	return r->run->end_events + ends_by_itself(r->run);
}

static void set_stop(struct recorder *r, u64 events)
{
	if (r->user_stop && (!events || r->user_stop < events))
		events = r->user_stop;
	engine_stop_at(r->engine, events);
}

void recorder_attach(struct recorder *r, struct engine *engine, struct serial *serial, u64 stop_at)
{
	r->engine = engine;
	r->serial = serial;
	r->user_stop = stop_at;
	if (!r->file)
		set_stop(r, next_stop(r));
}

size_t recorder_room(const struct recorder *r, size_t room)
{
	if (!r->file || r->queued)
		return 0;
	return room < sizeof(r->queue) ? room : sizeof(r->queue);
}

size_t recorder_input(struct recorder *r, const u8 *data, size_t n)
{
	n = recorder_room(r, n);
	memcpy(r->queue, data, n);
	r->queued = n;
	engine_kick(r->engine);
	return n;
}

/* Where the guest is; false: out of memory. */
static bool look(struct recorder *r, u64 *events, bool *halted)
{
	struct vm *state = calloc(1, sizeof(*state));

	if (!state)
		return false;
	engine_get_state(r->engine, state);
	*events = state->clock.events;
	*halted = state->cpu.halted;
	free(state);
	return true;
}

/* Give the guest what waits for it, at this count of events. */
static enum recorder_stop feed(struct recorder *r, u64 events)
{
	struct record_input input = {.events = events};

	input.length = serial_input(r->serial, r->queue, r->queued);
	memcpy(input.data, r->queue, input.length);
	r->queued -= input.length;
	memmove(r->queue, r->queue + input.length, r->queued);
	if (input.length)
		r->error = record_write_input(r->file, &input);
	return r->error ? RECORDER_ERROR : RECORDER_GO_ON;
}

static enum recorder_stop parted(struct recorder *r, u64 events, const char *what)
{
	snprintf(r->difference, sizeof(r->difference), "%s after %" PRIu64 " events", what, events);
	return RECORDER_PARTED;
}

static enum recorder_stop feed_again(struct recorder *r, u64 events)
{
	while (r->next < r->run->inputs && r->run->input[r->next].events <= events) {
		const struct record_input *input = &r->run->input[r->next++];

		if (serial_input(r->serial, input->data, input->length) != input->length)
			return parted(r, events, "the guest did not take its input");
	}
	if (r->run->ended && events > r->run->end_events && ends_by_itself(r->run))
		return parted(r, r->run->end_events, "the guest did not end");
	if (r->next == r->run->inputs && !ends_by_itself(r->run) && events >= r->run->end_events)
		return RECORDER_OVER;
	set_stop(r, next_stop(r));
	return RECORDER_GO_ON;
}

enum recorder_stop recorder_kicked(struct recorder *r)
{
	enum recorder_stop stop;
	bool halted;
	u64 events;

	if (!r->file || !r->queued)
		return RECORDER_GO_ON;
	if (!look(r, &events, &halted)) {
		r->error = ENOMEM;
		return RECORDER_ERROR;
	}
	stop = halted ? feed(r, events) : RECORDER_GO_ON;
	set_stop(r, r->queued ? events + 1 : 0);
	return stop;
}

enum recorder_stop recorder_stopped(struct recorder *r)
{
	enum recorder_stop stop;
	bool halted;
	u64 events;

	if (!look(r, &events, &halted)) {
		r->error = ENOMEM;
		return RECORDER_ERROR;
	}
	if (r->user_stop && events >= r->user_stop)
		return RECORDER_USER;
	if (!r->file)
		return feed_again(r, events);
	stop = feed(r, events);
	set_stop(r, r->queued ? events + 1 : 0);
	return stop;
}

int recorder_error(const struct recorder *r)
{
	return r->error;
}

static bool check_end(struct recorder *r, u64 events, const char *how, u64 value)
{
	const struct record_run *run = r->run;

	if (!run->ended || !ends_by_itself(run))
		return true;
	if (events == run->end_events && !strcmp(how, run->end_how) && value == run->end_value)
		return true;
	snprintf(r->difference, sizeof(r->difference),
		 "it ended (%s %" PRIu64 ") after %" PRIu64 " events, the recorded one (%s %" PRIu64
		 ") after %" PRIu64,
		 how, value, events, run->end_how, run->end_value, run->end_events);
	return false;
}

bool recorder_end(struct recorder *r, const char *how, u64 value, bool natural)
{
	bool halted;
	u64 events;

	if (!look(r, &events, &halted))
		return true;
	if (r->file) {
		if (!r->error)
			r->error = record_write_end(r->file, events, how, value);
		return true;
	}
	/* Who stops a replay has not seen it part. */
	return !natural || check_end(r, events, how, value);
}

const char *recorder_difference(const struct recorder *r)
{
	return r->difference;
}
