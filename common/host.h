/*
 * The one interface from the core down to its host: the vcpu process of phase 1, the kernel
 * module of phase 2, or the arrays of a unit test.
 *
 * All functions are called by the core on the vcpu's own thread, with no lock held.
 */
#ifndef PLEX86_HOST_H
#define PLEX86_HOST_H

#include "device-page.h"

struct vm;

/* HOST_POPULATE: the memory is about to be used, so have the host map all of it now.
 * HOST_USER: for user code as well, where the host keeps a view for each privilege level. */
enum { HOST_READ = 1, HOST_WRITE = 2, HOST_EXEC = 4, HOST_POPULATE = 8, HOST_USER = 16 };

/* Guest-physical address of the PV page: just behind RAM, so no guest page table can name it
 * without passing vm_ram()'s check first. */
#define HOST_PV_GPA(vm) ((vm)->ram_size)
/* The same for the register pages of devices (device-page.h), behind it. */
#define HOST_DEVICE_GPA(vm, index) (HOST_PV_GPA(vm) + (1 + (u64)(index)) * PAGE_SIZE_4K)
/* All of these pages. */
#define HOST_EXTRA_BYTES ((1 + DEVICE_PAGES) * PAGE_SIZE_4K)

enum host_error {
	HOST_OK = 0,
	HOST_LIMIT, /* no room for another mapping: unmap something and try again */
	HOST_LOW,   /* the host does not let us map this address: emulate accesses to it */
	HOST_FAIL,  /* anything else: stop the guest */
};

/* Map `len` bytes at linear `la` to guest-physical `gpa` (RAM or the pages behind it), replacing
 * what was there. All multiples of 4 KiB. `prot` is HOST_*; execution is allowed with read. */
enum host_error host_map(struct vm *vm, u64 la, u64 gpa, u64 len, unsigned prot);
enum host_error host_protect(struct vm *vm, u64 la, u64 len, unsigned prot);
/* Must succeed: what is forgotten must not stay mapped. */
enum host_error host_unmap(struct vm *vm, u64 la, u64 len);

/* Change to address space `index` (below vm->pool.count; vm->pool.active names the old one): from
 * now on guest code runs, and the functions above work, in that one. It is as it was left, empty at
 * first; so are its TLS slots. LDT slots are the same in all. */
enum host_error host_activate(struct vm *vm, unsigned index);

/* Where a descriptor goes. LDT slots are selectors HOST_LDT_SELECTOR(slot); TLS slots are the
 * GDT entries that guest and host share (ABI: 12-14). */
enum host_slot {
	HOST_SLOT_USER_CS,   /* LDT 0 */
	HOST_SLOT_USER_DS,   /* LDT 1 */
	HOST_SLOT_FLAT_DS,   /* LDT 2: flat data under another selector than the host's own */
	HOST_SLOT_SEG0 = 16, /* LDT 16 + enum seg_reg: a segment the host has no selector for */
	HOST_SLOT_TLS0 = 32, /* GDT 12 + n */
	HOST_SLOT_LDT0 = 64, /* LDT n, whatever that is above: with the hybrid engine (native.h) */
};
#define HOST_LDT_SELECTOR(slot) ((u16)((slot) << 3 | 7))
#define HOST_TLS_ENTRY		12
#define HOST_TLS_COUNT		3
#define HOST_FLAT_CS		0x23
#define HOST_FLAT_DS		0x2b

/* Put an 8-byte descriptor (SDM format; DPL is forced to 3; 0 empties the slot) into `slot`. */
enum host_error host_set_segment(struct vm *vm, enum host_slot slot, u64 descriptor);

/* Monotonic nanoseconds, and seconds since 1970 UTC. */
u64 host_now(struct vm *vm);
s64 host_utc(struct vm *vm);
/* Has host_now() reached `deadline`? May say no a little too long, but is quicker to ask. */
bool host_due(struct vm *vm, u64 deadline);
/* Interrupt guest execution at `deadline` (host_now() clock); 0: never. */
void host_arm_timer(struct vm *vm, u64 deadline);
/* The host's CPUID, unfiltered. out: eax, ebx, ecx, edx. */
void host_cpuid(struct vm *vm, u32 leaf, u32 subleaf, u32 out[4]);
u64 host_tsc(struct vm *vm);

#endif
