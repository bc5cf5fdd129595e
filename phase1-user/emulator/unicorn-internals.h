/*
 * libunicorn 2.0.1 as the CPU of a whole machine: what its public interface does not offer.
 *
 * Owns: everything that depends on how that library is built: the layout of its structures, and
 * functions of its own that ours replace (the program is linked -rdynamic). unicorn-check.c tries
 * all of it before a guest runs, and refuses a library that does otherwise.
 *
 * What the library gets wrong, and what stands in its place, is in docs/emulator.md.
 */
#ifndef PLEX86_UNICORN_INTERNALS_H
#define PLEX86_UNICORN_INTERNALS_H

#include "../../common/vcpu.h"

struct emulated_segment {
	u32 selector;
	u64 base;
	u32 limit;
	u32 flags; /* the descriptor's upper half */
};

/* The head of its CPU's registers. */
struct emulated_cpu {
	u64 gpr[16];
	u64 eip;
	u64 eflags; /* while it runs without the arithmetic ones and DF, which are in these: */
	u64 cc_dst, cc_src, cc_src2;
	u32 cc_op;
	s32 df;
	u32 hflags, hflags2;
	struct emulated_segment seg[SEG_COUNT], ldt, tr, gdt, idt;
	u64 cr[5];
};

#define EMULATED_CPL	0x3u   /* in hflags */
#define EMULATED_SHADOW 0x8u   /* in hflags: behind sti or mov ss */
#define EMULATED_CS32	0x10u  /* in hflags: CS.D */
#define EMULATED_TS	0x800u /* in hflags: CR0.TS, as far as FPU instructions go */

/* Why emulated_execute() came back. */
enum emulated_stop {
	STOP_INTERRUPT, /* interrupted() said so */
	STOP_EXCEPTION, /* the guest's own: vector, error */
	STOP_SOFT,	/* int n, int3 or into at eip: vector, length */
	STOP_WRAPPED, /* CS's base and eip have come to add up to another 4 GiB: load them again */
	STOP_PAGE,    /* page() said so: address, write, fetch, user */
	STOP_INSTRUCTION, /* the instruction at eip is not the library's to carry out */
	STOP_LIBRARY,	  /* it has given up: error */
};

struct emulated_exit {
	enum emulated_stop stop;
	u8 vector, length;
	u32 error, address;
	bool write, fetch, user;
};

/* The library's physical memory: guest RAM and what lies behind it, then TABLES_BYTES of ours; and
 * device memory, each address DEVICE_BASE above its own. */
#define EMULATED_TABLES	     PAGE_SIZE_4K
#define EMULATED_DEVICE_BASE (1ull << 32)

struct emulated_mapping {
	u64 physical;
	unsigned prot; /* HOST_READ, HOST_WRITE, HOST_EXEC */
};

/* What it asks for while it runs. */
struct emulated_owner {
	/* Where is the page at `la`? False: STOP_PAGE. `user`: with the rights of CPL 3. */
	bool (*page)(u32 la, bool write, bool fetch, bool user, struct emulated_mapping *m);
	/* Code in the page at this physical address is going to be translated for the first time,
	 * or has no translations any more; has it any? */
	void (*holds_code)(u64 physical, bool holds);
	bool (*is_code)(u64 physical);
	/* Between two blocks of code, with all registers but the arithmetic flags in place: stop?
	 */
	bool (*interrupted)(void);
	/* What RDTSC reads; false: that is the core's. */
	bool (*tsc)(u64 *value);
	u64 (*device_read)(u64 gpa, unsigned size);
	void (*device_write)(u64 gpa, unsigned size, u64 value);
	/* May FPU instructions run, as far as CR0 does not forbid it? */
	bool (*has_fpu)(void);
	/* XSAVE or XSAVEOPT, and XRSTOR: 0, or the exception that it raises. XCR0. */
	u8 (*xsave)(u32 la, u64 mask, bool optimized, uintptr_t host_pc);
	u8 (*xrstor)(u32 la, u64 mask, uintptr_t host_pc);
	u64 (*xcr0)(void);
};

/* Make it, with `ram` of `size` bytes. NULL, or why not. One at a time. */
const char *emulated_open(u8 *ram, u64 size, const struct emulated_owner *owner);
void emulated_close(void);
/* With XSAVE and its like, as it begins, or without: they are undefined then, at any CPL. */
void emulated_set_features(bool xsave);
/* Do the structures and functions seem to be where they should? Before anything is done with it. */
bool emulated_is_known(void);
struct emulated_cpu *emulated_cpu(void);
/* The page behind that RAM, which no guest-physical address names. */
u8 *emulated_tables(void);
/* Run from where the registers say. */
void emulated_execute(struct emulated_exit *exit);
/* From a signal handler: have the code that runs ask interrupted() soon. */
void emulated_poke(void);

void emulated_derive(void); /* what follows from segments, flags and control registers */
void emulated_cpuid(u32 leaf, u32 subleaf, u32 out[4]); /* what it can do */
/* Forget translations of addresses: all, or one page's. */
void emulated_flush(void);
void emulated_flush_page(u32 la);
/* Forget translations of code in a page of RAM. */
void emulated_drop_code(u64 gpa);

/* One of the FPU's registers and their like, by the number that unicorn/x86.h has for it. */
void emulated_read(int reg, void *value);
void emulated_write(int reg, const void *value);

/* Of the instruction that `host_pc` belongs to: an exception without an error code. */
_Noreturn void emulated_raise(u8 vector, uintptr_t host_pc);
const struct emulated_owner *emulated_owner(void);
/* Memory as the instruction that `host_pc` belongs to reaches it. If it faults they do not return.
 */
void emulated_load(u32 la, void *bytes, u32 n, uintptr_t host_pc);
void emulated_store(u32 la, const void *bytes, u32 n, uintptr_t host_pc);

#endif
