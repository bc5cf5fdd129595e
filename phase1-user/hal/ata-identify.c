/*
 * What IDENTIFY DEVICE says of a disk (ATA/ATAPI-6, 8.15).
 */
#include "ata.h"

#include <string.h>

#define CYLINDERS_MAX 16383
#define LBA28_MAX     0x0fffffffu

static void put16(u8 *data, unsigned word, u16 value)
{
	data[word * 2] = value;
	data[word * 2 + 1] = value >> 8;
}

static void put32(u8 *data, unsigned word, u32 value)
{
	put16(data, word, value);
	put16(data, word + 1, value >> 16);
}

/* Text, padded with blanks, the two characters of each word the other way round. */
static void put_text(u8 *data, unsigned word, unsigned words, const char *text)
{
	const size_t length = strlen(text);

	for (unsigned i = 0; i < words * 2; i++)
		data[(word * 2 + i) ^ 1] = i < length ? text[i] : ' ';
}

static const char *base_name(const char *name)
{
	const char *slash = strrchr(name, '/');

	return slash && slash[1] ? slash + 1 : name;
}

/* Addressed by cylinder, head and sector: as the disk was made, and as the guest has it now. */
static void put_geometry(const struct ata_disk *d, u8 *data)
{
	const u64 native = d->sectors / (16 * 63);
	const u32 now = d->sectors / (d->heads * d->track) < 0xffff
				? d->sectors / (d->heads * d->track)
				: 0xffff;

	put16(data, 1, native < CYLINDERS_MAX ? native : CYLINDERS_MAX);
	put16(data, 3, 16);
	put16(data, 6, 63);
	put16(data, 53, 0x0001 | 0x0002); /* words 54-58 and 64-70 mean something */
	put16(data, 54, now);
	put16(data, 55, d->heads);
	put16(data, 56, d->track);
	put32(data, 57, now * d->heads * d->track);
}

void ata_identify(const struct ata_disk *d, u8 *data)
{
	const u16 features = 0x0020;			    /* write cache */
	const u16 more = 0x4000 | 0x0400 | 0x2000 | 0x1000; /* LBA48, FLUSH CACHE (EXT) */

	memset(data, 0, BLOCK_SECTOR);
	put16(data, 0, 0x0040); /* fixed */
	put_geometry(d, data);
	put_text(data, 10, 10, base_name(d->name));
	put_text(data, 23, 4, "1");
	put_text(data, 27, 20, "plex86 disk");
	put16(data, 47, 0x8000 | ATA_MULTIPLE);
	put16(data, 48, 1);	 /* 32-bit accesses of the data register */
	put16(data, 49, 0x0a00); /* LBA, IORDY; no DMA */
	put16(data, 50, 0x4000);
	put16(data, 51, 0x0200);
	put16(data, 59, d->multiple ? 0x0100 | d->multiple : 0);
	put32(data, 60, d->sectors < LBA28_MAX ? d->sectors : LBA28_MAX);
	put16(data, 64, 0x0003); /* PIO modes 3 and 4 */
	put16(data, 67, 120);
	put16(data, 68, 120);
	put16(data, 80, 0x0070); /* ATA-4 to ATA-6 */
	put16(data, 82, features);
	put16(data, 83, more);
	put16(data, 84, 0x4000);
	put16(data, 85, d->write_cache ? features : 0);
	put16(data, 86, more & 0x3fff);
	put16(data, 87, 0x4000);
	put32(data, 100, d->sectors);
	put32(data, 102, d->sectors >> 32);
}
