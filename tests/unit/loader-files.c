/*
 * Synthetic kernels for the loader's tests: see loader-files.h.
 */
#include "loader-files.h"

#include <asm/bootparam.h>
#include <lz4.h>
#include <lzma.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#define PHDRS	  0x40
#define NOTE_AT	  0x2e0
#define DATA_AT	  0x300
#define DATA_SIZE 0x40
#define SYMS_AT	  0x340
#define NAMES_AT  0x380
#define SHDRS	  0x3c0

void put32(struct file *f, size_t at, u32 value)
{
	memcpy(f->data + at, &value, sizeof(value));
}

Elf32_Ehdr *elf_header(struct file *f)
{
	return (Elf32_Ehdr *)f->data;
}

Elf32_Phdr *elf_segment(struct file *f, unsigned i)
{
	return (Elf32_Phdr *)(f->data + PHDRS) + i;
}

static void add_segments(struct file *f)
{
	static const char version[] = "Linux version 6.1.99-test (nobody)";
	static const u32 note[] = {7, 4, 1, 0x78656c70, 0x00003638, 1};

	for (size_t i = 0; i < ELF_CODE_SIZE; i++)
		f->data[ELF_CODE_OFFSET + i] = (u8)(i * 7 + 1);
	memcpy(f->data + ELF_CODE_OFFSET + 0x80, version, sizeof(version));
	memcpy(f->data + NOTE_AT, note, sizeof(note));
	memset(f->data + DATA_AT, 0xda, DATA_SIZE);
	*elf_segment(f, 0) = (Elf32_Phdr){PT_LOAD,
					  ELF_CODE_OFFSET,
					  0xc0000000 + ELF_CODE_GPA,
					  ELF_CODE_GPA,
					  ELF_CODE_SIZE,
					  ELF_CODE_MEMORY,
					  PF_R | PF_X,
					  4096};
	*elf_segment(f, 1) = (Elf32_Phdr){PT_LOAD,	DATA_AT,   0xc0000000 + ELF_DATA_GPA,
					  ELF_DATA_GPA, DATA_SIZE, DATA_SIZE,
					  PF_R | PF_W,	4096};
	*elf_segment(f, 2) =
		(Elf32_Phdr){PT_NOTE, NOTE_AT, 0, 0, sizeof(note), sizeof(note), PF_R, 4};
}

static void add_symbols(struct file *f)
{
	static const char names[] = "\0start\0later";
	Elf32_Sym *sym = (Elf32_Sym *)(f->data + SYMS_AT);
	Elf32_Shdr *sh = (Elf32_Shdr *)(f->data + SHDRS);

	sym[1] = (Elf32_Sym){1, 0xc0100000, 0, ELF32_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1};
	sym[2] = (Elf32_Sym){7, 0xc0100020, 0, ELF32_ST_INFO(STB_GLOBAL, STT_FUNC), 0, 1};
	memcpy(f->data + NAMES_AT, names, sizeof(names));
	sh[1].sh_type = SHT_SYMTAB;
	sh[1].sh_offset = SYMS_AT;
	sh[1].sh_size = 3 * sizeof(*sym);
	sh[1].sh_link = 2;
	sh[2].sh_type = SHT_STRTAB;
	sh[2].sh_offset = NAMES_AT;
	sh[2].sh_size = sizeof(names);
}

void make_elf(struct file *f)
{
	Elf32_Ehdr *h = elf_header(f);

	memset(f, 0, sizeof(*f));
	memcpy(h->e_ident, ELFMAG, SELFMAG);
	h->e_ident[EI_CLASS] = ELFCLASS32;
	h->e_ident[EI_DATA] = ELFDATA2LSB;
	h->e_ident[EI_VERSION] = EV_CURRENT;
	h->e_type = ET_EXEC;
	h->e_machine = EM_386;
	h->e_version = EV_CURRENT;
	h->e_entry = ELF_ENTRY;
	h->e_phoff = PHDRS;
	h->e_phentsize = sizeof(Elf32_Phdr);
	h->e_phnum = 3;
	h->e_shoff = SHDRS;
	h->e_shentsize = sizeof(Elf32_Shdr);
	h->e_shnum = 3;
	add_segments(f);
	add_symbols(f);
	f->size = SHDRS + 3 * sizeof(Elf32_Shdr);
}

void make_multiboot_elf(struct file *f)
{
	make_elf(f);
	put32(f, ELF_CODE_OFFSET, 0x1badb002);
	put32(f, ELF_CODE_OFFSET + 4, 3);
	put32(f, ELF_CODE_OFFSET + 8, -(0x1badb002u + 3));
}

