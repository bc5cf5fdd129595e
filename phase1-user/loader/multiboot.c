/*
 * Multiboot 1 (version 0.6.96): header, loading by ELF segments or by address fields, information
 * structure, module, machine state.
 */
#include "parts.h"

#include <stdio.h>
#include <string.h>

#define SEARCH_SIZE  8192u
#define HEADER_MAGIC 0x1badb002u
#define BOOT_MAGIC   0x2badb002u

/* Header flags. Bits 0-15 are demands: one not known must stop the boot. */
#define WANT_ALIGNED_MODULES 0x00000001u
#define WANT_MEMORY	     0x00000002u
#define WANT_VIDEO	     0x00000004u
#define WANT_MASK	     0x0000ffffu
#define HAS_ADDRESSES	     0x00010000u

/* Information flags. */
#define INFO_MEMORY  0x001u
#define INFO_CMDLINE 0x004u
#define INFO_MODULES 0x008u
#define INFO_MMAP    0x040u
#define INFO_LOADER  0x200u

struct header {
	u32 magic, flags, checksum;
	/* with HAS_ADDRESSES only: */
	u32 header_addr, load_addr, load_end_addr, bss_end_addr, entry_addr;
};

struct module {
	u32 start, end, string, reserved;
};

struct __attribute__((packed)) mmap_entry {
	u32 size; /* of the rest */
	u64 base, length;
	u32 type;
};

struct info {
	u32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr, syms[4];
	u32 mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name;
};

/* All of it in one page at GPA_BOOT_INFO. */
struct boot_page {
	struct info info;
	struct module module;
	struct mmap_entry mmap[2];
	char loader[8];
	char module_string[256];
};

static struct header read_header(const struct image *im)
{
	const size_t room = im->file.size - im->multiboot;
	struct header h;

	mem_set(&h, 0, sizeof(h));
	mem_copy(&h, im->file.data + im->multiboot, room < sizeof(h) ? room : sizeof(h));
	return h;
}

bool multiboot_recognise(struct image *im)
{
	const size_t size = im->file.size < SEARCH_SIZE ? im->file.size : SEARCH_SIZE;

	for (size_t at = 0; at + 12 <= size; at += 4) {
		u32 h[3];

		mem_copy(h, im->file.data + at, sizeof(h));
		if (h[0] == HEADER_MAGIC && h[0] + h[1] + h[2] == 0) {
			im->multiboot = at;
			return true;
		}
	}
	return false;
}

static bool is_elf(const struct image *im)
{
	return im->file.size >= SELFMAG && !memcmp(im->file.data, ELFMAG, SELFMAG);
}

bool multiboot_identify(struct image *im, struct error *e)
{
	const struct header h = read_header(im);
	const char *path = im->file.path;

	if (h.flags & WANT_VIDEO)
		return error_set(
			e,
			"kernel '%s': its Multiboot header asks for a video mode, and there "
			"is no display",
			path);
	if (h.flags & WANT_MASK & ~(WANT_ALIGNED_MODULES | WANT_MEMORY))
		return error_set(
			e,
			"kernel '%s': its Multiboot header demands features plex86 does not "
			"have (flags 0x%x)",
			path, h.flags);
	if (is_elf(im))
		return true;
	if (!(h.flags & HAS_ADDRESSES))
		return error_set(e,
				 "kernel '%s': a Multiboot kernel that is no ELF file and has no "
				 "address fields",
				 path);
	if (im->multiboot + sizeof(h) > im->file.size)
		return error_set(e, "kernel '%s': truncated in its Multiboot header", path);
	return true;
}

