/*
 * XSAVE and XRSTOR of the emulated CPU: see xsave.h, and SDM vol. 1, 13.7 and 13.8.
 */
#include "xsave.h"
#include "../vcpu/handover.h"
#include "fpu.h"
#include "unicorn-internals.h"

#include <string.h>

#define LEAF_XSAVE     0xdu
#define COMPONENTS     8u
#define FIRST_EXTENDED 2u
#define ALIGNMENT      64u
#define FCW_INIT       0x37fu
#define MXCSR_RESERVED 0xffff0000u

/* Parts of the legacy area. */
#define X87_STATE   24u /* bytes, from 0 */
#define MXCSR	    24u
#define MXCSR_BYTES 8u
#define ST	    32u
#define ST_BYTES    128u
#define XMM	    160u
#define XMM_BYTES   128u /* of eight */
#define HEADER	    512u
#define AREA	    576u

/* XSTATE_BV, XCOMP_BV, and what is reserved. */
struct header {
	u64 present, compact, reserved[6];
};

struct place {
	u32 size, offset;
};

/* A context switch of the guest's asks for each of them twice; in a virtual machine CPUID takes
 * longer than the whole of that. */
static const struct place *place_of(unsigned i)
{
	static struct place places[COMPONENTS];
	static bool known;
	u32 out[4];

	for (unsigned n = FIRST_EXTENDED; !known && n < COMPONENTS; n++) {
		host_cpuid(&shared->vm, LEAF_XSAVE, n, out);
		places[n] = (struct place){.size = out[0], .offset = out[1]};
	}
	known = true;
	return &places[i];
}

/* Bytes of the area that component `i` has; false: none here. */
static bool component(unsigned i, u32 *offset, u32 *size)
{
	const struct place *p = place_of(i);

	*size = p->size;
	*offset = p->offset;
	return *size && *offset >= AREA && *offset <= FPU_AREA && *size <= FPU_AREA - *offset;
}

static u8 usable(const struct vm *vm, u32 la)
{
	if (!(vm->cpu.cr4 & CR4_OSXSAVE))
		return EXC_UD;
	if (emulated_cpu()->cr[0] & CR0_TS)
		return EXC_NM;
	return la % ALIGNMENT ? EXC_GP : 0;
}

static void store(u32 la, u32 offset, u32 size, uintptr_t host_pc)
{
	emulated_store(la + offset, shared->fpu.area + offset, size, host_pc);
}

u8 xsave(u32 la, u64 mask, bool optimized, uintptr_t host_pc)
{
	const struct header *ours = (const struct header *)(shared->fpu.area + HEADER);
	const u64 asked = mask & shared->vm.cpu.xcr0;
	const u8 exception = usable(&shared->vm, la);
	u64 present, written;
	u32 offset, size;

	if (exception)
		return exception;
	fpu_give();
	written = optimized ? asked & ours->present : asked;
	if (written & XCR0_X87) {
		store(la, 0, X87_STATE, host_pc);
		store(la, ST, ST_BYTES, host_pc);
	}
	if (asked & (XCR0_SSE | XCR0_AVX))
		store(la, MXCSR, MXCSR_BYTES, host_pc);
	if (written & XCR0_SSE)
		store(la, XMM, XMM_BYTES, host_pc);
	for (unsigned i = FIRST_EXTENDED; i < COMPONENTS; i++)
		if ((written >> i & 1) && component(i, &offset, &size))
			store(la, offset, size, host_pc);
	emulated_load(la + HEADER, &present, sizeof(present), host_pc);
	present = (present & ~asked) | (ours->present & asked);
	emulated_store(la + HEADER, &present, sizeof(present), host_pc);
	return 0;
}

/* ---- XRSTOR ---- */

static void set_x87(u8 *area, const u8 *from)
{
	memcpy(area, from, X87_STATE);
	memcpy(area + ST, from + ST, ST_BYTES);
}

static void reset_x87(u8 *area)
{
	const u16 fcw = FCW_INIT;

	memset(area, 0, X87_STATE);
	memset(area + ST, 0, ST_BYTES);
	memcpy(area, &fcw, sizeof(fcw));
}

static bool header_valid(const struct header *h, u64 xcr0)
{
	static const u64 zero[6];

	return !h->compact && !(h->present & ~xcr0) && !memcmp(h->reserved, zero, sizeof(zero));
}

/* All of it is read first: a fault must leave the registers as they are. */
static void read_area(u8 *area, u32 la, u64 loaded, uintptr_t host_pc)
{
	u32 offset, size;

	emulated_load(la, area, HEADER, host_pc);
	for (unsigned i = FIRST_EXTENDED; i < COMPONENTS; i++)
		if ((loaded >> i & 1) && component(i, &offset, &size))
			emulated_load(la + offset, area + offset, size, host_pc);
}

static void restore(const u8 *from, u64 asked, u64 loaded)
{
	u8 *area = shared->fpu.area;
	struct header *ours = (struct header *)(area + HEADER);
	u32 offset, size;

	if (loaded & XCR0_X87)
		set_x87(area, from);
	else if (asked & XCR0_X87)
		reset_x87(area);
	if (asked & (XCR0_SSE | XCR0_AVX))
		memcpy(area + MXCSR, from + MXCSR, sizeof(u32));
	if (loaded & XCR0_SSE)
		memcpy(area + XMM, from + XMM, XMM_BYTES);
	else if (asked & XCR0_SSE)
		memset(area + XMM, 0, XMM_BYTES);
	for (unsigned i = FIRST_EXTENDED; i < COMPONENTS; i++) {
		if (!(asked >> i & 1) || !component(i, &offset, &size))
			continue;
		if (loaded >> i & 1)
			memcpy(area + offset, from + offset, size);
		else
			memset(area + offset, 0, size);
	}
	ours->present = (ours->present & ~asked) | loaded;
}

u8 xrstor(u32 la, u64 mask, uintptr_t host_pc)
{
	const u64 xcr0 = shared->vm.cpu.xcr0, asked = mask & xcr0;
	const u8 exception = usable(&shared->vm, la);
	u8 area[FPU_AREA] __attribute__((aligned(8)));
	struct header h;
	u32 mxcsr;

	if (exception)
		return exception;
	emulated_load(la + HEADER, &h, sizeof(h), host_pc);
	if (!header_valid(&h, xcr0))
		return EXC_GP;
	read_area(area, la, asked & h.present, host_pc);
	memcpy(&mxcsr, area + MXCSR, sizeof(mxcsr));
	if ((asked & (XCR0_SSE | XCR0_AVX)) && (mxcsr & MXCSR_RESERVED))
		return EXC_GP;
	fpu_give();
	restore(area, asked, asked & h.present);
	fpu_replaced();
	return 0;
}

u64 xsave_xcr0(void)
{
	return shared->vm.cpu.xcr0;
}
