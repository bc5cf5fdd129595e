/*
 * The state of a machine at rest, to be taken up by another engine, on another day.
 *
 * Owns: struct machine_state: plain data without pointers, of a machine that stands between two
 * instructions. Guest RAM and the device pages are not in it, nor what an engine makes anew:
 * shadows, host selectors, stubs. It may come from a file and be hostile: state_check().
 */
#ifndef PLEX86_STATE_H
#define PLEX86_STATE_H

#include "vm.h"

#define STATE_VERSION 1

/* The words of the PV page that are the guest's. */
struct state_pv {
	u32 vif, cpl, esp0, cr2, iret_site, ahead, ahead_task;
};

struct machine_state {
	u32 version; /* STATE_VERSION */
	u32 size;    /* of this structure; with `layout` it tells builds apart */
	u32 layout;
	bool abi, deterministic;
	u64 ram_size;
	u64 now; /* clock_now() when it was taken */
	u64 events, settled, skipped;
	u64 timer; /* struct vm's; of a deterministic run */
	u32 irq_lines, irq_seen;
	struct vcpu cpu;
	u64 slot[SEG_COUNT]; /* struct vm's */
	struct pic_pair pic;
	struct pit pit;
	struct cmos cmos;
	struct state_pv pv;
	struct cpu_identity cpu_identity; /* of the CPU that the guest has run on */
};

enum state_error {
	STATE_OK,
	STATE_OTHER_BUILD,
	STATE_OTHER_MACHINE, /* RAM, kernel or clock are of another kind */
	STATE_OTHER_CPU,     /* the CPU lacks what the guest may be using */
	STATE_OTHER_XSAVE,   /* its vector registers are other ones, or announced otherwise */
	STATE_INVALID,	     /* nothing that a machine could be in */
	STATE_ERRORS
};
/* What to say of a file that has it. */
const char *state_error_text(enum state_error error);

/* Take it from a copy of the machine whose host_now() is `now`. False: it is in the middle of
 * something. */
bool state_save(const struct vm *vm, u64 now, struct machine_state *s);
/* Can `vm`, which has been reset and has not run, take up `s`? Of vm->ram nothing is touched. */
enum state_error state_check(const struct vm *vm, const struct machine_state *s);

/* For engines: take up what has been checked. RAM and device pages are there already. Afterwards
 * core_start(). */
void state_load(struct vm *vm, const struct machine_state *s);

#endif
