/*
 * Devices that another program serves, over vhost-user: shared folders (-s), whose program is a
 * virtiofsd that we start, and whatever listens on a socket (--vhost-user).
 *
 * Owns: the kinds of device this can be, their queues' descriptors, and what becomes of a device
 * whose backend is lost: the guest gets errors and goes on. Requests and data pass us by. The
 * messages are vhost-user.c's business, the daemon is virtiofsd.c's.
 */
#include "device.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "vhost-user.h"
#include "virtiofsd.h"

#define QUEUES_MAX     2
#define TAG_SIZE       36
#define BITS(from, to) ((2ull << (to)) - (1ull << (from)))

/* The configuration space of a file system (virtio 1.2, 5.11.4). */
struct fs_config {
	u8 tag[TAG_SIZE];
	u32 num_request_queues;
};

struct model {
	const char *name; /* in --vhost-user */
	struct virtio_ops ops;
	enum virtio_id id;
	unsigned queues;
	u32 config_size;
	/* Features we can pass on: those that need nothing but rings, and those that say what is in
	 * the configuration space, if the backend knows that. */
	u64 features, config_features;
	bool needs_config; /* and it is the backend's */
	/* The answer to a request nobody serves any more; NULL: the device just stops. Returns the
	 * bytes written. */
	u32 (*refuse)(const struct virtq_chain *c);
};

struct ring {
	struct vhost *vhost;
	struct loop_source call; /* an eventfd the backend interrupts with */
	int kick[2];		 /* a pipe: its end and ours */
};

struct vhost {
	struct hal_device hal;
	const struct model *model;
	struct vhost_user user;
	struct virtiofsd daemon;
	struct loop *loop;
	struct loop_source socket, requests, log;
	struct ring ring[QUEUES_MAX];
	bool lost; /* and said so */
	unsigned rings_started;
	char what[64]; /* in messages: the tag, or the socket's path */
	union {
		u8 config[VHOST_USER_CONFIG_MAX];
		struct fs_config fs;
	};
	char tag[TAG_SIZE + 1];
	struct virtq_chain chain;
};

static struct vhost *vhost_of(struct virtio_device *d)
{
	return (struct vhost *)((char *)d - offsetof(struct vhost, hal.virtio));
}

/* --------------------------------------------------- a backend is lost ---- */

/* A FUSE request says at its beginning who it is; the answer is an error number. */
static u32 refuse_fs(const struct virtq_chain *c)
{
	struct {
		u32 len, opcode;
		u64 unique;
	} in = {0};
	struct {
		u32 len;
		s32 error;
		u64 unique;
	} out = {.len = sizeof(out), .error = -ENOTCONN};

	virtq_read(c, 0, &in, sizeof(in));
	out.unique = in.unique;
	/* Some requests want no answer. */
	return c->in_bytes < sizeof(out) ? 0 : virtq_write(c, 0, &out, sizeof(out));
}

/* The last byte of a block request is its status. */
static u32 refuse_blk(const struct virtq_chain *c)
{
	const u8 ioerr = 1;

	return c->in_bytes ? virtq_write(c, c->in_bytes - 1, &ioerr, sizeof(ioerr)) : 0;
}

static void refuse_requests(struct vhost *v, struct virtqueue *q)
{
	do {
		virtqueue_disable_notify(q);
		while (virtqueue_pop(q, &v->chain))
			virtqueue_push(q, v->chain.head, v->model->refuse(&v->chain));
	} while (virtqueue_enable_notify(q));
	virtio_signal(&v->hal.virtio, q);
}

static void say(struct vhost *v, const char *text, const char *more)
{
	struct virtio_device *d = &v->hal.virtio;
	char line[240];

	snprintf(line, sizeof(line), "%s %u '%.40s': %.80s%.90s", d->ops->name, d->slot, v->what,
		 text, more);
	d->board->warn(d->board->opaque, line);
}

static void unwatch(struct vhost *v)
{
	/* These two are closed: the loop forgot them, and others may have their numbers now. */
	v->socket.watched = v->requests.watched = false;
	for (unsigned i = 0; i < v->model->queues; i++)
		loop_unwatch(v->loop, &v->ring[i].call);
}

/* The connection is over: tell, and take over. What was in the backend's hands is answered, too:
 * the queues of file systems are served in order. Of others something may be left over. */
