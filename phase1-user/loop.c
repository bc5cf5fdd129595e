/*
 * The I/O thread: see loop.h.
 */
#include "loop.h"

#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define BATCH 16

bool loop_init(struct loop *loop, struct error *e)
{
	struct epoll_event stop = {.events = EPOLLIN};

	memset(loop, 0, sizeof(*loop));
	pthread_mutex_init(&loop->lock, NULL);
	loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	loop->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (loop->epoll_fd < 0 || loop->stop_fd < 0 ||
	    epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, loop->stop_fd, &stop)) {
		error_set(e, "I/O thread: creating its descriptors: %s", strerror(errno));
		loop_destroy(loop);
		return false;
	}
	return true;
}

void loop_destroy(struct loop *loop)
{
	loop_stop(loop);
	if (loop->epoll_fd >= 0)
		close(loop->epoll_fd);
	if (loop->stop_fd >= 0)
		close(loop->stop_fd);
	pthread_mutex_destroy(&loop->lock);
}

/* False: asked to stop. */
static bool dispatch(struct loop *loop, const struct epoll_event *events, int n)
{
	for (int i = 0; i < n; i++) {
		struct loop_source *source = events[i].data.ptr;

		if (!source)
			return false;
		loop_lock(loop);
		/* It may have been taken out since, by a callback before this one. */
		if (source->watched)
			source->ready(source, events[i].events);
		loop_unlock(loop);
	}
	return true;
}

static void *loop_thread(void *arg)
{
	struct loop *loop = arg;
	struct epoll_event events[BATCH];
	int n;

	do {
		n = epoll_wait(loop->epoll_fd, events, BATCH, -1);
	} while ((n < 0 && errno == EINTR) || (n >= 0 && dispatch(loop, events, n)));
	return NULL;
}

bool loop_start(struct loop *loop, struct error *e)
{
	int error = pthread_create(&loop->thread, NULL, loop_thread, loop);

	if (error)
		return error_set(e, "I/O thread: %s", strerror(error));
	loop->running = true;
	return true;
}

void loop_stop(struct loop *loop)
{
	if (!loop->running)
		return;
	/* It must hear of it, or we would wait for it for ever. */
	while (eventfd_write(loop->stop_fd, 1))
		;
	pthread_join(loop->thread, NULL);
	loop->running = false;
}

void loop_lock(struct loop *loop)
{
	if (!pthread_mutex_trylock(&loop->lock))
		return;
	__atomic_add_fetch(&loop->waiting, 1, __ATOMIC_RELAXED);
	pthread_mutex_lock(&loop->lock);
	__atomic_sub_fetch(&loop->waiting, 1, __ATOMIC_RELAXED);
}

void loop_yield(struct loop *loop)
{
	const unsigned patience = 1000; /* longer than it takes to wake one up */

	for (unsigned i = 0; i < patience; i++) {
		if (!__atomic_load_n(&loop->waiting, __ATOMIC_RELAXED))
			return;
		sched_yield();
	}
}

void loop_unlock(struct loop *loop)
{
	pthread_mutex_unlock(&loop->lock);
}

bool loop_watch(struct loop *loop, struct loop_source *source, u32 events)
{
	struct epoll_event event = {.events = events, .data.ptr = source};
	int op = source->watched ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;

	if (epoll_ctl(loop->epoll_fd, op, source->fd, &event))
		return false;
	source->watched = true;
	return true;
}

void loop_unwatch(struct loop *loop, struct loop_source *source)
{
	if (source->watched)
		epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, source->fd, NULL);
	source->watched = false;
}
