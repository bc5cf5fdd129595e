/*
 * The commands of an ATA channel's disks, and how their data moves: see ata.h.
 *
 * A command that moves data does so in chunks of the buffer's size. Between the guest and the
 * buffer these go in blocks of one sector, or of as many as SET MULTIPLE MODE says, each with an
 * interrupt; between the buffer and the backend each is one request, meanwhile the channel is busy.
 */
#include <stdio.h>
#include <string.h>
#include "ata-parts.h"

/* Error. */
#define UNC  0x40
#define IDNF 0x10
#define ABRT 0x04

/* ------------------------------------------------------- ends of a command ---- */

static void finish(struct ata *a)
{
	a->phase = ATA_IDLE;
	a->status = ATA_DRDY | ATA_DSC;
	ata_interrupt(a);
}

static void fail(struct ata *a, u8 error)
{
	a->phase = ATA_IDLE;
	a->status = ATA_DRDY | ATA_DSC | ATA_ERR;
	a->error = error;
	ata_interrupt(a);
}

void ata_set_signature(struct ata *a)
{
	a->count = (struct ata_register){1, 0};
	a->lba[0] = (struct ata_register){1, 0};
	a->lba[1] = a->lba[2] = (struct ata_register){0, 0};
	a->device &= ATA_DEVICE_1;
	a->error = 1; /* passed */
}

/* --------------------------------------------------------------- transfers ---- */

static void submit(struct ata *a, enum block_op op, u32 bytes)
{
	struct block *b = a->at->block;

	a->status = ATA_BSY;
	a->request.op = op;
	a->request.offset = a->sector * BLOCK_SECTOR;
	a->request.length = bytes;
	a->request.segments = bytes ? 1 : 0;
	a->request.segment[0] = (struct iovec){a->buffer, bytes};
	if (op == BLOCK_FLUSH)
		a->request.offset = 0;
	b->ops->submit(b, &a->request);
	b->ops->kick(b);
}

/* The next sectors that go to or from the backend at once. */
static u32 next_chunk(const struct ata *a)
{
	return (a->left < ATA_SECTORS_MAX ? a->left : ATA_SECTORS_MAX) * BLOCK_SECTOR;
}

/* Let the guest move the next block. */
static void ask(struct ata *a)
{
	const u32 rest = a->filled - a->used;

	a->block_end = a->used + (rest < a->block_bytes ? rest : a->block_bytes);
	a->status = ATA_DRDY | ATA_DSC | ATA_DRQ;
	ata_offer(a);
}

/* The buffer is empty: have `filled` bytes of it come from the guest. */
static void expect_chunk(struct ata *a)
{
	a->used = 0;
	a->filled = next_chunk(a);
	a->left -= a->filled / BLOCK_SECTOR;
	ask(a);
}

static void fetch_chunk(struct ata *a)
{
	a->used = 0;
	a->filled = next_chunk(a);
	a->left -= a->filled / BLOCK_SECTOR;
	submit(a, BLOCK_READ, a->filled);
}

void ata_block_moved(struct ata *a)
{
	if (a->used < a->filled) {
		ask(a);
		ata_interrupt(a);
	} else if (a->phase == ATA_OUT) {
		submit(a, BLOCK_WRITE, a->filled);
	} else if (a->left) {
		fetch_chunk(a);
	} else {
		a->phase = ATA_IDLE;
		a->status = ATA_DRDY | ATA_DSC;
	}
}

/* The guest is told of each error; the user of the first. */
static void warn(struct ata *a)
{
	static const char *const names[] = {
		[BLOCK_READ] = "reading", [BLOCK_WRITE] = "writing", [BLOCK_FLUSH] = "flushing"};
	const struct block_request *r = &a->request;
	char text[240];

	if (a->at->warned)
		return;
	a->at->warned = true;
	snprintf(text, sizeof(text), "disk '%s': %s at byte %llu: %s (the guest sees an I/O error)",
		 a->at->name, names[r->op], (unsigned long long)r->offset, strerror(r->error));
	a->cfg.warn(a->cfg.opaque, text);
}

