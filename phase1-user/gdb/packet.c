/*
 * Packets of the GDB remote protocol: see packet.h.
 */
#include "packet.h"

#include <string.h>

#define ESCAPE	  '}'
#define ESCAPE_BY 0x20

enum reader_state { BETWEEN, INSIDE, SUM_HIGH, SUM_LOW };

void gdb_reader_init(struct gdb_reader *r)
{
	r->state = BETWEEN;
	r->len = 0;
	r->data[0] = '\0';
}

/* The value of a hexadecimal digit, or -1. */
static int digit(u8 c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void begin(struct gdb_reader *r)
{
	r->state = INSIDE;
	r->escaped = r->too_long = r->damaged = false;
	r->sum = r->wanted = 0;
	r->received = r->len = 0;
}

static enum gdb_event between(struct gdb_reader *r, u8 byte)
{
	switch (byte) {
	case '$':
		begin(r);
		return GDB_NOTHING;
	case '+':
		return GDB_ACK;
	case '-':
		return GDB_NAK;
	case 0x03:
		return GDB_INTERRUPT;
	}
	return GDB_NOTHING;
}

static void store(struct gdb_reader *r, u8 byte)
{
	if (r->received++ >= GDB_PACKET_MAX) {
		r->too_long = true;
		return;
	}
	if (r->escaped) {
		r->escaped = false;
		r->data[r->len++] = byte ^ ESCAPE_BY;
	} else if (byte == ESCAPE) {
		r->escaped = true;
	} else {
		r->data[r->len++] = byte;
	}
}

/* `$` and `#` never stand in a packet as they are: of a packet that begins within another, the end
 * of the first was lost. */
static void inside(struct gdb_reader *r, u8 byte)
{
	if (byte == '$') {
		begin(r);
	} else if (byte == '#') {
		r->state = SUM_HIGH;
	} else {
		r->sum += byte;
		store(r, byte);
	}
}

static void take_sum_digit(struct gdb_reader *r, u8 byte)
{
	const int value = digit(byte);

	r->damaged |= value < 0;
	r->wanted = r->wanted << 4 | (value & 0xf);
}

static enum gdb_event end(struct gdb_reader *r)
{
	r->state = BETWEEN;
	r->data[r->len] = '\0';
	if (r->damaged || r->escaped || r->sum != r->wanted)
		return GDB_DAMAGED;
	return r->too_long ? GDB_TOO_LONG : GDB_PACKET;
}

enum gdb_event gdb_reader_take(struct gdb_reader *r, u8 byte)
{
	switch (r->state) {
	case INSIDE:
		inside(r, byte);
		return GDB_NOTHING;
	case SUM_HIGH:
		take_sum_digit(r, byte);
		r->state = SUM_LOW;
		return GDB_NOTHING;
	case SUM_LOW:
		take_sum_digit(r, byte);
		return end(r);
	}
	return between(r, byte);
}

/* `*` would be taken for a run of the byte before it. */
static bool needs_escape(u8 byte)
{
	return byte == '$' || byte == '#' || byte == ESCAPE || byte == '*';
}

size_t gdb_frame(u8 *out, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const u8 *from = data;
	size_t n = 0;
	u8 sum = 0;

	out[n++] = '$';
	for (size_t i = 0; i < len; i++) {
		if (needs_escape(from[i])) {
			out[n++] = ESCAPE;
			out[n++] = from[i] ^ ESCAPE_BY;
			sum += ESCAPE + (from[i] ^ ESCAPE_BY);
		} else {
			out[n++] = from[i];
			sum += from[i];
		}
	}
	out[n++] = '#';
	out[n++] = digits[sum >> 4];
	out[n++] = digits[sum & 0xf];
	return n;
}

/* ---- what is in a packet ---- */

bool gdb_take_number(const char **at, u64 *value)
{
	const unsigned most = 16;
	const char *p = *at;
	u64 n = 0;

	while (digit(*p) >= 0) {
		if (p - *at == most)
			return false;
		n = n << 4 | digit(*p++);
	}
	if (p == *at)
		return false;
	*at = p;
	*value = n;
	return true;
}

bool gdb_take_u32(const char **at, u32 *value)
{
	const char *p = *at;
	u64 n;

	if (!gdb_take_number(&p, &n) || n > UINT32_MAX)
		return false;
	*at = p;
	*value = n;
	return true;
}

bool gdb_take_word(const char **at, const char *word)
{
	const size_t len = strlen(word);

	if (strncmp(*at, word, len))
		return false;
	*at += len;
	return true;
}

size_t gdb_take_bytes(const char **at, u8 *to, size_t max)
{
	size_t n = 0;

	while (n < max && digit((*at)[0]) >= 0 && digit((*at)[1]) >= 0) {
		to[n++] = digit((*at)[0]) << 4 | digit((*at)[1]);
		*at += 2;
	}
	return n;
}
