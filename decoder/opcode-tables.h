/*
 * The generated opcode tables.
 *
 * Owns: the names of the arrays that decoder/gen/ writes (form.h says what they hold).
 */
#ifndef PLEX86_DECODER_OPCODE_TABLES_H
#define PLEX86_DECODER_OPCODE_TABLES_H

#include "form.h"

extern const u16 opcode_roots[MAP_COUNT][256];
extern const u16 opcode_nodes[];
extern const struct form opcode_forms[];

#endif
