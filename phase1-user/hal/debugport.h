/*
 * Two ports for guests under test: 0xE9 prints a byte, 0xF4 ends the run with a value.
 *
 * Owns: both ports. What happens with the byte and the value is the owner's.
 */
#ifndef PLEX86_HAL_DEBUGPORT_H
#define PLEX86_HAL_DEBUGPORT_H

#include "bus.h"

struct debugport {
	void (*out)(void *opaque, const u8 *data, size_t n);
	/* The raw value; QEMU's isa-debug-exit would exit with (value << 1 | 1). */
	void (*exit)(void *opaque, u32 value);
	void *opaque;
};

/* The callbacks must be set. False if a port is taken. */
bool debugport_register(struct debugport *d, struct bus *b);

#endif