static void read_done(struct ata *a)
{
	a->sector += a->filled / BLOCK_SECTOR;
	ask(a);
	ata_interrupt(a);
}

static void write_done(struct ata *a)
{
	a->sector += a->filled / BLOCK_SECTOR;
	if (a->left) {
		expect_chunk(a);
		ata_interrupt(a);
	} else if (!a->at->write_cache) {
		submit(a, BLOCK_FLUSH, 0);
	} else {
		finish(a);
	}
}

void ata_request_done(void *opaque, struct block_request *r)
{
	struct ata *a = opaque;

	if (a->abandoned)
		return;
	if (r->error) {
		warn(a);
		fail(a, r->op == BLOCK_READ ? UNC : ABRT);
		return;
	}
	switch (r->op) {
	case BLOCK_READ:
		read_done(a);
		break;
	case BLOCK_WRITE:
		write_done(a);
		break;
	default:
		finish(a);
	}
}

/* ----------------------------------------------------------------- commands ---- */

/* What the registers ask for. */
struct extent {
	u64 sector;
	u32 count;
};

static u64 chs(const struct ata *a, const struct ata_disk *d)
{
	const u32 cylinder = a->lba[2].now << 8 | a->lba[1].now;
	const u32 head = a->device & ATA_DEVICE_HEAD, sector = a->lba[0].now;

	if (!sector || sector > d->track || head >= d->heads)
		return ~(u64)0;
	return ((u64)cylinder * d->heads + head) * d->track + sector - 1;
}

static struct extent extent_of(const struct ata *a, const struct ata_disk *d, bool is_48)
{
	const u32 low = a->lba[0].now | a->lba[1].now << 8 | a->lba[2].now << 16;
	const u64 high = a->lba[0].before | a->lba[1].before << 8 | (u64)a->lba[2].before << 16;
	u32 count = a->count.now;
	u64 sector = low | (u32)(a->device & ATA_DEVICE_HEAD) << 24;

	if (is_48) {
		sector = low | high << 24;
		count |= a->count.before << 8;
		return (struct extent){sector, count ? count : 0x10000};
	}
	if (!(a->device & ATA_DEVICE_LBA))
		sector = chs(a, d);
	return (struct extent){sector, count ? count : 0x100};
}

/* Where to and how much: false if it is not on the disk. */
static bool set_extent(struct ata *a, bool is_48)
{
	const struct extent e = extent_of(a, a->at, is_48);

	if (e.sector >= a->at->sectors || e.count > a->at->sectors - e.sector) {
		fail(a, IDNF);
		return false;
	}
	a->sector = e.sector;
	a->left = e.count;
	return true;
}

static void begin_read(struct ata *a, bool is_48, u32 block)
{
	if (!set_extent(a, is_48))
		return;
	a->phase = ATA_IN;
	a->block_bytes = block * BLOCK_SECTOR;
	fetch_chunk(a);
}

static void begin_write(struct ata *a, bool is_48, u32 block)
{
	if (a->at->block->read_only) {
		fail(a, ABRT);
		return;
	}
	if (!set_extent(a, is_48))
		return;
	a->phase = ATA_OUT;
	a->block_bytes = block * BLOCK_SECTOR;
	expect_chunk(a); /* the first block comes without an interrupt */
}

static void verify(struct ata *a, bool is_48)
{
	if (set_extent(a, is_48))
		finish(a);
}

static void identify(struct ata *a)
{
	ata_identify(a->at, a->buffer);
	a->phase = ATA_IN;
	a->left = a->used = 0;
	a->filled = a->block_bytes = BLOCK_SECTOR;
	ask(a);
	ata_interrupt(a);
}

static void set_multiple(struct ata *a)
{
	const u8 n = a->count.now;

	if (n > ATA_MULTIPLE || (n & (n - 1))) {
		fail(a, ABRT);
		return;
	}
	a->at->multiple = n;
	finish(a);
}

