/*
 * Guest kernel memory as a target of user code, and the judgement whether user code has reached it.
 *
 * Owns: the kernel's pages above 3 GiB, what must be found in its memory, and what an attempt is
 * judged by. What was refused, and how, is no part of a judgement: plex86 lets user code load a few
 * selectors that a CPU refuses.
 */
#ifndef TARGETS_H
#define TARGETS_H

#include "guest.h"

#ifdef PLEX86_PV_PAGE
#define ON_PLEX86 true
#else
#define ON_PLEX86 false
#endif

#define HIGH	0xc0000000u /* 4 MiB of RAM once more, for the kernel alone */
#define TOP	0xffc00000u /* and once more, but for the last page */
#define PV_PAGE 0xfffff000u /* the guest ABI's; a CPU has nothing there */
#define SECRET	0x5ec4e7a5u
#define MARK	0x0bad0203u /* what user code writes; in the PV page it changes nothing */
#define LANDED	0x0badc0deu /* EAX of kernel code that user code has come to */

struct target {
	const char *name;
	u32 address;
};
extern struct target targets[16];
extern unsigned target_count;
extern u32 secret_area[2048];
#define secret (secret_area + 1024) /* a page of them; what wraps below it finds nothing */
void kernel_landing(void);

/* Turn paging on, with the pages above 3 GiB. */
void targets_init(void);

/* User code on the guest ABI's segments, which end at 3 GiB (a CPU has them in an LDT), and on flat
 * ones. */
enum user_kind { USER_ABI, USER_FLAT, USER_KINDS };
extern const char *const user_kinds[USER_KINDS];
struct user_state user_of(enum user_kind kind, void (*fn)(void));

/* Run user code that tries to reach `t` and judge it: what it has done, or NULL. It is given the
 * address in EBX, ESI and EDI, and MARK in EDX. What it has changed is restored. */
const char *attempt(const struct target *t, struct user_state *s);
/* The last run of user code: has it got into kernel code? */
const char *judge_code(void);

/* How many attempts of a kind have reached anything, and the first of them. */
struct tally {
	u32 attempts, reached;
	const char *done, *what, *by;
	u32 selector;
};
void tally_add(struct tally *t, const char *done, const char *what, const char *by, u32 selector);
void tally_print(const struct tally *t, const char *kind, const char *name);

#endif
