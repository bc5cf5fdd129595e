/*
 * virtio-blk on any backend.
 *
 * Owns: nothing but this declaration; see disk.c.
 */
#ifndef PLEX86_HAL_DISK_H
#define PLEX86_HAL_DISK_H

#include "block.h"
#include "device.h"

/* A disk stored in `b`, which becomes its own. `name` is for messages and the disk's serial
 * number. */
struct hal_device *disk_create(struct block *b, const char *name, struct error *e);

/* What -d names, for whatever kind of disk; its name without options is the caller's to free. */
struct block *disk_open_block(const char *spec, char **name, struct error *e);

extern const struct hal_kind hal_disk;

#endif
