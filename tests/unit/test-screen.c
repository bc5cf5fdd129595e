/*
 * Unit tests of the VGA's registers, of what its memory shows, and of the two ways in which a user
 * is told of it; and of what firmware reads of its board.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "../../phase1-user/hal/fwcfg.h"
#include "../../phase1-user/console/screen-ansi.h"
#include "../../phase1-user/console/screen-text.h"

struct board {
	struct bus bus;
	struct vga vga;
	u8 memory[VGA_MEMORY_SIZE];
	struct screen screen;
	struct screen_text text;
	struct screen_ansi ansi;
	unsigned moves;
	char said[8192];
	size_t used;
};

static void on_move(void *opaque)
{
	((struct board *)opaque)->moves++;
}

static void on_out(void *opaque, const u8 *data, size_t n)
{
	struct board *b = opaque;

	assert_true(n && b->used + n < sizeof(b->said));
	memcpy(b->said + b->used, data, n);
	b->used += n;
	b->said[b->used] = '\0';
}

static struct board *init(void)
{
	static struct board b;

	memset(&b, 0, sizeof(b));
	bus_init(&b.bus);
	vga_init(&b.vga, on_move, &b);
	assert_true(vga_register(&b.vga, &b.bus));
	b.text.out = b.ansi.out = on_out;
	b.text.opaque = b.ansi.opaque = &b;
	return &b;
}

static u8 in(struct board *b, u16 port)
{
	u64 value;

	assert_true(bus_io(&b->bus, port, 1, false, &value));
	return value;
}

static void out(struct board *b, u16 port, u64 value)
{
	assert_true(bus_io(&b->bus, port, 1, true, &value));
}

static void out_indexed(struct board *b, u16 port, u8 index, u8 value)
{
	u64 both = index | value << 8;

	assert_true(bus_io(&b->bus, port, 2, true, &both));
}

static void clear(struct board *b)
{
	for (unsigned i = 0; i < 80 * 25; i++)
		memcpy(b->memory + 0x8000 + i * 2, " \x07", 2);
}

static void write_at(struct board *b, unsigned row, unsigned column, const char *text)
{
	u8 *at = b->memory + 0x8000 + (row * 80 + column) * 2;

	for (; *text; text++, at += 2)
		*at = *text;
}

static void set_cursor(struct board *b, unsigned row, unsigned column)
{
	const unsigned at = row * 80 + column;

	out_indexed(b, 0x3d4, 0x0e, at >> 8);
	out_indexed(b, 0x3d4, 0x0f, at);
}

static void scroll(struct board *b)
{
	u8 *cells = b->memory + 0x8000;

	memmove(cells, cells + 160, 24 * 160);
	for (unsigned i = 0; i < 80; i++)
		memcpy(cells + 24 * 160 + i * 2, " \x07", 2);
}

static void look(struct board *b)
{
	vga_look(&b->vga, b->memory, &b->screen);
}

static const char *tell(struct board *b, bool settled)
{
	b->used = 0;
	b->said[0] = '\0';
	look(b);
	screen_text_update(&b->text, &b->screen, settled);
	return b->said;
}

static void test_registers(void **state)
{
	struct board *b = init();

	(void)state;
	look(b);
	assert_int_equal(b->screen.columns, 0); /* no mode yet */
	vga_set_text_mode(&b->vga);
	look(b);
	assert_int_equal(b->screen.columns, 80);
	assert_int_equal(b->screen.rows, 25);
	out(b, 0x3d4, 0x12);
	assert_int_equal(in(b, 0x3d5), 0x8f);
	out(b, 0x3b4, 0x13); /* its other place */
	assert_int_equal(in(b, 0x3b5), 0x28);
	out_indexed(b, 0x3d4, 0x01, 0x27); /* protected */
	look(b);
	assert_int_equal(b->screen.columns, 80);
	out_indexed(b, 0x3d4, 0x11, 0x0e);
	out_indexed(b, 0x3d4, 0x01, 0x27);
	look(b);
	assert_int_equal(b->screen.columns, 40);
	out(b, 0x3d4, 0xff); /* nothing is there */
	out(b, 0x3d5, 0x77);
	assert_int_equal(in(b, 0x3d5), 0);
	/* The attribute controller has one port for index and data. */
	in(b, 0x3da);
	out(b, 0x3c0, 0x23);
	out(b, 0x3c0, 0x15);
	assert_int_equal(in(b, 0x3c0), 0x23);
	assert_int_equal(in(b, 0x3c1), 0x15);
	out(b, 0x3c0, 0x24);
	in(b, 0x3da);
	out(b, 0x3c0, 0x23); /* an index again */
	assert_int_equal(in(b, 0x3c1), 0x15);
	/* The retrace comes and goes. */
	assert_int_not_equal(in(b, 0x3da) & 8, in(b, 0x3da) & 8);
	out(b, 0x3c8, 255);
	for (unsigned i = 0; i < 6; i++)
		out(b, 0x3c9, 0x40 + i); /* six bits, and around its end */
	out(b, 0x3c7, 255);
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(in(b, 0x3c9), i);
	out_indexed(b, 0x3ce, 6, 1); /* graphics */
	look(b);
	assert_int_equal(b->screen.columns, 0);
	out_indexed(b, 0x3ce, 6, 0x0e);
	out_indexed(b, 0x3c4, 1, 0x20); /* blanked */
	look(b);
	assert_int_equal(b->screen.columns, 0);
}

