/*
 * The FPU's registers as bytes: see fpu.h.
 */
#include "fpu.h"

#include <cpuid.h>
#include <string.h>

#define XSAVE_LEAF	    0xdu
#define CPUID_1_ECX_OSXSAVE (1u << 27)
#define FIRST_EXTENDED	    2u
#define COMPONENT_COUNT	    8u /* of FPU_COMPONENTS */

#define FCW_OFFSET	   0
#define MXCSR_OFFSET	   24
#define MXCSR_MASK_OFFSET  28
#define XMM_OFFSET	   160
#define SOFTWARE_OFFSET	   464 /* the CPU does not use what follows */
#define FCW_INIT	   0x37f
#define MXCSR_INIT	   0x1f80
#define MXCSR_DEFAULT_MASK 0xffbf

_Static_assert(sizeof(struct fpu_area) == FPU_AREA, "as the hardware has it");
_Static_assert(FPU_COMPONENTS < 1u << COMPONENT_COUNT, "all are looked at");

static bool has_xsave(void)
{
	u32 eax, ebx, ecx, edx;

	return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & CPUID_1_ECX_OSXSAVE);
}

bool fpu_component(unsigned i, u32 *offset, u32 *size)
{
	u32 ecx, edx;

	if (i < FIRST_EXTENDED || i >= COMPONENT_COUNT)
		return false;
	__cpuid_count(XSAVE_LEAF, i, *size, *offset, ecx, edx);
	return *offset >= FPU_LEGACY + 64 && *offset <= FPU_AREA && *size &&
	       *size <= FPU_AREA - *offset;
}

u64 fpu_host_components(void)
{
	u32 low = XCR0_X87 | XCR0_SSE, high = 0, offset, size;
	u64 mask;

	if (has_xsave())
		__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	mask = low & FPU_COMPONENTS;
	for (unsigned i = FIRST_EXTENDED; i < COMPONENT_COUNT; i++)
		if ((mask >> i & 1) && !fpu_component(i, &offset, &size))
			mask &= ~(1ull << i);
	return mask;
}

static void put(struct fpu_area *area, size_t offset, const void *value, size_t size)
{
	memcpy((u8 *)area + offset, value, size);
}

static u32 mxcsr_of(const struct fpu_area *area)
{
	u32 mxcsr;

	memcpy(&mxcsr, area->legacy + MXCSR_OFFSET, sizeof(mxcsr));
	return mxcsr;
}

static u32 host_mxcsr_mask(void)
{
	u8 area[FPU_LEGACY] __attribute__((aligned(16))) = {0};
	u32 mask;

	__asm__ volatile("fxsave64 %0" : "+m"(area));
	memcpy(&mask, area + MXCSR_MASK_OFFSET, sizeof(mask));
	return mask ? mask : MXCSR_DEFAULT_MASK;
}

static void reset_x87(struct fpu_area *area)
{
	const u16 fcw = FCW_INIT;

	memset(area->legacy, 0, MXCSR_OFFSET);
	memset(area->legacy + MXCSR_MASK_OFFSET + 4, 0, XMM_OFFSET - MXCSR_MASK_OFFSET - 4);
	put(area, FCW_OFFSET, &fcw, sizeof(fcw));
}

/* MXCSR is there even if its component is not (SDM vol. 1, 13.6). */
static void reset_sse(struct fpu_area *area)
{
	memset(area->legacy + XMM_OFFSET, 0, SOFTWARE_OFFSET - XMM_OFFSET);
}

size_t fpu_tidy(struct fpu_area *area)
{
	const u64 has = fpu_host_components();
	const u64 present = has_xsave() ? area->present : XCR0_X87 | XCR0_SSE;
	size_t end = FPU_LEGACY + 64;

	memset(area->legacy + SOFTWARE_OFFSET, 0, FPU_LEGACY - SOFTWARE_OFFSET);
	if (!(present & XCR0_X87))
		reset_x87(area);
	if (!(present & XCR0_SSE))
		reset_sse(area);
	if (mxcsr_of(area) & ~host_mxcsr_mask())
		put(area, MXCSR_OFFSET, &(u32){MXCSR_INIT}, sizeof(u32));
	for (unsigned i = FIRST_EXTENDED; i < COMPONENT_COUNT; i++) {
		u32 offset, size;

		if (!(has >> i & 1) || !fpu_component(i, &offset, &size))
			continue;
		if (!(present >> i & 1))
			memset((u8 *)area + offset, 0, size);
		if (offset + size > end)
			end = offset + size;
	}
	area->present = has;
	area->compact = 0;
	memset(area->reserved, 0, sizeof(area->reserved));
	return end;
}

bool fpu_acceptable(const struct fpu_area *area, size_t size)
{
	static const u64 zero[ARRAY_SIZE(area->reserved)];

	if (size < FPU_LEGACY + 64 || size > sizeof(*area))
		return false;
	if (area->compact || memcmp(area->reserved, zero, sizeof(zero)))
		return false;
	if (mxcsr_of(area) & ~host_mxcsr_mask())
		return false;
	if (area->present & ~fpu_host_components())
		return false;
	for (unsigned i = FIRST_EXTENDED; i < COMPONENT_COUNT; i++) {
		u32 offset, length;

		if ((area->present >> i & 1) &&
		    (!fpu_component(i, &offset, &length) || offset + length > size))
			return false;
	}
	return true;
}
