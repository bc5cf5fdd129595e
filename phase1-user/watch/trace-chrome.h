/*
 * Trace records in the Trace Event Format, which Perfetto and chrome://tracing open.
 *
 * Owns: the JSON. Tracks: "traps", a slice for each trap, from its beginning to the last thing
 * recorded in it (so it lasted a little longer); "events", a mark for each record; "idle", a slice
 * for each hlt; "address space", a slice while one is in force; a counter of events a millisecond.
 */
#ifndef PLEX86_TRACE_CHROME_H
#define PLEX86_TRACE_CHROME_H

#include <stdio.h>
#include "../../common/trace.h"

struct chrome;

/* One record, with what is known about it beside. */
struct chrome_record {
	const struct trace_record *record;
	u64 ns;		    /* since the first one */
	const char *symbol; /* of its EIP; "" if unknown */
	const char *code;   /* NULL: unknown */
	bool wanted;	    /* else it only ends what goes on */
};

struct chrome *chrome_open(FILE *file);
void chrome_add(struct chrome *c, const struct chrome_record *r);
/* End all that goes on, and free it. The file stays open. */
void chrome_close(struct chrome *c);

#endif
