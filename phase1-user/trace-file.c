/*
 * --trace FILE: see trace-file.h.
 */
#include "trace-file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 256

struct trace_file {
	FILE *file;
	const struct symbols *symbols;
	bool deterministic; /* guest-visible events alone, with their digests */
	bool started;
	u64 start;
};

struct trace_file *trace_file_open(const char *path, const struct symbols *symbols,
				   bool deterministic, struct error *e)
{
	struct trace_file *t = calloc(1, sizeof(*t));

	if (!t) {
		error_set(e, "trace file '%s': out of memory", path);
		return NULL;
	}
	t->symbols = symbols;
	t->deterministic = deterministic;
	t->file = fopen(path, "we");
	if (!t->file) {
		error_set(e, "trace file '%s': %s", path, strerror(errno));
		free(t);
		return NULL;
	}
	return t;
}

static size_t add_argument(char *text, size_t size, const char *name, u64 value)
{
	if (!name[0])
		return 0;
	return snprintf(text, size, " %s=0x%llx", name, (unsigned long long)value);
}

void trace_line(const struct trace_record *r, u64 start, const struct symbols *symbols, char *text,
		size_t size)
{
	/* The record may be anything: the vcpu process wrote it. */
	const struct event_text *event = event_text(r->event);
	const u64 ns = r->time - start;
	char symbol[128];
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

static int write_record(struct trace_file *t, const struct trace_record *r)
{
	char line[TRACE_LINE_SIZE];
	int n;

	if (t->deterministic && !event_is_visible(r->event))
		return 0;
	if (!t->started) {
		t->started = true;
		t->start = r->time;
	}
	trace_line(r, t->start, t->symbols, line, sizeof(line));
	errno = 0;
	n = t->deterministic ? fprintf(t->file, "%s regs=%08x\n", line, r->digest)
			     : fprintf(t->file, "%s\n", line);
	return n < 0 ? (errno ? errno : EIO) : 0;
}

int trace_file_drain(struct trace_file *t, struct engine *engine)
{
	struct trace_record record[BATCH];
	unsigned batches = TRACE_RING / BATCH; /* no more, whatever the ring's head says */
	size_t n;

	do {
		n = engine_read_trace(engine, record, BATCH);
		for (size_t i = 0; i < n; i++) {
			int error = write_record(t, &record[i]);

			if (error)
				return error;
		}
	} while (n == BATCH && --batches);
	return 0;
}

int trace_file_close(struct trace_file *t)
{
	int error = fclose(t->file) ? errno : 0;

	free(t);
	return error;
}
