/*
 * The file of a snapshot: sections, each with a checksum, behind a header.
 *
 * Owns: the container. A file appears under its name when all of it is written, or not at all; of a
 * file that is read nothing is believed. What is in the sections is others' business.
 *
 * The header is the first SNAPSHOT_HEADER bytes: "plex86sn", the version of the format, the number
 * of sections; for each its number, checksum, offset and size; and the checksum of all that.
 */
#ifndef PLEX86_SNAPSHOT_FILE_H
#define PLEX86_SNAPSHOT_FILE_H

#include <pthread.h>
#include "../bytes.h"
#include "../error.h"

#define SNAPSHOT_VERSION 2
#define SNAPSHOT_HEADER	 4096u

enum snapshot_section {
	SECTION_CONFIG = 1, /* config.h */
	SECTION_STATE,	    /* struct machine_state */
	SECTION_FPU,	    /* components of the FPU, each by itself */
	SECTION_BOARD,	    /* what is on it beside virtio devices */
	SECTION_DEVICES,    /* hal_save() */
	SECTION_RAM,	    /* where RAM's chunks are, ram.h */
	SECTIONS
};

struct snapshot_place {
	u64 offset, size;
	u32 checksum;
	bool there;
};

struct snapshot_writer {
	int fd;
	char *path, *temporary;
	pthread_mutex_t mutex;
	u64 end;   /* of what is written */
	int error; /* errno of the first write that failed */
	struct snapshot_place place[SECTIONS];
};

/* False: `e`. */
bool snapshot_create(struct snapshot_writer *w, const char *path, struct error *e);
/* Append bytes; any thread. Returns where they are. Failures show at the end. */
u64 snapshot_append(struct snapshot_writer *w, const void *data, size_t size);
void snapshot_put(struct snapshot_writer *w, enum snapshot_section s, const struct byte_writer *b);
/* Give it its name if all went well, and if `keep`; free. `*size`: bytes. */
bool snapshot_finish(struct snapshot_writer *w, bool keep, u64 *size, struct error *e);

struct snapshot_file {
	int fd;
	u64 size;
	const char *path; /* as given */
	u8 *data[SECTIONS];
	struct snapshot_place place[SECTIONS];
};

/* Open, and read and check all sections; all of them are there. */
bool snapshot_file_open(struct snapshot_file *f, const char *path, struct error *e);
void snapshot_file_close(struct snapshot_file *f);
struct byte_reader snapshot_section(const struct snapshot_file *f, enum snapshot_section s);
/* Bytes of the file outside sections. False: they are not there. */
bool snapshot_read(const struct snapshot_file *f, u64 offset, void *data, size_t size);
/* "snapshot 'PATH': it is damaged: WHY": false. */
bool snapshot_damaged(const struct snapshot_file *f, const char *why, struct error *e);

#endif
