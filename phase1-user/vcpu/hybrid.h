/*
 * The hybrid engine's two sides: the vcpu processes run the guest's plain user code, the emulator
 * all else. They pass the guest to one another, and share the core's shadows.
 *
 * Owns: struct hybrid, in the shared memory. For the emulator the shadows' records are what is
 * mapped. For a vcpu process they are what it may map, when user code faults; what the emulator has
 * taken away meanwhile it unmaps before the guest runs (`stale`). Pages of RAM that the emulator
 * has translated are not mapped writable, so that it hears of code that is written.
 */
#ifndef PLEX86_VCPU_HYBRID_H
#define PLEX86_VCPU_HYBRID_H

#include "../../common/shadow.h"

#define HYBRID_FRAMES (1u << 20) /* pages below 4 GiB of guest-physical memory */

typedef u64 hybrid_pages[SHADOW_SLOTS][SHADOW_SLOT / 64]; /* a bit for each linear page */

/* Of one vcpu process. */
struct hybrid_map {
	hybrid_pages mapped; /* what it may have mapped */
	hybrid_pages stale;  /* of these, what has to go */
	u64 stale_slots[SHADOW_SLOTS / 64];
	u64 translations; /* struct hybrid's, up to which its rights are in line */
	u32 copy_at;	  /* where it has the copy that struct vsyscall is about; 0: nowhere */
};

/* The page of RAM that has the vdso's system call, and where in it. gpa 0: none. See vsyscall.h. */
struct vsyscall {
	u64 gpa;
	u32 offset;
};

enum { FRAME_PLAIN, FRAME_TRANSLATED, FRAME_WRITTEN };

struct hybrid {
	bool on;   /* set by the VMM before the start */
	bool kmod; /* the same: the kernel module is in the vcpu processes' place, and a part of the
		    * emulator's (emulator/kmod.c) speaks for it */
	bool flush; /* the vcpu processes have taken records away: the emulator may know them still
		     */
	u8 frame[HYBRID_FRAMES]; /* FRAME_*; WRITTEN: since it was translated, by user code */
	bool written;		 /* there are some of these */
	u64 translations;	 /* how often a page has become TRANSLATED */
	struct vsyscall vsyscall;
	struct hybrid_map map[SHADOW_COUNT];
};

struct vm;

/* For the emulator: the core has taken [la, la + len) of the active shadow away, or put another
 * page there. */
void hybrid_forget(struct hybrid *h, u32 active, u64 la, u64 len);

/* ---- the vcpu processes' side ---- */

/* This process has mapped, or unmapped, [la, la + len). What is code of those pages of RAM is made
 * read-only. */
void hybrid_mapped(struct vm *vm, struct hybrid *h, u64 la, u64 gpa, u64 len, unsigned prot);
void hybrid_unmapped(struct hybrid *h, u32 active, u64 la, u64 len);
/* Unmap what is stale, and take rights away from what has been translated. */
void hybrid_catch_up(struct vm *vm, struct hybrid *h);
/* User code could not write to `la`. True: that was because of a translation, and now it can. */
bool hybrid_code_written(struct vm *vm, struct hybrid *h, u32 la);

#endif
