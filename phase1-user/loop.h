/*
 * The I/O thread: waits for file descriptors and calls their owners under the device lock.
 *
 * Owns: the thread, the epoll set, the lock that all devices share. Devices are touched only with
 * the lock held: by the run thread while it handles an exit, by this thread in a callback.
 */
#ifndef PLEX86_LOOP_H
#define PLEX86_LOOP_H

#include <pthread.h>
#include "../common/types.h"
#include "error.h"

struct loop {
	pthread_mutex_t lock;
	unsigned waiting; /* threads that wait for it */
	pthread_t thread;
	int epoll_fd, stop_fd;
	bool running;
};

/* One file descriptor, embedded in what it belongs to. */
struct loop_source {
	int fd;
	/* `events` are EPOLL*. Called on the I/O thread, with the lock held. */
	void (*ready)(struct loop_source *source, u32 events);
	bool watched;
};

bool loop_init(struct loop *loop, struct error *e);
/* Stops the thread if it runs. */
void loop_destroy(struct loop *loop);
bool loop_start(struct loop *loop, struct error *e);
void loop_stop(struct loop *loop);

void loop_lock(struct loop *loop);
void loop_unlock(struct loop *loop);

/* Who would take the lock again and again without a pause lets those go first who wait for it. */
void loop_yield(struct loop *loop);

/* Wait for `events` (0: only for hangups and errors) on source->fd. False with errno EPERM for
 * what cannot be waited for because it is always ready (regular files). Any thread. */
bool loop_watch(struct loop *loop, struct loop_source *source, u32 events);
void loop_unwatch(struct loop *loop, struct loop_source *source);

#endif
