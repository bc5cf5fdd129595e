/*
 * An ATA channel with one or two disks (ATA/ATAPI-6), of which the host moves every byte itself
 * (PIO): there is no DMA here.
 *
 * Owns: the task file, the transfer in progress and its buffer. What the bytes are stored in is a
 * backend's (block.h). Everything is called with the device lock held; the callbacks run under it.
 */
#ifndef PLEX86_HAL_ATA_H
#define PLEX86_HAL_ATA_H

#include "block.h"
#include "bus.h"

#define ATA_CHANNELS	   2
#define ATA_PRIMARY	   0x1f0
#define ATA_PRIMARY_CTRL   0x3f6
#define ATA_SECONDARY	   0x170
#define ATA_SECONDARY_CTRL 0x376
#define ATA_PRIMARY_IRQ	   14
#define ATA_SECONDARY_IRQ  15

#define ATA_SECTORS_MAX 256 /* that are moved to or from the backend at a time */
#define ATA_MULTIPLE	16  /* sectors of a block, at most (READ MULTIPLE and its like) */

/* A register and what it held before: 48-bit commands have both. */
struct ata_register {
	u8 now, before;
};

struct ata_disk {
	struct block *block; /* NULL: none */
	char name[128];	     /* as given, for messages */
	u64 sectors;
	u16 heads, track; /* as the guest addresses it by cylinder, head and sector */
	u8 multiple;	  /* sectors of a block; 0: those commands are off */
	bool write_cache;
	bool warned;
};

enum ata_phase { ATA_IDLE, ATA_IN, ATA_OUT };

struct ata_config {
	void (*irq)(void *opaque, bool level); /* called when the level changes */
	void (*warn)(void *opaque, const char *text);
	/* The guest may read these bytes at the data register without being seen, all but the last.
	 * Returns how many of them; 0: none. Then, at its next access, how many it has read. */
	u32 (*offer)(void *opaque, const u8 *data, u32 n);
	u32 (*take_back)(void *opaque);
	void *opaque;
};

struct ata {
	struct ata_config cfg;
	struct ata_disk disk[2];
	struct ata_register count, lba[3];
	u8 feature, device, status, error, control;
	bool pending; /* an interrupt the guest has not asked the status for */
	bool irq_level;

	enum ata_phase phase;
	bool flush_next;     /* and then the command is done */
	bool abandoned;	     /* the request in flight: the guest has reset the channel */
	struct ata_disk *at; /* the disk of the command in progress */
	u64 sector;	     /* where the next request begins */
	u32 left;	     /* sectors beyond those in the buffer */
	u32 block_bytes;     /* between two interrupts */
	u32 used, filled;    /* of the buffer, bytes */
	u32 block_end;
	u32 offered; /* bytes behind `used` that the guest may have read by itself */
	struct block_request request;
	u8 buffer[ATA_SECTORS_MAX * BLOCK_SECTOR];
};

void ata_init(struct ata *a, const struct ata_config *cfg);
/* Put a disk on the channel, the first one being the master. It becomes the channel's own. */
void ata_attach(struct ata *a, struct block *block, const char *name);
bool ata_register(struct ata *a, struct bus *b, u16 base, u16 control);
/* The guest will run soon. */
bool ata_start(struct ata *a, struct loop *loop, struct error *e);
/* The guest has stopped for good: finish what was acknowledged, close. */
void ata_destroy(struct ata *a);

/* What IDENTIFY DEVICE says of a disk: 512 bytes. */
void ata_identify(const struct ata_disk *d, u8 *data);

#endif
