/*
 * Recognising a kernel, and what all boot protocols have in common: ranges of RAM, the initrd, the
 * command line, flat protected mode.
 */
#include "parts.h"

#include <stdio.h>
#include <string.h>
#include "../../guest/include/plex86-abi.h"

static bool overlaps(const struct claim *c, u64 start, u64 end)
{
	return start < c->end && c->start < end;
}

static bool is_ram(const struct boot *boot, u64 gpa, u64 len)
{
	u64 end = gpa + len;

	if (end < gpa)
		return false;
	return end <= LOW_RAM_END || (gpa >= HIGH_RAM_START && end <= boot->ram_size);
}

u8 *claim(struct loading *l, u64 gpa, u64 len, const char *what)
{
	const char *path = l->im->file.path;
	u64 last = gpa + len - 1;
	struct claim *c;

	if (!is_ram(l->boot, gpa, len)) {
		error_set(l->e,
			  "kernel '%s': its %s at 0x%llx-0x%llx is not inside the guest's %llu KiB "
			  "of RAM (give more with -m, or link it elsewhere)",
			  path, what, (unsigned long long)gpa, (unsigned long long)last,
			  (unsigned long long)l->boot->ram_size >> 10);
		return NULL;
	}
	for (c = l->claim; c < l->claim + l->claims; c++) {
		if (overlaps(c, gpa, gpa + len)) {
			error_set(l->e,
				  "kernel '%s': its %s at 0x%llx-0x%llx overlaps the %s at 0x%llx",
				  path, what, (unsigned long long)gpa, (unsigned long long)last,
				  c->what, (unsigned long long)c->start);
			return NULL;
		}
	}
	if (l->claims == CLAIMS_MAX) {
		error_set(l->e, "kernel '%s': more than %d segments", path, CLAIMS_MAX);
		return NULL;
	}
	l->claims++;
	c->start = gpa;
	c->end = gpa + len;
	snprintf(c->what, sizeof(c->what), "%s", what);
	return l->boot->ram + gpa;
}

/* The highest page-aligned start below `top` that overlaps no claim; 0 if there is none. */
static u64 find_free(const struct loading *l, u64 top, u64 len)
{
	while (top >= HIGH_RAM_START && len <= top - HIGH_RAM_START) {
		u64 start = (top - len) & PAGE_MASK_4K;
		u64 blocked = 0;

		if (start < HIGH_RAM_START)
			return 0;
		for (unsigned i = 0; i < l->claims && !blocked; i++) {
			if (overlaps(&l->claim[i], start, start + len))
				blocked = l->claim[i].start;
		}
		if (!blocked)
			return start;
		top = blocked;
	}
	return 0;
}

bool place_initrd(struct loading *l, u64 limit)
{
	const struct blob *initrd = &l->boot->initrd;
	u64 top = l->boot->ram_size < limit ? l->boot->ram_size : limit;
	u64 start;
	u8 *at;

	if (!initrd->data)
		return true;
	start = find_free(l, top, initrd->size);
	if (!start)
		return error_set(
			l->e,
			"initrd '%s': its %zu KiB do not fit beside the kernel in %llu KiB of "
			"RAM%s",
			initrd->path, initrd->size >> 10,
			(unsigned long long)l->boot->ram_size >> 10,
			top < l->boot->ram_size ? " that this kernel can reach early"
						: " (give more with -m)");
	at = claim(l, start, initrd->size, "initrd");
	if (!at)
		return false;
	mem_copy(at, initrd->data, initrd->size);
	l->initrd_start = start;
	return true;
}

bool place_cmdline(struct loading *l, size_t limit)
{
	size_t len = strlen(l->boot->cmdline);
	u8 *at;

	if (len > limit)
		return error_set(
			l->e,
			"command line: %zu bytes, but this kernel takes at most %zu (shorten "
			"-a or the command)",
			len, limit);
	at = claim(l, GPA_CMDLINE, len + 1, "command line");
	if (!at)
		return false;
	mem_copy(at, l->boot->cmdline, len + 1);
	return true;
}

#define FLAT_CS 0x10
#define FLAT_DS 0x18

