/*
 * --trace FILE: see trace-file.h.
 */
#include "trace-file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "trace-chrome.h"
#include "trace-code.h"
#include "trace-spec.h"

#define SYMBOL_SIZE 128

struct trace_file {
	struct trace_spec spec;
	FILE *file;
	const struct symbols *symbols;
	bool deterministic; /* guest-visible events alone, with their digests */
	bool started;
	struct trace_clock clock;
	struct chrome *chrome;	 /* TRACE_CHROME */
	struct trace_code *code; /* NULL: not asked for */
	struct trace_record record[TRACE_RING];
	bool muted; /* records are taken and thrown away */
};

static bool open_parts(struct trace_file *t, struct error *e)
{
	const char *path = t->spec.path;

	if (t->deterministic)
		t->spec.events &= EVENTS_VISIBLE;
	t->file = fopen(path, "we");
	if (!t->file)
		return error_set(e, "trace file '%s': %s", path, strerror(errno));
	if (t->spec.format == TRACE_CHROME && !(t->chrome = chrome_open(t->file)))
		return error_set(e, "trace file '%s': out of memory", path);
	if (t->spec.code && !(t->code = trace_code_open()))
		return error_set(e, "trace file '%s': out of memory", path);
	return true;
}

struct trace_file *trace_file_open(const char *spec, const struct symbols *symbols,
				   unsigned long khz, bool deterministic, struct error *e)
{
	struct trace_file *t = calloc(1, sizeof(*t));

	if (!t) {
		error_set(e, "trace file '%s': out of memory", spec);
		return NULL;
	}
	t->symbols = symbols;
	t->clock.khz = khz;
	t->deterministic = deterministic;
	if (trace_spec_parse(&t->spec, spec, symbols, e) && open_parts(t, e))
		return t;
	trace_file_close(t);
	return NULL;
}

/* ---- text ---- */

static size_t add_argument(char *text, size_t size, const char *name, u64 value)
{
	if (!name[0])
		return 0;
	return snprintf(text, size, " %s=0x%llx", name, (unsigned long long)value);
}

u64 trace_ns(const struct trace_clock *clock, const struct trace_record *r)
{
	return (u64)((unsigned __int128)(r->time - clock->start) * 1000000 /
		     (clock->khz ? clock->khz : 1));
}

void trace_line(const struct trace_record *r, const struct trace_clock *clock,
		const struct symbols *symbols, char *text, size_t size)
{
	/* The record may be anything: the vcpu process wrote it. */
	const struct event_text *event = event_text(r->event);
	const u64 ns = trace_ns(clock, r);
	char symbol[SYMBOL_SIZE];
	size_t len;

	symbols_text(symbols, r->rip, symbol, sizeof(symbol));
	len = snprintf(text, size, "%6llu.%09llu %u %08llx%s %s",
		       (unsigned long long)ns / 1000000000, (unsigned long long)ns % 1000000000,
		       r->cpl, (unsigned long long)r->rip, symbol, event->name);
	if (len < size)
		len += add_argument(text + len, size - len, event->a, r->a);
	if (len < size)
		add_argument(text + len, size - len, event->b, r->b);
}

static void write_line(struct trace_file *t, const struct trace_record *r, const char *code)
{
	char line[TRACE_LINE_SIZE];

	trace_line(r, &t->clock, t->symbols, line, sizeof(line));
	fputs(line, t->file);
	if (t->deterministic)
		fprintf(t->file, " regs=%08x", r->digest);
	if (code)
		fprintf(t->file, " ; %s", code);
	fputc('\n', t->file);
}

/* ---- records ---- */

static void write_chrome(struct trace_file *t, const struct trace_record *r, const char *code,
			 bool wanted)
{
	char symbol[SYMBOL_SIZE];
	const struct chrome_record record = {
		.record = r,
		.ns = trace_ns(&t->clock, r),
		.symbol = symbols_text(t->symbols, r->rip, symbol, sizeof(symbol)),
		.code = code,
		.wanted = wanted,
	};

	chrome_add(t->chrome, &record);
}

static void write_record(struct trace_file *t, size_t i)
{
	const struct trace_record *r = &t->record[i];
	const bool wanted = trace_spec_wants(&t->spec, r);
	const char *code = t->code && wanted ? trace_code_text(t->code, r, i) : NULL;

	if (!t->started) {
		t->started = true;
		t->clock.start = r->time;
	}
	if (t->chrome)
		write_chrome(t, r, code, wanted);
	else if (wanted)
		write_line(t, r, code);
}

int trace_file_drain(struct trace_file *t, struct engine *engine, bool still)
{
	/* No more than this, whatever the ring's head says. */
	const size_t n = engine_read_trace(engine, t->record, TRACE_RING);

	if (t->code && n)
		trace_code_look(t->code, engine, t->record, n, still);
	errno = 0;
	for (size_t i = 0; i < n && !t->muted; i++)
		write_record(t, i);
	return ferror(t->file) ? (errno ? errno : EIO) : 0;
}

void trace_file_mute(struct trace_file *t, bool muted)
{
	t->muted = muted;
}

int trace_file_close(struct trace_file *t)
{
	int error = 0;

	if (t->chrome)
		chrome_close(t->chrome);
	if (t->file && fclose(t->file))
		error = errno;
	trace_code_close(t->code);
	free(t);
	return error;
}
