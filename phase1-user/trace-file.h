/*
 * --trace FILE: every event as one line of text.
 *
 * Owns: the file and the form of a line (which crash reports use as well):
 *   seconds since the first event, CPL, address with symbol, event, its arguments by name.
 */
#ifndef PLEX86_TRACE_FILE_H
#define PLEX86_TRACE_FILE_H

#include "engine.h"
#include "error.h"
#include "symbols.h"

struct trace_file;

/* `deterministic`: of a run of this kind, only what is visible to the guest (common/trace.h). */
struct trace_file *trace_file_open(const char *path, const struct symbols *symbols,
				   bool deterministic, struct error *e);
/* Take the engine's new records. 0, or the errno of a failed write. */
int trace_file_drain(struct trace_file *t, struct engine *engine);
/* 0, or the errno with which the last of it could not be written. */
int trace_file_close(struct trace_file *t);

#define TRACE_LINE_SIZE 256

/* One record as text, without a newline; `start` is the time shown as 0. */
void trace_line(const struct trace_record *r, u64 start, const struct symbols *symbols, char *text,
		size_t size);

#endif
