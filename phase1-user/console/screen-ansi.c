/*
 * A screen on a terminal: see screen-ansi.h.
 */
#include "screen-ansi.h"

#include <stdio.h>
#include <string.h>
#include "screen-text.h"

#define NO_ATTRIBUTE 0x100

static void flush(struct screen_ansi *a)
{
	if (a->used)
		a->out(a->opaque, a->buffer, a->used);
	a->used = 0;
}

static void put(struct screen_ansi *a, const char *text, size_t n)
{
	if (a->used + n > sizeof(a->buffer))
		flush(a);
	memcpy(a->buffer + a->used, text, n);
	a->used += n;
}

static void put_text(struct screen_ansi *a, const char *text)
{
	put(a, text, strlen(text));
}

static void go_to(struct screen_ansi *a, unsigned row, unsigned column)
{
	char text[32];

	snprintf(text, sizeof(text), "\033[%u;%uH", row + 1, column + 1);
	put_text(a, text);
}

/* Colours there are blue, green, red from bit 0 on; on terminals red, green, blue. */
static unsigned colour(unsigned vga)
{
	return (vga & 2) | (vga >> 2 & 1) | (vga << 2 & 4);
}

static void set_attribute(struct screen_ansi *a, u8 attribute)
{
	const unsigned front = attribute & 15, back = attribute >> 4 & 7;
	char text[32];

	snprintf(text, sizeof(text), "\033[0;%u;%um", (front & 8 ? 90 : 30) + colour(front),
		 40 + colour(back));
	put_text(a, text);
}

static void draw_row(struct screen_ansi *a, const struct screen *s, unsigned row)
{
	unsigned attribute = NO_ATTRIBUTE, at = SCREEN_COLUMNS;
	u8 text[3];

	for (unsigned column = 0; column < s->columns; column++) {
		const u16 cell = s->cell[row][column];

		if (a->drawn && cell == a->shown.cell[row][column])
			continue;
		if (at != column)
			go_to(a, row, column);
		if (cell >> 8 != attribute)
			set_attribute(a, cell >> 8);
		attribute = cell >> 8;
		put(a, (const char *)text, screen_utf8(cell, text));
		at = column + 1;
	}
}

static bool same_cursor(const struct screen *x, const struct screen *y)
{
	return x->cursor == y->cursor && x->cursor_row == y->cursor_row &&
	       x->cursor_column == y->cursor_column;
}

void screen_ansi_update(struct screen_ansi *a, const struct screen *s)
{
	bool moved;

	/* A mode that is not shown leaves what was there, until there is something again. */
	if (!s->columns)
		return;
	if (a->shown.columns != s->columns || a->shown.rows != s->rows)
		a->drawn = false;
	if (!a->drawn)
		put_text(a, "\033[0m\033[2J");
	moved = !a->drawn || !same_cursor(s, &a->shown);
	for (unsigned row = 0; row < s->rows; row++) {
		const size_t bytes = s->columns * sizeof(s->cell[0][0]);

		if (a->drawn && !memcmp(s->cell[row], a->shown.cell[row], bytes))
			continue;
		draw_row(a, s, row);
		moved = true;
	}
	if (moved) {
		go_to(a, s->cursor_row, s->cursor_column);
		put_text(a, s->cursor ? "\033[?25h" : "\033[?25l");
	}
	a->shown = *s;
	a->drawn = true;
	flush(a);
}

void screen_ansi_forget(struct screen_ansi *a)
{
	a->drawn = false;
}

void screen_ansi_end(struct screen_ansi *a)
{
	if (!a->drawn)
		return;
	put_text(a, "\033[0m\033[?25h");
	go_to(a, a->shown.rows - 1, 0);
	put_text(a, "\r\n");
	flush(a);
	a->drawn = false;
}
