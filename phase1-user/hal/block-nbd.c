/*
 * Disks on an NBD server, local or remote, through libnbd: qcow2 and the rest by way of qemu-nbd
 * and nbdkit.
 *
 * Owns: one connection. Scattered requests go through a buffer, since libnbd takes flat ones.
 */
#include "block.h"

#ifdef HAVE_LIBNBD

#include <errno.h>
#include <fcntl.h>
#include <libnbd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

/* What every server takes in one request. */
#define LENGTH_MAX (32u << 20)
#define DRAIN_MS   10000

struct block_nbd {
	struct block block;
	struct nbd_handle *nbd;
	bool can_flush;
	struct loop *loop;
	struct loop_source socket;
	unsigned in_flight;
	struct block_request *ended; /* and their owner not told yet */
};

static struct block_nbd *nbd_of(struct block *b)
{
	return (struct block_nbd *)b;
}

static bool connected(struct block_nbd *n)
{
	return !nbd_aio_is_dead(n->nbd) && !nbd_aio_is_closed(n->nbd);
}

/* ------------------------------------------------------------ buffers ---- */

static void copy(const struct block_request *r, bool to_guest)
{
	u8 *p = r->buffer;

	for (unsigned i = 0; i < r->segments; i++) {
		const struct iovec *s = &r->segment[i];

		if (to_guest)
			memcpy(s->iov_base, p, s->iov_len);
		else
			memcpy(p, s->iov_base, s->iov_len);
		p += s->iov_len;
	}
}

/* The flat memory a request is carried out with. NULL if there is none. */
static void *flat(struct block_request *r)
{
	r->buffer = NULL;
	if (r->segments == 1)
		return r->segment[0].iov_base;
	r->buffer = malloc(r->length);
	if (r->buffer && r->op == BLOCK_WRITE)
		copy(r, false);
	return r->buffer;
}

/* ----------------------------------------------------------- requests ---- */

static void end(struct block_nbd *n, struct block_request *r, int error)
{
	r->error = error;
	r->next = n->ended;
	n->ended = r;
}

struct finished {
	struct block_nbd *n;
	struct block_request *r;
};

/* Called by libnbd while it holds the handle's lock: the owner is told later. */
static int on_finished(void *data, int *error)
{
	struct finished *f = data;

	f->n->in_flight--;
	end(f->n, f->r, *error);
	return 1;
}

static int64_t start_command(struct block_nbd *n, struct block_request *r, void *memory,
			     nbd_completion_callback done)
{
	switch (r->op) {
	case BLOCK_READ:
		return nbd_aio_pread(n->nbd, memory, r->length, r->offset, done, 0);
	case BLOCK_WRITE:
		return nbd_aio_pwrite(n->nbd, memory, r->length, r->offset, done, 0);
	case BLOCK_FLUSH:
		return nbd_aio_flush(n->nbd, done, 0);
	case BLOCK_DISCARD:
		return nbd_aio_trim(n->nbd, r->length, r->offset, done, 0);
	case BLOCK_WRITE_ZEROES:
		return nbd_aio_zero(n->nbd, r->length, r->offset, done,
				    r->may_unmap ? 0 : LIBNBD_CMD_FLAG_NO_HOLE);
	}
	return -1;
}

static bool trivial(const struct block_nbd *n, const struct block_request *r)
{
	return r->op == BLOCK_FLUSH ? !n->can_flush : !r->length;
}

static void nbd_submit(struct block *b, struct block_request *r)
{
	const bool data = r->op == BLOCK_READ || r->op == BLOCK_WRITE;
	struct block_nbd *n = nbd_of(b);
	struct finished *f;
	void *memory = NULL;

	r->buffer = NULL;
	if (trivial(n, r)) {
		end(n, r, 0);
		return;
	}
	if (data && r->length > LENGTH_MAX) {
		end(n, r, EINVAL);
		return;
	}
	f = malloc(sizeof(*f));
	if (!f || (data && !(memory = flat(r)))) {
		free(f);
		end(n, r, ENOMEM);
		return;
	}
	*f = (struct finished){n, r};
	n->in_flight++;
	/* libnbd frees `f`, also if it refuses; it then does not call on_finished(). */
	if (start_command(n, r, memory, (nbd_completion_callback){on_finished, f, free}) < 0) {
		int error = nbd_get_errno();

		n->in_flight--;
		end(n, r, error ? error : EIO);
	}
}

static void tell(struct block_nbd *n)
{
	struct block_request *r;

	while ((r = n->ended)) {
		n->ended = r->next;
		/* Of a dead connection libnbd says many things, "Invalid argument" for one. */
		if (r->error && !connected(n))
			r->error = ECONNRESET;
		if (r->buffer && r->op == BLOCK_READ && !r->error)
			copy(r, true);
		free(r->buffer);
		r->buffer = NULL;
		n->block.owner.done(n->block.owner.opaque, r);
	}
}

/* ---------------------------------------------------------- the socket ---- */

/* What libnbd waits for. A dead connection waits for nothing. */
static u32 wanted(struct block_nbd *n)
{
	unsigned direction = nbd_aio_get_direction(n->nbd);

	return (direction & LIBNBD_AIO_DIRECTION_READ ? EPOLLIN : 0u) |
	       (direction & LIBNBD_AIO_DIRECTION_WRITE ? EPOLLOUT : 0u);
}

