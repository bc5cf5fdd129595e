/*
 * The FPU's registers in a snapshot: component by component, for CPUs differ in where they are.
 */
#ifndef PLEX86_SNAPSHOT_FPU_H
#define PLEX86_SNAPSHOT_FPU_H

#include "../bytes.h"
#include "../engine/fpu.h"

void snapshot_put_fpu(const struct fpu_area *area, struct byte_writer *w);
/* NULL: done; else what is wrong with it. */
const char *snapshot_get_fpu(struct fpu_area *area, struct byte_reader *r);

#endif
