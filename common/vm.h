/*
 * A virtual machine as the core sees it.
 *
 * Owns: struct vm, which ties the parts together, and vm_ram(), the only way to guest RAM.
 */
#ifndef PLEX86_VM_H
#define PLEX86_VM_H

#include "clock.h"
#include "cmos.h"
#include "cpu-identity.h"
#include "debug.h"
#include "device-page.h"
#include "exit.h"
#include "host.h"
#include "pic.h"
#include "pit.h"
#include "port-window.h"
#include "shadow.h"
#include "trace.h"
#include "vcpu.h"

/* The exception that the operation in progress has raised. */
struct exception_info {
	u8 vector;
	bool has_error;
	u32 error;
	u64 address; /* of a page fault: CR2 once it is delivered */
};

/* What the core waits for the VMM to deliver (vm->exit says where). */
enum pending_kind { PENDING_NONE, PENDING_IO, PENDING_MMIO };

struct pending {
	u8 kind;	  /* enum pending_kind */
	struct insn insn; /* the instruction to finish with the value read */
};

/* The fast stubs in the PV page, and the guest addresses they were made with (stubs.h). */
struct stubs {
	bool enabled;
	struct segment kernel_cs, kernel_ss;
	u32 handler, esp0, tls;
};

/* A page fault that the guest's kernel is handling: the page it is likely to make present, and how
 * many behind it. */
struct expected_page {
	bool pending, write;
	u32 la, ahead;
};

struct vm {
	struct vcpu cpu;
	struct pic_pair pic;
	struct pit pit;
	struct cmos cmos;
	struct clock clock;
	struct exception_info exc;
	struct vm_exit exit;
	struct pending pending;
	struct vm_stats stats;
	struct trace_ring *trace; /* the host's, set before core_reset() */
	struct device_pages devices;
	struct port_window window;
	u32 irq_lines;	   /* levels asked for by the VMM; written by it, atomically; above them a
			    * count of DEVICE_NEWS */
	u32 irq_seen;	   /* of these, what the interrupt controller has been told */
	u64 timer;	   /* clock_now() time at which the PIT wants attention; 0: never */
	u64 armed;	   /* what host_arm_timer() was last told */
	u64 low_limit;	   /* linear addresses below this cannot be mapped by the host */
	u64 ram_size;	   /* bytes; a multiple of 4 KiB; PV and device pages follow */
	u8 *ram;	   /* alias of all these in this address space */
	bool cpuid_faults; /* user code's CPUID traps as well */
	bool fast_paths;   /* stubs may run without a trap */
	bool levels; /* the engine's CPU has the guest's privilege levels and modes itself: there
		      * is no PV page among its linear pages, and IF and CPL are the CPU's */
	bool native; /* the hybrid engine's: user code runs, on the host's CPU */
	const u64 *mapped; /* then: a bit for each linear page, set where its record is mapped;
			    * records that the other side has made are not, until user code wants
			    * them; NULL: who knows */
	u8 *translated;	   /* an emulator's: of which pages of RAM it has translations, a byte each;
			    * NULL: none */
	bool code_written; /* the core, for the guest, has written to one of these */
	bool common_cpu;   /* CPUID announces what every engine has, and trace digests leave out
			    * what CPUs do not agree on; set before core_reset() */
	bool two_views;	   /* the host shows user code only what is mapped with HOST_USER */
	bool user_view;	   /* if so: that was in force when the guest last ran */
	u64 gate;	   /* where 64-bit code of the host's takes core_gate() from; 0: nowhere */
	u64 slot[SEG_COUNT]; /* what HOST_SLOT_SEG0 and up hold; 0: nothing yet */
	struct stubs stubs;
	struct expected_page expected;
	struct debug debug;
	bool abi;			  /* the guest carries the plex86 note */
	struct cpu_identity cpu_identity; /* of this host, for its guests */
	struct shadow_pool pool;
	struct shadow shadow[SHADOW_COUNT];
};

/* The shadow in force. */
static inline struct shadow *vm_shadow(struct vm *vm)
{
	return &vm->shadow[vm->pool.active];
}

/* Guest RAM at [gpa, gpa + len), or NULL if any of it is not RAM. */
static inline void *vm_ram(const struct vm *vm, u64 gpa, u64 len)
{
	if (gpa >= vm->ram_size || len > vm->ram_size - gpa)
		return NULL;
	return vm->ram + gpa;
}

#endif
