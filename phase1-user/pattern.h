/*
 * Regular expressions that a user gives: POSIX extended ones.
 */
#ifndef PLEX86_PATTERN_H
#define PLEX86_PATTERN_H

#include <regex.h>
#include "error.h"

/* For regexec() without positions, and for regfree(); false with `option` named in the error. */
bool pattern_compile(regex_t *compiled, const char *option, const char *regex, struct error *e);

#endif
