/*
 * The instruction a trace record is about, as text.
 *
 * Owns: reading it from guest memory at the moment the record is written, which is up to some
 * thousand events after it was made. The kernel's code is there in every address space and seldom
 * changes; of other code only that of the address space still in force is shown.
 */
#ifndef PLEX86_TRACE_CODE_H
#define PLEX86_TRACE_CODE_H

#include "../engine/engine.h"

struct trace_code;

struct trace_code *trace_code_open(void);
void trace_code_close(struct trace_code *c);
/* `n` records have been taken out of `engine`. `still`: its guest stands still. */
void trace_code_look(struct trace_code *c, struct engine *engine,
		     const struct trace_record *records, size_t n, bool still);
/* Of number `i` of these: NULL if it cannot be told. Valid until the next call. */
const char *trace_code_text(struct trace_code *c, const struct trace_record *r, size_t i);

#endif
