/*
 * What a run's end means: see verdict.h.
 */
#include "verdict.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

/* Has a guest that was to say something ended in peace, but without a word of it? */
static bool is_unmet(const struct machine *m, const struct run_options *o)
{
	const enum machine_end end = m->end;

	return o->expect && (end == END_HALTED || end == END_VALUE || end == END_RESET);
}

int verdict_status(const struct machine *m, const struct run_options *o)
{
	const bool command = o->command != NULL;

	if (is_unmet(m, o))
		return STATUS_UNMET;
	switch (m->end) {
	case END_HALTED:
	case END_MET:
	case END_EVENTS:
		return STATUS_OK;
	case END_LATE:
		return STATUS_LATE;
	case END_VALUE:
		return command ? m->value & 0xff : ((m->value << 1) | 1) & 0xff;
	case END_RESET:
		return STATUS_RESET;
	case END_CRASH:
		return STATUS_CRASH;
	case END_HUNG:
		return STATUS_HUNG;
	case END_QUIT:
		return command ? STATUS_SIGNAL + SIGINT : STATUS_OK;
	case END_SIGNAL:
		return STATUS_SIGNAL + m->value;
	case END_OUTPUT:
		return m->value == EPIPE ? STATUS_SIGNAL + SIGPIPE : STATUS_SELF;
	case END_GONE:
	case END_TRACE:
	case END_PARTED:
	case END_RECORD:
	case END_NONE:
		break;
	}
	return STATUS_SELF;
}

bool verdict_explain(const struct machine *m, const struct run_options *o, struct error *e)
{
	if (is_unmet(m, o))
		error_set(e, "expect '%s': the guest ended (%s) and has not said it", o->expect,
			  machine_end_text(m->end));
	else if (m->end == END_LATE)
		error_set(e, "timeout: the guest was still running after %g s",
			  o->timeout_ns / 1e9);
	else if (m->end == END_OUTPUT && m->value != EPIPE)
		error_set(e, "console: writing %s: %s", o->console ? o->console : "standard output",
			  strerror(m->value));
	else if (m->end == END_TRACE)
		error_set(e, "trace file '%s': writing it: %s", o->trace, strerror(m->value));
	else if (m->end == END_PARTED)
		error_set(e, "replay '%s': it did not go as recorded: %s", o->replay,
			  recorder_difference(m->recorder));
	else if (m->end == END_RECORD)
		error_set(e, "record '%s': writing it: %s", o->record, strerror(m->value));
	else if (m->end == END_NONE)
		error_set(e, "the run ended for no reason (a bug in plex86)");
	else
		return false;
	return true;
}
