/*
 * A screen drawn on the user's terminal, with its colours and its cursor (ECMA-48).
 *
 * Owns: what the terminal shows. Only what changes is drawn.
 */
#ifndef PLEX86_SCREEN_ANSI_H
#define PLEX86_SCREEN_ANSI_H

#include "../hal/vga.h"

struct screen_ansi {
	void (*out)(void *opaque, const u8 *data, size_t n);
	void *opaque;
	bool drawn; /* false: nothing is known of what the terminal shows */
	struct screen shown;
	u8 buffer[1024];
	size_t used;
};

/* All zero but `out` and `opaque` at first. */
void screen_ansi_update(struct screen_ansi *a, const struct screen *s);
/* Draw all of it the next time: the terminal is another one, or somebody wrote to it. */
void screen_ansi_forget(struct screen_ansi *a);
/* Leave the terminal to others: what was drawn stays, they go on below. */
void screen_ansi_end(struct screen_ansi *a);

#endif
