/*
 * What a process and its descendants use: the processes of one running guest.
 *
 * Owns: reading /proc. Processes may come and go meanwhile: what cannot be read counts nothing.
 */
#ifndef PLEX86_PROCESS_TREE_H
#define PLEX86_PROCESS_TREE_H

#include <sys/types.h>
#include "../../common/types.h"

struct usage {
	u64 cpu_ns;    /* of all that live */
	u64 waited_ns; /* for a CPU, their first threads; 0 if the host does not say */
	u64 private; /* bytes: resident, but for memory shared by file descriptor; with page tables
		      */
};

void process_tree_usage(pid_t pid, struct usage *usage);

#endif
