/*
 * What the files of an ATA channel share with one another; nobody else includes this.
 *
 * Owns: the bits of its registers.
 */
#ifndef PLEX86_HAL_ATA_PARTS_H
#define PLEX86_HAL_ATA_PARTS_H

#include "ata.h"

/* Status. */
#define ATA_BSY	 0x80
#define ATA_DRDY 0x40
#define ATA_DSC	 0x10
#define ATA_DRQ	 0x08
#define ATA_ERR	 0x01

/* Device. */
#define ATA_DEVICE_LBA	0x40
#define ATA_DEVICE_1	0x10
#define ATA_DEVICE_HEAD 0x0f

static inline struct ata_disk *ata_selected(struct ata *a)
{
	return &a->disk[!!(a->device & ATA_DEVICE_1)];
}

/* The guest is to look at the status. */
void ata_interrupt(struct ata *a);
/* A command for a->at, which is not busy. */
void ata_run(struct ata *a, u8 command);
/* EXECUTE DEVICE DIAGNOSTIC, which both disks do at once. */
void ata_diagnose(struct ata *a);
/* What tells an ATA disk after a reset. */
void ata_set_signature(struct ata *a);
/* Data is ready for the guest to read. */
void ata_offer(struct ata *a);
/* The guest has moved all of a block. */
void ata_block_moved(struct ata *a);
/* The backend's answer. */
void ata_request_done(void *opaque, struct block_request *r);

#endif
