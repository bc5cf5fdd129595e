/*
 * The Trace Event Format: see trace-chrome.h.
 *
 * Of each track the events follow in the order of their times. The guest may write the ring the
 * records come from: a time that goes back is taken for the one before it.
 */
#include "trace-chrome.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define COUNT_NS 1000000u /* what one value of the counter stands for */
#define TEXT	 96

enum track { TRACK_TRAPS = 1, TRACK_EVENTS, TRACK_IDLE, TRACK_SPACE, TRACK_COUNT };

/* A slice that is not over. */
struct slice {
	bool open, wanted;
	u64 begin;
	struct trace_record record; /* the cause */
	char symbol[TEXT], code[TEXT];
};

struct chrome {
	FILE *file;
	bool any;	/* something has been written */
	u64 last;	/* ns */
	u64 count_from; /* ns */
	u64 traps, interrupts, accesses, others;
	bool in_space;
	struct slice trap, idle;
};

/* ---- JSON ---- */

static void put_string(FILE *f, const char *text)
{
	fputc('"', f);
	for (; *text; text++) {
		const unsigned char c = *text;

		if (c == '"' || c == '\\')
			fputc('\\', f);
		if (c < 0x20 || c >= 0x7f)
			fprintf(f, "\\u%04x", c);
		else
			fputc(c, f);
	}
	fputc('"', f);
}

/* The format counts microseconds. */
static void put_time(FILE *f, const char *key, u64 ns)
{
	fprintf(f, ",\"%s\":%" PRIu64 ".%03u", key, ns / 1000, (unsigned)(ns % 1000));
}

/* Up to its name; the caller goes on, to the closing brace. */
static void begin_event(struct chrome *c, char phase, enum track track, const char *name)
{
	fprintf(c->file, "%s{\"ph\":\"%c\",\"pid\":1,\"tid\":%d,\"name\":", c->any ? ",\n" : "",
		phase, track);
	put_string(c->file, name);
	c->any = true;
}

static void put_metadata(struct chrome *c, const char *what, enum track track, const char *name)
{
	begin_event(c, 'M', track, what);
	fputs(",\"args\":{\"name\":", c->file);
	put_string(c->file, name);
	fputs("}}", c->file);
}

static void put_hex(FILE *f, const char *key, u64 value)
{
	if (!key[0])
		return;
	put_string(f, key);
	fprintf(f, ":\"0x%" PRIx64 "\",", value);
}

/* What the record says; the trace's own way to put three things into one is undone. */
static void put_values(FILE *f, const struct trace_record *r)
{
	const struct event_text *text = event_text(r->event);

	if (r->event == EV_IO) {
		put_hex(f, "port", (u16)r->a);
		fprintf(f, "\"bytes\":%u,\"direction\":\"%s\",", (unsigned)(r->a >> 16 & 15),
			r->a >> 20 & 1 ? "out" : "in");
		if (r->a >> 20 & 1)
			put_hex(f, "value", r->b);
		return;
	}
	if (r->event == EV_EXIT)
		fprintf(f, "\"for\":\"%s\",", vm_exit_text(r->a));
	put_hex(f, text->a, r->a);
	put_hex(f, text->b, r->b);
}

static void put_args(FILE *f, const struct trace_record *r, const char *symbol, const char *code)
{
	fputs(",\"args\":{", f);
	put_values(f, r);
	fprintf(f, "\"cpl\":%u,\"eip\":\"%08" PRIx64, r->cpl, r->rip);
	fputc('"', f);
	if (symbol[0]) {
		fputs(",\"at\":", f);
		put_string(f, symbol[0] == ' ' ? symbol + 1 : symbol);
	}
	if (code && code[0]) {
		fputs(",\"code\":", f);
		put_string(f, code);
	}
	fputs("}}", f);
}

/* ---- slices ---- */

static void put_slice(struct chrome *c, struct slice *s, enum track track, const char *name,
		      u64 end)
{
	if (s->open && s->wanted) {
		begin_event(c, 'X', track, name);
		put_time(c->file, "ts", s->begin);
		put_time(c->file, "dur", end - s->begin);
		put_args(c->file, &s->record, s->symbol, s->code);
	}
	s->open = false;
}

static void describe(struct slice *s, const struct chrome_record *r)
{
	s->record = *r->record;
	snprintf(s->symbol, sizeof(s->symbol), "%s", r->symbol);
	snprintf(s->code, sizeof(s->code), "%s", r->code ? r->code : "");
}

static void open_slice(struct slice *s, const struct chrome_record *r, u64 ns)
{
	s->open = true;
	s->wanted = r->wanted;
	s->begin = ns;
	describe(s, r);
}

/* As the statistics have it: the cause is the first event that says more than that there was one.
 */
static bool says_little(u16 event)
{
	return event == EV_TRAP || event == EV_GATE || event == EV_EMULATE;
}

