/*
 * Symbols of an ELF kernel: see symbols.h.
 */
#include "symbols.h"

#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FAR_AWAY   (1u << 20) /* no kernel function is this long */
#define NAME_SHOWN 80

struct symbol {
	u32 address;
	u32 name;  /* offset into names */
	u32 order; /* in the file: of two at one address the first is shown */
};

struct symbols {
	size_t count;
	char *names; /* ends with a 0 */
	struct symbol symbol[];
};

struct file {
	const u8 *data;
	size_t size;
	Elf32_Ehdr header;
};

static bool inside(const struct file *f, u64 offset, u64 len)
{
	return offset <= f->size && len <= f->size - offset;
}

static bool open_file(struct file *f, const u8 *data, size_t size)
{
	f->data = data;
	f->size = size;
	if (size < sizeof(f->header) || memcmp(data, ELFMAG, SELFMAG) ||
	    data[EI_CLASS] != ELFCLASS32 || data[EI_DATA] != ELFDATA2LSB)
		return false;
	mem_copy(&f->header, data, sizeof(f->header));
	return f->header.e_shentsize == sizeof(Elf32_Shdr) &&
	       inside(f, f->header.e_shoff, (u64)f->header.e_shnum * sizeof(Elf32_Shdr));
}

/* Section `i`, if its bytes are in the file. */
static bool section(const struct file *f, u32 i, Elf32_Shdr *sh)
{
	if (i >= f->header.e_shnum)
		return false;
	mem_copy(sh, f->data + f->header.e_shoff + (u64)i * sizeof(*sh), sizeof(*sh));
	return sh->sh_type != SHT_NOBITS && inside(f, sh->sh_offset, sh->sh_size);
}

static bool find_tables(const struct file *f, Elf32_Shdr *symtab, Elf32_Shdr *strtab)
{
	for (u32 i = 0; i < f->header.e_shnum; i++) {
		if (section(f, i, symtab) && symtab->sh_type == SHT_SYMTAB)
			return section(f, symtab->sh_link, strtab) && strtab->sh_size > 0;
	}
	return false;
}

static bool wanted(const Elf32_Sym *sym, const Elf32_Shdr *strtab)
{
	const unsigned type = ELF32_ST_TYPE(sym->st_info);

	return (type == STT_NOTYPE || type == STT_FUNC || type == STT_OBJECT) &&
	       sym->st_shndx != SHN_UNDEF && sym->st_shndx != SHN_ABS && sym->st_name != 0 &&
	       sym->st_name < strtab->sh_size;
}

static int compare(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	return x->order < y->order ? -1 : x->order > y->order;
}

static void read_table(struct symbols *s, const struct file *f, const Elf32_Shdr *symtab,
		       const Elf32_Shdr *strtab)
{
	for (u32 i = 0; i < symtab->sh_size / sizeof(Elf32_Sym); i++) {
		Elf32_Sym sym;

		mem_copy(&sym, f->data + symtab->sh_offset + (u64)i * sizeof(sym), sizeof(sym));
		if (wanted(&sym, strtab))
			s->symbol[s->count++] = (struct symbol){sym.st_value, sym.st_name, i};
	}
	qsort(s->symbol, s->count, sizeof(s->symbol[0]), compare);
}

struct symbols *symbols_read(const u8 *data, size_t size)
{
	Elf32_Shdr symtab, strtab;
	struct symbols *s;
	struct file f;

	if (!open_file(&f, data, size) || !find_tables(&f, &symtab, &strtab))
		return NULL;
	s = malloc(sizeof(*s) + symtab.sh_size / sizeof(Elf32_Sym) * sizeof(struct symbol));
	if (!s)
		return NULL;
	s->count = 0;
	s->names = malloc((size_t)strtab.sh_size + 1);
	if (!s->names) {
		free(s);
		return NULL;
	}
	mem_copy(s->names, data + strtab.sh_offset, strtab.sh_size);
	s->names[strtab.sh_size] = 0;
	read_table(s, &f, &symtab, &strtab);
	if (s->count == 0) {
		symbols_free(s);
		return NULL;
	}
	return s;
}

void symbols_free(struct symbols *s)
{
	if (!s)
		return;
	free(s->names);
	free(s);
}

const char *symbols_lookup(const struct symbols *s, u64 address, u64 *offset)
{
	size_t low = 0, high = s ? s->count : 0;

	/* low becomes the number of symbols at or below address. */
	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (s->symbol[mid].address <= address)
			low = mid + 1;
		else
			high = mid;
	}
	if (low == 0 || address - s->symbol[low - 1].address >= FAR_AWAY)
		return NULL;
	*offset = address - s->symbol[low - 1].address;
	while (low > 1 && s->symbol[low - 2].address == s->symbol[low - 1].address)
		low--;
	return s->names + s->symbol[low - 1].name;
}

bool symbols_find(const struct symbols *s, const char *name, u64 *first, u64 *last)
{
	for (size_t i = 0; s && i < s->count; i++) {
		const u32 address = s->symbol[i].address;

		if (strcmp(s->names + s->symbol[i].name, name))
			continue;
		*first = *last = address;
		while (++i < s->count && s->symbol[i].address == address)
			;
		if (i < s->count && s->symbol[i].address - address <= FAR_AWAY)
			*last = s->symbol[i].address - 1;
		return true;
	}
	return false;
}

char *symbols_text(const struct symbols *s, u64 address, char *text, size_t size)
{
	u64 offset = 0;
	const char *name = symbols_lookup(s, address, &offset);
	char shown[NAME_SHOWN + 1];
	size_t i;

	if (!name) {
		text[0] = 0;
		return text;
	}
	/* The file may say anything; a terminal must not see it all. */
	for (i = 0; i < NAME_SHOWN && name[i]; i++)
		shown[i] = name[i] > 0x20 && name[i] < 0x7f ? name[i] : '?';
	shown[i] = 0;
	snprintf(text, size, " %s+0x%llx", shown, (unsigned long long)offset);
	return text;
}
