/*
 * The log of a guest's Linux (what dmesg shows), read out of its memory.
 *
 * Owns: the layout of printk's ring buffer, as 32-bit kernels from 5.10 on have it, and its
 * validation: memory of a guest that has crashed may hold anything.
 */
#ifndef PLEX86_GUEST_LOG_H
#define PLEX86_GUEST_LOG_H

#include "../../common/vm.h"
#include "symbols.h"

#define GUEST_LOG_TEXT 1024 /* of longer records the beginning */

struct guest_log {
	const struct vm *vm;
	u32 descs, infos, data; /* where they are, linear */
	u32 count_bits, size_bits;
	u32 tail; /* number of the oldest record */
	u32 records;
};

struct guest_log_record {
	u64 seq, ns;
	unsigned level, facility;
	size_t len;
	char text[GUEST_LOG_TEXT + 1]; /* as the guest wrote it: any bytes; a 0 behind them */
};

/* False: this guest has no log, or none that can be understood. `vm` must outlive it. */
bool guest_log_open(struct guest_log *log, const struct vm *vm, const struct symbols *symbols);
/* The same by the address of the variable `prb`. */
bool guest_log_open_at(struct guest_log *log, const struct vm *vm, u32 prb);
/* Record `i`, the oldest being 0. False: it is not there, or not whole. */
bool guest_log_read(const struct guest_log *log, u32 i, struct guest_log_record *r);
/* Does it say that the kernel has panicked? Then that record is in *r. Programs cannot forge one.
 */
bool guest_log_panic(const struct guest_log *log, struct guest_log_record *r);

#endif
