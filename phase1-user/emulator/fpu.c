/*
 * The FPU's registers for the VMM, at the exits where it may want them: as an XSAVE area.
 */
#include "../vcpu/handover.h"
#include "unicorn-internals.h"

#include <string.h>
#include <unicorn/x86.h>

#define REGISTERS 8
#define ST_BYTES  10

/* SDM vol. 1, table 10-2 */
struct legacy {
	u16 fcw, fsw;
	u8 ftw, reserved;
	u16 fop;
	u64 fip, fdp;
	u32 mxcsr, mxcsr_mask;
	u8 st[REGISTERS][16];
	u8 xmm[16][16];
};

#define TAG_EMPTY     3u
#define TOP_OF(fsw)   ((fsw) >> 11 & 7u)
#define MXCSR_MASK    0xffffu
#define HEADER_OFFSET FPU_LEGACY
#define COMPONENTS    (XCR0_X87 | XCR0_SSE)

void fpu_give(void)
{
	struct legacy area = {.mxcsr_mask = MXCSR_MASK};
	const u64 present = COMPONENTS;
	u16 tags = 0;

	emulated_read(UC_X86_REG_FPCW, &area.fcw);
	emulated_read(UC_X86_REG_FPSW, &area.fsw);
	emulated_read(UC_X86_REG_FPTAG, &tags);
	emulated_read(UC_X86_REG_MXCSR, &area.mxcsr);
	for (unsigned i = 0; i < REGISTERS; i++) {
		const unsigned physical = (TOP_OF(area.fsw) + i) % REGISTERS;
		u8 value[16] = {0};

		emulated_read(UC_X86_REG_FP0 + physical, value);
		memcpy(area.st[i], value, ST_BYTES);
		if ((tags >> (2 * i) & TAG_EMPTY) != TAG_EMPTY)
			area.ftw |= 1u << i;
		emulated_read(UC_X86_REG_XMM0 + i, area.xmm[i]);
	}
	memset(shared->fpu.area, 0, FPU_AREA);
	memcpy(shared->fpu.area, &area, sizeof(area));
	memcpy(shared->fpu.area + HEADER_OFFSET, &present, sizeof(present));
	shared->fpu.changed = false;
}

static void take(const struct legacy *area)
{
	u16 tags = 0;

	emulated_write(UC_X86_REG_FPCW, &area->fcw);
	emulated_write(UC_X86_REG_FPSW, &area->fsw);
	for (unsigned i = 0; i < REGISTERS; i++) {
		const unsigned physical = (TOP_OF(area->fsw) + i) % REGISTERS;
		u8 value[16] = {0};

		memcpy(value, area->st[i], ST_BYTES);
		emulated_write(UC_X86_REG_FP0 + physical, value);
		if (!(area->ftw >> i & 1))
			tags |= TAG_EMPTY << (2 * i);
		emulated_write(UC_X86_REG_XMM0 + i, area->xmm[i]);
	}
	emulated_write(UC_X86_REG_FPTAG, &tags);
	emulated_write(UC_X86_REG_MXCSR, &area->mxcsr);
}

void fpu_take_back(void)
{
	struct legacy area = {.fcw = 0x37f, .mxcsr = 0x1f80};
	u64 present;

	if (!shared->fpu.changed)
		return;
	memcpy(&present, shared->fpu.area + HEADER_OFFSET, sizeof(present));
	/* A component that is not there is in its initial state. */
	if (present & XCR0_X87) {
		memcpy(&area, shared->fpu.area, sizeof(area) - sizeof(area.xmm));
		area.mxcsr = 0x1f80;
	}
	if (present & XCR0_SSE) {
		memcpy(&area.mxcsr, shared->fpu.area + 24, sizeof(area.mxcsr));
		memcpy(area.xmm, shared->fpu.area + 160, sizeof(area.xmm));
	}
	take(&area);
	shared->fpu.changed = false;
}
