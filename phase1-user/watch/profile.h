/*
 * --profile: where a guest spends its time, by looking at it many times a second.
 *
 * Owns: what is given to the option (FILE[,hz=N][,folded]), the counts, and the file. User code is
 * one name; of the kernel there are stacks, as far as its frame pointers show them.
 */
#ifndef PLEX86_PROFILE_H
#define PLEX86_PROFILE_H

#include <stdio.h>
#include "backtrace.h"
#include "sampler.h"
#include "tally.h"

#define PROFILE_HZ     499 /* no multiple of a guest's own ticks */
#define PROFILE_HZ_MAX 1000

struct profile {
	struct sampler sampler;
	char *path;
	unsigned hz;
	bool folded;
	FILE *file;
	struct backtrace_text text;
	struct tally stacks; /* outermost first, with semicolons between */
	u64 kernel, user, idle;
	u64 lost; /* of these, without a stack: no memory, or too many */
};

/* Take the words of the option apart and open the file; the rest of *p is zero. */
bool profile_open(struct profile *p, const char *spec, const struct symbols *symbols,
		  struct error *e);
bool profile_start(struct profile *p, struct machine *machine, struct error *e);
/* The run is over: look no more. */
void profile_stop(struct profile *p);
/* One look (NULL: the guest idles). */
void profile_take(struct profile *p, const struct sight *sight);
/* Write what was seen. 0, or the errno of a failure. */
int profile_write(struct profile *p);
void profile_close(struct profile *p);

#endif
