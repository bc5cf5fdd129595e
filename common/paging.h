/*
 * The guest's page tables.
 *
 * Owns: walking them (SDM vol. 3, 4.3), the access checks, and setting A and D. Reads guest RAM
 * through vm_ram() only; knows nothing of what is mapped on the host.
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

#define LARGE_PAGE_SIZE 0x400000u /* 2-level paging with PSE */

/* Bits 21-13 of a 4 MiB PDE: PAT and bits 39-32 of the address (PSE-36). We announce neither, and
 * RAM ends below 4 GiB: bits 21-13 are reserved (SDM vol. 3, table 4-4). */
#define PDE_LARGE_RESERVED 0x003fe000u

enum walk_result {
	WALK_OK,
	WALK_NOT_PRESENT, /* entry[levels - 1] has P clear, or lies outside RAM (reads as 0) */
	WALK_RESERVED,	  /* it has a reserved bit set */
};

/* Levels count from the root: entry[0] is the PDE, entry[1] the PTE. */
struct walk {
	u64 gpa;       /* of the address walked; valid if WALK_OK */
	u64 page_size; /* 4 KiB or 4 MiB */
	unsigned levels;
	u64 entry[4];
	u64 entry_gpa[4];
	bool write, user, global, accessed, dirty; /* combined over all levels */
};

/* Translate linear `la`. With paging off this is the identity with all rights. */
enum walk_result paging_walk(const struct vm *vm, u64 la, struct walk *w);

struct access {
	bool write, fetch, user;
};

/* Is `access` allowed by a walk that gave `result`? If not, *error is the #PF error code. */
bool paging_check(const struct vm *vm, enum walk_result result, const struct walk *w,
		  struct access access, u32 *error);

/* Set A in all entries used, and D in the last one if `dirty`, as the processor would. */
void paging_mark(const struct vm *vm, struct walk *w, bool dirty);

#endif
