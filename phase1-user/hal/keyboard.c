/*
 * From characters to keys: see keyboard.h.
 */
#include "keyboard.h"

#include <string.h>

#define ESCAPE 0x1b

enum {
	CODE_ESCAPE = 0x01,
	CODE_BACKSPACE = 0x0e,
	CODE_TAB = 0x0f,
	CODE_ENTER = 0x1c,
	CODE_F1 = 0x3b,
	CODE_HOME = 0x47,
	CODE_UP = 0x48,
	CODE_PAGE_UP = 0x49,
	CODE_LEFT = 0x4b,
	CODE_RIGHT = 0x4d,
	CODE_END = 0x4f,
	CODE_DOWN = 0x50,
	CODE_PAGE_DOWN = 0x51,
	CODE_INSERT = 0x52,
	CODE_DELETE = 0x53,
	CODE_F11 = 0x57
};

/* The keys from code 0x02 on, by what they type alone and with shift; blanks type nothing. */
static const char plain[] = "1234567890-=  qwertyuiop[]  asdfghjkl;'` \\zxcvbnm,./";
static const char shifted[] = "!@#$%^&*()_+  QWERTYUIOP{}  ASDFGHJKL:\"~ |ZXCVBNM<>?";
#define FIRST_CODE 0x02
#define CODE_SPACE 0x39

static struct key key_of(u8 code)
{
	return (struct key){.code = code};
}

static struct key extended(u8 code)
{
	return (struct key){.code = code, .extended = true};
}

static struct key key_of_character(u8 c)
{
	const char *at;
	struct key key = {0};

	if (c == ' ')
		return key_of(CODE_SPACE);
	at = c ? strchr(plain, c) : NULL;
	if (at)
		return key_of(FIRST_CODE + (at - plain));
	at = c ? strchr(shifted, c) : NULL;
	if (at) {
		key.code = FIRST_CODE + (at - shifted);
		key.shift = true;
	}
	return key;
}

static struct key key_of_byte(u8 c)
{
	struct key key;

	switch (c) {
	case '\r':
	case '\n':
		return key_of(CODE_ENTER);
	case '\t':
		return key_of(CODE_TAB);
	case 0x08:
	case 0x7f:
		return key_of(CODE_BACKSPACE);
	case ESCAPE:
		return key_of(CODE_ESCAPE);
	}
	if (c >= 0x20)
		return key_of_character(c);
	/* Control characters: a to z, [ \ ] ^ _ */
	key = key_of_character(c == 0 ? '2' : c < 0x1b ? c + 0x60 : c == 0x1e ? '6' : c + 0x40);
	key.control = true;
	return key;
}

/* ---- sequences ---- */

/* ESC [ letter, ESC O letter */
static struct key key_of_letter(u8 letter)
{
	switch (letter) {
	case 'A':
		return extended(CODE_UP);
	case 'B':
		return extended(CODE_DOWN);
	case 'C':
		return extended(CODE_RIGHT);
	case 'D':
		return extended(CODE_LEFT);
	case 'F':
		return extended(CODE_END);
	case 'H':
		return extended(CODE_HOME);
	case 'P':
	case 'Q':
	case 'R':
	case 'S':
		return key_of(CODE_F1 + (letter - 'P'));
	}
	return key_of(0);
}

/* ESC [ number ~ */
static struct key key_of_number(unsigned number)
{
	static const u8 function[] = {11, 12, 13, 14, 15, 17, 18, 19, 20, 21, 23, 24};
	static const u8 editing[] = {CODE_HOME, CODE_INSERT,  CODE_DELETE,
				     CODE_END,	CODE_PAGE_UP, CODE_PAGE_DOWN};

	if (number >= 1 && number <= ARRAY_SIZE(editing))
		return extended(editing[number - 1]);
	if (number == 7 || number == 8)
		return extended(number == 7 ? CODE_HOME : CODE_END);
	for (unsigned i = 0; i < ARRAY_SIZE(function); i++)
		if (function[i] == number)
			return key_of(i < 10 ? CODE_F1 + i : CODE_F11 + (i - 10));
	return key_of(0);
}

/* xterm's: 1 and a mask of shift 1, alt 2, control 4. */
static void add_modifiers(struct key *key, unsigned modifiers)
{
	const unsigned mask = modifiers ? modifiers - 1 : 0;

	key->shift |= mask & 1;
	key->alt |= !!(mask & 2);
	key->control |= !!(mask & 4);
}

/* Behind "ESC [": parameters, and one byte that ends it. 0: it does not end here. */
static size_t decode_csi(const u8 *data, size_t n, struct key *key)
{
	unsigned parameter[2] = {0, 0}, count = 0;
	size_t i;

	for (i = 0; i < n && (data[i] == ';' || (data[i] >= '0' && data[i] <= '9')); i++) {
		if (data[i] == ';')
			count++;
		else if (count < 2 && parameter[count] < 1000)
			parameter[count] = parameter[count] * 10 + data[i] - '0';
	}
	if (i == n)
		return 0;
	*key = data[i] == '~' ? key_of_number(parameter[0]) : key_of_letter(data[i]);
	add_modifiers(key, parameter[1]);
	return i + 1;
}

size_t keyboard_decode(const u8 *data, size_t n, struct key *key)
{
	size_t used;

	*key = key_of_byte(data[0]);
	if (data[0] != ESCAPE || n == 1)
		return 1;
	if (data[1] == '[' && n > 2) {
		used = decode_csi(data + 2, n - 2, key);
		return used ? used + 2 : n;
	}
	if (data[1] == 'O' && n > 2) {
		*key = key_of_letter(data[2]);
		return 3;
	}
	if (data[1] == ESCAPE)
		return 1;
	*key = key_of_byte(data[1]);
	key->alt = true;
	return 2;
}
