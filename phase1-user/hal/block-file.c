/*
 * Disks in raw files and on block devices of the host.
 *
 * Owns: the open image and its lock. Requests go to the kernel through io_uring, or to a few
 * threads: where io_uring is not there, for what it does not do, and for disks with an overlay.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "block-cow.h"
#include "block-io.h"
#include "block-pool.h"
#include "block-uring.h"

#define INLINE_MAX (64u << 10)
/* A write that takes longer has waited for the host's disk; for a while, others would, too. */
#define SLOW_NS	 1000000ull
#define SLOW_FOR 1000000000ull

struct block_file {
	struct block block;
	int fd;
	bool no_nowait;	       /* the file system cannot say what is cached */
	u64 inline_from;       /* when writes may be done on the spot again, CLOCK_MONOTONIC */
	struct block_cow *cow; /* NULL: requests go to the image itself */
	struct loop *loop;
	struct loop_source event; /* completions of both */
	struct block_pool pool;
	struct block_uring *uring; /* NULL: none */
};

static struct block_file *file_of(struct block *b)
{
	return (struct block_file *)b;
}

/* ----------------------------------------------------------- requests ---- */

static int execute(void *opaque, struct block_request *r)
{
	struct block_file *f = opaque;
	int error;

	if (f->cow)
		return block_cow_execute(f->cow, r);
	switch (r->op) {
	case BLOCK_READ:
		return block_io_read(f->fd, r->segment, r->segments, r->offset);
	case BLOCK_WRITE:
		return block_io_write(f->fd, r->segment, r->segments, r->offset);
	case BLOCK_FLUSH:
		return fdatasync(f->fd) ? errno : 0;
	case BLOCK_DISCARD:
		error = block_io_punch(f->fd, r->offset, r->length);
		return error == EOPNOTSUPP ? 0 : error; /* it was only a hint */
	case BLOCK_WRITE_ZEROES:
		return block_io_zero(f->fd, r->offset, r->length, r->may_unmap);
	}
	return EINVAL;
}

/* Small reads of what the host has cached: quicker done than handed over. */
static bool read_cached(struct block_file *f, struct block_request *r)
{
	ssize_t moved;

	if (r->op != BLOCK_READ || r->length > INLINE_MAX || f->cow || f->no_nowait)
		return false;
	moved = preadv2(f->fd, r->segment, r->segments, r->offset, RWF_NOWAIT);
	if (moved < 0 && errno == EOPNOTSUPP)
		f->no_nowait = true;
	if (moved < 0 || (u64)moved != r->length)
		return false;
	r->error = 0;
	f->block.owner.done(f->block.owner.opaque, r);
	return true;
}

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/*
 * Small writes go to the host's page cache: quicker done than handed over, too. File systems such
 * as ext4 do not say beforehand whether that would have to wait, and io_uring wakes a thread for
 * each. So try, and when the host turns out to be short of clean pages, hand over for a while: the
 * guest must not stand still.
 */
static bool write_cached(struct block_file *f, struct block_request *r)
{
	u64 begin, end;
	ssize_t moved;

	if (r->op != BLOCK_WRITE || r->length > INLINE_MAX || f->cow)
		return false;
	begin = now_ns();
	if (begin < f->inline_from)
		return false;
	moved = pwritev(f->fd, r->segment, r->segments, r->offset);
	end = now_ns();
	if (end - begin > SLOW_NS)
		f->inline_from = end + SLOW_FOR;
	if (moved < 0 || (u64)moved != r->length)
		return false; /* the others know what to make of it */
	r->error = 0;
	f->block.owner.done(f->block.owner.opaque, r);
	return true;
}

static void file_submit(struct block *b, struct block_request *r)
{
	struct block_file *f = file_of(b);

	if (read_cached(f, r) || write_cached(f, r))
		return;
	if (!f->uring || !block_uring_submit(f->uring, f->fd, r))
		block_pool_submit(&f->pool, r);
}

