/*
 * What --trace is given: FILE[,format=text|chrome][,code][,events=LIST][,range=RANGE]...
 *
 * Owns: taking the words apart, and which records are wanted.
 */
#ifndef PLEX86_TRACE_SPEC_H
#define PLEX86_TRACE_SPEC_H

#include "../../common/trace.h"
#include "../error.h"
#include "symbols.h"

#define TRACE_SPEC_MAX 4096
#define TRACE_RANGES   16

enum trace_format { TRACE_TEXT, TRACE_CHROME };

struct trace_range {
	u64 first, last;
};

struct trace_spec {
	char words[TRACE_SPEC_MAX]; /* as given, cut into pieces */
	const char *path;
	enum trace_format format;
	bool code;  /* show the instruction at EIP */
	u64 events; /* a bit each (EVENT_BIT); all that is not mentioned if none is */
	unsigned ranges;
	struct trace_range range[TRACE_RANGES]; /* of EIP; none: everywhere */
};

/* `symbols` may be NULL; then no range can be named. */
bool trace_spec_parse(struct trace_spec *s, const char *text, const struct symbols *symbols,
		      struct error *e);
bool trace_spec_wants(const struct trace_spec *s, const struct trace_record *r);

#endif
