/*
 * The command line of `plex86 run`.
 *
 * Owns: struct run_options and turning words into it. Opens nothing and starts nothing.
 */
#ifndef PLEX86_OPTIONS_H
#define PLEX86_OPTIONS_H

#include "../../common/types.h"
#include "../error.h"

#define MEMORY_DEFAULT	     ((u64)256 << 20)
#define MEMORY_DEFAULT_IMAGE ((u64)512 << 20) /* of a whole distribution */
#define MEMORY_MIN	     ((u64)4 << 20)
#define MEMORY_MAX	     ((u64)0xc0000000) /* below the device window at 0xd0000000 */
#define KERNEL_DEFAULT	     "6.1"	       /* of --image; kit.h finds it */

/* A device asked for: the option's long name and its value, in the order of the command line. */
struct device_option {
	const char *option, *spec;
};

#define DEVICE_OPTIONS_MAX 16

struct run_options {
	const char *kernel; /* NULL: none, the machine begins with its firmware */
	const char *bios;   /* --bios, NULL: the usual one */
	bool pc, pc_serial; /* --machine pc, and with its serial port for a console */
	const char *initrd; /* NULL: none */
	const char *engine; /* --engine, or what is taken without */
	bool engine_given;
	bool kmod;	     /* --kmod */
	const char *image;   /* --image as given, and then the spec of device[0] too; NULL: none */
	const char *append;  /* the user's part of the command line, "" if none */
	char *append_buffer; /* what options_free() frees */
	u64 memory;
	const char *json;	     /* --json, a file or fd:N; NULL: none */
	const char *snapshot_to;     /* --snapshot-to, NULL: none */
	const char *crash_snapshot;  /* --snapshot-on-crash, NULL: none */
	const char *snapshot;	     /* of plex86 resume: the file to go on from */
	const char *trace;	     /* file for --trace, NULL: none */
	const char *console;	     /* --console, NULL: the standard streams */
	const char *name;	     /* --name, NULL: derived from the image's or kernel's */
	u64 timeout_ns;		     /* --timeout, 0: none */
	u64 hang_ns;		     /* --hang, 0: none */
	const char *profile;	     /* --profile FILE[,WORD...], NULL: none */
	const char *report;	     /* --report, NULL: none */
	u64 stop_after;		     /* --stop-after, events; 0: never */
	u64 test_flip;		     /* events after which to emulate one thing wrongly; 0: never */
	const char *record, *replay; /* files of recorder.h's, NULL: none */
	const char *test_debug;	     /* test-debug.h's; NULL: none */
	const char *gdb;    /* --gdb: where to listen, "" for the usual place; NULL: nowhere */
	const char *expect; /* --expect, a regular expression that compiles, NULL: none */
	bool stats, common_cpu, no_jail, no_fast_paths, deterministic, verbose, help, net_given;
	bool gdb_wait;
	struct device_option device[DEVICE_OPTIONS_MAX];
	unsigned devices;
	char **command; /* NULL-terminated, NULL: none */
};

/* argv[0] is the sub-command. False: `e` has the line to print, and usage is at fault. */
bool options_parse_run(struct run_options *o, int argc, char **argv, struct error *e);
/* The same of `plex86 resume`: what its file decides is not given, and is as zero. */
bool options_parse_resume(struct run_options *o, int argc, char **argv, struct error *e);
void options_free(struct run_options *o);

/* A number with an optional suffix K, M or G, as bytes of guest RAM. */
bool options_parse_memory(const char *text, u64 *bytes, struct error *e);

#endif
