/*
 * The VGA: see vga.h. Registers as in the IBM VGA technical reference.
 */
#include "vga.h"

#include <string.h>

/* Ports. Those of the CRTC have a second place, for monochrome. */
#define PORT_CRTC_MONO	 0x3b4
#define PORT_STATUS_MONO 0x3ba
#define PORT_ATTRIBUTE	 0x3c0 /* the first of 16 */
#define PORT_CRTC	 0x3d4
#define PORT_STATUS	 0x3da

enum {
	ATTRIBUTE_WRITE,
	ATTRIBUTE_READ,
	MISC_WRITE, /* reads: input status 0 */
	ENABLE,
	SEQUENCER_INDEX,
	SEQUENCER_DATA,
	DAC_MASK,
	DAC_READ, /* reads: the state of the DAC */
	DAC_WRITE,
	DAC_DATA,
	FEATURE_READ,
	MISC_READ = 0xc,
	GRAPHICS_INDEX = 0xe,
	GRAPHICS_DATA
};

enum {
	CRTC_COLUMNS = 0x01,  /* less 1 */
	CRTC_OVERFLOW = 0x07, /* bits 8 and 9 of others */
	CRTC_SCAN = 0x09,     /* lines of a character, less 1; bit 7: each twice */
	CRTC_CURSOR_START = 0x0a,
	CRTC_START = 0x0c,
	CRTC_CURSOR = 0x0e,
	CRTC_PROTECT = 0x11, /* bit 7: registers 0 to 7 are read-only */
	CRTC_LINES = 0x12,
	CRTC_OFFSET = 0x13, /* of rows, in units of 2 cells */
};

#define CURSOR_OFF	0x20
#define SEQUENCER_CLOCK 1
#define SCREEN_OFF	0x20
#define GRAPHICS_MISC	6
#define GRAPHICS_MODE	0x01
#define STATUS_RETRACE	0x08
#define STATUS_BLANK	0x01
#define ATTRIBUTE_SHOW	0x20 /* of the index register */
#define MEMORY_CELLS	0x4000u

/* A register file that is reached by an index: what is beyond it reads 0 and is not there. */
static u8 get(const u8 *file, unsigned count, u8 index)
{
	return index < count ? file[index] : 0;
}

static void put(u8 *file, unsigned count, u8 index, u8 value)
{
	if (index < count)
		file[index] = value;
}

/* ------------------------------------------------------------------- CRTC ---- */

static u64 crtc_read(void *opaque, u64 offset, unsigned size)
{
	const struct vga *v = opaque;

	(void)size;
	return offset ? get(v->crtc, sizeof(v->crtc), v->crtc_index) : v->crtc_index;
}

static void crtc_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct vga *v = opaque;
	const u8 index = v->crtc_index;

	(void)size;
	if (!offset) {
		v->crtc_index = value;
		return;
	}
	if (index <= CRTC_OVERFLOW && (v->crtc[CRTC_PROTECT] & 0x80)) {
		/* But for the one bit of the overflow register that no timing depends on. */
		if (index == CRTC_OVERFLOW)
			v->crtc[index] = (v->crtc[index] & ~0x10) | (value & 0x10);
		return;
	}
	put(v->crtc, sizeof(v->crtc), index, value);
	if (index == CRTC_CURSOR + 1) /* by then its upper half has been written, too */
		v->moved(v->opaque);
}

/* ---------------------------------------------- attributes, sequencer, DAC ---- */

static void attribute_write(struct vga *v, u8 value)
{
	if (v->attribute_data)
		put(v->attribute, sizeof(v->attribute), v->attribute_index & 0x1f, value);
	else
		v->attribute_index = value;
	v->attribute_data = !v->attribute_data;
}

static u8 dac_read(struct vga *v)
{
	const u8 value = v->dac[v->dac_read];

	v->dac_read = (v->dac_read + 1) % sizeof(v->dac);
	return value;
}

static void dac_write(struct vga *v, u8 value)
{
	v->dac[v->dac_write] = value & 0x3f;
	v->dac_write = (v->dac_write + 1) % sizeof(v->dac);
}

static u64 vga_read(void *opaque, u64 offset, unsigned size)
{
	struct vga *v = opaque;

	(void)size;
	switch (offset) {
	case ATTRIBUTE_WRITE:
		return v->attribute_index;
	case ATTRIBUTE_READ:
		return get(v->attribute, sizeof(v->attribute), v->attribute_index & 0x1f);
	case MISC_WRITE:
		return 0x10; /* a colour monitor is there */
	case ENABLE:
		return 1;
	case SEQUENCER_INDEX:
		return v->sequencer_index;
	case SEQUENCER_DATA:
		return get(v->sequencer, sizeof(v->sequencer), v->sequencer_index);
	case DAC_MASK:
		return v->dac_mask;
	case DAC_READ:
		return v->dac_reading ? 3 : 0;
	case DAC_WRITE:
		return v->dac_write / 3;
	case DAC_DATA:
		return dac_read(v);
	case FEATURE_READ:
		return v->feature;
	case MISC_READ:
		return v->misc;
	case GRAPHICS_INDEX:
		return v->graphics_index;
	case GRAPHICS_DATA:
		return get(v->graphics, sizeof(v->graphics), v->graphics_index);
	}
	return 0xff;
}

