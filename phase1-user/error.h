/*
 * Errors as text.
 *
 * Owns: struct error, one line that says what was attempted, on what, why it failed and what to
 * do; and the exit statuses of the program. Nothing here prints or exits.
 */
#ifndef PLEX86_ERROR_H
#define PLEX86_ERROR_H

#include <stdbool.h>

/* Exit statuses of plex86 itself. Statuses a guest chooses are passed on as they are. */
enum {
	STATUS_OK = 0,	    /* the guest powered off or halted */
	STATUS_USAGE = 2,   /* bad usage or bad input; no guest was run */
	STATUS_HUNG = 121,  /* the guest made no progress for as long as --hang allows */
	STATUS_UNMET = 122, /* the guest ended without having said what --expect waits for */
	STATUS_LATE = 123,  /* the guest took longer than --timeout */
	STATUS_RESET = 124, /* the guest asked for a reset (a Linux panic ends so, too) */
	STATUS_HOST = 125,  /* this host lacks something plex86 needs; see `plex86 doctor` */
	STATUS_CRASH = 126, /* the guest crashed; a report was written */
	STATUS_SELF = 127,  /* plex86 itself failed */
	STATUS_SIGNAL = 128 /* plus the number of the signal that ended plex86 */
};

struct error {
	char text[640];
};

/* Set the text; control characters in it (from file names, from kernels) become '?'. Returns
 * false, so that `return error_set(e, ...)` reads well in functions that return success. */
bool error_set(struct error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