static void done(struct block_file *f, struct block_request *r)
{
	if (r->error == BLOCK_URING_RETRY)
		block_pool_submit(&f->pool, r);
	else
		f->block.owner.done(f->block.owner.opaque, r);
}

/* False if nothing had finished. */
static bool collect(struct block_file *f)
{
	struct block_request *r = block_pool_collect(&f->pool), *next;
	bool any = r;

	for (; r; r = next) {
		next = r->next; /* done() may submit it again */
		done(f, r);
	}
	while (f->uring && (r = block_uring_collect(f->uring))) {
		any = true;
		done(f, r);
	}
	return any;
}

static void file_kick(struct block *b)
{
	struct block_file *f = file_of(b);

	if (!f->uring)
		return;
	/* What the host has cached is done at once: no need to wait for the I/O thread. It is woken
	 * all the same and finds nothing; io_uring's ways to spare that can lose a completion.
	 * Whoever is told may submit more. */
	do {
		block_uring_kick(f->uring);
	} while (collect(f));
}

static void file_drain(struct block *b)
{
	struct block_file *f = file_of(b);

	for (;;) {
		collect(f);
		if (f->uring && block_uring_busy(f->uring))
			block_uring_wait(f->uring);
		else if (f->pool.in_flight)
			block_pool_wait(&f->pool);
		else
			return;
	}
}

static void completed(struct loop_source *source, u32 events)
{
	struct block_file *f =
		(struct block_file *)((u8 *)source - offsetof(struct block_file, event));
	eventfd_t count;

	(void)events;
	eventfd_read(source->fd, &count);
	collect(f);
	file_kick(&f->block);
	f->block.owner.batch(f->block.owner.opaque);
}

/* --------------------------------------------------------------- life ---- */

static bool file_start(struct block *b, struct loop *loop, struct error *e)
{
	struct block_file *f = file_of(b);

	f->loop = loop;
	f->event.ready = completed;
	if (!loop_watch(loop, &f->event, EPOLLIN))
		return error_set(e, "disk: watching for completions: %s", strerror(errno));
	return true;
}

static void file_close(struct block *b)
{
	struct block_file *f = file_of(b);

	if (f->loop)
		loop_unwatch(f->loop, &f->event);
	block_pool_destroy(&f->pool);
	if (f->uring)
		block_uring_destroy(f->uring);
	if (f->cow)
		block_cow_destroy(f->cow);
	if (f->event.fd >= 0)
		close(f->event.fd);
	if (f->fd >= 0)
		close(f->fd);
	free(f);
}

/* The times tell whether it was written; of one that is only read, a copy will do. */
static bool file_identify(struct block *b, struct block_identity *id, const char **why)
{
	const struct block_file *f = file_of(b);
	struct stat st;

	*why = "what was written to it is thrown away at the end (,cow)";
	if (f->cow)
		return false;
	*why = "it cannot be looked at";
	if (fstat(f->fd, &st))
		return false;
	*id = (struct block_identity){.size = b->size};
	if (S_ISREG(st.st_mode))
		id->changed_ns = st.st_mtim.tv_sec * 1000000000ull + st.st_mtim.tv_nsec;
	if (b->read_only)
		return true;
	id->device = S_ISREG(st.st_mode) ? st.st_dev : st.st_rdev;
	id->inode = st.st_ino;
	*why = "nobody can tell whether a block device was written since";
	return S_ISREG(st.st_mode);
}

static const struct block_ops file_ops = {
	.start = file_start,
	.submit = file_submit,
	.kick = file_kick,
	.drain = file_drain,
	.identify = file_identify,
	.close = file_close,
};

/* ------------------------------------------------------------ opening ---- */

/* Only what has a size; a FIFO would block, a terminal would be taken. */
static bool check_type(const char *name, struct stat *st, struct error *e)
{
	if (stat(name, st))
		return error_set(e, "disk '%s': %s%s", name, strerror(errno),
				 errno == ENOENT ? " (truncate -s 4G makes an empty one, "
						   "guest/build-rootfs a Debian)"
						 : "");
	if (S_ISDIR(st->st_mode))
		return error_set(e,
				 "disk '%s': is a directory (-s shares directories; a disk is an "
				 "image file)",
				 name);
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return error_set(e, "disk '%s': neither a regular file nor a block device", name);
	return true;
}

