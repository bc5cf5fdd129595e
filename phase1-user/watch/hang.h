/*
 * --hang: is the guest getting anywhere?
 *
 * Owns: what progress is, and the verdict. A guest makes progress when it idles, runs user code,
 * loads a control register (CR3: another address space), asks for a device or has a page fault of
 * its own. One that has done none of this for as long as the user allows hangs if
 *   - no interrupt was delivered in all that time, or
 *   - it was seen in one and the same loop nearly every time, with nothing changed but EAX, ECX,
 *     EDX and flags: it spins, and interrupts come and go.
 * While nobody looks for long (a debugger has stopped it, or the host us) nothing is known: it
 * begins anew. A loop that counts in other registers while interrupts are handled is not
 * recognized: it could as well be long work.
 */
#ifndef PLEX86_HANG_H
#define PLEX86_HANG_H

#include <stdio.h>
#include "sampler.h"
#include "symbols.h"

#define HANG_SAMPLES 64

struct hang_sample {
	u32 eip, esp, ebp, ebx, esi, edi;
	bool interrupts; /* IF */
};

struct hang {
	struct sampler sampler;
	u64 limit_ns;
	u64 since;	/* CLOCK_MONOTONIC, ns, of the last progress */
	u64 last;	/* when it was last looked at */
	u64 progress;	/* what has been counted then */
	u64 delivered;	/* interrupts; of the same moment */
	unsigned taken; /* samples since; the newest HANG_SAMPLES are kept */
	struct hang_sample sample[HANG_SAMPLES];
	bool found;
	bool deaf; /* no interrupt was delivered */
};

/* How often to look. */
u64 hang_period(u64 limit_ns);
/* What the sampler sees (NULL: it idles), at CLOCK_MONOTONIC `now`. True: it hangs. */
bool hang_judge(struct hang *h, const struct sight *sight, u64 now);
/* `limit_ns` is set, all else zero. Ends the run with END_HUNG. */
bool hang_start(struct hang *h, struct machine *machine, struct error *e);
void hang_stop(struct hang *h);
/* What was seen. `vm`: the guest's last state. */
void hang_print(const struct hang *h, const struct vm *vm, const struct symbols *symbols,
		FILE *out);

#endif