/* Load by the header's address fields. */
static bool load_by_addresses(struct loading *l, u32 *entry)
{
	const struct blob *file = &l->im->file;
	const struct header h = read_header(l->im);
	const u32 before = h.header_addr - h.load_addr; /* bytes loaded that precede the header */
	u64 len, memory;
	u8 *at;

	if (h.header_addr < h.load_addr || before > l->im->multiboot)
		return error_set(l->e, "kernel '%s': damaged Multiboot header: load_addr 0x%x",
				 file->path, h.load_addr);
	len = file->size - (l->im->multiboot - before);
	if (h.load_end_addr) {
		if (h.load_end_addr <= h.load_addr)
			return error_set(l->e,
					 "kernel '%s': damaged Multiboot header: load_end_addr "
					 "0x%x",
					 file->path, h.load_end_addr);
		if (h.load_end_addr - h.load_addr > len)
			return error_set(l->e,
					 "kernel '%s': truncated: %u bytes are to be loaded, the "
					 "file has %llu",
					 file->path, h.load_end_addr - h.load_addr,
					 (unsigned long long)len);
		len = h.load_end_addr - h.load_addr;
	}
	memory = len;
	if (h.bss_end_addr && h.bss_end_addr < h.load_addr + len)
		return error_set(l->e, "kernel '%s': damaged Multiboot header: bss_end_addr 0x%x",
				 file->path, h.bss_end_addr);
	if (h.bss_end_addr)
		memory = h.bss_end_addr - h.load_addr;
	if (h.entry_addr < h.load_addr || h.entry_addr - h.load_addr >= memory)
		return error_set(l->e,
				 "kernel '%s': its entry point 0x%x is outside of what is loaded",
				 file->path, h.entry_addr);
	at = claim(l, h.load_addr, memory, "image");
	if (!at)
		return false;
	mem_copy(at, file->data + (l->im->multiboot - before), len);
	*entry = h.entry_addr;
	return true;
}

static void fill_module(struct boot_page *p, const struct loading *l)
{
	const struct blob *initrd = &l->boot->initrd;

	if (!initrd->data)
		return;
	p->module.start = l->initrd_start;
	p->module.end = l->initrd_start + initrd->size;
	p->module.string = GPA_BOOT_INFO + offsetof(struct boot_page, module_string);
	snprintf(p->module_string, sizeof(p->module_string), "%s", initrd->path);
	p->info.flags |= INFO_MODULES;
	p->info.mods_count = 1;
	p->info.mods_addr = GPA_BOOT_INFO + offsetof(struct boot_page, module);
}

static bool place_info(struct loading *l)
{
	const u64 high = l->boot->ram_size - HIGH_RAM_START;
	struct boot_page p;
	u8 *at = claim(l, GPA_BOOT_INFO, sizeof(p), "Multiboot information");

	if (!at)
		return false;
	mem_set(&p, 0, sizeof(p));
	p.info.flags = INFO_MEMORY | INFO_CMDLINE | INFO_MMAP | INFO_LOADER;
	p.info.mem_lower = LOW_RAM_END >> 10;
	p.info.mem_upper = high >> 10;
	p.info.cmdline = GPA_CMDLINE;
	p.info.mmap_length = sizeof(p.mmap);
	p.info.mmap_addr = GPA_BOOT_INFO + offsetof(struct boot_page, mmap);
	p.info.boot_loader_name = GPA_BOOT_INFO + offsetof(struct boot_page, loader);
	p.mmap[0] = (struct mmap_entry){sizeof(p.mmap[0]) - 4, 0, LOW_RAM_END, 1};
	p.mmap[1] = (struct mmap_entry){sizeof(p.mmap[0]) - 4, HIGH_RAM_START, high, 1};
	snprintf(p.loader, sizeof(p.loader), "plex86");
	fill_module(&p, l);
	mem_copy(at, &p, sizeof(p));
	return true;
}

bool multiboot_load(struct loading *l, struct vcpu *cpu)
{
	const bool by_addresses = read_header(l->im).flags & HAS_ADDRESSES;
	u32 entry;

	/* The address fields win over ELF headers where both are there (3.1.2). */
	if (by_addresses && l->im->multiboot + sizeof(struct header) > l->im->file.size)
		return error_set(l->e, "kernel '%s': truncated in its Multiboot header",
				 l->im->file.path);
	if (by_addresses ? !load_by_addresses(l, &entry) : !elf_load(l, &entry))
		return false;
	if (!place_initrd(l, INITRD_LIMIT) || !place_cmdline(l, CMDLINE_MAX) || !place_info(l) ||
	    !set_flat_mode(l, cpu))
		return false;
	cpu->rip = entry;
	cpu->gpr[GPR_AX] = BOOT_MAGIC;
	cpu->gpr[GPR_BX] = GPA_BOOT_INFO;
	return true;
}
