/*
 * What the files of the engines made of processes share: engine-user.c and engine-user-start.c.
 *
 * Owns: struct user, the VMM's side of such an engine.
 */
#ifndef PLEX86_ENGINE_USER_H
#define PLEX86_ENGINE_USER_H

#include "affinity.h"
#include "engine-ops.h"
#include "../vcpu/shared.h"

#define VCPU_PROGRAM	 "plex86-vcpu"
#define EMULATOR_PROGRAM "plex86-emulator"

struct user {
	struct engine base;
	struct vcpu_shared *shared;
	int shared_fd;
	int kmod_fd; /* the machine of /dev/plex86 that user code runs in; -1: in processes */
	/* The first has started the others, but for the hybrid engine's emulator, the last. Each of
	 * these two leads a group. */
	pid_t pid[SHADOW_COUNT + 1];
	u32 processes;
	u32 emulator; /* which of them is the hybrid engine's emulator; 0: there is none */
	bool dead;    /* one of them has been waited for: the machine is no more */
	int status;   /* its wait status */
	bool running; /* it is the vcpu's turn: engine_run() returned for a doorbell */
	struct turn_patience patience;
	struct affinity affinity;
	u64 stop_by; /* CLOCK_MONOTONIC, ns: the guest must have stopped by then; 0: it may run */
};

/* engine-user.c: wait until it is the VMM's turn or a doorbell rings; false if a process ended
 * instead. */
bool user_wait_for_turn(struct user *e);

/* engine-user-start.c: start the engine's processes, `program` and if e->shared->hybrid.on the
 * emulator as well, and have them set themselves up. */
bool user_start(struct user *e, const char *program, char *err, size_t err_size);

#endif
