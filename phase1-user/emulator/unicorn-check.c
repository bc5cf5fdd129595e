/*
 * Is this the libunicorn whose internals unicorn-internals.c knows? See unicorn-check.h.
 */
#include "unicorn-check.h"

#include <stddef.h>
#include <unicorn/unicorn.h>

#define KNOWN_MAJOR 2u
#define KNOWN_MINOR 0u

const char *unicorn_check(void)
{
	unsigned major, minor;

	uc_version(&major, &minor);
	if (major != KNOWN_MAJOR || minor != KNOWN_MINOR)
		return "it is not version 2.0.1";
	return NULL;
}
