/*
 * FPU and SSE registers out of an XSAVE area: see fpu.h.
 */
#include "fpu.h"
#include "../../common/vcpu.h"

#define AT_FCW	  0
#define AT_FSW	  2
#define AT_FTW	  4 /* abridged: a bit for each register that is not empty */
#define AT_MXCSR  24
#define AT_ST	  32
#define AT_XMM	  160
#define AT_STATES 512 /* XSTATE_BV: which components are not in their initial state */

#define FCW_INITIAL 0x037f

#define X87_SIZE 10 /* of a register */

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

/* Those of the x87's control registers that are numbers somewhere in the area. */
static const struct {
	u8 at, size;
} places[] = {
	[GDB_FPU_FCTRL - GDB_FPU_FCTRL] = {AT_FCW, 2},
	[GDB_FPU_FSTAT - GDB_FPU_FCTRL] = {AT_FSW, 2},
	[GDB_FPU_FISEG - GDB_FPU_FCTRL] = {12, 2},
	[GDB_FPU_FIOFF - GDB_FPU_FCTRL] = {8, 4},
	[GDB_FPU_FOSEG - GDB_FPU_FCTRL] = {20, 2},
	[GDB_FPU_FOOFF - GDB_FPU_FCTRL] = {16, 4},
	[GDB_FPU_FOP - GDB_FPU_FCTRL] = {6, 2},
};

static u64 states(const u8 *area)
{
	u64 bits;

	mem_copy(&bits, area + AT_STATES, sizeof(bits));
	return bits;
}

static u16 word(const u8 *area, unsigned at)
{
	u16 value;

	mem_copy(&value, area + at, sizeof(value));
	return value;
}

/* Before a part of the component is written, the rest of it must mean something. */
static void leave_initial_x87(u8 *area)
{
	const u64 now = states(area) | XCR0_X87;
	const u16 fcw = FCW_INITIAL;

	if (states(area) & XCR0_X87)
		return;
	mem_set(area, 0, AT_MXCSR);
	mem_set(area + AT_ST, 0, AT_XMM - AT_ST);
	mem_copy(area + AT_FCW, &fcw, sizeof(fcw));
	mem_copy(area + AT_STATES, &now, sizeof(now));
}

static void leave_initial_sse(u8 *area)
{
	const u64 now = states(area) | XCR0_SSE;

	if (states(area) & XCR0_SSE)
		return;
	mem_set(area + AT_XMM, 0, 8 * 16);
	mem_copy(area + AT_STATES, &now, sizeof(now));
}

/* The tag that the x87 itself would give a register (SDM vol. 1, 8.1.7). */
static unsigned tag_of(const u8 *st)
{
	u64 fraction;
	const unsigned exponent = word(st, 8) & 0x7fff;

	mem_copy(&fraction, st, sizeof(fraction));
	if (exponent == 0)
		return fraction ? TAG_SPECIAL : TAG_ZERO;
	if (exponent == 0x7fff || !(fraction >> 63))
		return TAG_SPECIAL;
	return TAG_VALID;
}

/* Two bits for each physical register; the area has them in the order of the stack. */
static u16 full_tags(const u8 *area)
{
	const unsigned top = word(area, AT_FSW) >> 11 & 7;
	u16 tags = 0;

	for (unsigned i = 0; i < 8; i++) {
		const u8 *st = area + AT_ST + 16 * ((i - top) & 7);
		const bool used = area[AT_FTW] >> i & 1;

		tags |= (used ? tag_of(st) : TAG_EMPTY) << 2 * i;
	}
	return tags;
}

static u8 abridged_tags(u16 tags)
{
	u8 used = 0;

	for (unsigned i = 0; i < 8; i++)
		if ((tags >> 2 * i & 3) != TAG_EMPTY)
			used |= 1 << i;
	return used;
}

static u32 read_control(const u8 *area, unsigned reg)
{
	u32 value = 0;

	if (!(states(area) & XCR0_X87))
		return reg == GDB_FPU_FCTRL ? FCW_INITIAL : reg == GDB_FPU_FTAG ? 0xffff : 0;
	if (reg == GDB_FPU_FTAG)
		return full_tags(area);
	mem_copy(&value, area + places[reg - GDB_FPU_FCTRL].at, places[reg - GDB_FPU_FCTRL].size);
	return value;
}

static void write_control(u8 *area, unsigned reg, u32 value)
{
	leave_initial_x87(area);
	if (reg == GDB_FPU_FTAG)
		area[AT_FTW] = abridged_tags(value);
	else
		mem_copy(area + places[reg - GDB_FPU_FCTRL].at, &value,
			 places[reg - GDB_FPU_FCTRL].size);
}

void gdb_fpu_read(const u8 *area, unsigned reg, u8 *to, size_t size)
{
	mem_set(to, 0, size);
	if (reg < GDB_FPU_FCTRL) {
		if (states(area) & XCR0_X87)
			mem_copy(to, area + AT_ST + 16 * reg, size < X87_SIZE ? size : X87_SIZE);
	} else if (reg < GDB_FPU_XMM0) {
		const u32 value = read_control(area, reg);

		mem_copy(to, &value, size < sizeof(value) ? size : sizeof(value));
	} else if (reg < GDB_FPU_MXCSR) {
		if (states(area) & XCR0_SSE)
			mem_copy(to, area + AT_XMM + 16 * (reg - GDB_FPU_XMM0), size);
	} else {
		/* Unlike the XMM registers it is saved whatever the header says. */
		mem_copy(to, area + AT_MXCSR, size < 4 ? size : 4);
	}
}

void gdb_fpu_write(u8 *area, unsigned reg, const u8 *from, size_t size)
{
	u32 value = 0;

	mem_copy(&value, from, size < sizeof(value) ? size : sizeof(value));
	if (reg < GDB_FPU_FCTRL) {
		leave_initial_x87(area);
		mem_copy(area + AT_ST + 16 * reg, from, size < X87_SIZE ? size : X87_SIZE);
	} else if (reg < GDB_FPU_XMM0) {
		write_control(area, reg, value);
	} else if (reg < GDB_FPU_MXCSR) {
		leave_initial_sse(area);
		mem_copy(area + AT_XMM + 16 * (reg - GDB_FPU_XMM0), from, size);
	} else {
		/* Reserved bits would make XRSTOR fault. */
		leave_initial_sse(area);
		value &= 0xffff;
		mem_copy(area + AT_MXCSR, &value, sizeof(value));
	}
}
