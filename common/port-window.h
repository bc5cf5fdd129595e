/*
 * Bytes that a device has ready at a port, read by the guest without exits: a disk's data register,
 * of which a PC's driver reads a sector word by word.
 *
 * Owns: struct port_window and its protocol. The VMM fills a window that is closed (end is 0), then
 * opens it; the core takes from it; the VMM closes it, while the guest stands at an exit, and sees
 * how much was taken. The last bytes are never taken here: the access that needs them is an exit,
 * from which the device goes on. The VMM trusts nothing in here but what it clamps.
 */
#ifndef PLEX86_PORT_WINDOW_H
#define PLEX86_PORT_WINDOW_H

#include "types.h"

#define PORT_WINDOW_BYTES 4096u

struct port_window {
	u16 port;
	u32 used, end;
	u8 data[PORT_WINDOW_BYTES];
};

/* The guest reads `port`. False: the window has nothing for it. */
bool port_window_read(struct port_window *w, u16 port, unsigned size, u32 *value);

#endif