static void test_cursor(void **state)
{
	struct board *b = init();

	(void)state;
	vga_set_text_mode(&b->vga);
	set_cursor(b, 3, 7);
	assert_int_equal(b->moves, 1);
	look(b);
	assert_true(b->screen.cursor);
	assert_int_equal(b->screen.cursor_row, 3);
	assert_int_equal(b->screen.cursor_column, 7);
	out_indexed(b, 0x3d4, 0x0a, 0x20);
	look(b);
	assert_false(b->screen.cursor);
	out_indexed(b, 0x3d4, 0x0a, 0x0d);
	/* The second page: the cursor is on the first. */
	out_indexed(b, 0x3d4, 0x0c, 0x08);
	write_at(b, 25, 48, "there"); /* 2048 cells on */
	look(b);
	assert_false(b->screen.cursor);
	assert_int_equal(b->screen.cell[0][0] & 0xff, 't');
	out_indexed(b, 0x3d4, 0x0c, 0xff); /* around the memory's end */
	out_indexed(b, 0x3d4, 0x0d, 0xff);
	look(b);
}

/* Whatever the registers hold, what is shown fits. */
static void test_any(void **state)
{
	struct board *b = init();
	u32 seed = 1;

	(void)state;
	for (unsigned i = 0; i < 200000; i++) {
		u64 value = seed >> 8;

		seed = seed * 1664525 + 1013904223;
		bus_io(&b->bus, 0x3b0 + (seed >> 16) % 0x30, 1 << (seed >> 30 & 1), seed >> 24 & 1,
		       &value);
		if (i % 16)
			continue;
		look(b);
		assert_true(b->screen.columns <= SCREEN_COLUMNS && b->screen.rows <= SCREEN_ROWS);
		if (b->screen.cursor)
			assert_true(b->screen.cursor_row < b->screen.rows &&
				    b->screen.cursor_column < b->screen.columns);
		b->used = 0;
		screen_text_update(&b->text, &b->screen, i % 32);
		b->used = 0;
	}
}

static void test_text(void **state)
{
	struct board *b = init();

	(void)state;
	vga_set_text_mode(&b->vga);
	clear(b);
	assert_string_equal(tell(b, true), "");
	write_at(b, 0, 0, "one");
	write_at(b, 1, 2, "two");
	set_cursor(b, 2, 0);
	assert_string_equal(tell(b, true), "one\n  two");
	/* A prompt, and what is typed behind it. */
	write_at(b, 2, 0, "> ");
	set_cursor(b, 2, 2);
	assert_string_equal(tell(b, false), "\n> ");
	write_at(b, 2, 2, "l");
	set_cursor(b, 2, 3);
	assert_string_equal(tell(b, false), "l");
	write_at(b, 2, 3, "s");
	set_cursor(b, 2, 4);
	assert_string_equal(tell(b, false), "s");
	assert_string_equal(tell(b, true), "");
	/* Typing errors are no news, what comes in their place is. */
	write_at(b, 2, 3, " ");
	set_cursor(b, 2, 3);
	assert_string_equal(tell(b, false), "");
	write_at(b, 2, 3, "x");
	set_cursor(b, 2, 4);
	assert_string_equal(tell(b, false), "");
	assert_string_equal(tell(b, true), "\n> lx");
	set_cursor(b, 3, 0);
	assert_string_equal(tell(b, false), "");
	set_cursor(b, 0, 1); /* only passing */
	assert_string_equal(tell(b, true), "");
	screen_text_end(&b->text);
	assert_string_equal(b->said, "\n");
}

