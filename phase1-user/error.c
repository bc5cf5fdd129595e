/*
 * Errors as text: see error.h.
 */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

bool error_set(struct error *e, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	for (char *p = e->text; *p; p++) {
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	}
	return false;
}
