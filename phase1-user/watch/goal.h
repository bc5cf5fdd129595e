/*
 * What the user of a run waits for: that the guest says something, and that it takes no longer than
 * it may.
 *
 * Owns: the timer, and looking at what the guest's console says, line by line. What follows is the
 * owner's business.
 */
#ifndef PLEX86_GOAL_H
#define PLEX86_GOAL_H

#include <regex.h>
#include "../loop.h"

/* Of longer lines only the end is looked at. */
#define GOAL_LINE_MAX 4096

struct goal {
	struct loop *loop;
	struct loop_source timer;
	/* Both are called with the loop's lock held, and once. */
	void (*late)(void *owner);
	void (*met)(void *owner);
	void *owner;
	bool waiting; /* for `regex` */
	regex_t regex;
	size_t used;
	char line[GOAL_LINE_MAX + 1]; /* the present one, without what shows nothing */
};

/* After `timeout_ns` (0: never) call g->late(), and when a line has `regex` (NULL: none) in it,
 * g->met(). Set these and the owner before, all else zero. */
bool goal_init(struct goal *g, struct loop *loop, u64 timeout_ns, const char *regex,
	       struct error *e);
void goal_destroy(struct goal *g);
/* Output of the guest. */
void goal_look(struct goal *g, const u8 *data, size_t n);

#endif
