/*
 * The guest's page tables.
 *
 * Owns: walking them (SDM vol. 3, 4.3 and 4.4), the access checks, and setting A and D; what a
 * directory entry and a table of either format say of a slot of 2 MiB, for the shadows to compare
 * with. Reads guest RAM through vm_ram() only; knows nothing of what is mapped on the host.
 */
#ifndef PLEX86_PAGING_H
#define PLEX86_PAGING_H

#include "vm.h"

#define PTE_P  0x001u
#define PTE_W  0x002u
#define PTE_U  0x004u
#define PTE_A  0x020u
#define PTE_D  0x040u
#define PTE_PS 0x080u
#define PTE_G  0x100u
#define PTE_NX 0x8000000000000000ull

#define LARGE_PAGE_SIZE 0x400000u /* 2-level paging with PSE */
#define PAGING_SLOT_SIZE \
	0x200000u /* what a directory entry maps with PAE, and half of one without */
#define PAE_CR3_MASK 0xffffffe0u

/* An entry of either format folded into 32 bits: that of 2-level paging without its ignored bits,
 * one of which is NX. One that maps nothing, for a reserved bit is set, is 0. */
#define FOLDED_IGNORED 0xe00u
#define FOLDED_NX      0x200u

/* Bits 21-13 of a 4 MiB PDE: PAT and bits 39-32 of the address (PSE-36). We announce neither, and
 * RAM ends below 4 GiB: bits 21-13 are reserved (SDM vol. 3, table 4-4). */
#define PDE_LARGE_RESERVED 0x003fe000u

enum walk_result {
	WALK_OK,
	WALK_NOT_PRESENT, /* entry[levels - 1] has P clear, or lies outside RAM (reads as 0) */
	WALK_RESERVED,	  /* it has a reserved bit set */
};

/* Levels count from the root: PDE, PTE; with PAE: PDPTE, PDE, PTE. */
struct walk {
	u64 gpa;       /* of the address walked; valid if WALK_OK */
	u64 page_size; /* 4 KiB, 2 MiB or 4 MiB */
	unsigned levels;
	unsigned registers; /* of these, the first ones, which the processor holds in registers */
	u64 entry[4];
	u64 entry_gpa[4];
	u32 directory; /* the directory's entry, folded; 0 if it is not present */
	bool write, user, exec, global, accessed, dirty; /* combined over all levels */
};

static inline bool paging_is_pae(const struct vm *vm)
{
	return vm->cpu.cr4 & CR4_PAE;
}

/* Translate linear `la`. With paging off this is the identity with all rights. */
enum walk_result paging_walk(const struct vm *vm, u64 la, struct walk *w);

/* Where the tables begin. With PAE CR3 points to four entries that are loaded with it. */
struct paging_root {
	u32 cr3;
	u64 pdpte[4];
};

/* That of an address space as memory has it, and that of the one in force. */
void paging_root(const struct vm *vm, u64 cr3, struct paging_root *root);
void paging_active_root(const struct vm *vm, struct paging_root *root);
/* Load the PDPTEs that `cr3` points to, if CR0 and CR4 ask for that (SDM vol. 3, 4.4.1). False,
 * with nothing changed: a reserved bit is set, which is a #GP. */
bool paging_load_pdptes(struct vm *vm, u64 cr3);

/* The folded directory entry of linear addresses from slot * PAGING_SLOT_SIZE on; does it map a
 * large page; then, the guest-physical address of the slot; else, the part of a table that is the
 * slot's (512 entries in the format in force), or NULL if that is outside RAM. */
u32 paging_directory(const struct vm *vm, const struct paging_root *root, u32 slot);
bool paging_is_large(const struct vm *vm, u32 directory);
u32 paging_large_frame(const struct vm *vm, u32 directory, u32 slot);
const void *paging_table(const struct vm *vm, u32 directory, u32 slot);
/* The folded entry number `index` of such a table. */
u32 paging_fold_pte(const struct vm *vm, const void *table, u32 index);

struct access {
	bool write, fetch, user;
};

/* Is `access` allowed by a walk that gave `result`? If not, *error is the #PF error code. */
bool paging_check(const struct vm *vm, enum walk_result result, const struct walk *w,
		  struct access access, u32 *error);

/* Set A in all entries used, and D in the last one if `dirty`, as the processor would. */
void paging_mark(const struct vm *vm, struct walk *w, bool dirty);

#endif
