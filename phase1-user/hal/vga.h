/*
 * A VGA in text mode: its registers, and what its text memory means.
 *
 * Owns: ports 0x3b4-0x3da and what the guest wrote there. Display memory is not here: it is guest
 * RAM like any other, at 0xa0000-0xbffff. In text modes that is what a guest finds behind a VGA as
 * well: characters and attributes, side by side, as it has written them. Fonts, planes and graphics
 * modes are not drawn: the guest may write them, and sees nothing come of it.
 */
#ifndef PLEX86_HAL_VGA_H
#define PLEX86_HAL_VGA_H

#include "bus.h"

#define VGA_MEMORY	0xb0000u /* text memory, for both monochrome and colour modes */
#define VGA_MEMORY_SIZE 0x10000u

#define SCREEN_COLUMNS 132 /* at most: of wider or higher modes a part is shown */
#define SCREEN_ROWS    60

/* What is to be seen. A cell is a character of code page 437 and, above it, its attribute. */
struct screen {
	unsigned columns, rows; /* 0: nothing is shown (graphics, blanked, no mode yet) */
	bool cursor;
	unsigned cursor_row, cursor_column; /* if there is one: within the screen */
	u16 cell[SCREEN_ROWS][SCREEN_COLUMNS];
};

struct vga {
	u8 crtc[25], sequencer[5], graphics[9], attribute[21];
	u8 crtc_index, sequencer_index, graphics_index, attribute_index;
	bool attribute_data; /* the next write to 0x3c0 is data */
	u8 misc, feature;
	u8 dac[256 * 3], dac_mask;
	u16 dac_read, dac_write; /* of dac[] */
	bool dac_reading;
	u8 retrace;
	/* The cursor has been moved: a good moment to look at the screen. */
	void (*moved)(void *opaque);
	void *opaque;
};

/* As after reset, before any firmware: no mode is set. */
void vga_init(struct vga *v, void (*moved)(void *opaque), void *opaque);
/* As firmware leaves it: 80 columns, 25 rows, colour. */
void vga_set_text_mode(struct vga *v);
bool vga_register(struct vga *v, struct bus *b);
/* `memory` is at VGA_MEMORY; the guest may be writing it at this moment. */
void vga_look(const struct vga *v, const u8 *memory, struct screen *s);

#endif
