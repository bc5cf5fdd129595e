/*
 * Requests through io_uring: see block-uring.h.
 */
#include "block-uring.h"

#ifdef HAVE_LIBURING

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>

#define ENTRIES 256

struct block_uring {
	struct io_uring ring;
	unsigned in_flight, unsubmitted;
};

struct block_uring *block_uring_create(int event_fd)
{
	struct block_uring *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	if (io_uring_queue_init(ENTRIES, &u->ring, 0)) {
		free(u);
		return NULL;
	}
	if (io_uring_register_eventfd(&u->ring, event_fd)) {
		block_uring_destroy(u);
		return NULL;
	}
	return u;
}

void block_uring_destroy(struct block_uring *u)
{
	io_uring_queue_exit(&u->ring);
	free(u);
}

bool block_uring_submit(struct block_uring *u, int fd, struct block_request *r)
{
	struct io_uring_sqe *sqe;

	if (r->op != BLOCK_READ && r->op != BLOCK_WRITE && r->op != BLOCK_FLUSH)
		return false;
	sqe = u->in_flight < ENTRIES ? io_uring_get_sqe(&u->ring) : NULL;
	if (!sqe)
		return false;
	if (r->op == BLOCK_READ)
		io_uring_prep_readv(sqe, fd, r->segment, r->segments, r->offset);
	else if (r->op == BLOCK_WRITE)
		io_uring_prep_writev(sqe, fd, r->segment, r->segments, r->offset);
	else
		io_uring_prep_fsync(sqe, fd, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data(sqe, r);
	u->in_flight++;
	u->unsubmitted++;
	return true;
}

void block_uring_kick(struct block_uring *u)
{
	int taken;

	while (u->unsubmitted) {
		taken = io_uring_submit(&u->ring);
		if (taken > 0)
			u->unsubmitted -= taken;
		else if (taken != -EINTR && taken != -EAGAIN)
			break; /* completions must be collected first: the next kick tries again */
	}
}

static int outcome(const struct block_request *r, int result)
{
	const u64 expected = r->op == BLOCK_FLUSH ? 0 : r->length;

	if (result >= 0)
		return (u64)result == expected ? 0 : BLOCK_URING_RETRY;
	switch (-result) {
	case EINTR:
	case EAGAIN:
	case ECANCELED:
	case EINVAL:
	case EOPNOTSUPP:
		return BLOCK_URING_RETRY;
	default:
		return -result;
	}
}

struct block_request *block_uring_collect(struct block_uring *u)
{
	struct io_uring_cqe *cqe;
	struct block_request *r;

	if (io_uring_peek_cqe(&u->ring, &cqe))
		return NULL;
	r = io_uring_cqe_get_data(cqe);
	r->error = outcome(r, cqe->res);
	io_uring_cqe_seen(&u->ring, cqe);
	u->in_flight--;
	return r;
}

bool block_uring_busy(const struct block_uring *u)
{
	return u->in_flight > 0;
}

void block_uring_wait(struct block_uring *u)
{
	struct io_uring_cqe *cqe;

	block_uring_kick(u);
	while (io_uring_wait_cqe(&u->ring, &cqe) == -EINTR)
		;
}

#else

struct block_uring *block_uring_create(int event_fd)
{
	(void)event_fd;
	return NULL;
}

void block_uring_destroy(struct block_uring *u)
{
	(void)u;
}

bool block_uring_submit(struct block_uring *u, int fd, struct block_request *r)
{
	(void)u, (void)fd, (void)r;
	return false;
}

void block_uring_kick(struct block_uring *u)
{
	(void)u;
}

struct block_request *block_uring_collect(struct block_uring *u)
{
	(void)u;
	return NULL;
}

bool block_uring_busy(const struct block_uring *u)
{
	(void)u;
	return false;
}

void block_uring_wait(struct block_uring *u)
{
	(void)u;
}

#endif
