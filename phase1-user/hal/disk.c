/*
 * virtio-blk: a disk (virtio 1.2, section 5.2).
 *
 * Owns: the request queue, its requests in flight, and the configuration space. What the bytes are
 * stored in is a backend's (block.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "block-io.h"
#include "disk.h"

enum {
	TYPE_IN = 0,
	TYPE_OUT = 1,
	TYPE_FLUSH = 4,
	TYPE_GET_ID = 8,
	TYPE_DISCARD = 11,
	TYPE_WRITE_ZEROES = 13
};

enum { STATUS_DONE = 0, STATUS_IOERR = 1, STATUS_UNSUPP = 2 };

#define F_SEG_MAX      (1ull << 2)
#define F_RO	       (1ull << 5)
#define F_BLK_SIZE     (1ull << 6)
#define F_FLUSH	       (1ull << 9)
#define F_TOPOLOGY     (1ull << 10)
#define F_DISCARD      (1ull << 13)
#define F_WRITE_ZEROES (1ull << 14)

#define ID_BYTES 20

/* So that one request does not keep the host busy for minutes. */
#define DISCARD_SECTORS (1u << 21) /* 1 GiB */
#define ZEROES_SECTORS	(1u << 16) /* 32 MiB: they may have to be written */

/* A chain has a header and a status besides its data. */
#define SEG_MAX (VIRTQUEUE_MAX_SEGMENTS - 2)

struct config {
	u64 capacity;
	u32 size_max, seg_max;
	u16 cylinders;
	u8 heads, sectors;
	u32 blk_size;
	u8 physical_block_exp, alignment_offset;
	u16 min_io_size;
	u32 opt_io_size;
	u8 writeback, unused0;
	u16 num_queues;
	u32 max_discard_sectors, max_discard_seg, discard_sector_alignment;
	u32 max_write_zeroes_sectors, max_write_zeroes_seg;
	u8 write_zeroes_may_unmap, unused1[3];
};

struct header {
	u32 type, reserved;
	u64 sector;
};

/* The data of a discard or write-zeroes request. */
struct range {
	u64 sector;
	u32 sectors, flags;
};

#define RANGE_UNMAP 1u

struct request {
	struct block_request block;
	u16 head;
	u8 *status;	    /* in guest RAM */
	u32 written;	    /* bytes of the chain that are valid if all goes well */
	bool write_through; /* flush before the driver hears of it */
	struct request *next_free;
};

#define REQUESTS 256
/* More than any driver asks for at once, and it fits where lengths are 32 bits. */
#define LENGTH_MAX (1u << 30)

struct disk {
	struct hal_device hal;
	struct config config;
	struct block *block;
	char name[128]; /* as given, for messages */
	char id[ID_BYTES];
	bool stalled; /* chains wait for a free request */
	bool warned;
	struct request *free;
	unsigned touched; /* requests from this one on have never been used */
	struct request request[REQUESTS];
};

static struct disk *disk_of(struct virtio_device *v)
{
	return (struct disk *)((u8 *)v - offsetof(struct disk, hal.virtio));
}

/* --------------------------------------------------------- completion ---- */

static void put_request(struct disk *d, struct request *q)
{
	q->next_free = d->free;
	d->free = q;
}

static bool have_request(const struct disk *d)
{
	return d->free || d->touched < REQUESTS;
}

/* Used ones first: an idle disk's memory stays untouched. There must be one. */
static struct request *get_request(struct disk *d)
{
	struct request *q = d->free;

	if (!q)
		return &d->request[d->touched++];
	d->free = q->next_free;
	return q;
}

/* Tell the driver. Only what was written from the first byte on counts as written. */
static void complete(struct disk *d, struct request *q, u8 status)
{
	*q->status = status;
	virtqueue_push(&d->hal.virtio.queue[0], q->head, status == STATUS_DONE ? q->written : 0);
	put_request(d, q);
}

static const char *op_name(enum block_op op)
{
	static const char *const names[] = {
		[BLOCK_READ] = "reading",	  [BLOCK_WRITE] = "writing",
		[BLOCK_FLUSH] = "flushing",	  [BLOCK_DISCARD] = "discarding",
		[BLOCK_WRITE_ZEROES] = "zeroing",
	};

	return names[op];
}

/* The guest is told of each error; the user of the first. */
static void warn(struct disk *d, const struct block_request *r)
{
	const struct virtio_board *board = d->hal.virtio.board;
	char text[240];

	if (d->warned)
		return;
	d->warned = true;
	snprintf(text, sizeof(text), "disk '%s': %s at byte %llu: %s (the guest sees an I/O error)",
		 d->name, op_name(r->op), (unsigned long long)r->offset, strerror(r->error));
	board->warn(board->opaque, text);
}