static void test_scrolling(void **state)
{
	struct board *b = init();
	char line[16];

	(void)state;
	vga_set_text_mode(&b->vga);
	clear(b);
	tell(b, true);
	for (unsigned i = 0; i < 25; i++) {
		snprintf(line, sizeof(line), "line %u", i);
		write_at(b, i, 0, line);
	}
	set_cursor(b, 24, 7);
	tell(b, true);
	scroll(b);
	write_at(b, 24, 0, "more");
	set_cursor(b, 24, 4);
	assert_string_equal(tell(b, false), "\nmore");
	/* Several at once, the last one having been continued. */
	write_at(b, 24, 4, "!");
	scroll(b);
	write_at(b, 24, 0, "and");
	scroll(b);
	write_at(b, 24, 0, "on");
	set_cursor(b, 24, 2);
	assert_string_equal(tell(b, false), "!\nand\non");
	clear(b);
	set_cursor(b, 0, 0);
	assert_string_equal(tell(b, true), "");
	write_at(b, 0, 0, "\x01\xb3\xff\xe1");
	assert_string_equal(tell(b, true), "\n\u263a\u2502\u00a0\u00df");
}

static const char *draw(struct board *b)
{
	b->used = 0;
	b->said[0] = '\0';
	look(b);
	screen_ansi_update(&b->ansi, &b->screen);
	return b->said;
}

static void test_ansi(void **state)
{
	struct board *b = init();

	(void)state;
	assert_string_equal(draw(b), "");
	vga_set_text_mode(&b->vga);
	clear(b);
	assert_non_null(strstr(draw(b), "\033[2J"));
	assert_string_equal(draw(b), "");
	write_at(b, 1, 2, "Hi");
	b->memory[0x8000 + (80 + 2) * 2 + 1] = 0x1c; /* light red on blue */
	set_cursor(b, 1, 4);
	assert_string_equal(draw(b), "\033[2;3H\033[0;91;44mH\033[0;37;40mi\033[2;5H\033[?25h");
	out_indexed(b, 0x3d4, 0x0a, 0x20);
	assert_string_equal(draw(b), "\033[2;5H\033[?25l");
	screen_ansi_forget(&b->ansi);
	assert_non_null(strstr(draw(b), "\033[2J"));
	b->used = 0;
	screen_ansi_end(&b->ansi);
	assert_string_equal(b->said, "\033[0m\033[?25h\033[25;1H\r\n");
}

static u8 fw_byte(struct board *b)
{
	return in(b, 0x511);
}

static void test_fwcfg(void **state)
{
	static const u8 data[] = {1, 2, 3};
	struct board *b = init();
	struct fwcfg f;
	u64 key = 0;
	char name[57] = "";

	(void)state;
	fwcfg_init(&f);
	fwcfg_add(&f, "etc/a", data, sizeof(data));
	fwcfg_add(&f, "etc/b", data, 1);
	assert_true(fwcfg_register(&f, &b->bus));
	bus_io(&b->bus, 0x510, 2, true, &key);
	assert_int_equal(fw_byte(b), 'Q');
	assert_int_equal(fw_byte(b), 'E');
	key = 0x19;
	bus_io(&b->bus, 0x510, 2, true, &key);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(fw_byte(b), 0);
	assert_int_equal(fw_byte(b), 2);
	static const u8 entry[] = {0, 0, 0, 3, 0, 0x20, 0, 0};

	for (unsigned i = 0; i < sizeof(entry); i++)
		assert_int_equal(fw_byte(b), entry[i]);
	for (unsigned i = 0; i < 56; i++)
		name[i] = fw_byte(b);
	assert_string_equal(name, "etc/a");
	key = 0x20;
	bus_io(&b->bus, 0x510, 2, true, &key);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(fw_byte(b), i < 3 ? data[i] : 0);
	for (key = 0; key < 0x10000; key++) { /* items there are not have no bytes */
		bus_io(&b->bus, 0x510, 2, true, &key);
		fw_byte(b);
	}
	assert_int_equal(in(b, 0x402), 0xe9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_registers), cmocka_unit_test(test_cursor),
		cmocka_unit_test(test_any),	  cmocka_unit_test(test_text),
		cmocka_unit_test(test_scrolling), cmocka_unit_test(test_ansi),
		cmocka_unit_test(test_fwcfg),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