static void lose(struct vhost *v)
{
	struct virtio_device *d = &v->hal.virtio;
	const bool refuses = v->model->refuse;

	if (v->lost)
		return;
	v->lost = true;
	/* What else it says is in its log. */
	if (v->daemon.pid > 0)
		virtiofsd_listen(&v->daemon);
	say(v, v->user.error.text,
	    refuses ? ": the guest sees I/O errors from now on" : ": it has stopped for good");
	if (v->daemon.said.text[0])
		say(v, "virtiofsd: ", v->daemon.said.text);
	unwatch(v);
	if (!virtio_running(d))
		return;
	if (!refuses)
		virtio_break(d, "its backend is lost");
	for (unsigned i = 0; refuses && i < v->rings_started; i++) {
		virtqueue_take_over(&d->queue[i]);
		refuse_requests(v, &d->queue[i]);
	}
}

/* After all that may have ended the connection, or brought news of the configuration. */
static void look_after(struct vhost *v)
{
	u8 config[VHOST_USER_CONFIG_MAX];
	const u32 size = v->model->config_size;

	if (v->user.fd >= 0 && v->user.config_stale &&
	    vhost_user_get_config(&v->user, config, size) && memcmp(config, v->config, size)) {
		memcpy(v->config, config, size);
		virtio_config_changed(&v->hal.virtio);
	}
	if (v->user.fd < 0)
		lose(v);
}

/* -------------------------------------------------------------- events ---- */

static void called(struct loop_source *source, u32 events)
{
	struct ring *r = (struct ring *)((char *)source - offsetof(struct ring, call));

	(void)events;
	/* Edge-triggered: each write is news, and the count need not be read. */
	if (virtio_running(&r->vhost->hal.virtio))
		virtio_interrupt(&r->vhost->hal.virtio);
}

static void socket_ready(struct loop_source *source, u32 events)
{
	struct vhost *v = (struct vhost *)((char *)source - offsetof(struct vhost, socket));

	(void)events;
	vhost_user_idle(&v->user);
	look_after(v);
}

static void requests_ready(struct loop_source *source, u32 events)
{
	struct vhost *v = (struct vhost *)((char *)source - offsetof(struct vhost, requests));

	(void)events;
	vhost_user_requests(&v->user);
	look_after(v);
}

static void log_ready(struct loop_source *source, u32 events)
{
	struct vhost *v = (struct vhost *)((char *)source - offsetof(struct vhost, log));

	virtiofsd_listen(&v->daemon);
	if (events & EPOLLHUP)
		loop_unwatch(v->loop, source);
}

/* ---------------------------------------------------------- the device ---- */

static void notify(struct virtio_device *d, unsigned index)
{
	struct vhost *v = vhost_of(d);
	const u64 one = 1;

	if (v->user.fd >= 0) {
		/* A full pipe is a kick that has not been heeded yet: it need not be another. */
		if (write(v->ring[index].kick[1], &one, sizeof(one)) != sizeof(one))
			return;
	} else if (v->model->refuse) {
		refuse_requests(v, &d->queue[index]);
	}
}

static void driver_ok(struct virtio_device *d)
{
	struct vhost *v = vhost_of(d);
	bool ok = vhost_user_set_features(&v->user, d->negotiated);

	v->rings_started = 0;
	for (unsigned i = 0; ok && i < d->queue_count && d->queue[i].ready; i++) {
		v->rings_started++;
		ok = vhost_user_start_ring(&v->user, i, &d->queue[i], v->ring[i].kick[0],
					   v->ring[i].call.fd);
	}
	if (v->lost && !v->model->refuse)
		virtio_break(d, "its backend is lost");
	look_after(v);
}

static void reset(struct virtio_device *d)
{
	struct vhost *v = vhost_of(d);

	for (; v->rings_started && v->user.fd >= 0; v->rings_started--)
		vhost_user_stop_ring(&v->user, v->rings_started - 1);
	v->rings_started = 0;
	look_after(v);
}

#define OPS(title, option)              \
	.ops = {.name = title,          \
		.guest_option = option, \
		.notify = notify,       \
		.start = driver_ok,     \
		.reset = reset}

static const struct model models[] = {
	{
		.name = "fs",
		.id = VIRTIO_ID_FS,
		OPS("virtio-fs", "CONFIG_VIRTIO_FS"),
		.queues = 2,
		.config_size = sizeof(struct fs_config),
		.refuse = refuse_fs,
	},
	{
		.name = "net",
		.id = VIRTIO_ID_NET,
		OPS("virtio-net", "CONFIG_VIRTIO_NET"),
		.queues = 2, /* none for control */
		.config_size = 12,
		/* Checksums, segmentation, merged buffers; MTU, address, status. */
		.features = BITS(0, 1) | BITS(7, 15),
		.config_features = BITS(3, 3) | BITS(5, 5) | BITS(16, 16),
	},
	{
		.name = "blk",
		.id = VIRTIO_ID_BLOCK,
		OPS("virtio-blk", "CONFIG_VIRTIO_BLK"),
		.queues = 1,
		.config_size = 60, /* up to write zeroes */
		.needs_config = true,
		/* Flush; limits, geometry, ro, block size, topology, discard, write zeroes. */
		.features = BITS(9, 9),
		.config_features = BITS(1, 2) | BITS(4, 6) | BITS(10, 10) | BITS(13, 14),
		.refuse = refuse_blk,
	},
};