static void watch(struct block_nbd *n)
{
	if (!n->loop)
		return;
	if (connected(n))
		loop_watch(n->loop, &n->socket, wanted(n));
	else
		loop_unwatch(n->loop, &n->socket);
}

/* Errors need no handling here: they end the requests they concern. */
static void drive(struct block_nbd *n, u32 events)
{
	unsigned direction = nbd_aio_get_direction(n->nbd);

	if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) && (direction & LIBNBD_AIO_DIRECTION_READ))
		nbd_aio_notify_read(n->nbd);
	else if ((events & EPOLLOUT) && (direction & LIBNBD_AIO_DIRECTION_WRITE))
		nbd_aio_notify_write(n->nbd);
	else if (events & (EPOLLHUP | EPOLLERR))
		nbd_aio_notify_write(n->nbd);
}

static void nbd_kick(struct block *b)
{
	struct block_nbd *n = nbd_of(b);

	tell(n);
	watch(n);
}

static void nbd_drain(struct block *b)
{
	struct block_nbd *n = nbd_of(b);

	tell(n);
	while (n->in_flight && connected(n)) {
		/* A server that is silent so long is given up: that ends all requests. */
		if (!nbd_poll(n->nbd, DRAIN_MS))
			shutdown(n->socket.fd, SHUT_RDWR);
		tell(n);
	}
	watch(n);
}

static void socket_ready(struct loop_source *source, u32 events)
{
	struct block_nbd *n =
		(struct block_nbd *)((u8 *)source - offsetof(struct block_nbd, socket));

	drive(n, events);
	nbd_kick(&n->block);
	n->block.owner.batch(n->block.owner.opaque);
}

/* --------------------------------------------------------------- life ---- */

static bool nbd_start(struct block *b, struct loop *loop, struct error *e)
{
	struct block_nbd *n = nbd_of(b);

	/* One of our own: libnbd closes its when the connection dies. */
	n->socket.fd = fcntl(nbd_aio_get_fd(n->nbd), F_DUPFD_CLOEXEC, 0);
	if (n->socket.fd < 0)
		return error_set(e, "disk: watching the NBD connection: %s", strerror(errno));
	n->socket.ready = socket_ready;
	n->loop = loop;
	watch(n);
	return true;
}

static void nbd_finish(struct block *b)
{
	struct block_nbd *n = nbd_of(b);

	if (n->loop)
		loop_unwatch(n->loop, &n->socket);
	if (n->socket.fd >= 0)
		close(n->socket.fd);
	if (n->nbd && connected(n))
		nbd_aio_disconnect(n->nbd, 0); /* nobody waits for the answer */
	nbd_close(n->nbd);
	free(n);
}

static const struct block_ops nbd_ops = {
	.start = nbd_start,
	.submit = nbd_submit,
	.kick = nbd_kick,
	.drain = nbd_drain,
	.close = nbd_finish,
};

/* ------------------------------------------------------------ opening ---- */

static bool nbd_failed(const char *uri, struct error *e)
{
	const char *why = nbd_get_error();
	const int error = nbd_get_errno();
	const bool nobody = error == ECONNREFUSED || error == ENOENT;

	return error_set(e, "disk '%s': %s%s", uri, why ? why : "libnbd does not say why",
			 nobody ? " (does a server listen there? qemu-nbd and nbdkit are such)"
				: "");
}

static bool open_all(struct block_nbd *n, const char *uri, struct block_options options,
		     struct error *e)
{
	int64_t size;

	n->nbd = nbd_create();
	if (!n->nbd)
		return nbd_failed(uri, e);
	nbd_set_uri_allow_local_file(n->nbd, true); /* keys for TLS: the user's own words */
	if (nbd_connect_uri(n->nbd, uri) < 0)
		return nbd_failed(uri, e);
	size = nbd_get_size(n->nbd);
	if (size < 0)
		return nbd_failed(uri, e);
	if (size == 0 || size % BLOCK_SECTOR)
		return error_set(e, "disk '%s': not a multiple of 512 bytes (%lld)", uri,
				 (long long)size);
	if (!options.read_only && nbd_is_read_only(n->nbd) > 0)
		return error_set(e, "disk '%s': the server does not allow writing (add ,ro)", uri);
	n->block.size = size;
	n->block.read_only = options.read_only;
	n->block.can_discard = nbd_can_trim(n->nbd) > 0;
	n->block.can_write_zeroes = nbd_can_zero(n->nbd) > 0;
	n->can_flush = nbd_can_flush(n->nbd) > 0;
	return true;
}

struct block *block_nbd_open(const char *uri, struct block_options options, struct error *e)
{
	struct block_nbd *n;

	if (options.cow) {
		error_set(e, "disk '%s': cow is for files only (qemu-nbd --snapshot does the same)",
			  uri);
		return NULL;
	}
	n = calloc(1, sizeof(*n));
	if (!n) {
		error_set(e, "disk '%s': out of memory", uri);
		return NULL;
	}
	n->block.ops = &nbd_ops;
	n->socket.fd = -1;
	if (!open_all(n, uri, options, e)) {
		nbd_close(n->nbd);
		free(n);
		return NULL;
	}
	return &n->block;
}

#else

struct block *block_nbd_open(const char *uri, struct block_options options, struct error *e)
{
	(void)options;
	error_set(e,
		  "disk '%s': this plex86 was built without libnbd (install libnbd-dev and build "
		  "it again)",
		  uri);
	return NULL;
}

#endif
