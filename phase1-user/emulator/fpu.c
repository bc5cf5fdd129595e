/*
 * The FPU's registers for others, as an XSAVE area: for the VMM at the exits where it may want
 * them, for the hybrid engine's vcpu processes; and see fpu.h.
 */
#include "fpu.h"
#include "../vcpu/handover.h"
#include "kmod.h"
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

#define FCW_INIT      0x37f
#define MXCSR_INIT    0x1f80
#define TAG_EMPTY     3u
#define TOP_OF(fsw)   ((fsw) >> 11 & 7u)
#define MXCSR_MASK    0xffffu
#define HEADER_OFFSET FPU_LEGACY
#define COMPONENTS    (XCR0_X87 | XCR0_SSE)

/* They are in the shared memory, not here. */
static bool elsewhere;

/* Alone the emulator has no other components; beside vcpu processes these keep what they are. */
static void put_header(void)
{
	u64 present = COMPONENTS, before;

	memcpy(&before, shared->fpu.area + HEADER_OFFSET, sizeof(before));
	if (shared->hybrid.on)
		present |= before;
	else
		memset(shared->fpu.area, 0, FPU_AREA);
	memcpy(shared->fpu.area + HEADER_OFFSET, &present, sizeof(present));
}

void fpu_give(void)
{
	struct legacy area = {.mxcsr_mask = MXCSR_MASK};
	u16 tags = 0;

	kmod_fetch_fpu();
	if (elsewhere)
		return;

	emulated_read(UC_X86_REG_FPCW, &area.fcw);
	emulated_read(UC_X86_REG_FPSW, &area.fsw);
	emulated_read(UC_X86_REG_FPTAG, &tags);
	emulated_read(UC_X86_REG_MXCSR, &area.mxcsr);
	area.mxcsr &= MXCSR_MASK;
	for (unsigned i = 0; i < REGISTERS; i++) {
		const unsigned physical = (TOP_OF(area.fsw) + i) % REGISTERS;
		u8 value[16] = {0};

		emulated_read(UC_X86_REG_FP0 + physical, value);
		memcpy(area.st[i], value, ST_BYTES);
		if ((tags >> (2 * i) & TAG_EMPTY) != TAG_EMPTY)
			area.ftw |= 1u << i;
		emulated_read(UC_X86_REG_XMM0 + i, area.xmm[i]);
	}
	put_header();
	memcpy(shared->fpu.area, &area, sizeof(area));
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

void fpu_init(void)
{
	const struct legacy area = {.fcw = FCW_INIT, .mxcsr = MXCSR_INIT};

	take(&area);
}

void fpu_take_back(void)
{
	struct legacy area = {.fcw = FCW_INIT, .mxcsr = MXCSR_INIT};
	u64 present;

	/* What is not here is not taken: whoever comes next has it to do. */
	if (!shared->fpu.changed || elsewhere)
		return;
	memcpy(&present, shared->fpu.area + HEADER_OFFSET, sizeof(present));
	/* A component that is not there is in its initial state. */
	if (present & XCR0_X87) {
		memcpy(&area, shared->fpu.area, sizeof(area) - sizeof(area.xmm));
		area.mxcsr = MXCSR_INIT;
	}
	if (present & XCR0_SSE) {
		memcpy(&area.mxcsr, shared->fpu.area + offsetof(struct legacy, mxcsr),
		       sizeof(area.mxcsr));
		memcpy(area.xmm, shared->fpu.area + offsetof(struct legacy, xmm), sizeof(area.xmm));
	}
	take(&area);
	shared->fpu.changed = false;
}

/* ---- beside vcpu processes ---- */

void fpu_left(void)
{
	elsewhere = true;
}

void fpu_pass(void)
{
	if (elsewhere)
		return;
	fpu_give();
	shared->fpu.changed = true;
}

void fpu_replaced(void)
{
	shared->fpu.changed = true;
	fpu_take_back();
}

bool fpu_fetch(void)
{
	if (!elsewhere || (emulated_cpu()->cr[0] & (CR0_TS | CR0_EM)))
		return false;
	kmod_fetch_fpu();
	elsewhere = false;
	shared->fpu.changed = true;
	fpu_take_back();
	return true;
}

bool fpu_is_here(void)
{
	return !elsewhere;
}
