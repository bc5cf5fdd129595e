/*
 * Synthetic kernels for the loader's tests: small, whole, and known byte for byte.
 */
#ifndef LOADER_FILES_H
#define LOADER_FILES_H

#include <elf.h>
#include "../../phase1-user/loader/loader.h"

#define FILE_MAX_SIZE 8192

struct file {
	u8 data[FILE_MAX_SIZE];
	size_t size;
};

/* A Linux-like ELF: code at 1 MiB, linked at 3 GiB + 1 MiB, 0x1000 bytes in memory; data at 2 MiB;
 * the note; a symbol table with "start" at 0xc0100000 and "later" at 0xc0100020. */
void make_elf(struct file *f);
#define ELF_CODE_OFFSET 0x100
#define ELF_CODE_SIZE	0x200
#define ELF_CODE_MEMORY 0x1000
#define ELF_CODE_GPA	0x100000
#define ELF_DATA_GPA	0x200000
#define ELF_ENTRY	0x100010

Elf32_Ehdr *elf_header(struct file *f);
Elf32_Phdr *elf_segment(struct file *f, unsigned i); /* 0 code, 1 data, 2 note */

/* The ELF above with a Multiboot header at the start of its code. */
void make_multiboot_elf(struct file *f);
/* A flat file with address fields: header at 0x10, loaded at 1 MiB. */
void make_multiboot_flat(struct file *f);
#define FLAT_SIZE   0x400
#define FLAT_MEMORY 0x3000

/* A bzImage of protocol 2.15 that carries the ELF above, packed (with gzip); it is preferably
 * loaded at 1 MiB and works in 64 KiB. */
enum packing { PACK_GZIP, PACK_XZ, PACK_LZMA, PACK_ZSTD, PACK_LZ4, PACK_COUNT };
void make_bzimage_packed(struct file *f, enum packing packing);
void make_bzimage(struct file *f);
#define BZ_SETUP_SIZE 1024
#define BZ_GPA	      0x100000
#define BZ_INIT_SIZE  0x10000

void put32(struct file *f, size_t at, u32 value);

#endif
