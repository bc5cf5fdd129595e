/*
 * A process of the same user as a hostile guest's, that has nothing to do with it.
 *
 * Owns: that process. It has a canary in its memory and takes every signal it can; whatever happens
 * to it is noted in memory shared with who started it.
 */
#ifndef PLEX86_ESCAPE_BYSTANDER_H
#define PLEX86_ESCAPE_BYSTANDER_H

#include <stdbool.h>
#include <sys/types.h>

/* Where a page of it is; sanitizers leave that address free. tests/escape/cases knows it. */
#define BYSTANDER_CANARY 0x500000000000ul

struct bystander {
	pid_t pid;
	volatile struct bystander_state {
		bool ready, changed;
		int signal; /* the last one it has got */
	} * state;
};

/* Start it as user `uid`, or as who we are if that is -1. False: errno. */
bool bystander_start(struct bystander *b, long uid);
/* What has happened to it, or NULL. */
const char *bystander_harm(const struct bystander *b);
void bystander_end(struct bystander *b);

/* Become that user, for good. */
bool become(long uid);

#endif
