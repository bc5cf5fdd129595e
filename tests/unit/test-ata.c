/*
 * Unit tests of ATA: a driver's port accesses, good and bad, on a backend made of an array that
 * finishes requests when the test says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../../phase1-user/hal/ata.h"

#define SECTORS 2048u

enum { DATA, ERROR, COUNT, LBA0, LBA1, LBA2, DEVICE, STATUS };
enum { BSY = 0x80, DRDY = 0x40, DSC = 0x10, DRQ = 0x08, ERR = 0x01, READY = DRDY | DSC };
enum { ABRT = 0x04, IDNF = 0x10, UNC = 0x40 };
enum { LBA = 0xe0, SLAVE = 0x10 };

struct mock {
	struct block block;
	u8 data[SECTORS * BLOCK_SECTOR];
	struct block_request *waiting;
	bool deferred;
	int error;
	unsigned submitted[5], drains, closed;
};

struct channel {
	struct bus bus;
	struct ata ata;
	struct mock disk[2];
	bool irq;
	unsigned interrupts, warnings;
	bool windowed; /* take what is offered */
	u8 window[1000];
	u32 window_used, window_end, lie, by_itself;
};

static void finish(struct mock *m)
{
	struct block_request *r = m->waiting;

	m->waiting = NULL;
	if (!r)
		return;
	if (r->op == BLOCK_READ)
		memcpy(r->segment[0].iov_base, m->data + r->offset, r->length);
	else if (r->op == BLOCK_WRITE)
		memcpy(m->data + r->offset, r->segment[0].iov_base, r->length);
	r->error = m->error;
	m->block.owner.done(m->block.owner.opaque, r);
}

static bool mock_start(struct block *b, struct loop *loop, struct error *e)
{
	(void)b, (void)loop, (void)e;
	return true;
}

static void mock_submit(struct block *b, struct block_request *r)
{
	struct mock *m = (struct mock *)b;

	assert_null(m->waiting); /* one at a time */
	assert_true(r->offset % BLOCK_SECTOR == 0 && r->length % BLOCK_SECTOR == 0);
	assert_true(r->offset <= b->size && r->length <= b->size - r->offset);
	assert_true(r->op != BLOCK_WRITE || !b->read_only);
	if (r->op != BLOCK_FLUSH)
		assert_int_equal(r->segment[0].iov_len, r->length);
	m->submitted[r->op]++;
	m->waiting = r;
	if (!m->deferred)
		finish(m);
}

static void mock_kick(struct block *b)
{
	(void)b;
}

static void mock_drain(struct block *b)
{
	struct mock *m = (struct mock *)b;

	m->drains++;
	finish(m);
}

static void mock_close(struct block *b)
{
	((struct mock *)b)->closed++;
}

static const struct block_ops mock_ops = {
	.start = mock_start,
	.submit = mock_submit,
	.kick = mock_kick,
	.drain = mock_drain,
	.close = mock_close,
};

static void on_irq(void *opaque, bool level)
{
	struct channel *c = opaque;

	assert_int_not_equal(level, c->irq); /* only changes are told */
	c->irq = level;
	c->interrupts += level;
}

static void on_warn(void *opaque, const char *text)
{
	struct channel *c = opaque;

	assert_non_null(strstr(text, "disk.img"));
	c->warnings++;
}

static u32 on_offer(void *opaque, const u8 *data, u32 n)
{
	struct channel *c = opaque;

	assert_int_equal(c->window_end, 0);
	if (!c->windowed)
		return 0;
	n = n < sizeof(c->window) ? n : sizeof(c->window);
	memcpy(c->window, data, n);
	c->window_used = 0;
	c->window_end = n;
	return n;
}

static u32 on_take_back(void *opaque)
{
	struct channel *c = opaque;

	assert_int_not_equal(c->window_end, 0);
	c->window_end = 0;
	return c->window_used + c->lie;
}

static struct channel *open_channel(unsigned disks)
{
	struct channel *c = calloc(1, sizeof(*c));
	const struct ata_config cfg = {on_irq, on_warn, on_offer, on_take_back, c};

