/*
 * A few threads that carry out blocking requests: see block-pool.h.
 */
#include "block-pool.h"

#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>

void block_pool_init(struct block_pool *p, int event_fd,
		     int (*execute)(void *opaque, struct block_request *r), void *opaque)
{
	memset(p, 0, sizeof(*p));
	p->execute = execute;
	p->opaque = opaque;
	p->event_fd = event_fd;
	p->waiting_end = &p->waiting;
	p->done_end = &p->done;
	pthread_mutex_init(&p->mutex, NULL);
	pthread_cond_init(&p->work, NULL);
	pthread_cond_init(&p->finished, NULL);
}

void block_pool_destroy(struct block_pool *p)
{
	pthread_mutex_lock(&p->mutex);
	p->quit = true;
	pthread_cond_broadcast(&p->work);
	pthread_mutex_unlock(&p->mutex);
	for (unsigned i = 0; i < p->threads; i++)
		pthread_join(p->thread[i], NULL);
	pthread_cond_destroy(&p->work);
	pthread_cond_destroy(&p->finished);
	pthread_mutex_destroy(&p->mutex);
}

/* ------------------------------------------------ with p->mutex held ---- */

static struct block_request *take(struct block_request **list, struct block_request ***end)
{
	struct block_request *r = *list;

	*list = r->next;
	if (!*list)
		*end = list;
	r->next = NULL;
	return r;
}

static void finish(struct block_pool *p, struct block_request *r)
{
	const bool first = !p->done;

	r->next = NULL;
	*p->done_end = r;
	p->done_end = &r->next;
	if (!first) /* the collector has been woken and not come yet */
		return;
	pthread_cond_signal(&p->finished);
	eventfd_write(p->event_fd, 1);
}

static void *worker(void *arg)
{
	struct block_pool *p = arg;
	struct block_request *r;

	pthread_mutex_lock(&p->mutex);
	for (;;) {
		while (!p->waiting && !p->quit) {
			p->idle++;
			pthread_cond_wait(&p->work, &p->mutex);
			p->idle--;
		}
		if (!p->waiting)
			break;
		r = take(&p->waiting, &p->waiting_end);
		pthread_mutex_unlock(&p->mutex);
		r->error = p->execute(p->opaque, r);
		pthread_mutex_lock(&p->mutex);
		finish(p, r);
	}
	pthread_mutex_unlock(&p->mutex);
	return NULL;
}

/* Threads are started when they are first needed. None of them may take the signals that the
 * program waits for. */
static void start_thread(struct block_pool *p)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	if (!pthread_create(&p->thread[p->threads], NULL, worker, p))
		p->threads++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* -------------------------------------------------------- for owners ---- */

void block_pool_submit(struct block_pool *p, struct block_request *r)
{
	pthread_mutex_lock(&p->mutex);
	p->in_flight++;
	if (!p->idle && p->threads < BLOCK_POOL_THREADS)
		start_thread(p);
	if (!p->threads) { /* the host has no thread to spare: slow, but it works */
		r->error = p->execute(p->opaque, r);
		finish(p, r);
	} else {
		r->next = NULL;
		*p->waiting_end = r;
		p->waiting_end = &r->next;
		pthread_cond_signal(&p->work);
	}
	pthread_mutex_unlock(&p->mutex);
}

struct block_request *block_pool_collect(struct block_pool *p)
{
	struct block_request *list;

	pthread_mutex_lock(&p->mutex);
	list = p->done;
	p->done = NULL;
	p->done_end = &p->done;
	for (const struct block_request *r = list; r; r = r->next)
		p->in_flight--;
	pthread_mutex_unlock(&p->mutex);
	return list;
}

void block_pool_wait(struct block_pool *p)
{
	pthread_mutex_lock(&p->mutex);
	while (p->in_flight && !p->done)
		pthread_cond_wait(&p->finished, &p->mutex);
	pthread_mutex_unlock(&p->mutex);
}
