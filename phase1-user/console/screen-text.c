/*
 * A screen as text: see screen-text.h.
 */
#include "screen-text.h"

#include <string.h>

/* Code page 437 where it is not ASCII: 0x00-0x1f, 0x7f-0xff. */
static const u16 low[32] = {' ',    0x263a, 0x263b, 0x2665, 0x2666, 0x2663, 0x2660, 0x2022,
			    0x25d8, 0x25cb, 0x25d9, 0x2642, 0x2640, 0x266a, 0x266b, 0x263c,
			    0x25ba, 0x25c4, 0x2195, 0x203c, 0x00b6, 0x00a7, 0x25ac, 0x21a8,
			    0x2191, 0x2193, 0x2192, 0x2190, 0x221f, 0x2194, 0x25b2, 0x25bc};
static const u16 high[129] = {
	0x2302, 0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb,
	0x00e8, 0x00ef, 0x00ee, 0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6,
	0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6, 0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192,
	0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa, 0x00ba, 0x00bf, 0x2310, 0x00ac,
	0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502, 0x2524, 0x2561,
	0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514,
	0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566,
	0x2560, 0x2550, 0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553,
	0x256b, 0x256a, 0x2518, 0x250c, 0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df,
	0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4, 0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e,
	0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320, 0x2321, 0x00f7, 0x2248,
	0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0};

size_t screen_utf8(u8 character, u8 *out)
{
	u16 code = character;

	if (character < 0x20)
		code = low[character];
	else if (character >= 0x7f)
		code = high[character - 0x7f];
	if (code < 0x80) {
		out[0] = code;
		return 1;
	}
	if (code < 0x800) {
		out[0] = 0xc0 | code >> 6;
		out[1] = 0x80 | (code & 0x3f);
		return 2;
	}
	out[0] = 0xe0 | code >> 12;
	out[1] = 0x80 | (code >> 6 & 0x3f);
	out[2] = 0x80 | (code & 0x3f);
	return 3;
}

/* ---- lines ---- */

#define PROMPT_BLANKS 2

static bool is_blank(u16 cell)
{
	const u8 c = cell;

	return c == ' ' || c == 0 || c == 0xff;
}

/* Without the blanks at its end. */
static unsigned bare_length(const struct screen *s, unsigned row)
{
	unsigned n = s->columns;

	while (n && is_blank(s->cell[row][n - 1]))
		n--;
	return n;
}

/* But for those of a prompt, before the cursor. */
static unsigned length_of(const struct screen *s, unsigned row)
{
	const unsigned n = bare_length(s, row);

	if (n && s->cursor && s->cursor_row == row && s->cursor_column > n &&
	    s->cursor_column - n <= PROMPT_BLANKS)
		return s->cursor_column;
	return n;
}

/* Blanks are alike. */
static bool same_cell(u16 a, u16 b)
{
	return (u8)a == (u8)b || (is_blank(a) && is_blank(b));
}

static bool same_cells(const u16 *a, const u16 *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!same_cell(a[i], b[i]))
			return false;
	return true;
}

static void tell(struct screen_text *t, const u16 *cells, unsigned n)
{
	u8 text[SCREEN_COLUMNS * 3];
	size_t used = 0;

	for (unsigned i = 0; i < n; i++)
		used += screen_utf8(cells[i], text + used);
	if (used)
		t->out(t->opaque, text, used);
}

void screen_text_end(struct screen_text *t)
{
	static const u8 end = '\n';

	if (t->open)
		t->out(t->opaque, &end, 1);
	t->open = false;
}

/* Is it the line told last, with more behind it? */
static bool has_grown(const struct screen_text *t, const struct screen *s, unsigned row)
{
	return t->open && t->row == row && length_of(s, row) >= t->told &&
	       same_cells(s->cell[row], t->shown.cell[row], t->told);
}

/* A line has become another one. What was only rubbed out is told already; what comes in its place
 * is a line of its own. */
static void tell_row(struct screen_text *t, const struct screen *s, unsigned row)
{
	const unsigned n = length_of(s, row);
	const bool rubbed_out = t->open && t->row == row && n < t->told &&
				same_cells(s->cell[row], t->shown.cell[row], n);

	if (has_grown(t, s, row)) {
		tell(t, s->cell[row] + t->told, n - t->told);
	} else if (rubbed_out) {
		if (s->cursor && s->cursor_row == row &&
		    bare_length(s, row) < bare_length(&t->shown, row))
			screen_text_end(t);
		return;
	} else if (n) {
		screen_text_end(t);
		tell(t, s->cell[row], n);
	} else {
		return;
	}
	t->open = true;
	t->row = row;
	t->told = n;
}

/* ---- moving up ---- */

static unsigned count_changed(const struct screen_text *t, const struct screen *s)
{
	unsigned changed = 0;

	for (unsigned row = 0; row < s->rows; row++)
		changed += !same_cells(s->cell[row], t->shown.cell[row], s->columns);
	return changed;
}

/* Are its lines those that were `by` lines below? The lowest of them may have been continued. */
static bool has_moved(const struct screen_text *t, const struct screen *s, unsigned by)
{
	bool any = false;

	for (unsigned row = 0; row + by + 1 < s->rows; row++) {
		if (!same_cells(s->cell[row], t->shown.cell[row + by], s->columns))
			return false;
		any |= length_of(s, row) != 0;
	}
	return any;
}

static void move_up(struct screen_text *t, unsigned by)
{
	struct screen *shown = &t->shown;

	memmove(shown->cell[0], shown->cell[by], (shown->rows - by) * sizeof(shown->cell[0]));
	memset(shown->cell[shown->rows - by], 0, by * sizeof(shown->cell[0]));
	if (t->open && t->row < by)
		screen_text_end(t);
	t->row -= t->row < by ? 0 : by;
}

static void follow_scrolling(struct screen_text *t, const struct screen *s)
{
	if (count_changed(t, s) < 2)
		return;
	for (unsigned by = 1; by < s->rows; by++) {
		if (has_moved(t, s, by)) {
			move_up(t, by);
			return;
		}
	}
}

static void change_size(struct screen_text *t, const struct screen *s)
{
	screen_text_end(t);
	memset(&t->shown, 0, sizeof(t->shown));
	t->shown.columns = s->columns;
	t->shown.rows = s->rows;
}

void screen_text_update(struct screen_text *t, const struct screen *s, bool settled)
{
	if (s->columns != t->shown.columns || s->rows != t->shown.rows)
		change_size(t, s);
	follow_scrolling(t, s);
	for (unsigned row = 0; row < s->rows; row++) {
		const bool cursor = s->cursor && s->cursor_row == row;
		const bool going_on = cursor && t->open && t->row == row;

		if (going_on && !settled && !has_grown(t, s, row))
			continue;
		if (going_on || !same_cells(s->cell[row], t->shown.cell[row], s->columns))
			tell_row(t, s, row);
		memcpy(t->shown.cell[row], s->cell[row], sizeof(s->cell[row]));
	}
}