	assert_non_null(c);
	bus_init(&c->bus);
	ata_init(&c->ata, &cfg);
	for (unsigned i = 0; i < disks; i++) {
		struct mock *m = &c->disk[i];

		m->block.ops = &mock_ops;
		m->block.size = sizeof(m->data);
		for (size_t n = 0; n < sizeof(m->data); n++)
			m->data[n] = n / BLOCK_SECTOR * 7 + n * 3 + i;
		ata_attach(&c->ata, &m->block, "dir/disk.img");
	}
	assert_true(ata_register(&c->ata, &c->bus, ATA_PRIMARY, ATA_PRIMARY_CTRL));
	assert_true(ata_start(&c->ata, NULL, NULL));
	return c;
}

static void close_channel(struct channel *c)
{
	ata_destroy(&c->ata);
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(c->disk[i].closed, c->disk[i].block.ops ? 1 : 0);
	free(c);
}

static u32 in_sized(struct channel *c, u16 port, unsigned size)
{
	u64 value = 0;

	if (port == ATA_PRIMARY && c->window_end && c->window_end - c->window_used > size) {
		memcpy(&value, c->window + c->window_used, size);
		c->window_used += size;
		c->by_itself += size;
		return value;
	}
	assert_true(bus_io(&c->bus, port, size, false, &value));
	return value;
}

static u8 in(struct channel *c, unsigned reg)
{
	return in_sized(c, ATA_PRIMARY + reg, 1);
}

static void out(struct channel *c, unsigned reg, u64 value)
{
	assert_true(bus_io(&c->bus, ATA_PRIMARY + reg, 1, true, &value));
}

static void control(struct channel *c, u64 value)
{
	assert_true(bus_io(&c->bus, ATA_PRIMARY_CTRL, 1, true, &value));
}

static void command28(struct channel *c, u8 device, u32 lba, u8 count, u8 command)
{
	out(c, DEVICE, device | (lba >> 24 & 15));
	out(c, COUNT, count);
	for (unsigned i = 0; i < 3; i++)
		out(c, LBA0 + i, lba >> 8 * i);
	out(c, STATUS, command);
}

static void command48(struct channel *c, u64 lba, u16 count, u8 command)
{
	out(c, DEVICE, LBA);
	out(c, COUNT, count >> 8);
	out(c, COUNT, count);
	for (unsigned i = 0; i < 3; i++)
		out(c, LBA0 + i, lba >> (24 + 8 * i));
	for (unsigned i = 0; i < 3; i++)
		out(c, LBA0 + i, lba >> 8 * i);
	out(c, STATUS, command);
}

static void read_words(struct channel *c, u8 *data, unsigned words)
{
	for (unsigned i = 0; i < words; i++) {
		const u16 word = in_sized(c, ATA_PRIMARY, 2);

		memcpy(data + i * 2, &word, 2);
	}
}

static void write_words(struct channel *c, const u8 *data, unsigned words)
{
	for (unsigned i = 0; i < words; i++) {
		u64 value = data[i * 2] | data[i * 2 + 1] << 8;

		assert_true(bus_io(&c->bus, ATA_PRIMARY, 2, true, &value));
	}
}

/* Each block with its interrupt. */
static void read_sectors(struct channel *c, unsigned count, unsigned block, const u8 *expected)
{
	static u8 data[ATA_MULTIPLE * BLOCK_SECTOR];

	while (count) {
		const unsigned now = count < block ? count : block;

		assert_true(c->irq);
		assert_int_equal(in(c, STATUS), READY | DRQ);
		assert_false(c->irq);
		read_words(c, data, now * 256);
		assert_memory_equal(data, expected, now * BLOCK_SECTOR);
		expected += now * BLOCK_SECTOR;
		count -= now;
	}
	assert_false(c->irq);
	assert_int_equal(in(c, STATUS), READY);
}

static void test_identify(void **state)
{
	struct channel *c = open_channel(1);
	u16 words[256];

	(void)state;
	command28(c, LBA, 0, 0, 0xec);
	assert_true(c->irq);
	assert_int_equal(in(c, STATUS), READY | DRQ);
	read_words(c, (u8 *)words, 256);
	assert_int_equal(in(c, STATUS), READY);
	assert_int_equal(words[60] | words[61] << 16, SECTORS);
	assert_int_equal(words[100] | words[101] << 16, SECTORS);
	assert_int_equal(words[49] & 0x0300, 0x0200); /* LBA and no DMA */
	assert_int_equal(words[83] & 0xc400, 0x4400); /* LBA48 */
	assert_int_equal(words[27], 'p' << 8 | 'l');
	assert_int_equal(words[10], 'd' << 8 | 'i'); /* the name without its directory */
	assert_int_equal(words[1] * words[3] * words[6], SECTORS / 1008 * 1008);
	/* ATAPI's is for others, and leaves the signature of none. */
	command28(c, LBA, 0, 0, 0xa1);
	assert_int_equal(in(c, STATUS), READY | ERR);
	assert_int_equal(in(c, ERROR), ABRT);
	close_channel(c);
}

