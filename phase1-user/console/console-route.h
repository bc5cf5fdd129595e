/*
 * Which of the guest's two consoles the user sees: the serial port, or hvc0 once it speaks.
 *
 * Owns: the choice, and the memory of what the booting kernel has said. Two of its consoles share
 * the serial port until hvc0 is there (earlycon and ttyS0): each message comes twice, and is shown
 * once. Afterwards it prints to ttyS0 and to hvc0, of which only hvc0 is shown.
 */
#ifndef PLEX86_CONSOLE_ROUTE_H
#define PLEX86_CONSOLE_ROUTE_H

#include "../../common/types.h"

#define ROUTE_LINES    1024
#define ROUTE_LINE_MAX 1024

struct console_route {
	void (*out)(void *opaque, const u8 *data, size_t n);
	void *opaque;
	bool hvc;     /* hvc0 has spoken */
	bool booting; /* what the serial port says is the kernel's */
	bool passing; /* the rest of this line is not held back */
	size_t held;  /* bytes of a line that may have been seen */
	u8 line[ROUTE_LINE_MAX];
	unsigned lines;
	u64 hash[ROUTE_LINES]; /* of the kernel's lines so far, the first ones */
};

/* out and opaque must be set, the rest zero but `booting`. */
void console_route_serial(struct console_route *r, const u8 *data, size_t n);
void console_route_hvc(struct console_route *r, const u8 *data, size_t n);
/* The guest has reset hvc0: its words come by the serial port again. */
void console_route_lost_hvc(struct console_route *r);
/* Programs have the serial port now, or the guest has ended: hold nothing back any more. */
void console_route_booted(struct console_route *r);

#endif
