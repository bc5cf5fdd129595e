/*
 * --trace FILE: every event, as one line of text or for a trace viewer.
 *
 * Owns: the file and the form of a line (which crash reports use as well):
 *   seconds since the first event, CPL, address with symbol, event, its arguments by name,
 * and where the instruction at that address is asked for, that behind a semicolon.
 */
#ifndef PLEX86_TRACE_FILE_H
#define PLEX86_TRACE_FILE_H

#include "../engine/engine.h"
#include "../error.h"
#include "symbols.h"

struct trace_file;

/* `spec` is trace-spec.h's. `khz` is the frequency of records' times. `deterministic`: of a run of
 * this kind, only what is visible to the guest (common/trace.h), with the digests. */
struct trace_file *trace_file_open(const char *spec, const struct symbols *symbols,
				   unsigned long khz, bool deterministic, struct error *e);
/* Take the engine's new records; `still`: its guest stands still. 0, or the errno of a failed
 * write. */
int trace_file_drain(struct trace_file *t, struct engine *engine, bool still);
/* Leave out what comes from now on, or no longer. */
void trace_file_mute(struct trace_file *t, bool muted);
/* 0, or the errno with which the last of it could not be written. */
int trace_file_close(struct trace_file *t);

#define TRACE_LINE_SIZE 256

/* Cycles of records, as nanoseconds since `start`. */
struct trace_clock {
	u64 start;
	unsigned long khz;
};
u64 trace_ns(const struct trace_clock *clock, const struct trace_record *r);
/* One record as text, without a newline. */
void trace_line(const struct trace_record *r, const struct trace_clock *clock,
		const struct symbols *symbols, char *text, size_t size);

#endif