static void test_read(void **state)
{
	struct channel *c = open_channel(1);

	(void)state;
	command28(c, LBA, 5, 1, 0x20);
	read_sectors(c, 1, 1, c->disk[0].data + 5 * BLOCK_SECTOR);
	command28(c, LBA, SECTORS - 3, 3, 0x21);
	read_sectors(c, 3, 1, c->disk[0].data + (SECTORS - 3) * BLOCK_SECTOR);
	/* 0 means 256: one request of the backend's. */
	c->disk[0].submitted[BLOCK_READ] = 0;
	command28(c, LBA, 100, 0, 0x20);
	read_sectors(c, 256, 1, c->disk[0].data + 100 * BLOCK_SECTOR);
	assert_int_equal(c->disk[0].submitted[BLOCK_READ], 1);
	/* More than the buffer holds. */
	command48(c, 1, 700, 0x24);
	read_sectors(c, 700, 1, c->disk[0].data + BLOCK_SECTOR);
	assert_int_equal(c->disk[0].submitted[BLOCK_READ], 1 + 3);
	/* Blocks of several sectors, the last one shorter. */
	command28(c, LBA, 0, 16, 0xc4);
	assert_int_equal(in(c, STATUS), READY | ERR);
	command28(c, LBA, 0, 16, 0xc6);
	assert_int_equal(in(c, STATUS), READY);
	command28(c, LBA, 9, 35, 0xc4);
	read_sectors(c, 35, 16, c->disk[0].data + 9 * BLOCK_SECTOR);
	command48(c, 300, 520, 0x29);
	read_sectors(c, 520, 16, c->disk[0].data + 300 * BLOCK_SECTOR);
	command28(c, LBA, 0, 3, 0xc6);
	assert_int_equal(in(c, STATUS), READY | ERR);
	close_channel(c);
}

/* Most of the data is read without a word to the device. */
static void test_window(void **state)
{
	struct channel *c = open_channel(1);

	(void)state;
	c->windowed = true;
	command28(c, LBA, 16, 3, 0x20);
	read_sectors(c, 3, 1, c->disk[0].data + 16 * BLOCK_SECTOR);
	assert_int_equal(c->by_itself, 3 * (BLOCK_SECTOR - 2));
	command28(c, LBA, 0, 16, 0xc6);
	command48(c, 300, 520, 0x29); /* blocks larger than the window */
	read_sectors(c, 520, 16, c->disk[0].data + 300 * BLOCK_SECTOR);
	assert_true(c->by_itself > 500 * BLOCK_SECTOR);
	/* Looking at the status in between changes nothing. */
	command28(c, LBA, 3, 1, 0x20);
	for (unsigned i = 0; i < 256; i++) {
		u16 word;

		memcpy(&word, c->disk[0].data + 3 * BLOCK_SECTOR + i * 2, 2);
		assert_int_equal(in(c, STATUS), READY | DRQ);
		assert_int_equal(in_sized(c, ATA_PRIMARY, 2), word);
	}
	assert_int_equal(in(c, STATUS), READY);
	/* One that says it has read more than there was harms itself alone. */
	c->lie = 0x10000;
	command28(c, LBA, 3, 1, 0x20);
	in(c, STATUS);
	in_sized(c, ATA_PRIMARY, 2);
	assert_true(c->ata.used <= c->ata.block_end);
	c->lie = 0xffffff00;
	in(c, STATUS);
	assert_true(c->ata.used <= c->ata.block_end);
	control(c, 0x04);
	control(c, 0x00);
	c->lie = 0;
	command28(c, LBA, 16, 3, 0x20);
	read_sectors(c, 3, 1, c->disk[0].data + 16 * BLOCK_SECTOR);
	close_channel(c);
}