static void vga_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct vga *v = opaque;

	(void)size;
	switch (offset) {
	case ATTRIBUTE_WRITE:
		attribute_write(v, value);
		break;
	case MISC_WRITE:
		v->misc = value;
		break;
	case SEQUENCER_INDEX:
		v->sequencer_index = value;
		break;
	case SEQUENCER_DATA:
		put(v->sequencer, sizeof(v->sequencer), v->sequencer_index, value);
		break;
	case DAC_MASK:
		v->dac_mask = value;
		break;
	case DAC_READ:
		v->dac_read = value * 3;
		v->dac_reading = true;
		break;
	case DAC_WRITE:
		v->dac_write = value * 3;
		v->dac_reading = false;
		break;
	case DAC_DATA:
		dac_write(v, value);
		break;
	case GRAPHICS_INDEX:
		v->graphics_index = value;
		break;
	case GRAPHICS_DATA:
		put(v->graphics, sizeof(v->graphics), v->graphics_index, value);
		break;
	}
}

/* Programs wait for the retrace to begin and to end: there is one whenever they look again. */
static u64 status_read(void *opaque, u64 offset, unsigned size)
{
	struct vga *v = opaque;

	(void)offset, (void)size;
	v->attribute_data = false;
	v->retrace ^= STATUS_RETRACE | STATUS_BLANK;
	return v->retrace;
}

static void status_write(void *opaque, u64 offset, unsigned size, u64 value)
{
	struct vga *v = opaque;

	(void)offset, (void)size;
	v->feature = value;
}

/* ------------------------------------------------------------------- life ---- */

void vga_init(struct vga *v, void (*moved)(void *opaque), void *opaque)
{
	memset(v, 0, sizeof(*v));
	v->dac_mask = 0xff;
	v->moved = moved;
	v->opaque = opaque;
}

void vga_set_text_mode(struct vga *v)
{
	static const u8 crtc[] = {0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00,
				  0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c, 0x8e,
				  0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff};
	static const u8 sequencer[] = {0x03, 0x00, 0x03, 0x00, 0x02};
	static const u8 graphics[] = {0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff};
	static const u8 attribute[] = {0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14,
				       0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d,
				       0x3e, 0x3f, 0x0c, 0x00, 0x0f, 0x08, 0x00};

	memcpy(v->crtc, crtc, sizeof(crtc));
	memcpy(v->sequencer, sequencer, sizeof(sequencer));
	memcpy(v->graphics, graphics, sizeof(graphics));
	memcpy(v->attribute, attribute, sizeof(attribute));
	v->attribute_index = ATTRIBUTE_SHOW;
	v->misc = 0x67;
}

bool vga_register(struct vga *v, struct bus *b)
{
	static const struct bus_ops crtc = {crtc_read, crtc_write, 1};
	static const struct bus_ops rest = {vga_read, vga_write, 1};
	static const struct bus_ops status = {status_read, status_write, 1};

	return bus_register_io(b, PORT_CRTC, 2, &crtc, v) &&
	       bus_register_io(b, PORT_CRTC_MONO, 2, &crtc, v) &&
	       bus_register_io(b, PORT_ATTRIBUTE, 16, &rest, v) &&
	       bus_register_io(b, PORT_STATUS, 1, &status, v) &&
	       bus_register_io(b, PORT_STATUS_MONO, 1, &status, v);
}

/* --------------------------------------------------------------- the screen ---- */

static bool is_shown(const struct vga *v)
{
	return !(v->graphics[GRAPHICS_MISC] & GRAPHICS_MODE) && v->crtc[CRTC_COLUMNS] &&
	       !(v->sequencer[SEQUENCER_CLOCK] & SCREEN_OFF) &&
	       (v->attribute_index & ATTRIBUTE_SHOW);
}

/* Lines of characters: the scan lines that are displayed, by those that a character has. */
static unsigned count_rows(const struct vga *v)
{
	const u8 overflow = v->crtc[CRTC_OVERFLOW], scan = v->crtc[CRTC_SCAN];
	const unsigned lines =
		v->crtc[CRTC_LINES] | (overflow & 0x02) << 7 | (overflow & 0x40) << 3;
	const unsigned height = ((scan & 0x1f) + 1) << (scan >> 7);

	return (lines + 1) / height;
}

static unsigned crtc_pair(const struct vga *v, unsigned high)
{
	return v->crtc[high] << 8 | v->crtc[high + 1];
}

static void look_at_cursor(const struct vga *v, struct screen *s, unsigned stride)
{
	const unsigned at = (crtc_pair(v, CRTC_CURSOR) - crtc_pair(v, CRTC_START)) % MEMORY_CELLS;

	if (!stride)
		return;
	s->cursor_row = at / stride;
	s->cursor_column = at % stride;
	s->cursor = !(v->crtc[CRTC_CURSOR_START] & CURSOR_OFF) && s->cursor_row < s->rows &&
		    s->cursor_column < s->columns;
}

void vga_look(const struct vga *v, const u8 *memory, struct screen *s)
{
	const bool mono = (v->graphics[GRAPHICS_MISC] >> 2 & 3) == 2;
	const u16 *cells = (const u16 *)(memory + (mono ? 0 : 0x8000));
	const unsigned stride = v->crtc[CRTC_OFFSET] * 2, start = crtc_pair(v, CRTC_START);
	unsigned columns, rows;

	s->columns = s->rows = 0;
	s->cursor = false;
	s->cursor_row = s->cursor_column = 0;
	if (!is_shown(v))
		return;
	columns = v->crtc[CRTC_COLUMNS] + 1u;
	rows = count_rows(v);
	s->columns = columns < SCREEN_COLUMNS ? columns : SCREEN_COLUMNS;
	s->rows = rows < SCREEN_ROWS ? rows : SCREEN_ROWS;
	if (!s->rows)
		s->columns = 0;
	for (unsigned row = 0; row < s->rows; row++)
		for (unsigned column = 0; column < s->columns; column++)
			s->cell[row][column] = __atomic_load_n(
				&cells[(start + row * stride + column) % MEMORY_CELLS],
				__ATOMIC_RELAXED);
	look_at_cursor(v, s, stride);
}