/* A system call of the host's is no exception: nothing is recorded before it. */
static bool begins_trap(const struct chrome *c, u16 event)
{
	return !c->trap.open || event == EV_TRAP || event == EV_GATE || event == EV_KICK ||
	       (event == EV_SYSCALL && !says_little(c->trap.record.event));
}

static void end_trap(struct chrome *c, u64 ns)
{
	put_slice(c, &c->trap, TRACK_TRAPS, event_text(c->trap.record.event)->name, ns);
}

static void follow_trap(struct chrome *c, const struct chrome_record *r, u64 ns)
{
	if (begins_trap(c, r->record->event)) {
		end_trap(c, c->last);
		open_slice(&c->trap, r, ns);
	} else {
		c->trap.wanted |= r->wanted;
		if (says_little(c->trap.record.event))
			describe(&c->trap, r);
	}
	/* What follows comes when the guest has waited. */
	if (r->record->event == EV_HLT)
		end_trap(c, ns);
}

static void follow_idle(struct chrome *c, const struct chrome_record *r, u64 ns)
{
	put_slice(c, &c->idle, TRACK_IDLE, "idle", ns);
	if (r->record->event == EV_HLT)
		open_slice(&c->idle, r, ns);
}

static void end_space(struct chrome *c, u64 ns)
{
	if (!c->in_space)
		return;
	begin_event(c, 'E', TRACK_SPACE, "cr3");
	put_time(c->file, "ts", ns);
	fputc('}', c->file);
	c->in_space = false;
}

static void follow_space(struct chrome *c, const struct chrome_record *r, u64 ns)
{
	char name[TEXT];

	if (r->record->event != EV_CR || r->record->a != 3 || !r->wanted)
		return;
	end_space(c, ns);
	snprintf(name, sizeof(name), "cr3 %08" PRIx64, r->record->b);
	begin_event(c, 'B', TRACK_SPACE, name);
	put_time(c->file, "ts", ns);
	fputc('}', c->file);
	c->in_space = true;
}

/* ---- counters ---- */

static void put_counts(struct chrome *c)
{
	begin_event(c, 'C', TRACK_COUNT, "events a millisecond");
	put_time(c->file, "ts", c->count_from);
	fprintf(c->file,
		",\"args\":{\"traps\":%" PRIu64 ",\"interrupts\":%" PRIu64 ",\"accesses\":%" PRIu64
		",\"others\":%" PRIu64 "}}",
		c->traps, c->interrupts, c->accesses, c->others);
	c->traps = c->interrupts = c->accesses = c->others = 0;
}

static u64 *counter_of(struct chrome *c, u16 event)
{
	switch (event) {
	case EV_TRAP:
	case EV_GATE:
		return &c->traps;
	case EV_IRQ:
	case EV_INJECT:
		return &c->interrupts;
	case EV_IO:
	case EV_MMIO:
	case EV_DEVICE:
		return &c->accesses;
	default:
		return &c->others;
	}
}

static void count(struct chrome *c, const struct chrome_record *r, u64 ns)
{
	const bool gap = ns - c->count_from >= 2 * COUNT_NS;

	if (ns - c->count_from >= COUNT_NS) {
		put_counts(c);
		c->count_from += COUNT_NS;
		if (gap) { /* in between there was nothing */
			put_counts(c);
			c->count_from = ns - ns % COUNT_NS;
		}
	}
	if (r->wanted)
		++*counter_of(c, r->record->event);
}

/* ---- all of it ---- */

struct chrome *chrome_open(FILE *file)
{
	static const char *const tracks[] = {[TRACK_TRAPS] = "traps",
					     [TRACK_EVENTS] = "events",
					     [TRACK_IDLE] = "idle",
					     [TRACK_SPACE] = "address space",
					     [TRACK_COUNT] = "counters"};
	struct chrome *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->file = file;
	fputs("{\"displayTimeUnit\":\"ns\",\"traceEvents\":[\n", file);
	put_metadata(c, "process_name", 0, "plex86 guest");
	for (unsigned i = TRACK_TRAPS; i <= TRACK_COUNT; i++)
		put_metadata(c, "thread_name", i, tracks[i]);
	return c;
}

void chrome_add(struct chrome *c, const struct chrome_record *r)
{
	const u64 ns = r->ns > c->last ? r->ns : c->last;

	follow_idle(c, r, ns);
	follow_trap(c, r, ns);
	follow_space(c, r, ns);
	count(c, r, ns);
	c->last = ns;
	if (!r->wanted)
		return;
	begin_event(c, 'i', TRACK_EVENTS, event_text(r->record->event)->name);
	put_time(c->file, "ts", ns);
	fputs(",\"s\":\"t\"", c->file);
	put_args(c->file, r->record, r->symbol, r->code);
}

void chrome_close(struct chrome *c)
{
	end_trap(c, c->last);
	put_slice(c, &c->idle, TRACK_IDLE, "idle", c->last);
	end_space(c, c->last);
	put_counts(c);
	fputs("\n]}\n", c->file);
	free(c);
}