static void test_write(void **state)
{
	struct channel *c = open_channel(1);
	u8 *data = malloc(600 * BLOCK_SECTOR);

	(void)state;
	for (unsigned i = 0; i < 600 * BLOCK_SECTOR; i++)
		data[i] = i * 13 + i / 512;
	command28(c, LBA, 7, 2, 0x30);
	assert_false(c->irq); /* the first block needs none */
	assert_int_equal(in(c, STATUS), READY | DRQ);
	write_words(c, data, 256);
	assert_true(c->irq);
	assert_int_equal(in(c, STATUS), READY | DRQ);
	assert_int_equal(c->disk[0].submitted[BLOCK_WRITE], 0);
	write_words(c, data + BLOCK_SECTOR, 256);
	assert_true(c->irq);
	assert_int_equal(in(c, STATUS), READY);
	assert_memory_equal(c->disk[0].data + 7 * BLOCK_SECTOR, data, 2 * BLOCK_SECTOR);
	command48(c, 1000, 600, 0x34);
	for (unsigned i = 0; i < 600; i++) {
		assert_int_equal(in(c, STATUS), READY | DRQ);
		write_words(c, data + i * BLOCK_SECTOR, 256);
	}
	assert_int_equal(in(c, STATUS), READY);
	assert_memory_equal(c->disk[0].data + 1000 * BLOCK_SECTOR, data, 600 * BLOCK_SECTOR);
	assert_int_equal(c->disk[0].submitted[BLOCK_FLUSH], 0);
	command28(c, LBA, 0, 0, 0xe7);
	assert_int_equal(c->disk[0].submitted[BLOCK_FLUSH], 1);
	/* Without its write cache a write is done when it is safe. */
	out(c, ERROR, 0x82);
	out(c, STATUS, 0xef);
	command28(c, LBA, 0, 1, 0x30);
	write_words(c, data, 256);
	assert_int_equal(in(c, STATUS), READY);
	assert_int_equal(c->disk[0].submitted[BLOCK_FLUSH], 2);
	c->disk[0].block.read_only = true;
	command28(c, LBA, 0, 1, 0x30);
	assert_int_equal(in(c, STATUS), READY | ERR);
	assert_int_equal(in(c, ERROR), ABRT);
	free(data);
	close_channel(c);
}

static void test_chs(void **state)
{
	struct channel *c = open_channel(1);

	(void)state;
	/* Cylinder 1, head 2, sector 3 of 16 heads and 63 sectors. */
	command28(c, 0xa2, 0x000103, 1, 0x20);
	read_sectors(c, 1, 1, c->disk[0].data + ((1 * 16 + 2) * 63 + 2) * BLOCK_SECTOR);
	/* And of 4 heads and 10 sectors. */
	command28(c, 0xa3, 0, 10, 0x91);
	assert_int_equal(in(c, STATUS), READY);
	command28(c, 0xa3, 0x00010a, 1, 0x20);
	read_sectors(c, 1, 1, c->disk[0].data + ((1 * 4 + 3) * 10 + 9) * BLOCK_SECTOR);
	command28(c, 0xa0, 0x000100, 1, 0x20); /* they count from 1 */
	assert_int_equal(in(c, ERROR), IDNF);
	command28(c, 0xa4, 0x000101, 1, 0x20); /* no such head */
	assert_int_equal(in(c, ERROR), IDNF);
	command28(c, 0xa0, 0, 0, 0x91);
	assert_int_equal(in(c, ERROR), ABRT);
	close_channel(c);
}

static void test_beyond(void **state)
{
	struct channel *c = open_channel(1);
	static const u64 wrong[] = {SECTORS, SECTORS - 1, 0xffffffff, 0xffffffffffff};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
		command48(c, wrong[i], 2, i % 2 ? 0x24 : 0x34);
		assert_int_equal(in(c, STATUS), READY | ERR);
		assert_int_equal(in(c, ERROR), IDNF);
	}
	command48(c, 1, 0, 0x24); /* 0 means 65536 */
	assert_int_equal(in(c, ERROR), IDNF);
	command28(c, LBA, SECTORS - 1, 2, 0x40);
	assert_int_equal(in(c, ERROR), IDNF);
	command28(c, LBA, SECTORS - 1, 1, 0x40);
	assert_int_equal(in(c, STATUS), READY);
	command28(c, LBA, 0, 0, 0xff);
	assert_int_equal(in(c, ERROR), ABRT);
	close_channel(c);
}

