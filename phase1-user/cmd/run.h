/*
 * A run of plex86 run: for cmd-run.c and run-prepare.c alone.
 *
 * Owns: struct run, all that a run has from its options to its exit status.
 */
#ifndef PLEX86_RUN_H
#define PLEX86_RUN_H

#include <jansson.h>
#include <stdio.h>
#include <sys/stat.h>
#include "../control/control.h"
#include "../control/event-file.h"
#include "../gdb/gdb.h"
#include "../watch/hang.h"
#include "kit.h"
#include "../loader/loader.h"
#include "../machine.h"
#include "options.h"
#include "../pc.h"
#include "../watch/profile.h"
#include "../record/recording.h"
#include "../snapshot/snapshot.h"
#include "../record/travel.h"
#include "../engine/tsc.h"

struct run {
	struct run_options options;
	struct kit kit;
	char **argv;
	struct tsc_sample tsc;
	struct blob kernel, initrd; /* until they are in guest RAM */
	struct stat kernel_file;
	struct image image;
	struct blob video; /* firmware of the VGA of machine pc */
	struct hal hal;
	struct pc pc;
	struct console_target console;
	struct control *control;   /* NULL: none */
	struct event_file *events; /* NULL: none */
	struct gdb_server *gdb;	   /* NULL: none */
	json_t *who;		   /* what the guest is, for those */
	char cmdline[CMDLINE_MAX + 1];
	struct recording recording;
	struct travel *travel; /* NULL: nobody goes back */
	struct symbols *symbols;
	struct trace_file *trace;
	struct loop loop;
	struct engine *engine;
	struct machine machine;
	struct snapshot *snapshot;    /* that it goes on from; NULL: it begins */
	struct snapshot_config about; /* what a snapshot would say */
	struct hang hang;
	struct profile profile;
	FILE *report; /* --report, NULL: none */
	bool stuck;   /* a thread hangs in a write and needs what it uses until we exit */
	struct error error;
};

/* Before the guest exists: find, read and open all that the options name. False: r->error, and
 * usage is at fault. */
bool run_prepare(struct run *r);
/* Is the console no terminal, so that bytes should pass as they are? */
bool run_is_pipe(const struct run *r);
/* How fast the guest's TSC counts. */
u64 run_khz(const struct run *r);

#endif