void make_multiboot_flat(struct file *f)
{
	static const u32 fields[] = {0x1badb002, 0x10003, -(0x1badb002u + 0x10003), 0x100010,
				     0x100000,	 0,	  0x100000 + FLAT_MEMORY,   0x100030};

	memset(f, 0, sizeof(*f));
	f->size = FLAT_SIZE;
	for (size_t i = 0; i < f->size; i++)
		f->data[i] = (u8)(i * 3 + 5);
	memcpy(f->data + 0x10, fields, sizeof(fields));
}

static size_t pack_gzip(const u8 *from, size_t size, u8 *to, size_t room)
{
	z_stream z = {.next_in = (u8 *)from, .avail_in = size, .next_out = to, .avail_out = room};

	deflateInit2(&z, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY);
	deflate(&z, Z_FINISH);
	deflateEnd(&z);
	return z.total_out;
}

static size_t pack_xz(const u8 *from, size_t size, u8 *to, size_t room)
{
	size_t done = 0;

	lzma_easy_buffer_encode(6, LZMA_CHECK_CRC32, NULL, from, size, to, &done, room);
	return done;
}

static size_t pack_lzma(const u8 *from, size_t size, u8 *to, size_t room)
{
	lzma_stream x = LZMA_STREAM_INIT;
	lzma_options_lzma options;
	size_t n = 0;

	x.next_in = from;
	x.avail_in = size;
	x.next_out = to;
	x.avail_out = room;
	if (lzma_lzma_preset(&options, 6))
		return 0;
	options.dict_size = 1 << 16; /* who unpacks it allocates that much */
	if (lzma_alone_encoder(&x, &options) == LZMA_OK &&
	    lzma_code(&x, LZMA_FINISH) == LZMA_STREAM_END)
		n = x.total_out;
	lzma_end(&x);
	return n;
}

static size_t pack_zstd(const u8 *from, size_t size, u8 *to, size_t room)
{
	return ZSTD_compress(to, room, from, size, 3);
}

/* In two blocks, as what is larger than 8 MiB is. */
static size_t pack_lz4(const u8 *from, size_t size, u8 *to, size_t room)
{
	static const u8 magic[] = {0x02, 0x21, 0x4c, 0x18};
	const size_t part[] = {size / 2, size - size / 2};
	size_t n = sizeof(magic);

	memcpy(to, magic, sizeof(magic));
	for (unsigned i = 0; i < 2; i++) {
		const u32 packed = LZ4_compress_default((const char *)from, (char *)to + n + 4,
							part[i], room - n - 4);

		memcpy(to + n, &packed, sizeof(packed));
		n += 4 + packed;
		from += part[i];
	}
	return n;
}

/* Linux's build appends the unpacked size to all but gzip, which has it already. */
static size_t pack(enum packing packing, const struct file *elf, u8 *to, size_t room)
{
	static size_t (*const how[PACK_COUNT])(const u8 *, size_t, u8 *, size_t) = {
		pack_gzip, pack_xz, pack_lzma, pack_zstd, pack_lz4};
	const u32 size = elf->size;
	const size_t n = how[packing](elf->data, elf->size, to, room);

	if (packing == PACK_GZIP)
		return n;
	memcpy(to + n, &size, sizeof(size));
	return n + sizeof(size);
}

void make_bzimage_packed(struct file *f, enum packing packing)
{
	const size_t payload = BZ_SETUP_SIZE + 0x100;
	struct setup_header h = {
		.setup_sects = BZ_SETUP_SIZE / 512 - 1,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb,
		.header = 0x53726448,
		.version = 0x20f,
		.kernel_version = 0x100,
		.loadflags = LOADED_HIGH,
		.code32_start = 0x100000,
		.initrd_addr_max = 0x37ffffff,
		.kernel_alignment = 0x100000,
		.relocatable_kernel = 1,
		.cmdline_size = 2047,
		.payload_offset = 0x100,
		.pref_address = BZ_GPA,
		.init_size = BZ_INIT_SIZE,
	};
	struct file elf;

	make_elf(&elf);
	memset(f, 0, sizeof(*f));
	h.payload_length = pack(packing, &elf, f->data + payload, FILE_MAX_SIZE - payload);
	memset(f->data + BZ_SETUP_SIZE, 0x90, 0x100);
	f->size = (payload + h.payload_length + 15) & ~(size_t)15;
	h.syssize = (f->size - BZ_SETUP_SIZE) / 16;
	memcpy(f->data + 0x1f1, &h, sizeof(h));
	strcpy((char *)f->data + 0x300, "6.1.99-test (nobody) #1");
}

void make_bzimage(struct file *f)
{
	make_bzimage_packed(f, PACK_GZIP);
}