static void test_busy(void **state)
{
	struct channel *c = open_channel(1);
	struct mock *m = &c->disk[0];

	(void)state;
	m->deferred = true;
	command28(c, LBA, 3, 1, 0x20);
	assert_int_equal(in(c, STATUS), BSY);
	assert_false(c->irq);
	/* Nothing is taken meanwhile. */
	out(c, LBA0, 0x55);
	command28(c, LBA, 9, 1, 0x20);
	assert_int_equal(m->submitted[BLOCK_READ], 1);
	assert_int_equal(in_sized(c, ATA_PRIMARY, 2), 0xffff);
	finish(m);
	read_sectors(c, 1, 1, m->data + 3 * BLOCK_SECTOR);
	/* A reset waits for what is in flight, and nobody hears of it. */
	command28(c, LBA, 3, 1, 0x20);
	control(c, 0x04);
	assert_int_equal(m->drains, 1);
	assert_null(m->waiting);
	control(c, 0x00);
	assert_false(c->irq);
	assert_int_equal(in(c, STATUS), READY);
	assert_int_equal(in(c, COUNT) | in(c, LBA0) << 8 | in(c, LBA1) << 16, 0x000101);
	m->error = EIO;
	m->deferred = false;
	command28(c, LBA, 3, 1, 0x20);
	assert_true(c->irq);
	assert_int_equal(in(c, STATUS), READY | ERR);
	assert_int_equal(in(c, ERROR), UNC);
	command28(c, LBA, 3, 1, 0x20);
	assert_int_equal(c->warnings, 1); /* the user is told once */
	close_channel(c);
}

static void test_interrupts(void **state)
{
	struct channel *c = open_channel(1);

	(void)state;
	control(c, 0x02);
	command28(c, LBA, 0, 1, 0x40);
	assert_false(c->irq);
	control(c, 0x00); /* it has been waiting */
	assert_true(c->irq);
	in_sized(c, ATA_PRIMARY_CTRL, 1); /* the other status leaves it */
	assert_true(c->irq);
	in(c, STATUS);
	assert_false(c->irq);
	close_channel(c);
}

static void test_two(void **state)
{
	struct channel *c = open_channel(2);

	(void)state;
	command28(c, LBA | SLAVE, 4, 1, 0x20);
	read_sectors(c, 1, 1, c->disk[1].data + 4 * BLOCK_SECTOR);
	command28(c, LBA, 4, 1, 0x20);
	read_sectors(c, 1, 1, c->disk[0].data + 4 * BLOCK_SECTOR);
	close_channel(c);
	/* One that is not there says nothing, whatever it is told. */
	c = open_channel(1);
	command28(c, LBA | SLAVE, 4, 1, 0x20);
	assert_int_equal(in(c, STATUS), 0);
	assert_int_equal(in(c, COUNT), 0);
	assert_false(c->irq);
	assert_int_equal(c->disk[0].submitted[BLOCK_READ], 0);
	close_channel(c);
}

static void test_before(void **state)
{
	struct channel *c = open_channel(1);

	(void)state;
	out(c, LBA1, 0x12);
	out(c, LBA1, 0x34);
	assert_int_equal(in(c, LBA1), 0x34);
	control(c, 0x80);
	assert_int_equal(in(c, LBA1), 0x12);
	out(c, LBA1, 0x56); /* any write ends that */
	assert_int_equal(in(c, LBA1), 0x56);
	command28(c, LBA, 0, 0, 0xf8);
	assert_int_equal(in(c, LBA0) | in(c, LBA1) << 8 | in(c, LBA2) << 16, SECTORS - 1);
	/* Data of 4 bytes, and half a word. */
	command28(c, LBA, 1, 1, 0x20);
	for (unsigned i = 0; i < BLOCK_SECTOR; i += 4) {
		u32 value;

		memcpy(&value, c->disk[0].data + BLOCK_SECTOR + i, 4);
		assert_int_equal(in_sized(c, ATA_PRIMARY, 4), value);
	}
	assert_int_equal(in(c, STATUS), READY);
	command28(c, LBA, 1, 1, 0x20);
	in(c, DATA);
	for (unsigned i = 0; i < 127; i++)
		in_sized(c, ATA_PRIMARY, 4);
	assert_int_equal(in_sized(c, ATA_PRIMARY, 4), 0xffffffff); /* 3 bytes are left */
	assert_int_equal(in(c, STATUS), READY | DRQ);
	close_channel(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_identify), cmocka_unit_test(test_read),
		cmocka_unit_test(test_window),	 cmocka_unit_test(test_write),
		cmocka_unit_test(test_chs),	 cmocka_unit_test(test_beyond),
		cmocka_unit_test(test_busy),	 cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_two),	 cmocka_unit_test(test_before),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
