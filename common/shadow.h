/*
 * The shadow: which linear pages are mapped on the host, to what, and with which rights.
 *
 * Owns: the records, filling after a page fault, resynchronisation with the guest's page tables.
 * A record holds what a TLB entry would hold; the rules for when it may be stale are the TLB's
 * (SDM vol. 3, 4.10): page-table writes are not trapped, CR3 loads and invlpg look.
 */
#ifndef PLEX86_SHADOW_H
#define PLEX86_SHADOW_H

#include "types.h"

#define SHADOW_PAGES (1u << 20) /* linear pages of a 4 GiB space */
#define SHADOW_SLOT  1024u	/* linear pages covered by a 4 MiB slot */
#define SHADOW_SLOTS (SHADOW_PAGES / SHADOW_SLOT)

struct shadow {
	u32 record[SHADOW_PAGES];     /* 0, or SHADOW_* | gpa of the page */
	u16 used[SHADOW_SLOTS];	      /* records in each slot */
	u16 supervisor[SHADOW_SLOTS]; /* of these, supervisor-only ones */
	u16 local[SHADOW_SLOTS];      /* of these, not global ones */
	u16 large[SHADOW_SLOTS];      /* of these, parts of 4 MiB pages */
	u32 total, supervisor_total;
	u32 supervisor_low; /* supervisor-only ones below the ABI's user limit */
	bool pv_mapped, pv_writable;
	u64 last_fault; /* loop detection */
	u32 repeats;
};

struct vm;
struct access;

enum shadow_result {
	SHADOW_FILLED,	/* mapped: run again */
	SHADOW_GUEST,	/* the guest's own page fault: deliver it (error code in *error) */
	SHADOW_EMULATE, /* device memory, or a page the host cannot map: emulate the access */
	SHADOW_STOP,	/* vm->exit is set */
};

/* Handle a page fault at `la`. `write`, `fetch`, `user`: the access that faulted. */
enum shadow_result shadow_fault(struct vm *vm, u64 la, bool write, bool fetch, bool user,
				u32 *error);
/* The guest's kernel has been given a page fault at `la`: when it returns, shadow_fill_expected()
 * maps what it has put there, or the access would fault on the host again. */
void shadow_expect(struct vm *vm, u64 la, bool write);
void shadow_fill_expected(struct vm *vm);
/* CR3 was loaded: drop or correct what no longer matches. Global pages stay. */
void shadow_resync(struct vm *vm);
/* Forget everything (CR0.PG/WP, CR4.PSE/PAE/PGE changed). */
void shadow_flush(struct vm *vm);
void shadow_invlpg(struct vm *vm, u64 la);
/* The virtual CPL changed: hide or show supervisor pages as the segments in use require. */
void shadow_set_user_view(struct vm *vm, bool user);
/* Make the PV page writable, or make the next store to it trap. */
void shadow_pv_protect(struct vm *vm, bool writable);

#endif
