/*
 * The FPU and vector registers of a guest as bytes: an XSAVE area of the standard format (SDM vol.
 * 1, 13.4), laid out as this host's CPU does.
 *
 * Owns: which components there are, and the check of what is to be loaded: XRSTOR faults on what it
 * does not like. They travel from host to host one by one (fpu_component()), since hosts differ in
 * where they are.
 */
#ifndef PLEX86_FPU_H
#define PLEX86_FPU_H

#include "../../common/vcpu.h"

#define FPU_COMPONENTS XCR0_DEFINED /* the guest has no others */
#define FPU_AREA       4096u	    /* they end well below */
#define FPU_LEGACY     512u	    /* components 0 and 1 */

struct fpu_area {
	u8 legacy[FPU_LEGACY];
	u64 present; /* XSTATE_BV: the others are in their initial state */
	u64 compact; /* XCOMP_BV: none of ours */
	u64 reserved[6];
	u8 rest[FPU_AREA - FPU_LEGACY - 64];
} __attribute__((aligned(64)));

/* Components that this host has: a mask; and where one of them is, below FPU_AREA. */
u64 fpu_host_components(void);
bool fpu_component(unsigned i, u32 *offset, u32 *size);

/* What CPU or kernel have written, completed: all components of the host present, nothing else.
 * Returns the bytes that it has. */
size_t fpu_tidy(struct fpu_area *area);
/* Can this host load it? Of `size` bytes. */
bool fpu_acceptable(const struct fpu_area *area, size_t size);

#endif
