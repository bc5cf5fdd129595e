/*
 * What a recorded run and its replay have in common with the run's options.
 *
 * Owns: that a replay has the same kernel, initrd, memory and command line as what it replays.
 */
#ifndef PLEX86_RECORDING_H
#define PLEX86_RECORDING_H

#include "../loader/loader.h"
#include "../cmd/options.h"
#include "recorder.h"

struct recording {
	struct record_run run;
	struct recorder *recorder; /* NULL: neither recorded nor replayed */
};

/* Begin what options ask for, with files that have been read. `cmdline` has room for CMDLINE_MAX
 * and is replaced by a replay's. True as well if nothing is asked for. */
bool recording_begin(struct recording *rec, const struct run_options *o, const struct blob *kernel,
		     const struct blob *initrd, char *cmdline, struct error *e);
void recording_end(struct recording *rec);

#endif
