/*
 * A screen as text, for readers that are no terminal: scripts, pipes, --expect.
 *
 * Owns: what has been told of the screen. Each line that changes is told as a line; one that grows,
 * as a prompt or what is typed behind it does, is continued; one that was only moved up is not told
 * again. Colours and places are not told.
 */
#ifndef PLEX86_SCREEN_TEXT_H
#define PLEX86_SCREEN_TEXT_H

#include "../hal/vga.h"

struct screen_text {
	void (*out)(void *opaque, const u8 *data, size_t n);
	void *opaque;
	struct screen shown; /* as it was told; characters alone */
	bool open;	     /* the last line told has no end yet */
	unsigned row;	     /* it is that one */
	unsigned told;	     /* so many of its characters */
};

/* All zero but `out` and `opaque` at first. Not `settled`: the guest is at work on the line with
 * the cursor, of which only what is added behind what was told is told now. */
void screen_text_update(struct screen_text *t, const struct screen *s, bool settled);
/* There will be no more. */
void screen_text_end(struct screen_text *t);

/* A character of code page 437 in UTF-8: its bytes, of which there are at most 3. */
size_t screen_utf8(u8 character, u8 *out);

#endif
