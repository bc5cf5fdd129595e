/*
 * plex86 version.
 */
#include <stdio.h>
#include "../guest/include/plex86-abi.h"
#include "cmd.h"
#include "error.h"

int cmd_version(void)
{
	printf("plex86 %s, guest ABI %d\n", PLEX86_VERSION, PLEX86_ABI_VERSION);
	return STATUS_OK;
}
