/*
 * What a running guest's snapshot would say of it.
 *
 * Owns: turning the command line of a run into a struct snapshot_config that means the same
 * anywhere: paths become absolute, addresses that were chosen are given.
 */
#ifndef PLEX86_SNAPSHOT_ABOUT_H
#define PLEX86_SNAPSHOT_ABOUT_H

#include <sys/stat.h>
#include "../cmd/options.h"
#include "config.h"

/* All but the host, the machine being built. `o->device` are the devices of `hal` that were asked
 * for, in their order. The caller fills in abi and multiboot, and cmdline. */
void snapshot_about(struct snapshot_config *c, const struct run_options *o, const struct hal *hal,
		    const struct stat *kernel);
/* `text`, the path in it, which begins behind `prefix` bytes and ends at a comma, made absolute. */
void about_absolute(char *to, size_t size, const char *text, size_t prefix);
u64 about_changed_ns(const struct stat *st);
/* Is the kernel's file still the one that the guest was loaded from? */
bool snapshot_kernel_is(const struct snapshot_config *c, struct stat *kernel);

#endif
