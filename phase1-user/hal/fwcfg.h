/*
 * What the board tells its firmware, in the way QEMU does it: numbered items and named files, read
 * byte by byte (QEMU's docs/specs/fw_cfg). Also the firmware's port for messages, 0x402.
 *
 * Owns: ports 0x402, 0x510 and 0x511. The files' contents are the caller's and must outlive it.
 */
#ifndef PLEX86_HAL_FWCFG_H
#define PLEX86_HAL_FWCFG_H

#include "bus.h"

#define FWCFG_FILES 8

struct fwcfg_file {
	const char *name; /* 55 characters at most */
	const u8 *data;
	u32 size;
};

struct fwcfg {
	struct fwcfg_file file[FWCFG_FILES];
	unsigned files;
	u8 directory[4 + FWCFG_FILES * 64];
	u16 key;
	u32 offset;
	/* A byte of the firmware's messages. NULL: nobody wants them. */
	void (*say)(void *opaque, u8 byte);
	void *opaque;
};

void fwcfg_init(struct fwcfg *f);
/* At most FWCFG_FILES of them. */
void fwcfg_add(struct fwcfg *f, const char *name, const void *data, u32 size);
bool fwcfg_register(struct fwcfg *f, struct bus *b);

#endif
