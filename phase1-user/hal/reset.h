/*
 * The ways a PC is reset by software: port 0xCF9, the keyboard controller, port 0x92.
 *
 * Owns: ports 0xCF8-0xCFF, 0x64 (unless the board has a keyboard controller) and 0x92. What a reset
 * does is the owner's.
 */
#ifndef PLEX86_HAL_RESET_H
#define PLEX86_HAL_RESET_H

#include "bus.h"

struct reset {
	void (*reset)(void *opaque);
	void *opaque;
	u8 control, port92; /* as last written */
	bool has_keyboard;  /* there is a keyboard controller: port 0x64 is its own */
};

/* The callback must be set. False if a port is taken. */
bool reset_register(struct reset *r, struct bus *b);

#endif
