/*
 * ELF32 executables: headers, segments, the plex86 note.
 *
 * Every offset and length is checked in 64 bits against the file before it is used; structures
 * are copied out, since nothing in a file need be aligned.
 */
#include "parts.h"

#include <stdio.h>
#include <string.h>
#include "../../guest/include/plex86-abi.h"

static bool inside(const struct elf *elf, u64 offset, u64 len)
{
	return offset <= elf->size && len <= elf->size - offset;
}

static Elf32_Phdr program_header(const struct elf *elf, unsigned i)
{
	Elf32_Phdr ph;

	mem_copy(&ph, elf->data + elf->header.e_phoff + (u64)i * sizeof(ph), sizeof(ph));
	return ph;
}

static bool check_ident(const struct elf *elf, const char *what, struct error *e)
{
	const u8 *ident = elf->data;

	if (elf->size < EI_NIDENT)
		return error_set(e, "%s: truncated: %zu bytes of an ELF header", what, elf->size);
	if (ident[EI_CLASS] == ELFCLASS64)
		return error_set(e,
				 "%s: a 64-bit ELF file, and plex86 runs 32-bit x86 kernels (build "
				 "it with ARCH=i386)",
				 what);
	if (ident[EI_CLASS] != ELFCLASS32)
		return error_set(e, "%s: damaged ELF header: class %u", what, ident[EI_CLASS]);
	if (ident[EI_DATA] != ELFDATA2LSB)
		return error_set(e, "%s: an ELF file that is not little-endian", what);
	if (elf->size < sizeof(elf->header))
		return error_set(e, "%s: truncated: %zu bytes of an ELF header", what, elf->size);
	return true;
}

static bool check_header(const struct elf *elf, const char *what, struct error *e)
{
	const Elf32_Ehdr *h = &elf->header;

	if (h->e_machine != EM_386)
		return error_set(e, "%s: an ELF file for machine %u, not i386", what, h->e_machine);
	if (h->e_type != ET_EXEC)
		return error_set(e, "%s: ELF type %u, not an executable", what, h->e_type);
	if (h->e_phnum == 0)
		return error_set(e, "%s: no program headers, nothing to load", what);
	if (h->e_phentsize != sizeof(Elf32_Phdr))
		return error_set(e, "%s: damaged ELF header: program headers of %u bytes", what,
				 h->e_phentsize);
	if (!inside(elf, h->e_phoff, (u64)h->e_phnum * sizeof(Elf32_Phdr)))
		return error_set(e, "%s: truncated: its program headers are beyond its end", what);
	return true;
}

static bool check_segment(const struct elf *elf, unsigned i, const char *what, struct error *e)
{
	const Elf32_Phdr ph = program_header(elf, i);

	if (ph.p_type != PT_LOAD)
		return true;
	if (ph.p_filesz > ph.p_memsz)
		return error_set(e, "%s: damaged: segment %u is larger in the file than in memory",
				 what, i);
	if (!inside(elf, ph.p_offset, ph.p_filesz))
		return error_set(e,
				 "%s: truncated: segment %u needs bytes 0x%x-0x%llx of a file of "
				 "0x%zx",
				 what, i, ph.p_offset,
				 (unsigned long long)ph.p_offset + ph.p_filesz, elf->size);
	return true;
}

bool elf_open(struct elf *elf, const u8 *data, size_t size, const char *what, struct error *e)
{
	elf->data = data;
	elf->size = size;
	if (!check_ident(elf, what, e))
		return false;
	mem_copy(&elf->header, data, sizeof(elf->header));
	if (!check_header(elf, what, e))
		return false;
	for (unsigned i = 0; i < elf->header.e_phnum; i++) {
		if (!check_segment(elf, i, what, e))
			return false;
	}
	return true;
}

/* The version in the first plex86 note of one note segment, 0 if there is none. */
static u32 find_note(const u8 *p, size_t size)
{
	while (size >= sizeof(Elf32_Nhdr)) {
		Elf32_Nhdr note;
		u64 name, desc, next;
		u32 version;

		mem_copy(&note, p, sizeof(note));
		name = sizeof(note);
		desc = name + (((u64)note.n_namesz + 3) & ~(u64)3);
		next = desc + (((u64)note.n_descsz + 3) & ~(u64)3);
		if (desc + note.n_descsz > size)
			return 0;
		if (note.n_type == PLEX86_NOTE_ABI && note.n_descsz >= sizeof(version) &&
		    note.n_namesz == sizeof(PLEX86_NOTE_NAME) &&
		    !memcmp(p + name, PLEX86_NOTE_NAME, sizeof(PLEX86_NOTE_NAME))) {
			mem_copy(&version, p + desc, sizeof(version));
			return version;
		}
		if (next >= size)
			return 0;
		p += next;
		size -= next;
	}
	return 0;
}

u32 elf_abi_note(const struct elf *elf)
{
	for (unsigned i = 0; i < elf->header.e_phnum; i++) {
		const Elf32_Phdr ph = program_header(elf, i);
		u32 version;

		if (ph.p_type != PT_NOTE || !inside(elf, ph.p_offset, ph.p_filesz))
			continue;
		version = find_note(elf->data + ph.p_offset, ph.p_filesz);
		if (version)
			return version;
	}
	return 0;
}

/* Entry points are physical in Linux; other kernels are linked high and give a virtual one. */
static bool find_entry(const struct elf *elf, u32 *entry)
{
	const u32 e = elf->header.e_entry;
	u64 by_address = 0;

	for (unsigned i = 0; i < elf->header.e_phnum; i++) {
		const Elf32_Phdr ph = program_header(elf, i);

		if (ph.p_type != PT_LOAD)
			continue;
		if (e >= ph.p_paddr && e - ph.p_paddr < ph.p_memsz) {
			*entry = e;
			return true;
		}
		if (e >= ph.p_vaddr && e - ph.p_vaddr < ph.p_memsz)
			by_address = (u64)ph.p_paddr + (e - ph.p_vaddr) + 1;
	}
	*entry = by_address - 1;
	return by_address != 0;
}

bool elf_load(struct loading *l, u32 *entry)
{
	const struct blob *file = &l->im->file;
	char what[300], name[24];
	struct elf elf;

	snprintf(what, sizeof(what), "kernel '%.250s'", file->path);
	if (!elf_open(&elf, file->data, file->size, what, l->e))
		return false;
	for (unsigned i = 0; i < elf.header.e_phnum; i++) {
		const Elf32_Phdr ph = program_header(&elf, i);
		u8 *at;

		if (ph.p_type != PT_LOAD || ph.p_memsz == 0)
			continue;
		snprintf(name, sizeof(name), "segment %u", i);
		at = claim(l, ph.p_paddr, ph.p_memsz, name);
		if (!at)
			return false;
		/* RAM is zero already: touching .bss would only cost memory. */
		mem_copy(at, elf.data + ph.p_offset, ph.p_filesz);
	}
	if (!find_entry(&elf, entry))
		return error_set(l->e, "%s: its entry point 0x%x is in none of its segments", what,
				 elf.header.e_entry);
	return true;
}
