/*
 * A driver that does what a fuzzer's input says: what the devices' targets share.
 *
 * Owns: what a guest can do to any device: write its memory, its registers, its rings. Formats are
 * those of the kept inputs (seeds/).
 */
#ifndef PLEX86_FUZZ_DRIVER_H
#define PLEX86_FUZZ_DRIVER_H

#include "../unit/virtio-driver.h"
#include "fuzz-input.h"

#define FUZZ_RAM   (64u << 10)
#define FUZZ_STEPS 2000

/* Overwrite guest memory: rings, tables, buffers. */
void fuzz_scribble(struct driver *d, struct fuzz_input *in);
/* A register at its place, with a value of so many bytes. */
void fuzz_write_register(struct driver *d, struct fuzz_input *in, unsigned bytes);
/* A descriptor and, mostly, its place in the ring, so that chains are common. */
void fuzz_offer(struct driver *d, unsigned queue, struct fuzz_input *in);

#endif
