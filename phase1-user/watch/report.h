/*
 * The crash report: what is known about a guest that died.
 *
 * Owns: the text on standard error. Reads a copy of the machine's state, and takes nothing in it
 * for granted: a guest that broke into its monitor's memory may have written all of it.
 */
#ifndef PLEX86_REPORT_H
#define PLEX86_REPORT_H

#include <stdio.h>
#include "../engine/engine.h"
#include "hang.h"
#include "symbols.h"

struct report {
	struct engine *engine;
	const struct vm *vm;	       /* its state; `ram` and `ram_size` are ours */
	const struct vm_exit *exit;    /* EXIT_SHUTDOWN, EXIT_FAULT or EXIT_DEBUG; else a panic */
	const struct hang *hang;       /* NULL: it does not hang */
	unsigned long khz;	       /* of the times of events */
	const struct symbols *symbols; /* NULL: none */
	char *const *argv;	       /* how plex86 was started */
};

void report_write(const struct report *r, FILE *out);

#endif