/* As the guest will address it by cylinder, head and sector. */
static void set_geometry(struct ata *a)
{
	if (!a->count.now) {
		fail(a, ABRT);
		return;
	}
	a->at->heads = (a->device & ATA_DEVICE_HEAD) + 1;
	a->at->track = a->count.now;
	finish(a);
}

static void set_features(struct ata *a)
{
	switch (a->feature) {
	case 0x02:
	case 0x82:
		a->at->write_cache = a->feature == 0x02;
		finish(a);
		break;
	case 0x03: /* transfer mode: PIO ones */
		if (a->count.now < 0x10)
			finish(a);
		else
			fail(a, ABRT);
		break;
	case 0x55: /* look-ahead, and what a reset does to features: nothing comes of these */
	case 0xaa:
	case 0x66:
	case 0xcc:
		finish(a);
		break;
	default:
		fail(a, ABRT);
	}
}

static void native_max(struct ata *a, bool is_48)
{
	const u64 limit = is_48 ? ~(u64)0 : 0x0fffffff;
	const u64 last = a->at->sectors - 1 < limit ? a->at->sectors - 1 : limit;

	for (unsigned i = 0; i < 3; i++)
		a->lba[i] = (struct ata_register){last >> 8 * i, last >> (24 + 8 * i)};
	if (!is_48)
		a->device = (a->device & ~ATA_DEVICE_HEAD) | (last >> 24 & ATA_DEVICE_HEAD);
	finish(a);
}

void ata_diagnose(struct ata *a)
{
	ata_set_signature(a);
	finish(a);
}

/* Sectors of a block for READ MULTIPLE and its like; 0: they are off. */
static u32 multiple(struct ata *a)
{
	if (!a->at->multiple)
		fail(a, ABRT);
	return a->at->multiple;
}

static void move_multiple(struct ata *a, bool write, bool is_48)
{
	const u32 block = multiple(a);

	if (!block)
		return;
	if (write)
		begin_write(a, is_48, block);
	else
		begin_read(a, is_48, block);
}

void ata_run(struct ata *a, u8 command)
{
	switch (command) {
	case 0x20: /* READ SECTORS, with and without retries */
	case 0x21:
	case 0x24: /* EXT */
		begin_read(a, command == 0x24, 1);
		break;
	case 0x30: /* WRITE SECTORS */
	case 0x31:
	case 0x34:
		begin_write(a, command == 0x34, 1);
		break;
	case 0x29: /* READ MULTIPLE EXT */
	case 0xc4:
		move_multiple(a, false, command == 0x29);
		break;
	case 0x39: /* WRITE MULTIPLE EXT */
	case 0xc5:
		move_multiple(a, true, command == 0x39);
		break;
	case 0x40: /* READ VERIFY SECTORS */
	case 0x41:
	case 0x42:
	case 0x70: /* SEEK */
		verify(a, command == 0x42);
		break;
	case 0x91: /* INITIALIZE DEVICE PARAMETERS */
		set_geometry(a);
		break;
	case 0xc6: /* SET MULTIPLE MODE */
		set_multiple(a);
		break;
	case 0xe5: /* CHECK POWER MODE: active */
		a->count.now = 0xff;
		finish(a);
		break;
	case 0xe0: /* STANDBY and IDLE: it stays awake */
	case 0xe1:
	case 0xe2:
	case 0xe3:
		finish(a);
		break;
	case 0xe7: /* FLUSH CACHE */
	case 0xea: /* EXT */
		submit(a, BLOCK_FLUSH, 0);
		break;
	case 0xec: /* IDENTIFY DEVICE */
		identify(a);
		break;
	case 0xef: /* SET FEATURES */
		set_features(a);
		break;
	case 0x27: /* READ NATIVE MAX ADDRESS EXT */
	case 0xf8:
		native_max(a, command == 0x27);
		break;
	default:
		if ((command & 0xf0) == 0x10) /* RECALIBRATE */
			finish(a);
		else
			fail(a, ABRT);
	}
}