bool set_flat_mode(struct loading *l, struct vcpu *cpu)
{
	/* Selectors as Linux's boot protocol names them; Multiboot leaves them open. */
	static const u64 gdt[] = {0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
	const struct segment code = {.limit = 0xffffffff, .attr = 0xc09b, .selector = FLAT_CS};
	const struct segment data = {.limit = 0xffffffff, .attr = 0xc093, .selector = FLAT_DS};
	u8 *at = claim(l, GPA_GDT, sizeof(gdt), "descriptor table");

	if (!at)
		return false;
	mem_copy(at, gdt, sizeof(gdt));
	for (unsigned i = 0; i < SEG_COUNT; i++)
		cpu->seg[i] = i == SEG_CS ? code : data;
	cpu->gdtr.base = GPA_GDT;
	cpu->gdtr.limit = sizeof(gdt) - 1;
	/* No vector is usable: an early exception is a triple fault, reported as such. */
	cpu->idtr.base = 0;
	cpu->idtr.limit = 0;
	cpu->cr0 = CR0_PE | CR0_ET;
	cpu->cr3 = 0;
	cpu->cr4 = 0;
	cpu->rflags = FLAG_ONE;
	mem_set(cpu->gpr, 0, sizeof(cpu->gpr));
	return true;
}

void linux_banner_version(const u8 *data, size_t size, char *version, size_t version_size)
{
	static const char banner[] = "Linux version ";
	const size_t n = sizeof(banner) - 1;
	const u8 *end = data + size;
	const u8 *p = memmem(data, size, banner, n);
	size_t i = 0;

	if (p) {
		for (p += n; p<end && * p> 0x20 && *p < 0x7f && i + 1 < version_size; p++)
			version[i++] = *p;
	}
	version[i] = 0;
}

static bool identify_elf(struct image *im, struct error *e)
{
	char what[300], version[64];
	struct elf elf;
	u32 abi;

	snprintf(what, sizeof(what), "kernel '%.250s'", im->file.path);
	if (!elf_open(&elf, im->file.data, im->file.size, what, e))
		return false;
	if (im->kind == IMAGE_ELF) {
		linux_banner_version(im->file.data, im->file.size, version, sizeof(version));
		if (version[0])
			snprintf(im->name, sizeof(im->name), "a Linux %s vmlinux", version);
		else
			snprintf(im->name, sizeof(im->name), "a 32-bit ELF file");
	}
	abi = elf_abi_note(&elf);
	if (abi > PLEX86_ABI_VERSION)
		return error_set(
			e,
			"kernel '%s': built for guest ABI version %u, and this plex86 provides "
			"versions 1 to %u (build it again with this guest/build-kernel)",
			im->file.path, abi, PLEX86_ABI_VERSION);
	im->abi = abi != 0;
	return true;
}

static bool is_elf(const struct blob *file)
{
	return file->size >= SELFMAG && !memcmp(file->data, ELFMAG, SELFMAG);
}

bool image_identify(struct image *im, const struct blob *file, struct error *e)
{
	*im = (struct image){.file = *file};
	if (file->size == 0)
		return error_set(e, "kernel '%s': the file is empty", file->path);
	if (multiboot_recognise(im)) {
		im->kind = IMAGE_MULTIBOOT;
		snprintf(im->name, sizeof(im->name), "a Multiboot kernel");
		return multiboot_identify(im, e) && (!is_elf(file) || identify_elf(im, e));
	}
	if (is_elf(file)) {
		im->kind = IMAGE_ELF;
		return identify_elf(im, e);
	}
	if (bzimage_recognise(file)) {
		im->kind = IMAGE_BZIMAGE;
		return bzimage_identify(im, e);
	}
	return error_set(e,
			 "kernel '%s': neither an ELF file, nor a Linux bzImage, nor a Multiboot "
			 "kernel (or cut off before its header ends)",
			 file->path);
}

static bool load_linux_elf(struct loading *l, struct vcpu *cpu)
{
	u32 entry;

	return elf_load(l, &entry) && place_initrd(l, INITRD_LIMIT) &&
	       place_cmdline(l, CMDLINE_MAX) && boot_params_place(l, NULL, entry, cpu);
}

bool image_load(const struct image *im, const struct boot *boot, struct vcpu *cpu, struct error *e)
{
	struct loading l = {.im = im, .boot = boot, .e = e};

	switch (im->kind) {
	case IMAGE_ELF:
		return load_linux_elf(&l, cpu);
	case IMAGE_BZIMAGE:
		return bzimage_load(&l, cpu);
	case IMAGE_MULTIBOOT:
		return multiboot_load(&l, cpu);
	case IMAGE_FIRMWARE:
		return firmware_load(&l, cpu);
	}
	return error_set(e, "kernel '%s': unknown kind %d", im->file.path, im->kind);
}
