/*
 * An ATA channel's registers and life: see ata.h. What commands do is in ata-command.c.
 */
#include <stdio.h>
#include <string.h>
#include "ata-parts.h"

#define DEVICE_OLD 0xa0 /* bits that were always set, and read so */

/* Device control. */
#define CONTROL_NIEN 0x02 /* no interrupts */
#define CONTROL_SRST 0x04
#define CONTROL_HOB  0x80 /* show what registers held before */

enum {
	REG_DATA,
	REG_ERROR, /* writes: features */
	REG_COUNT,
	REG_LBA0,
	REG_LBA2 = REG_LBA0 + 2,
	REG_DEVICE,
	REG_STATUS /* writes: command */
};

/* ------------------------------------------------------------- interrupts ---- */

static void update_irq(struct ata *a)
{
	const bool level = a->pending && !(a->control & CONTROL_NIEN) && ata_selected(a)->block;

	if (level == a->irq_level)
		return;
	a->irq_level = level;
	a->cfg.irq(a->cfg.opaque, level);
}

void ata_interrupt(struct ata *a)
{
	a->pending = true;
	update_irq(a);
}

static void write_command(struct ata *a, u8 command)
{
	a->pending = false;
	update_irq(a);
	if (a->status & ATA_BSY)
		return;
	if (command == 0x90) { /* EXECUTE DEVICE DIAGNOSTIC */
		ata_diagnose(a);
		return;
	}
	if (!ata_selected(a)->block)
		return;
	a->at = ata_selected(a);
	a->error = 0;
	a->phase = ATA_IDLE;
	ata_run(a, command);
}

/* ---------------------------------------------------------------- registers ---- */

void ata_offer(struct ata *a)
{
	if (a->phase == ATA_IN && (a->status & ATA_DRQ) && a->cfg.offer)
		a->offered =
			a->cfg.offer(a->cfg.opaque, a->buffer + a->used, a->block_end - a->used);
}

/* What the guest says it has read may be a lie: it is its own data. */
static void take_back(struct ata *a)
{
	u32 taken;

	if (!a->offered)
		return;
	taken = a->cfg.take_back(a->cfg.opaque);
	a->used += taken < a->offered ? taken : a->offered - 1;
	a->offered = 0;
}

static bool has_data(const struct ata *a, enum ata_phase phase, u32 bytes)
{
	return (a->status & ATA_DRQ) && a->phase == phase && bytes <= a->block_end - a->used;
}

static u64 read_data(struct ata *a, unsigned size)
{
	u32 value = 0;

	if (!has_data(a, ATA_IN, size))
		return ~(u64)0;
	memcpy(&value, a->buffer + a->used, size);
	a->used += size;
	if (a->used == a->block_end)
		ata_block_moved(a);
	return value;
}

static void write_data(struct ata *a, unsigned size, u64 value)
{
	if (!has_data(a, ATA_OUT, size))
		return;
	memcpy(a->buffer + a->used, &value, size);
	a->used += size;
	if (a->used == a->block_end)
		ata_block_moved(a);
}

static u8 shown(const struct ata *a, struct ata_register r)
{
	return a->control & CONTROL_HOB ? r.before : r.now;
}

static u8 read_register(struct ata *a, unsigned reg)
{
	if (!ata_selected(a)->block)
		return reg == REG_DEVICE ? a->device | DEVICE_OLD : 0;
	switch (reg) {
	case REG_ERROR:
		return a->error;
	case REG_COUNT:
		return shown(a, a->count);
	case REG_DEVICE:
		return a->device | DEVICE_OLD;
	case REG_STATUS:
		a->pending = false;
		update_irq(a);
		return a->status;
	default:
		return shown(a, a->lba[reg - REG_LBA0]);
	}
}

static void push(struct ata_register *r, u8 value)
{
	*r = (struct ata_register){value, r->now};
}

