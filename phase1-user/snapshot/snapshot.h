/*
 * Snapshots: a guest in a file, and back.
 *
 * Owns: what is in the file and in which order things are saved and restored. config.h says what
 * machine it is, file.h how the file is made, ram.h what becomes of RAM.
 */
#ifndef PLEX86_SNAPSHOT_H
#define PLEX86_SNAPSHOT_H

#include "../machine.h"
#include "config.h"
#include "request.h"

/* Take one of a machine that stands still (machine.h), on the run thread, with the lock held; it
 * goes on as if nothing had happened. `config`: all but the host. The file appears whole or not at
 * all. */
bool snapshot_take(struct machine *m, const struct snapshot_config *config, const char *path,
		   struct snapshot_result *result, struct error *e);

struct snapshot;
/* Open one, read and check what is not RAM. NULL: `e`, and usage is at fault. `path` must stay. */
struct snapshot *snapshot_open(const char *path, struct error *e);
void snapshot_close(struct snapshot *s);
const struct snapshot_config *snapshot_config(const struct snapshot *s);
/* Bring a machine that was built after the config, and has not run, to where the file has it. */
bool snapshot_restore(struct snapshot *s, struct machine *m, struct error *e);

#endif
