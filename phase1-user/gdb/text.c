/*
 * Text that grows up to a bound: see text.h.
 */
#include "text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void gdb_print(struct gdb_text *t, const char *format, ...)
{
	const size_t room = t->size - t->len;
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(t->data + t->len, room, format, args);
	va_end(args);
	if (n >= 0 && (size_t)n < room) {
		t->len += n;
		return;
	}
	t->data[t->len] = '\0';
	t->full = true;
}

void gdb_put(struct gdb_text *t, const void *data, size_t len)
{
	if (len >= t->size - t->len) {
		t->full = true;
		return;
	}
	memcpy(t->data + t->len, data, len);
	t->len += len;
	t->data[t->len] = '\0';
}

void gdb_put_hex(struct gdb_text *t, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const u8 *from = data;

	if (len >= (t->size - t->len + 1) / 2) {
		t->full = true;
		return;
	}
	for (size_t i = 0; i < len; i++) {
		t->data[t->len++] = digits[from[i] >> 4];
		t->data[t->len++] = digits[from[i] & 0xf];
	}
	t->data[t->len] = '\0';
}
