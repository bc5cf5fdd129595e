/*
 * What is said of a guest when its run is over and it did not end well.
 *
 * Owns: whether there is something to report, and where the report goes.
 */
#ifndef PLEX86_AFTERMATH_H
#define PLEX86_AFTERMATH_H

#include <stdio.h>
#include <sys/stat.h>
#include "../watch/hang.h"
#include "../machine.h"

struct aftermath {
	struct machine *machine;
	u64 ram_size;
	unsigned long khz;  /* of the times of events */
	const char *kernel; /* its file, and what that was when it was loaded */
	const struct stat *kernel_file;
	const struct symbols *symbols; /* NULL: to be read again */
	const struct hang *hang;
	char *const *argv; /* how plex86 was started */
	FILE *file;	   /* --report; NULL: none */
};

/* A panic of the guest's Linux is told from its log whatever way the run ended. False: nothing was
 * written. */
bool aftermath_report(const struct aftermath *a);

#endif
