/*
 * Guest RAM in a snapshot: chunks, each compressed by itself, those of zeros left out.
 *
 * Owns: the chunks and their index. They are made and read by as many threads as there are CPUs, up
 * to a few.
 */
#ifndef PLEX86_SNAPSHOT_RAM_H
#define PLEX86_SNAPSHOT_RAM_H

#include "file.h"

/* From the file that guest RAM is: holes in it stay holes. */
bool snapshot_write_ram(struct snapshot_writer *w, int ram_fd, u64 size, struct error *e);
/* Into RAM that is all zeros; what is zero there is not touched. */
bool snapshot_read_ram(const struct snapshot_file *f, u8 *ram, u64 size, struct error *e);

#endif