static bool open_image(struct block_file *f, const char *name, const struct stat *st,
		       struct error *e)
{
	int flags = (f->block.read_only ? O_RDONLY : O_RDWR) | O_CLOEXEC | O_NONBLOCK;

	/* For a block device: not while the host has it mounted. */
	if (S_ISBLK(st->st_mode) && !f->block.read_only)
		flags |= O_EXCL;
	f->fd = open(name, flags);
	if (f->fd >= 0)
		return true;
	if (!f->block.read_only && (errno == EACCES || errno == EROFS || errno == EPERM))
		return error_set(
			e,
			"disk '%s': opening it for writing: %s (add ,ro to only read it, or "
			",cow to throw away what is written)",
			name, strerror(errno));
	if (errno == EBUSY)
		return error_set(e, "disk '%s': this host is using it; is it mounted?", name);
	return error_set(e, "disk '%s': %s", name, strerror(errno));
}

/* Writers want the image for themselves, readers want no writer. File systems that know no locks
 * go without. */
static bool lock_image(const struct block_file *f, const char *name, bool shared, struct error *e)
{
	struct flock lock = {.l_type = shared ? F_RDLCK : F_WRLCK, .l_whence = SEEK_SET};

	if (!fcntl(f->fd, F_OFD_SETLK, &lock) || (errno != EAGAIN && errno != EACCES))
		return true;
	return error_set(e, "disk '%s': already in use by another guest or program%s", name,
			 shared ? ", which writes it" : " (,cow and ,ro can share an image)");
}

static bool measure(struct block_file *f, const char *name, const struct stat *st, struct error *e)
{
	u64 size = st->st_size;

	if (S_ISBLK(st->st_mode) && ioctl(f->fd, BLKGETSIZE64, &size))
		return error_set(e, "disk '%s': asking for its size: %s", name, strerror(errno));
	if (!size)
		return error_set(e, "disk '%s': it is empty (truncate -s 1G gives it a size)",
				 name);
	if (size % BLOCK_SECTOR)
		return error_set(e,
				 "disk '%s': not a multiple of 512 bytes (%llu): is all of it "
				 "there? (truncate -s %%512 fills it up)",
				 name, (unsigned long long)size);
	f->block.size = size;
	return true;
}

static bool open_all(struct block_file *f, const char *name, bool cow, struct error *e)
{
	struct stat st;

	if (!check_type(name, &st, e) || !open_image(f, name, &st, e))
		return false;
	if (fstat(f->fd, &st))
		return error_set(e, "disk '%s': %s", name, strerror(errno));
	if (!lock_image(f, name, f->block.read_only, e) || !measure(f, name, &st, e))
		return false;
	f->event.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (f->event.fd < 0)
		return error_set(e, "disk '%s': %s", name, strerror(errno));
	f->pool.event_fd = f->event.fd;
	if (!cow) {
		f->uring = block_uring_create(f->event.fd);
		return true;
	}
	f->cow = block_cow_create(name, f->fd, f->block.size, e);
	f->block.read_only = false;
	return f->cow;
}

struct block *block_file_open(const char *name, struct block_options options, struct error *e)
{
	struct block_file *f = calloc(1, sizeof(*f));

	if (!f) {
		error_set(e, "disk '%s': out of memory", name);
		return NULL;
	}
	f->fd = f->event.fd = -1;
	f->block.ops = &file_ops;
	f->block.read_only = options.read_only || options.cow;
	block_pool_init(&f->pool, -1, execute, f);
	if (!open_all(f, name, options.cow, e)) {
		file_close(&f->block);
		return NULL;
	}
	f->block.can_discard = f->block.can_write_zeroes = !f->block.read_only;
	return &f->block;
}
