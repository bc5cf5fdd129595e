/*
 * The shadows: which linear pages are mapped on the host, to what, and with which rights.
 *
 * Owns: the records, filling after a page fault, resynchronisation with the guest's page tables,
 * and which guest address space has which shadow. A record holds what a TLB entry would hold; the
 * rules for when it may be stale are the TLB's (SDM vol. 3, 4.10): page-table writes are not
 * trapped, CR3 loads and invlpg look.
 *
 * There is one shadow for each of the address spaces used last. All but one sleep: what a TLB would
 * have forgotten meanwhile they forget when they wake, before any guest code can use it.
 */
#ifndef PLEX86_SHADOW_H
#define PLEX86_SHADOW_H

#include "host.h"

#define SHADOW_PAGES (1u << 20) /* linear pages of a 4 GiB space */
#define SHADOW_SLOT  512u	/* linear pages covered by a 2 MiB slot: paging.h */
#define SHADOW_SLOTS (SHADOW_PAGES / SHADOW_SLOT)
#define SHADOW_COUNT 16 /* address spaces whose mappings are kept */
#define SHADOW_LOG   64
#define SHADOW_REACH 16 /* pages of user code around a fault that are mapped with it */

struct shadow {
	u32 record[SHADOW_PAGES];		      /* 0, or SHADOW_* | gpa of the page */
	u64 recorded[SHADOW_SLOTS][SHADOW_SLOT / 64]; /* a bit for each record that is not 0 */
	u64 used_slots[SHADOW_SLOTS / 64];	      /* a bit for each slot with records */
	u64 local_slots[SHADOW_SLOTS / 64]; /* and for each with some that are not global */
	u16 used[SHADOW_SLOTS];		    /* records in each slot */
	u16 supervisor[SHADOW_SLOTS];	    /* of these, supervisor-only ones */
	u16 local[SHADOW_SLOTS];	    /* of these, not global ones */
	u16 large[SHADOW_SLOTS];	    /* of these, parts of large pages */
	u32 total, supervisor_total;
	u32 supervisor_low; /* supervisor-only ones below the ABI's user limit */
	bool pv_mapped, pv_readonly;
	u64 last_fault; /* loop detection */
	u32 repeats;
	u32 ahead, ahead_next;	 /* how many to suggest, and the page behind the last (ahead.c) */
	u32 space;		 /* shadow_space() of the CR3 it belongs to; 0: nobody's */
	u64 last_active;	 /* pool.loads at that time */
	u64 log_seen;		 /* pool.log_end up to which it knows what was invalidated */
	u64 tls[HOST_TLS_COUNT]; /* TLS descriptors the host has, in each space for itself */
	u64 tls_seen[HOST_TLS_COUNT]; /* the guest's, of which these were made */
	/* The tables as records were last compared with them; pde[], which is folded, also as they
	 * were filled from. pte[] is in the tables' own format: page by page, 4 or 8 bytes each.
	 * A bit of agreed[] for each 64 pages: none of their records allows more than pte[] does.
	 */
	u32 pde[SHADOW_SLOTS];
	u64 pte[SHADOW_PAGES];
	u8 agreed[SHADOW_SLOTS];
};

/* What the shadows share. */
struct shadow_pool {
	u32 count;  /* shadows the host has room for */
	u32 active; /* the one in force */
	u64 loads;  /* CR3 loads so far: the clock of last_active */
	/* Linear pages invalidated while sleeping shadows had global ones in the same slot: the
	 * last SHADOW_LOG of log_end. */
	u64 log_end;
	u32 log[SHADOW_LOG];
	u32 globals[SHADOW_SLOTS]; /* records of global pages in each slot, of all shadows */
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
 * maps what it has put there and in the `ahead` pages behind, or the access would fault on the host
 * again. */
void shadow_expect(struct vm *vm, u64 la, bool write, u32 ahead);
void shadow_fill_expected(struct vm *vm);
/* CR3 was loaded: switch to that address space's shadow, and drop or correct what no longer
 * matches. Global pages stay. False: vm->exit is set. */
bool shadow_load_cr3(struct vm *vm);
/* CR0.PG was changed: forget everything, in all shadows. False: vm->exit is set. */
bool shadow_set_paging(struct vm *vm);
/* CR4.PAE was changed, and so what tables and CR3 mean: the same. */
bool shadow_set_format(struct vm *vm);
/* CR0.WP, CR4.PSE, CR4.PGE or EFER.NXE was changed: what the tables do not say now is forgotten. */
void shadow_flush(struct vm *vm);
void shadow_invlpg(struct vm *vm, u64 la);
/* The virtual CPL changed: hide or show supervisor pages as the segments in use require. */
void shadow_set_user_view(struct vm *vm, bool user);
/* Make the PV page writable, or make the next store to it trap. */
void shadow_pv_protect(struct vm *vm, bool writable);

#endif
