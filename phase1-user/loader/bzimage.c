/*
 * Linux bzImage: the setup header, where the protected-mode part goes, and the note of the kernel
 * packed inside. The real-mode part is not run.
 */
#include "parts.h"

#include <stddef.h>
#include <asm/bootparam.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../guest/include/plex86-abi.h"

#define SECTOR		512u
#define HEADER_OFFSET	0x1f1u
#define BOOT_FLAG	0xaa55
#define HEADER_MAGIC	0x53726448 /* "HdrS" */
#define SYSSIZE_UNIT	16u
#define OLD_CMDLINE_MAX 255u /* before protocol 2.06 */
#define SETUP_SECTS_OLD 4u   /* what 0 means */

/* The header as far as this kernel's protocol has it; the rest is zero. */
static struct setup_header read_header(const struct blob *file)
{
	struct setup_header h;
	size_t len = 0x202 + file->data[0x201] - HEADER_OFFSET;

	mem_set(&h, 0, sizeof(h));
	if (len > sizeof(h))
		len = sizeof(h);
	if (len > file->size - HEADER_OFFSET)
		len = file->size - HEADER_OFFSET;
	mem_copy(&h, file->data + HEADER_OFFSET, len);
	return h;
}

bool bzimage_recognise(const struct blob *file)
{
	u32 magic;
	u16 flag;

	if (file->size < 0x206)
		return false;
	mem_copy(&flag, file->data + 0x1fe, sizeof(flag));
	mem_copy(&magic, file->data + 0x202, sizeof(magic));
	return flag == BOOT_FLAG && magic == HEADER_MAGIC;
}

static size_t setup_size(const struct setup_header *h)
{
	return ((h->setup_sects ? h->setup_sects : SETUP_SECTS_OLD) + 1) * SECTOR;
}

static void set_name(struct image *im, const struct setup_header *h)
{
	size_t at = (size_t)h->kernel_version + 0x200;
	size_t i = 0;
	char version[64];

	if (h->kernel_version && at < setup_size(h)) {
		for (; at < im->file.size && i + 1 < sizeof(version); at++) {
			if (im->file.data[at] <= 0x20 || im->file.data[at] >= 0x7f)
				break;
			version[i++] = im->file.data[at];
		}
	}
	version[i] = 0;
	snprintf(im->name, sizeof(im->name), "a Linux%s%s bzImage", i ? " " : "", version);
}

static bool check_header(const struct image *im, const struct setup_header *h, struct error *e)
{
	const char *path = im->file.path;
	size_t setup = setup_size(h);

	if (h->version < 0x205)
		return error_set(e, "kernel '%s': boot protocol %u.%02u is older than 2.05", path,
				 h->version >> 8, h->version & 0xff);
	if (!(h->loadflags & LOADED_HIGH))
		return error_set(e, "kernel '%s': a zImage; plex86 loads bzImages", path);
	if (h->xloadflags & XLF_KERNEL_64)
		return error_set(e,
				 "kernel '%s': %s for x86-64, and plex86 runs 32-bit x86 kernels "
				 "(build it with ARCH=i386)",
				 path, im->name);
	if (setup >= im->file.size)
		return error_set(
			e,
			"kernel '%s': truncated: nothing behind its %zu bytes of real-mode "
			"code",
			path, setup);
	/* The last unit need not be complete. */
	if ((u64)h->syssize * SYSSIZE_UNIT >= im->file.size - setup + SYSSIZE_UNIT)
		return error_set(
			e, "kernel '%s': truncated: %zu bytes of the %llu its header tells of",
			path, im->file.size,
			(unsigned long long)setup + (u64)h->syssize * SYSSIZE_UNIT);
	return true;
}

/* The note inside an unpacked kernel. */
static bool check_kernel(struct image *im, const u8 *data, size_t size, struct error *e)
{
	char what[300];
	struct elf elf;
	u32 abi;

	snprintf(what, sizeof(what), "kernel '%.200s': the kernel packed in it", im->file.path);
	if (!elf_open(&elf, data, size, what, e))
		return false;
	abi = elf_abi_note(&elf);
	if (abi > PLEX86_ABI_VERSION)
		return error_set(e,
				 "%s is built for guest ABI version %u, and this plex86 provides "
				 "versions 1 to %u",
				 what, abi, PLEX86_ABI_VERSION);
	im->abi = abi != 0;
	return true;
}

bool bzimage_identify(struct image *im, struct error *e)
{
	const struct setup_header h = read_header(&im->file);
	const u8 *payload;
	size_t room, size;
	u8 *kernel;
	bool damaged, ok;

	set_name(im, &h);
	if (!check_header(im, &h, e))
		return false;
	payload = im->file.data + setup_size(&h);
	room = im->file.size - setup_size(&h);
	/* Before protocol 2.08 there is no telling where the payload is. */
	if (h.version < 0x208) {
		im->abi_unknown = true;
		return true;
	}
	if (h.payload_offset > room || h.payload_length > room - h.payload_offset)
		return error_set(e, "kernel '%s': truncated: its payload ends beyond the file",
				 im->file.path);
	if (!payload_unpack(payload + h.payload_offset, h.payload_length, &kernel, &size,
			    &damaged)) {
		if (damaged)
			return error_set(e, "kernel '%s': its compressed payload is damaged",
					 im->file.path);
		/* Packed in a way this build cannot read. */
		im->abi_unknown = true;
		return true;
	}
	ok = check_kernel(im, kernel, size, e);
	free(kernel);
	return ok;
}

/* Where to load it, and the whole range it works in until the kernel proper runs. */
static void find_place(const struct setup_header *h, size_t size, u64 *load, u64 *end)
{
	const bool choice = h->version >= 0x20a && h->relocatable_kernel;
	u64 run_end;

	*load = choice ? h->pref_address : h->code32_start;
	*end = *load + size;
	if (h->version < 0x20a)
		return;
	run_end = h->pref_address + h->init_size;
	if (run_end > *end)
		*end = run_end;
}

bool bzimage_load(struct loading *l, struct vcpu *cpu)
{
	const struct blob *file = &l->im->file;
	struct setup_header h = read_header(file);
	const size_t setup = setup_size(&h);
	u64 load, end, initrd_limit = INITRD_LIMIT;
	u8 *at;

	find_place(&h, file->size - setup, &load, &end);
	if (load > l->boot->ram_size || end < load)
		end = load + (file->size - setup);
	at = claim(l, load, end - load, "kernel");
	if (!at)
		return false;
	mem_copy(at, file->data + setup, file->size - setup);

	if (h.initrd_addr_max && h.initrd_addr_max < initrd_limit)
		initrd_limit = (u64)h.initrd_addr_max + 1;
	if (!place_initrd(l, initrd_limit))
		return false;
	if (h.version < 0x206 || h.cmdline_size > CMDLINE_MAX)
		h.cmdline_size = h.version < 0x206 ? OLD_CMDLINE_MAX : CMDLINE_MAX;
	if (!place_cmdline(l, h.cmdline_size))
		return false;
	h.code32_start = load;
	return boot_params_place(l, &h, load, cpu);
}
