/*
 * Text that grows up to a bound: replies to the debugger, and what monitor commands print.
 *
 * Owns: struct gdb_text. What does not fit is left out, and `full` tells of it.
 */
#ifndef PLEX86_GDB_TEXT_H
#define PLEX86_GDB_TEXT_H

#include "../../common/types.h"

struct gdb_text {
	char *data; /* `size` bytes; a 0 follows what is there */
	size_t size, len;
	bool full;
};

static inline void gdb_text_clear(struct gdb_text *t)
{
	t->len = 0;
	t->full = false;
	t->data[0] = '\0';
}

void gdb_print(struct gdb_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void gdb_put(struct gdb_text *t, const void *data, size_t len);
/* Two digits a byte. */
void gdb_put_hex(struct gdb_text *t, const void *data, size_t len);

#endif