static void write_register(struct ata *a, unsigned reg, u8 value)
{
	a->control &= ~CONTROL_HOB;
	if (reg == REG_STATUS) {
		write_command(a, value);
		return;
	}
	if (a->status & (ATA_BSY | ATA_DRQ))
		return;
	switch (reg) {
	case REG_ERROR:
		a->feature = value;
		break;
	case REG_COUNT:
		push(&a->count, value);
		break;
	case REG_DEVICE:
		a->device = value;
		update_irq(a);
		break;
	default:
		push(&a->lba[reg - REG_LBA0], value);
	}
}

static u64 port_read(void *opaque, u64 offset, unsigned size)
{
	struct ata *a = opaque;
	u32 value = 0;

	take_back(a);
	if (offset == REG_DATA)
		value = read_data(a, size);
	else
		for (unsigned i = 0; i < size; i++)
			value |= (u32)read_register(a, offset + i) << 8 * i;
	if (!a->offered)
		ata_offer(a);
	return value;
}

static void port_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct ata *a = opaque;

	take_back(a);
	if (offset == REG_DATA) {
		write_data(a, size, value);
		return;
	}
	for (unsigned i = 0; i < size; i++)
		write_register(a, offset + i, value >> 8 * i);
}

/* What is in flight must end before the buffer can be used again; nobody hears of it. */
static void reset(struct ata *a)
{
	a->abandoned = true;
	for (unsigned i = 0; i < 2; i++)
		if (a->disk[i].block)
			a->disk[i].block->ops->drain(a->disk[i].block);
	a->abandoned = false;
	a->phase = ATA_IDLE;
	a->pending = false;
	a->status = ATA_DRDY | ATA_DSC;
	a->device = 0;
	ata_set_signature(a);
	update_irq(a);
}

static u64 control_read(void *opaque, u64 offset, unsigned size)
{
	struct ata *a = opaque;

	(void)offset, (void)size;
	return ata_selected(a)->block ? a->status : 0;
}

static void control_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct ata *a = opaque;
	const bool rises = value & ~a->control & CONTROL_SRST;

	(void)offset, (void)size;
	take_back(a);
	a->control = value;
	if (rises)
		reset(a);
	else
		update_irq(a);
}

/* --------------------------------------------------------------------- life ---- */

static void batch_done(void *opaque)
{
	(void)opaque;
}

void ata_init(struct ata *a, const struct ata_config *cfg)
{
	memset(a, 0, sizeof(*a));
	a->cfg = *cfg;
	a->status = ATA_DRDY | ATA_DSC;
	ata_set_signature(a);
}

void ata_attach(struct ata *a, struct block *block, const char *name)
{
	struct ata_disk *d = &a->disk[a->disk[0].block != NULL];

	d->block = block;
	snprintf(d->name, sizeof(d->name), "%s", name);
	d->sectors = block->size / BLOCK_SECTOR;
	d->heads = 16;
	d->track = 63;
	d->write_cache = true;
	block->owner = (struct block_owner){ata_request_done, batch_done, a};
}

bool ata_register(struct ata *a, struct bus *b, u16 base, u16 control)
{
	static const struct bus_ops port = {port_read, port_write, 4};
	static const struct bus_ops ctrl = {control_read, control_write, 1};

	return bus_register_io(b, base, 8, &port, a) && bus_register_io(b, control, 1, &ctrl, a);
}

bool ata_start(struct ata *a, struct loop *loop, struct error *e)
{
	for (unsigned i = 0; i < 2; i++) {
		struct block *b = a->disk[i].block;

		if (b && !b->ops->start(b, loop, e))
			return false;
	}
	return true;
}

void ata_destroy(struct ata *a)
{
	a->abandoned = true;
	for (unsigned i = 0; i < 2; i++) {
		struct block *b = a->disk[i].block;

		if (!b)
			continue;
		b->ops->drain(b);
		b->ops->close(b);
		a->disk[i].block = NULL;
	}
}