static bool watch(struct vhost *v, struct loop_source *source, int fd, u32 events,
		  void (*ready)(struct loop_source *source, u32 events), struct error *e)
{
	source->fd = fd;
	source->ready = ready;
	if (fd < 0 || loop_watch(v->loop, source, events))
		return true;
	return error_set(e, "vhost-user '%s': watching it: %s", v->what, strerror(errno));
}

static bool vhost_start(struct hal_device *d, struct loop *loop, struct error *e)
{
	struct vhost *v = (struct vhost *)d;
	const struct virtio_board *board = d->virtio.board;

	v->loop = loop;
	if (!vhost_user_set_memory(&v->user, board->ram_fd, board->ram.size))
		return error_set(e, "vhost-user '%s': %s", v->what, v->user.error.text);
	for (unsigned i = 0; i < v->model->queues; i++)
		if (!watch(v, &v->ring[i].call, v->ring[i].call.fd, EPOLLIN | EPOLLET, called, e))
			return false;
	return watch(v, &v->socket, v->user.fd, EPOLLIN, socket_ready, e) &&
	       watch(v, &v->requests, v->user.request_fd, EPOLLIN, requests_ready, e) &&
	       watch(v, &v->log, v->daemon.log_fd, EPOLLIN, log_ready, e);
}

static void vhost_destroy(struct hal_device *d)
{
	struct vhost *v = (struct vhost *)d;

	vhost_user_close(&v->user);
	virtiofsd_stop(&v->daemon);
	for (unsigned i = 0; i < v->model->queues; i++) {
		struct ring *r = &v->ring[i];
		const int fd[] = {r->call.fd, r->kick[0], r->kick[1]};

		for (unsigned k = 0; k < sizeof(fd) / sizeof(fd[0]); k++)
			if (fd[k] >= 0)
				close(fd[k]);
	}
	free(v);
}

/* ------------------------------------------------------------- opening ---- */

/* An eventfd would be one open file, whose flags the backend could change: it could make us wait. A
 * pipe has two. The backend's end is opened again, to write as well, so that it does not see the
 * end of file when we go. */
static bool make_kick(int kick[2])
{
	char path[32];
	int read_only;

	if (pipe2(kick, O_CLOEXEC | O_NONBLOCK)) {
		kick[0] = kick[1] = -1;
		return false;
	}
	read_only = kick[0];
	snprintf(path, sizeof(path), "/proc/self/fd/%d", read_only);
	kick[0] = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	close(read_only);
	return kick[0] >= 0;
}

static struct vhost *create(const struct model *m, struct error *e)
{
	struct vhost *v = calloc(1, sizeof(*v));
	bool ok = v;

	for (unsigned i = 0; ok && i < m->queues; i++) {
		struct ring *r = &v->ring[i];

		r->vhost = v;
		/* This one we neither read nor write, so its flags do not matter. */
		r->call.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		ok = r->call.fd >= 0 && make_kick(r->kick);
	}
	if (!ok) {
		error_set(e, "vhost-user: creating queues: %s", strerror(errno));
		free(v); /* what it had goes with plex86: there will be no run */
		return NULL;
	}
	v->model = m;
	v->user.fd = v->user.request_fd = -1;
	v->daemon.pid = v->daemon.log_fd = -1;
	return v;
}

static bool set_tag(struct vhost *v, const char *tag, struct error *e)
{
	if (!tag[0] || strlen(tag) > TAG_SIZE)
		return error_set(e, "tag '%s': not 1 to %d bytes", tag, TAG_SIZE);
	strcpy(v->tag, tag);
	memcpy(v->fs.tag, tag, strlen(tag));
	v->fs.num_request_queues = 1;
	return true;
}

