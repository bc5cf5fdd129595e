/*
 * Packets of the GDB remote protocol, without I/O.
 *
 * Owns: the form of a packet in either direction: framing, checksums, escapes, acknowledgements and
 * the interrupt byte, and the hexadecimal numbers in it. A peer may send anything: what is no
 * packet is passed over, and one that is too long is told of and thrown away.
 */
#ifndef PLEX86_GDB_PACKET_H
#define PLEX86_GDB_PACKET_H

#include "../../common/types.h"

#define GDB_PACKET_MAX 0x4000u /* bytes between `$` and `#`, as sent; PacketSize */

enum gdb_event {
	GDB_NOTHING,   /* more bytes are needed */
	GDB_PACKET,    /* reader->data has one */
	GDB_DAMAGED,   /* one whose checksum is wrong */
	GDB_TOO_LONG,  /* one that did not fit, complete otherwise */
	GDB_ACK,       /* + */
	GDB_NAK,       /* - : the last packet is to be sent again */
	GDB_INTERRUPT, /* Ctrl-C between packets */
};

struct gdb_reader {
	u8 state; /* enum reader_state */
	bool escaped, too_long, damaged;
	u8 sum, wanted; /* checksums: of the bytes so far, and as sent */
	size_t received;
	size_t len;
	char data[GDB_PACKET_MAX + 1]; /* without escapes; a 0 follows */
};

void gdb_reader_init(struct gdb_reader *r);
/* Take one byte from the peer. r->data is valid from GDB_PACKET until the next call. */
enum gdb_event gdb_reader_take(struct gdb_reader *r, u8 byte);

/* The most bytes that `len` bytes of data can become in a packet. */
#define GDB_FRAME_SIZE(len) (2 * (len) + 4)
/* Make a packet of `data`; `out` has room for GDB_FRAME_SIZE(len). Returns its length. */
size_t gdb_frame(u8 *out, const void *data, size_t len);

/* ---- what is in a packet ---- */

/* Take a hexadecimal number of at most 16 digits off the text at *at. False, and *at unchanged:
 * there is none. */
bool gdb_take_number(const char **at, u64 *value);
/* The same of a linear address or a length: 32 bits. */
bool gdb_take_u32(const char **at, u32 *value);
/* Take these words off the text at *at, if it begins with them. */
bool gdb_take_word(const char **at, const char *word);
/* Take pairs of digits, each a byte, as long as there are some, at most `max`; how many. */
size_t gdb_take_bytes(const char **at, u8 *to, size_t max);

#endif