static void request_done(void *opaque, struct block_request *r)
{
	struct disk *d = opaque;
	struct request *q = (struct request *)r;

	if (r->error) {
		warn(d, r);
		complete(d, q, STATUS_IOERR);
		return;
	}
	if (!q->write_through) {
		complete(d, q, STATUS_DONE);
		return;
	}
	q->write_through = false;
	r->op = BLOCK_FLUSH;
	d->block->ops->submit(d->block, r);
}

/* ------------------------------------------------------------ requests ---- */

static bool within(const struct disk *d, u64 sector, u64 bytes)
{
	const u64 sectors = bytes / BLOCK_SECTOR;

	return bytes % BLOCK_SECTOR == 0 && sector <= d->config.capacity &&
	       sectors <= d->config.capacity - sector;
}

/* Everything below returns the status to complete the request with, or SUBMITTED. */
#define SUBMITTED (-1)

static int submit(struct disk *d, struct request *q, enum block_op op, u64 sector, u64 length)
{
	q->block.op = op;
	q->block.offset = sector * BLOCK_SECTOR;
	q->block.length = length;
	/* A driver that does not know of flushes takes a finished write for a safe one. */
	q->write_through =
		op != BLOCK_READ && op != BLOCK_FLUSH && !(d->hal.virtio.negotiated & F_FLUSH);
	d->block->ops->submit(d->block, &q->block);
	return SUBMITTED;
}

/* Point the request's segments at bytes [skip, skip + length) of one side of the chain. */
static void set_segments(struct request *q, const struct iovec *part, unsigned count, u64 skip,
			 u64 length)
{
	q->block.segments = block_io_slice(q->block.segment, part, count, skip, length);
}

static int begin_read(struct disk *d, struct request *q, const struct virtq_chain *c, u64 sector)
{
	const u64 length = c->in_bytes - 1;

	if (length > LENGTH_MAX || !within(d, sector, length))
		return STATUS_IOERR;
	set_segments(q, virtq_in(c), c->in_count, 0, length);
	q->written = c->in_bytes;
	return submit(d, q, BLOCK_READ, sector, length);
}

static int begin_write(struct disk *d, struct request *q, const struct virtq_chain *c, u64 sector)
{
	const u64 length = c->out_bytes - sizeof(struct header);

	if (d->block->read_only || length > LENGTH_MAX || !within(d, sector, length))
		return STATUS_IOERR;
	set_segments(q, virtq_out(c), c->out_count, sizeof(struct header), length);
	return submit(d, q, BLOCK_WRITE, sector, length);
}

static int begin_range(struct disk *d, struct request *q, const struct virtq_chain *c, bool zeroes)
{
	const u64 feature = zeroes ? F_WRITE_ZEROES : F_DISCARD;
	const u32 known = zeroes ? RANGE_UNMAP : 0;
	const u32 most = zeroes ? ZEROES_SECTORS : DISCARD_SECTORS;
	struct range range;
	u64 length;

	if (!(d->hal.virtio.negotiated & feature))
		return STATUS_UNSUPP;
	if (c->out_bytes != sizeof(struct header) + sizeof(range))
		return STATUS_IOERR; /* max_*_seg is 1 */
	virtq_read(c, sizeof(struct header), &range, sizeof(range));
	if (range.flags & ~known)
		return STATUS_UNSUPP;
	length = (u64)range.sectors * BLOCK_SECTOR;
	if (range.sectors > most || !within(d, range.sector, length))
		return STATUS_IOERR;
	q->block.segments = 0;
	q->block.may_unmap = range.flags & RANGE_UNMAP;
	return submit(d, q, zeroes ? BLOCK_WRITE_ZEROES : BLOCK_DISCARD, range.sector, length);
}

static int begin_flush(struct disk *d, struct request *q)
{
	q->block.segments = 0;
	return submit(d, q, BLOCK_FLUSH, 0, 0);
}

static int get_id(struct disk *d, struct request *q, const struct virtq_chain *c)
{
	const u64 room = c->in_bytes - 1;

	virtq_write(c, 0, d->id, room < ID_BYTES ? room : ID_BYTES);
	q->written = room <= ID_BYTES ? c->in_bytes : ID_BYTES;
	return STATUS_DONE;
}

