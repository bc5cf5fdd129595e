/*
 * A host made of arrays, and a small protected-mode machine in guest RAM, for tests of the core.
 *
 * Owns: common/host.h as the tests see it: every mapping the core makes is recorded page by page,
 * failures, time and CPUID are settable. RAM and PV page come from malloc, so that AddressSanitizer
 * sees every access behind them.
 */
#ifndef PLEX86_MOCK_HOST_H
#define PLEX86_MOCK_HOST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../common/core.h"
#include "../../common/emulate.h"
#include "../../common/mem.h"
#include "../../common/paging.h"
#include "../../common/pv.h"
#include "../../common/reflect.h"
#include "../../common/segment.h"

/* What is mapped at a linear page: gpa | HOST_* bits; 0: nothing. */
#define MOCK_GPA(page)	((page)&0xfffff000u)
#define MOCK_PROT(page) ((page)&7u)
#define RX		(HOST_READ | HOST_EXEC)
#define RWX		(HOST_READ | HOST_WRITE | HOST_EXEC)

/* Page-table entries of the guest's kernel and of its users. */
#define KPAGE (PTE_P | PTE_W)
#define UPAGE (PTE_P | PTE_W | PTE_U)

struct mock {
	struct vm vm;		  /* first: host functions get from the one to the other */
	u32 *page;		  /* of the address space in force */
	u32 *space[SHADOW_COUNT]; /* of each; NULL: never in force */
	u32 in_force;		  /* its index */
	u64 segment[128];	  /* by enum host_slot; TLS slots: of the space in force */
	u64 tls[SHADOW_COUNT][HOST_TLS_COUNT]; /* of the others */
	enum host_error activate_error;
	unsigned activations;
	unsigned maps, protects, unmaps, segments; /* calls so far */
	/* Failures to come: the next `fail_maps` calls of host_map() give `map_error`. */
	unsigned fail_maps;
	enum host_error map_error, protect_error, segment_error;
	u32 mapped;			    /* pages in the space in force */
	u32 mapped_elsewhere[SHADOW_COUNT]; /* when the others were last in force */
	u32 changed_from, changed_to;	    /* pages of the last map or protect call */
	u64 now, tsc;
	s64 utc;
	u64 armed;     /* deadline of the last host_arm_timer() */
	unsigned arms; /* calls of it */
	struct trace_ring trace;
	u32 cpuid[4]; /* what every leaf of the host's CPUID says */
	/* For vm_renew(): which spaces were in force, and which slots host_map() was called for. */
	u32 entered;
	u64 touched[SHADOW_COUNT][SHADOW_SLOTS / 64];
};

static inline struct mock *mock_of(const struct vm *vm)
{
	return (struct mock *)vm;
}

/* What is mapped at `la` in the address space in force, and whether for user code as well. */
static inline u32 mock_mapping(const struct vm *vm, u32 la)
{
	return mock_of(vm)->page[la >> 12] & ~(u32)HOST_USER;
}

static inline bool mock_is_user(const struct vm *vm, u32 la)
{
	return mock_of(vm)->page[la >> 12] & HOST_USER;
}

/* --------------------------------------------------------- the machine ---- */

/* Where things lie in guest RAM. Paging is off until the test turns it on, so linear = physical. */
enum {
	AT_GDT = 0x1000,
	AT_IDT = 0xa000,
	AT_TSS = 0x3000,
	AT_LDT = 0x4000,
	AT_PD = 0x5000,
	AT_PT = 0x6000,
	AT_CODE = 0x10000,
	AT_KSTACK = 0x21000,
	AT_TSS_STACK = 0x23000,
	AT_USER_CODE = 0x30000,
	AT_USER_STACK = 0x41000,
	AT_HANDLERS = 0x50000,
	AT_DATA = 0x60000,
	AT_DATA_END = 0x70000,
	VM_RAM = 0x100000
};
#define HANDLER(vector) (AT_HANDLERS + (vector)*16u)

/* The GDT: flat segments and one that is neither flat nor based at 0. */
enum {
	KCS = 0x10,
	KDS = 0x18,
	UCS = 0x23,
	UDS = 0x2b,
	TSS = 0x30,
	LDT = 0x38,
	SMALL = 0x43,
	SPARE = 0x48,
	SPARE2 = 0x50,
	TLS0 = 0x63,
	GDT_LIMIT = 0xff
};

/* Descriptor bits 40-47: present; OR with the DPL. */
enum {
	D_CODE = 0x9b,
	D_CODE_XO = 0x99,
	D_CODE_CONF = 0x9f,
	D_DATA = 0x93,
	D_DATA_RO = 0x91,
	D_DATA_DOWN = 0x97,
	D_LDT = 0x82,
	D_TSS = 0x89,
	D_TSS_BUSY = 0x8b,
	D_CALL32 = 0x8c,
	D_CALL16 = 0x84,
	D_TASK = 0x85,
	D_INT32 = 0x8e,
	D_TRAP32 = 0x8f,
	D_INT16 = 0x86,

