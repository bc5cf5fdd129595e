/* The emulator's check of its library alone: 0, or 1 and why it refuses it. */
#include "../../phase1-user/emulator/unicorn-check.h"

#include <stdio.h>

int main(void)
{
	const char *why = unicorn_check();

	puts(why ? why : "known");
	return why != NULL;
}