static int begin(struct disk *d, struct request *q, const struct virtq_chain *c)
{
	struct header header;

	virtq_read(c, 0, &header, sizeof(header));
	switch (header.type) {
	case TYPE_IN:
		return begin_read(d, q, c, header.sector);
	case TYPE_OUT:
		return begin_write(d, q, c, header.sector);
	case TYPE_FLUSH:
		return begin_flush(d, q);
	case TYPE_GET_ID:
		return get_id(d, q, c);
	case TYPE_DISCARD:
	case TYPE_WRITE_ZEROES:
		return begin_range(d, q, c, header.type == TYPE_WRITE_ZEROES);
	default:
		return STATUS_UNSUPP;
	}
}

/* The chain's last byte: the status. */
static u8 *status_byte(const struct virtq_chain *c)
{
	struct iovec last;

	block_io_slice(&last, virtq_in(c), c->in_count, c->in_bytes - 1, 1);
	return last.iov_base;
}

static void take_chain(struct disk *d, const struct virtq_chain *c)
{
	struct request *q = get_request(d);
	int status;

	q->head = c->head;
	q->status = status_byte(c);
	q->written = c->in_bytes == 1;
	status = begin(d, q, c);
	if (status != SUBMITTED) {
		complete(d, q, status);
	} else if (d->hal.virtio.board->at_once) {
		d->block->ops->kick(d->block);
		d->block->ops->drain(d->block);
	}
}

/* Take all chains there are. False if a request makes no sense: nobody could be told how it went.
 */
static bool take_chains(struct disk *d, struct virtqueue *q)
{
	struct virtq_chain chain;

	for (;;) {
		/* A well-behaved driver never has more in flight than the queue is long. */
		d->stalled = !have_request(d);
		if (d->stalled || !virtqueue_pop(q, &chain))
			return true;
		if (chain.out_bytes < sizeof(struct header) || !chain.in_bytes)
			return false;
		take_chain(d, &chain);
	}
}

static bool serve(struct virtio_device *v, struct virtqueue *q)
{
	struct disk *d = disk_of(v);

	do {
		virtqueue_disable_notify(q);
		if (!take_chains(d, q)) {
			virtio_break(v, "a request without room for its header or status");
			return false;
		}
	} while (!d->stalled && virtqueue_enable_notify(q));
	return true;
}

static void notify(struct virtio_device *v, unsigned index)
{
	struct virtqueue *q = &v->queue[index];
	struct disk *d = disk_of(v);
	bool more;

	do {
		more = serve(v, q);
		d->block->ops->kick(d->block);
		/* The kick may have finished what there was too much of. */
	} while (more && d->stalled && have_request(d));
	virtio_signal(v, q);
}

static void batch_done(void *opaque)
{
	struct disk *d = opaque;
	struct virtio_device *v = &d->hal.virtio;

	if (d->stalled && virtio_running(v))
		notify(v, 0);
	else
		virtio_signal(v, &v->queue[0]);
}

/* Its buffers are the driver's again after a reset: nothing may still be going on in them. */
static void reset(struct virtio_device *v)
{
	struct disk *d = disk_of(v);

	d->block->ops->drain(d->block);
	d->stalled = false;
}

static const struct virtio_ops ops = {
	.name = "virtio-blk",
	.guest_option = "CONFIG_VIRTIO_BLK",
	.notify = notify,
	.reset = reset,
};

/* ---------------------------------------------------------------- life ---- */

static void describe(struct disk *d)
{
	const struct block *b = d->block;
	struct virtio_device *v = &d->hal.virtio;

	d->config = (struct config){
		.capacity = b->size / BLOCK_SECTOR,
		.seg_max = SEG_MAX,
		.blk_size = BLOCK_SECTOR,
		.physical_block_exp = 3, /* the host works in pages of 4 KiB */
		.min_io_size = 8,
		.num_queues = 1,
	};
	v->features = F_SEG_MAX | F_BLK_SIZE | F_TOPOLOGY | F_FLUSH;
	if (b->read_only)
		v->features |= F_RO;
	if (b->can_discard && !b->read_only) {
		v->features |= F_DISCARD;
		d->config.max_discard_sectors = DISCARD_SECTORS;
		d->config.max_discard_seg = 1;
		d->config.discard_sector_alignment = 8;
	}
	if (b->can_write_zeroes && !b->read_only) {
		v->features |= F_WRITE_ZEROES;
		d->config.max_write_zeroes_sectors = ZEROES_SECTORS;
		d->config.max_write_zeroes_seg = 1;
		d->config.write_zeroes_may_unmap = 1;
	}
}

/* The serial number guests show: the file's name without its directory. */
static void set_id(struct disk *d, const char *name)
{
	const char *slash = strrchr(name, '/');
	size_t length;

	if (slash && slash[1])
		name = slash + 1;
	length = strlen(name);
	memcpy(d->id, name, length < ID_BYTES ? length : ID_BYTES);
}

