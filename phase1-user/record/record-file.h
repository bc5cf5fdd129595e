/*
 * The file of a recorded run: what was run, and what came in from outside, and when.
 *
 * Owns: the format, which is text, a line each:
 *   plex86-record 1
 *   kernel|initrd DIGEST PATH
 *   memory BYTES
 *   disk SIZE CHANGED SPEC      one each, in their order
 *   network SPEC                at most one, among the disks
 *   cmdline TEXT                the guest's command line
 *   command WORD                one each
 *   input EVENTS HEX            bytes for the serial port, at this count of guest-visible events
 *   frame EVENTS HEX            a frame for the network card, and before it what struct
 * virtio_net_hdr says of it end EVENTS HOW VALUE        how the run ended (machine_end_text(), and
 * its value) Words are percent-encoded. Files come from anywhere: what does not fit is refused with
 * its line. A file without an `end` is that of a run that was cut off, and good up to there.
 */
#ifndef PLEX86_RECORD_FILE_H
#define PLEX86_RECORD_FILE_H

#include <stdio.h>
#include "../../common/types.h"
#include "../error.h"

#define RECORD_WORDS_MAX 256
#define RECORD_DISKS_MAX 16
#define RECORD_INPUT_MAX 64	 /* bytes of one line for the serial port */
#define RECORD_FRAME_MAX 0x11000 /* and for the card */

struct record_input {
	u64 events;
	bool frame;
	u32 length;
	u8 *data; /* of a parsed file its own */
};

/* While its file has that size and was changed then, it is the same. */
struct record_disk {
	char *spec; /* as of --disk; NULL: none */
	u64 size, changed_ns;
};

struct record_run {
	char *kernel, *initrd;		  /* initrd NULL: none */
	u64 kernel_digest, initrd_digest; /* fnv64() of the files */
	u64 memory;
	struct record_disk disk[RECORD_DISKS_MAX];
	unsigned disks;
	char *network;		/* as of --net; NULL: none */
	unsigned network_place; /* so many disks are before it */
	char *cmdline;
	char *command[RECORD_WORDS_MAX + 1]; /* NULL-terminated; [0] NULL: none */
	struct record_input *input;	     /* in the order of their events */
	size_t inputs;
	bool ended;
	u64 end_events, end_value;
	char end_how[32];
};

/* Parse a whole file. False: `e` says which line is wrong; `run` need not be freed. */
bool record_parse(struct record_run *run, const char *text, size_t size, struct error *e);
bool record_read(struct record_run *run, const char *path, struct error *e);
void record_free(struct record_run *run);

/* Write what a run is made of (to where `input` begins), an input, the end; each flushed. 0 or
 * errno. */
int record_write_run(FILE *file, const struct record_run *run);
int record_write_input(FILE *file, const struct record_input *input);
int record_write_end(FILE *file, u64 events, const char *how, u64 value);

#endif
