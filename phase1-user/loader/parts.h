/*
 * What the loader's files share with one another; nobody else includes this.
 *
 * Owns: the guest-physical layout of what the loader adds, and the list of ranges already taken.
 */
#ifndef PLEX86_LOADER_PARTS_H
#define PLEX86_LOADER_PARTS_H

#include <elf.h>
#include "loader.h"

/* Guest-physical memory: RAM up to the EBDA's usual place, a hole, RAM from 1 MiB on. */
#define LOW_RAM_END    0x9fc00u
#define HIGH_RAM_START 0x100000u

/* What the loader adds lives in low memory. */
#define GPA_BOOT_INFO 0x10000u /* boot_params, or the Multiboot information */
#define GPA_GDT	      0x11000u
#define GPA_CMDLINE   0x12000u
/* Firmware's tables, where kernels look for the first of them. */
#define GPA_ACPI  0xe0000u
#define ACPI_SIZE 0x1000u

/* Where an initrd may end at most if the kernel does not say: i386 Linux's low memory. */
#define INITRD_LIMIT 0x38000000u

#define CLAIMS_MAX 72

struct claim {
	u64 start, end;
	char what[24];
};

struct loading {
	const struct image *im;
	const struct boot *boot;
	struct error *e;
	struct claim claim[CLAIMS_MAX];
	unsigned claims;
	u32 initrd_start; /* valid if there is an initrd */
};

/* Take [gpa, gpa + len) of RAM for `what`: a pointer to it, or NULL with the error set if it is
 * not RAM or already taken. */
u8 *claim(struct loading *l, u64 gpa, u64 len, const char *what);
/* Put the initrd as high as possible below `limit`. True if there is none. */
bool place_initrd(struct loading *l, u64 limit);
/* Put the command line at GPA_CMDLINE. `limit`: bytes without the final 0. */
bool place_cmdline(struct loading *l, size_t limit);
/* Flat 32-bit protected mode without paging, from a GDT put into guest RAM. */
bool set_flat_mode(struct loading *l, struct vcpu *cpu);

/* A 32-bit little-endian i386 executable whose headers and segments lie inside the file. */
struct elf {
	const u8 *data;
	size_t size;
	Elf32_Ehdr header;
};

/* `what` starts the error line: "kernel 'x'". */
bool elf_open(struct elf *elf, const u8 *data, size_t size, const char *what, struct error *e);
/* Version in the note, 0 if there is no such note. */
u32 elf_abi_note(const struct elf *elf);
/* Copy the segments to their physical addresses. */
bool elf_load(struct loading *l, u32 *entry);

/* "6.1.0-26-686" of a "Linux version " banner somewhere in the bytes; "" if there is none. */
void linux_banner_version(const u8 *data, size_t size, char *version, size_t version_size);

bool bzimage_recognise(const struct blob *file);
bool bzimage_identify(struct image *im, struct error *e);
bool bzimage_load(struct loading *l, struct vcpu *cpu);

bool multiboot_recognise(struct image *im);
bool multiboot_identify(struct image *im, struct error *e);
bool multiboot_load(struct loading *l, struct vcpu *cpu);

bool firmware_load(struct loading *l, struct vcpu *cpu);

/* boot_params as the 32-bit boot protocol wants them. `header`: from a bzImage, or NULL. */
struct setup_header;
bool boot_params_place(struct loading *l, const struct setup_header *header, u32 entry,
		       struct vcpu *cpu);

/* Firmware's tables at GPA_ACPI. False: no room. */
bool acpi_place(struct loading *l);

/* Unpack what a bzImage carries. True and the caller's to free in *out; false if the format is
 * one we cannot read or if it is damaged: *damaged tells. */
bool payload_unpack(const u8 *data, size_t size, u8 **out, size_t *out_size, bool *damaged);

#endif
