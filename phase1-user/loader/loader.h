/*
 * Loading a guest kernel: the border between files and a machine ready to run.
 *
 * Owns: recognising a kernel image, checking every field of it, and putting it with its initrd and
 * command line into guest RAM as its boot protocol asks. Works on bytes in memory only, so that
 * damaged files can be tested without a guest. Knows nothing of engines or devices.
 */
#ifndef PLEX86_LOADER_H
#define PLEX86_LOADER_H

#include "../../common/vcpu.h"
#include "../error.h"

#define CMDLINE_MAX 2047 /* bytes, without the final 0 (COMMAND_LINE_SIZE of i386 Linux) */

enum image_kind {
	IMAGE_ELF,	 /* a Linux vmlinux: 32-bit boot protocol */
	IMAGE_BZIMAGE,	 /* a Linux bzImage: the same, self-extracting */
	IMAGE_MULTIBOOT, /* Multiboot 1, ELF or with address fields */
	IMAGE_FIRMWARE,	 /* a PC's BIOS: begins at the reset vector, in real mode */
};

struct blob {
	const char *path; /* for messages */
	const u8 *data;
	size_t size;
};

struct image {
	struct blob file;
	enum image_kind kind;
	char name[160];	  /* what it is, for people: "a Linux 6.1.0-26-686 bzImage" */
	bool abi;	  /* it carries the plex86 note, in the version we provide */
	bool abi_unknown; /* whether it does cannot be seen: packed in a way we cannot read */
	size_t multiboot; /* IMAGE_MULTIBOOT: offset of its header */
};

/* A virtio-mmio device, for a kernel that hears of it from tables only. */
struct boot_device {
	u32 base, size, irq;
};

static inline bool image_is_linux(const struct image *im)
{
	return im->kind == IMAGE_ELF || im->kind == IMAGE_BZIMAGE;
}

/* What to boot and where. */
struct boot {
	u8 *ram;
	u64 ram_size;
	const char *cmdline;
	struct blob initrd; /* data NULL: none */
	const struct boot_device *device;
	unsigned devices;
};

/* Read a whole regular, non-empty file; `what` names it in the error ("kernel"). The bytes are
 * the caller's, to be freed. */
bool blob_read(struct blob *blob, const char *what, const char *path, struct error *e);
void blob_free(struct blob *blob);

/* Recognise `file`, which must outlive `im`. */
bool image_identify(struct image *im, const struct blob *file, struct error *e);

/* The same of a PC's firmware, of whose bytes nothing can be recognised but their number. */
bool image_is_firmware(struct image *im, const struct blob *file, struct error *e);

/* Put it into RAM and set what the boot protocol defines in `cpu`, leaving the rest of `cpu` in
 * its state after reset. RAM must be zero. */
bool image_load(const struct image *im, const struct boot *boot, struct vcpu *cpu, struct error *e);

#endif