/* The connection stands: what does the backend offer? */
static bool describe(struct vhost *v, struct error *e)
{
	const struct model *m = v->model;
	struct virtio_device *d = &v->hal.virtio;
	const bool config = (v->user.protocol & VHOST_USER_PROTOCOL_F_CONFIG) && !v->tag[0];

	if (!(v->user.features & VIRTIO_F_VERSION_1))
		return error_set(e, "the backend knows no virtio 1.0");
	if (m->needs_config && !config)
		return error_set(e, "the backend does not tell the device's configuration");
	if (config && !vhost_user_get_config(&v->user, v->config, m->config_size))
		return error_set(e, "%s", v->user.error.text);
	if (m->id == VIRTIO_ID_FS && !v->fs.tag[0])
		return error_set(e, "the backend has no tag for it (add ,tag=TAG)");
	if (m->id == VIRTIO_ID_FS) {
		memcpy(v->tag, v->fs.tag, TAG_SIZE);
		v->fs.num_request_queues = 1; /* however many it has: there is one CPU */
		v->hal.tag = v->tag;
	}
	d->ops = &m->ops;
	d->id = m->id;
	d->queue_count = m->queues;
	d->features = v->user.features & (m->features | (config ? m->config_features : 0));
	d->withheld = ~v->user.features;
	if (m->id == VIRTIO_ID_FS || config) {
		d->config = v->config;
		d->config_size = m->config_size;
	}
	return true;
}

/* `e` has the reason without what it is about. */
static struct hal_device *refused(struct vhost *v, const char *option, const char *what,
				  struct error *e)
{
	const struct error why = *e;

	if (v)
		vhost_destroy(&v->hal);
	error_set(e, "%s '%.300s': %.320s", option, what, why.text);
	return NULL;
}

/* Without a tag of its own a directory goes by its name. */
static const char *default_tag(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && name[1] ? name + 1 : "share";
}

/* "DIR" or "DIR=TAG". */
static bool open_share(struct vhost *v, char *spec, struct error *e)
{
	char path[PATH_MAX], *tag = strrchr(spec, '=');
	int fd;

	if (tag)
		*tag++ = '\0';
	fd = open(spec, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return error_set(e, "%s", strerror(errno));
	close(fd);
	if (!realpath(spec, path))
		return error_set(e, "%s", strerror(errno));
	if (!set_tag(v, tag ? tag : default_tag(path), e))
		return false;
	snprintf(v->what, sizeof(v->what), "%s", v->tag);
	return virtiofsd_start(&v->daemon, &v->user, path, e) && describe(v, e);
}

static struct hal_device *share_open(const char *spec, struct error *e)
{
	struct vhost *v = create(&models[0], e);
	char *text = strdup(spec);
	bool ok = v && text && open_share(v, text, e);

	free(text);
	return ok ? &v->hal : refused(v, "share", spec, e);
}

static int connect_to(const char *path, struct error *e)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(address.sun_path)) {
		error_set(e, "the socket's path is longer than %zu bytes",
			  sizeof(address.sun_path) - 1);
		return -1;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fd;
	error_set(e, "connecting to '%s': %s", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static const struct model *find_model(const char *name)
{
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++)
		if (!strcmp(models[i].name, name))
			return &models[i];
	return NULL;
}

/* The words behind the kind. */
static bool parse(struct vhost *v, char *rest, const char **path, struct error *e)
{
	char *word;

	while ((word = hal_next_word(&rest))) {
		if (!strncmp(word, "socket=", 7)) {
			*path = word + 7;
		} else if (!strncmp(word, "tag=", 4) && v->model->id == VIRTIO_ID_FS) {
			if (!set_tag(v, word + 4, e))
				return false;
		} else {
			return error_set(e, "unknown option '%s'", word);
		}
	}
	return *path || error_set(e, "no socket=PATH");
}

static bool open_socket(struct vhost *v, char *rest, struct error *e)
{
	const char *path = NULL;
	int fd;

	if (!parse(v, rest, &path, e))
		return false;
	snprintf(v->what, sizeof(v->what), "%s", path);
	fd = connect_to(path, e);
	if (fd < 0)
		return false;
	if (!vhost_user_open(&v->user, fd, v->model->queues))
		return error_set(e, "%s", v->user.error.text);
	return describe(v, e);
}

static struct hal_device *vhost_user_open_device(const char *spec, struct error *e)
{
	char *text = strdup(spec), *rest = text;
	const char *kind = hal_next_word(&rest);
	const struct model *m = kind ? find_model(kind) : NULL;
	struct vhost *v = m ? create(m, e) : NULL;
	bool ok = v && open_socket(v, rest, e);

	if (!m)
		error_set(e, "'%s' is no kind of device it can be: fs, net or blk",
			  kind ? kind : "");
	free(text);
	return ok ? &v->hal : refused(v, "vhost-user", spec, e);
}

const struct hal_kind hal_share = {
	.option = "share",
	.open = share_open,
	.start = vhost_start,
	.destroy = vhost_destroy,
};

const struct hal_kind hal_vhost_user = {
	.option = "vhost-user",
	.open = vhost_user_open_device,
	.start = vhost_start,
	.destroy = vhost_destroy,
};
