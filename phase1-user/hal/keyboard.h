/*
 * What somebody types at a terminal, as keys of a PC's keyboard (US layout).
 *
 * Owns: nothing but the tables: characters, control characters and the escape sequences of the
 * usual terminals, to keys in scan code set 1.
 */
#ifndef PLEX86_HAL_KEYBOARD_H
#define PLEX86_HAL_KEYBOARD_H

#include "../../common/types.h"

#define KEY_SHIFT   0x2a
#define KEY_CONTROL 0x1d
#define KEY_ALT	    0x38

struct key {
	u8 code; /* 0: none makes this */
	bool extended, shift, control, alt;
};

/* The first key of the bytes, of which there is one at least. Returns how many of them it was. An
 * escape at the end of the bytes is the escape key: terminals send a sequence as a whole. */
size_t keyboard_decode(const u8 *data, size_t n, struct key *key);

#endif
