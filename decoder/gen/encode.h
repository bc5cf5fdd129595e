/*
 * Writing the encodings to probe.
 *
 * Owns: a point in the space of opcodes and choices, and the bytes that stand for it.
 */
#ifndef PLEX86_DECODER_ENCODE_H
#define PLEX86_DECODER_ENCODE_H

#include "../decode.h"
#include "../form.h"

/* An opcode with a value for each choice (form.h) that its map knows. */
struct point {
	u8 map, opcode;
	u8 at[CHOICES];
};

/*
 * Write prefixes and opcode of `p`; `rep_first` puts F2/F3 before 66 where both are present.
 * Returns the number of bytes.
 */
unsigned encode_opcode(const struct point *p, bool rep_first, u8 *bytes);

/* False for byte values that are prefixes or escapes where `p` would have an opcode. */
bool is_opcode(const struct point *p);

#endif
