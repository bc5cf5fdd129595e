/*
 * FPU and SSE registers as gdb numbers them, out of and into an XSAVE area.
 *
 * Owns: the places in the area's legacy region (SDM vol. 1, 10.5 and 13.4), what a component that
 * is in its initial state looks like, and the full tag word of the x87.
 */
#ifndef PLEX86_GDB_FPU_H
#define PLEX86_GDB_FPU_H

#include "../../common/types.h"

/* In the order of the target description. */
enum gdb_fpu_reg {
	GDB_FPU_ST0 = 0,
	GDB_FPU_FCTRL = 8,
	GDB_FPU_FSTAT,
	GDB_FPU_FTAG,
	GDB_FPU_FISEG,
	GDB_FPU_FIOFF,
	GDB_FPU_FOSEG,
	GDB_FPU_FOOFF,
	GDB_FPU_FOP,
	GDB_FPU_XMM0 = 16,
	GDB_FPU_MXCSR = 24,
	GDB_FPU_REGS
};

#define GDB_XSAVE_MIN 576u  /* legacy region and header */
#define GDB_XSAVE_MAX 4096u /* more than any of the components a guest may have needs */

/* `size` bytes, at most 16, of register `reg`. `area` has at least GDB_XSAVE_MIN bytes. */
void gdb_fpu_read(const u8 *area, unsigned reg, u8 *to, size_t size);
void gdb_fpu_write(u8 *area, unsigned reg, const u8 *from, size_t size);

#endif