struct hal_device *disk_create(struct block *b, const char *name, struct error *e)
{
	struct disk *d = calloc(1, sizeof(*d));

	if (!d) {
		error_set(e, "disk '%s': out of memory", name);
		b->ops->close(b);
		return NULL;
	}
	snprintf(d->name, sizeof(d->name), "%s", name);
	set_id(d, name);
	d->block = b;
	b->owner = (struct block_owner){request_done, batch_done, d};
	d->hal.virtio.ops = &ops;
	d->hal.virtio.id = VIRTIO_ID_BLOCK;
	d->hal.virtio.queue_count = 1;
	d->hal.virtio.config = (u8 *)&d->config;
	d->hal.virtio.config_size = sizeof(d->config);
	describe(d);
	return &d->hal;
}

static bool parse_options(struct block_options *options, char *rest, const char *name,
			  struct error *e)
{
	char *word;

	while ((word = hal_next_word(&rest))) {
		if (!strcmp(word, "ro"))
			options->read_only = true;
		else if (!strcmp(word, "cow"))
			options->cow = true;
		else
			return error_set(e, "disk '%s': unknown option '%s' (there are ro and cow)",
					 name, word);
	}
	if (options->read_only && options->cow)
		return error_set(e, "disk '%s': ro and cow exclude each other", name);
	return true;
}

static bool is_nbd(const char *name)
{
	return !strncmp(name, "nbd", 3) && strstr(name, "://");
}

/* Cuts the name off `spec`. */
static struct block *open_spec(char *spec, struct error *e)
{
	struct block_options options = {0};
	char *rest = spec, *name = hal_next_word(&rest);

	if (!name[0]) {
		error_set(e, "disk '': no file given");
		return NULL;
	}
	if (!parse_options(&options, rest, name, e))
		return NULL;
	return is_nbd(name) ? block_nbd_open(name, options, e) : block_file_open(name, options, e);
}

struct block *disk_open_block(const char *spec, char **name, struct error *e)
{
	struct block *b;

	*name = strdup(spec);
	if (!*name) {
		error_set(e, "disk '%s': out of memory", spec);
		return NULL;
	}
	b = open_spec(*name, e);
	if (!b)
		free(*name);
	return b;
}

static struct hal_device *disk_open(const char *spec, struct error *e)
{
	char *name;
	struct block *b = disk_open_block(spec, &name, e);
	struct hal_device *d;

	if (!b)
		return NULL;
	d = disk_create(b, name, e);
	free(name);
	return d;
}

static bool disk_start(struct hal_device *h, struct loop *loop, struct error *e)
{
	struct disk *d = disk_of(&h->virtio);

	return d->block->ops->start(d->block, loop, e);
}

static bool identify(struct disk *d, struct block_identity *id, struct error *e)
{
	const char *why = "nobody can tell whether its server has changed it since";

	if (d->block->ops->identify && d->block->ops->identify(d->block, id, &why))
		return true;
	return error_set(e, "disk '%s': cannot be in a snapshot: %s", d->name, why);
}

static bool disk_save(struct hal_device *h, struct byte_writer *w, struct error *e)
{
	struct disk *d = disk_of(&h->virtio);
	struct block_identity id;

	d->block->ops->drain(d->block);
	virtio_signal(&h->virtio, &h->virtio.queue[0]);
	if (!identify(d, &id, e))
		return false;
	bytes_put(w, &id, sizeof(id));
	return true;
}

static bool disk_load(struct hal_device *h, struct byte_reader *r, struct error *e)
{
	struct disk *d = disk_of(&h->virtio);
	struct block_identity then, now;

	bytes_get(r, &then, sizeof(then));
	if (r->failed || !identify(d, &now, e))
		return false;
	if (!memcmp(&then, &now, sizeof(now)))
		return true;
	return error_set(e,
			 "disk '%s': it has been changed since the snapshot, or is another one (a "
			 "guest would destroy what is on it; put back what was there then)",
			 d->name);
}

static void disk_destroy(struct hal_device *h)
{
	struct disk *d = disk_of(&h->virtio);

	d->warned = true; /* the console is closed, the guest gone */
	d->block->ops->drain(d->block);
	d->block->ops->close(d->block);
	free(d);
}

const struct hal_kind hal_disk = {
	.option = "disk",
	.open = disk_open,
	.start = disk_start,
	.fixed_config = true,
	.save = disk_save,
	.load = disk_load,
	.destroy = disk_destroy,
};
