/*
 * What it takes to build the machine of a snapshot again, and where it may go on.
 *
 * Owns: struct snapshot_config, as bytes and back, and the comparison of hosts' clocks. A guest
 * reads the host's time-stamp counter natively: to it, time goes on only where that counter does.
 */
#ifndef PLEX86_SNAPSHOT_CONFIG_H
#define PLEX86_SNAPSHOT_CONFIG_H

#include "../bytes.h"
#include "../error.h"
#include "../hal/device.h"

#define SNAPSHOT_TEXT 4096

struct snapshot_device {
	char option[32];
	char spec[SNAPSHOT_TEXT];
	bool unasked;
};

struct snapshot_config {
	char made_by[64]; /* for people */
	u64 memory;
	bool abi, multiboot, deterministic, no_fast_paths;
	bool command; /* the guest's value is a command's exit status */
	/* The kernel's file, for its symbols, while it is what it was. */
	char kernel[SNAPSHOT_TEXT];
	u64 kernel_size, kernel_changed_ns;
	char cmdline[SNAPSHOT_TEXT]; /* for people */
	char name[64];		     /* to make a name of */
	unsigned devices;
	struct snapshot_device device[HAL_DEVICES_MAX];
	/* The host, and when. */
	char boot_id[48];
	u64 tsc, tsc_khz;
};

/* This host as it is now. */
void snapshot_config_host(struct snapshot_config *c, u64 tsc_khz);
void snapshot_config_put(const struct snapshot_config *c, struct byte_writer *w);
/* False: not one that this build could have written. */
bool snapshot_config_get(struct snapshot_config *c, struct byte_reader *r);
/* May the guest of `then` go on on the host of `now`? */
bool snapshot_clock_goes_on(const struct snapshot_config *then, const struct snapshot_config *now,
			    const char **why);

#endif