	D_DPL3 = 0x60,
	D_ABSENT = 0x80 /* to be cleared */
};
/* Bits 52-55. */
enum { D_32 = 4, D_4K = 8, D_FLAT = D_32 | D_4K };

u64 descriptor(u32 base, u32 limit, u8 access, u8 flags);
u64 gate_descriptor(u16 selector, u32 offset, u8 access, u8 params);
void put_descriptor(struct vm *vm, u16 selector, u64 desc);
u64 get_descriptor(struct vm *vm, u16 selector);
void put_gate(struct vm *vm, u8 vector, u16 selector, u32 offset, u8 access);

/* A machine at CPL 0 in flat 32-bit code at AT_CODE, with GDT, LDT, TSS and an IDT whose gates all
 * are 32-bit interrupt gates of DPL 0 to HANDLER(vector). */
struct vm *vm_create(u64 ram_size);
/* The same once more: all of struct mock but `space` and vm.ram is 0, and so is what these have. */
void vm_restart(struct vm *vm);
/* As vm_create() has made it, but in a fraction of the time: for fuzzers. RAM is not touched. */
void vm_renew(struct vm *vm);
/* The host has room for `count` address spaces. */
void vm_spaces(struct vm *vm, u32 count);
void vm_free(struct vm *vm);
/* cmocka fixtures: *state is the struct vm, with VM_RAM bytes. */
int vm_setup(void **state);
int vm_teardown(void **state);
#define VM_TEST(name) cmocka_unit_test_setup_teardown(name, vm_setup, vm_teardown)

/* Go to CPL 3 (UCS, UDS) or back to CPL 0 (KCS, KDS), with rip and rsp of that level. */
void vm_user(struct vm *vm);
void vm_kernel(struct vm *vm);
/* The ABI's user segments at CPL 3. */
void vm_abi_user(struct vm *vm);

/* Guest RAM by physical address. */
void poke(struct vm *vm, u32 gpa, const void *bytes, unsigned len);
void poke32(struct vm *vm, u32 gpa, u32 value);
void poke16(struct vm *vm, u32 gpa, u16 value);
u32 peek32(const struct vm *vm, u32 gpa);
u16 peek16(const struct vm *vm, u32 gpa);
u8 peek8(const struct vm *vm, u32 gpa);

/* Page tables: a directory at AT_PD that maps [0, 4 MiB) by the table at AT_PT, identically, with
 * `pte` bits; turns paging on. */
void vm_paging(struct vm *vm, u32 pte);
u32 *pde_of(struct vm *vm, u32 la);
u32 *pte_of(struct vm *vm, u32 la); /* of the table that the PDE names */

/* ---------------------------------------------------------- running ---- */

/* Put an instruction at CS:rip. */
#define code(vm, ...)                                                                           \
	do {                                                                                    \
		const u8 bytes_[] = {__VA_ARGS__};                                              \
		poke((vm), (vm)->cpu.seg[SEG_CS].base + (vm)->cpu.rip, bytes_, sizeof(bytes_)); \
	} while (0)
/* Little-endian immediates for code(). */
#define IMM16(v) (u8)(v), (u8)((v) >> 8)
#define IMM32(v) IMM16(v), (u8)((v) >> 16), (u8)((v) >> 24)

/* Put an instruction at CS:rip and let it trap with #GP(0). */
#define gp(vm, ...)                    \
	({                             \
		code(vm, __VA_ARGS__); \
		trap_gp(vm);           \
	})
enum core_next trap_gp(struct vm *vm);
enum core_next trap_pf(struct vm *vm, u32 la, u32 error);
enum core_next trap_vector(struct vm *vm, u8 vector, u32 error);
/* The core resumed the guest at `rip`. */
void assert_next(struct vm *vm, enum core_next next, u32 rip);

/* The frame of a 32-bit handler. esp and ss are there if the CPL changed. */
struct frame {
	u32 error, eip, cs, flags, esp, ss;
};
/* The core resumed the guest at the handler of `vector`: its frame. */
struct frame delivered(struct vm *vm, enum core_next next, u8 vector);
/* `vector` was delivered for the instruction at `rip`, with this error code. */
void assert_fault(struct vm *vm, enum core_next next, u8 vector, u32 error, u32 rip);
/* The core gave up with EXIT_FAULT for this reason. */
void assert_stopped(struct vm *vm, enum core_next next, enum vm_fault reason);

/* Raise interrupt line 3: vector 0x23. */
#define IRQ	   3
#define IRQ_VECTOR 0x23
void pic_ready(struct vm *vm);
void raise_irq(struct vm *vm);

u32 random32(void);

#endif
