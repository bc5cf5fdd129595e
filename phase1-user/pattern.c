/*
 * Regular expressions that a user gives: see pattern.h.
 */
#include "pattern.h"

bool pattern_compile(regex_t *compiled, const char *option, const char *regex, struct error *e)
{
	char why[120];
	int error = regcomp(compiled, regex, REG_EXTENDED | REG_NOSUB);

	if (!error)
		return true;
	regerror(error, compiled, why, sizeof(why));
	return error_set(e, "%s '%s': not an extended regular expression: %s", option, regex, why);
}
