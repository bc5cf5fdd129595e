/*
 * Symbols of an ELF kernel, by address.
 *
 * Owns: reading .symtab out of a file that may be damaged, and the lookup. Crash reports and
 * traces use it; without symbols everything works the same, with bare addresses.
 */
#ifndef PLEX86_SYMBOLS_H
#define PLEX86_SYMBOLS_H

#include "../../common/types.h"

struct symbols;

/* Functions and labels of the file's symbol table; NULL if there are none. `data` need not outlive
 * the call. */
struct symbols *symbols_read(const u8 *data, size_t size);
void symbols_free(struct symbols *s);
/* Name of the last symbol at or below `address`, and the distance to it; NULL if there is none
 * near enough to mean anything. `s` may be NULL. */
const char *symbols_lookup(const struct symbols *s, u64 address, u64 *offset);
/* What the first symbol of this name covers: up to the next one, or one byte where that is far. */
bool symbols_find(const struct symbols *s, const char *name, u64 *first, u64 *last);
/* " name+0x12" into `text`, or "" if unknown. Returns text. */
char *symbols_text(const struct symbols *s, u64 address, char *text, size_t size);

#endif
