/*
 * Going back in a replay.
 *
 * Owns: snapshots taken along the way, and the way back: to the last one before where the guest is
 * to be, and from there on again. A place is a count of guest-visible events and of instructions
 * behind the first moment at which there were so many. What a debugger has written into the guest
 * is lost.
 */
#ifndef PLEX86_TRAVEL_H
#define PLEX86_TRAVEL_H

#include "../machine.h"

struct travel;

/* For a replay by `machine`, which has its recorder, on an engine like the one it has; `about`:
 * what a snapshot says of it, to be filled in before it runs. NULL: `e`. */
struct travel *travel_create(struct machine *machine, const char *engine,
			     const struct engine_config *config,
			     const struct snapshot_config *about, struct error *e);
void travel_destroy(struct travel *t);

/* On the run thread, with the lock held, at a stop that the recorder asked for. Before the first
 * run as well. */
void travel_note(struct travel *t);

enum travel_result {
	TRAVEL_THERE, /* the guest stands where it was to */
	TRAVEL_BEGIN, /* it stands where the recorded run began: there is nothing before */
	TRAVEL_LOST,  /* something failed, and the guest stands anywhere: travel_error() */
};

/* On the run thread, with the lock held, while the guest stands still; the lock is given up while
 * it runs. One instruction back; or to the last stop before here that `points` would have made,
 * which `exit` says. `ended`: the guest has run to its end, and nothing of its registers tells
 * where. A job that comes meanwhile ends the journey where it is. */
enum travel_result travel_step_back(struct travel *t, bool ended);
enum travel_result travel_run_back(struct travel *t, const struct debug_request *points, bool ended,
				   struct vm_exit *exit);
const char *travel_error(const struct travel *t);

#endif
