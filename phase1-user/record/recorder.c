/*
 * Recording and replaying: see recorder.h.
 */
#include "recorder.h"
#include "../hal/netdev.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

struct recorder {
	FILE *file; /* NULL: a replay */
	const struct record_run *run;
	struct engine *engine;
	struct serial *serial;
	u64 user_stop, mark;
	size_t next; /* of a replay's inputs */
	u8 queue[RECORD_INPUT_MAX];
	size_t queued;
	struct hal_device *card;
	u8 frame[sizeof(struct virtio_net_hdr) + NETDEV_FRAME_MAX]; /* one that waits */
	size_t frame_length;
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

static u64 earlier(u64 a, u64 b)
{
	return a && (!b || a < b) ? a : b;
}

/* Where it is to stop next for our sake, or for others'. */
static void set_stop(struct recorder *r, u64 events)
{
	events = earlier(r->mark, earlier(r->user_stop, events));
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

/* A frame for the guest, which is to wait until its moment has come. */
static bool arrived(void *opaque, const struct virtio_net_hdr *header, const void *frame,
		    size_t len)
{
	struct recorder *r = opaque;

	if (!r->file || !len || len > NETDEV_FRAME_MAX)
		return true;
	if (r->frame_length)
		return false;
	memcpy(r->frame, header, sizeof(*header));
	memcpy(r->frame + sizeof(*header), frame, len);
	r->frame_length = sizeof(*header) + len;
	engine_kick(r->engine);
	return true;
}

void recorder_attach_card(struct recorder *r, struct hal_device *card)
{
	r->card = card;
	net_set_gate(card, &(struct net_gate){arrived, r});
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

static void feed_serial(struct recorder *r, u64 events)
{
	struct record_input input = {.events = events, .data = r->queue};

	input.length = serial_input(r->serial, r->queue, r->queued);
	if (!input.length)
		return;
	r->error = record_write_input(r->file, &input);
	r->queued -= input.length;
	memmove(r->queue, r->queue + input.length, r->queued);
}

static void give_frame(struct hal_device *card, const u8 *frame, size_t length)
{
	struct virtio_net_hdr header;

	/* A file's may be of any length. */
	if (length <= sizeof(header))
		return;
	memcpy(&header, frame, sizeof(header));
	net_receive(card, &header, frame + sizeof(header), length - sizeof(header));
}

/* It is lost if the guest has no room, and would be again. */
static void feed_frame(struct recorder *r, u64 events)
{
	const struct record_input input = {
		.events = events, .frame = true, .length = r->frame_length, .data = r->frame};

	give_frame(r->card, r->frame, r->frame_length);
	r->error = record_write_input(r->file, &input);
	r->frame_length = 0;
	net_resume(r->card);
}

static bool has_input(const struct recorder *r)
{
	return r->queued || r->frame_length;
}

/* Give the guest what waits for it, at this count of events. */
static enum recorder_stop feed(struct recorder *r, u64 events)
{
	if (r->queued)
		feed_serial(r, events);
	if (r->frame_length && !r->error)
		feed_frame(r, events);
	return r->error ? RECORDER_ERROR : RECORDER_GO_ON;
}

static enum recorder_stop parted(struct recorder *r, u64 events, const char *what)
{
	snprintf(r->difference, sizeof(r->difference), "%s after %" PRIu64 " events", what, events);
	return RECORDER_PARTED;
}

static enum recorder_stop feed_again(struct recorder *r, u64 events)
{
	enum recorder_stop marked = RECORDER_MARK;

	while (r->next < r->run->inputs && r->run->input[r->next].events <= events) {
		const struct record_input *input = &r->run->input[r->next++];

		if (input->frame)
			give_frame(r->card, input->data, input->length);
		else if (serial_input(r->serial, input->data, input->length) != input->length)
			return parted(r, events, "the guest did not take its input");
	}
	if (r->run->ended && events > r->run->end_events && ends_by_itself(r->run))
		return parted(r, r->run->end_events, "the guest did not end");
	if (r->next == r->run->inputs && !ends_by_itself(r->run) && events >= r->run->end_events)
		return RECORDER_OVER;
	if (r->mark && events >= r->mark)
		r->mark = 0;
	else
		marked = RECORDER_GO_ON;
	set_stop(r, next_stop(r));
	return marked;
}

void recorder_mark(struct recorder *r, u64 events)
{
	r->mark = events;
	set_stop(r, next_stop(r));
}

size_t recorder_position(const struct recorder *r)
{
	return r->next;
}

void recorder_rewind(struct recorder *r, struct engine *engine, size_t position)
{
	r->engine = engine;
	r->next = position;
	r->mark = 0;
	set_stop(r, next_stop(r));
}

enum recorder_stop recorder_kicked(struct recorder *r)
{
	enum recorder_stop stop;
	bool halted;
	u64 events;

	if (!r->file || !has_input(r))
		return RECORDER_GO_ON;
	if (!look(r, &events, &halted)) {
		r->error = ENOMEM;
		return RECORDER_ERROR;
	}
	stop = halted ? feed(r, events) : RECORDER_GO_ON;
	set_stop(r, has_input(r) ? events + 1 : 0);
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
	set_stop(r, has_input(r) ? events + 1 : 0);
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
