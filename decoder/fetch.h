/*
 * The state of one decoding, and its only way to read code bytes.
 *
 * Owns: the limits on reading. Private to the decoder.
 */
#ifndef PLEX86_DECODER_FETCH_H
#define PLEX86_DECODER_FETCH_H

#include "decode.h"
#include "form.h"

enum {
	REX_B = 1,
	REX_X = 2,
	REX_R = 4,
	REX_W = 8,
};

struct decoding {
	const u8 *bytes;
	unsigned avail, pos;
	enum insn_mode mode;
	struct insn *insn;
	enum decode_result error; /* why fetch() failed */

	bool opsize_prefix, addrsize_prefix;
	bool rex_present;
	u8 rex;		/* REX_*, from REX, VEX or EVEX */
	u8 seg_used;	/* the override that counts for addresses, or REG_NONE */
	bool vex;	/* VEX or EVEX */
	u8 map;		/* MAP_* */
	u8 at[CHOICES]; /* what the tables choose by */
	bool modrm_read;
};

/* The next byte; false past `avail` (truncated) and past the 15 bytes an instruction may have. */
static inline bool fetch(struct decoding *d, u8 *byte)
{
	if (d->pos >= INSN_MAX) {
		d->error = DECODE_INVALID;
		return false;
	}
	if (d->pos >= d->avail) {
		d->error = DECODE_TRUNCATED;
		return false;
	}
	*byte = d->bytes[d->pos++];
	return true;
}

/* The next n bytes as a little-endian number. */
static inline bool fetch_number(struct decoding *d, unsigned n, u64 *number)
{
	u64 value = 0;

	for (unsigned i = 0; i < n; i++) {
		u8 byte;

		if (!fetch(d, &byte))
			return false;
		value |= (u64)byte << (8 * i);
	}
	*number = value;
	return true;
}

static inline u64 sign_extend(u64 value, unsigned bytes)
{
	unsigned shift = 64 - 8 * bytes;

	return (u64)((s64)(value << shift) >> shift);
}

/* ModRM, once; kept in insn->modrm. */
static inline bool fetch_modrm(struct decoding *d)
{
	if (d->modrm_read)
		return true;
	if (!fetch(d, &d->insn->modrm))
		return false;
	d->modrm_read = true;
	d->at[BY_MOD] = d->insn->modrm >= 0xc0;
	d->at[BY_REG] = d->insn->modrm >> 3 & 7;
	d->at[BY_RM] = d->insn->modrm & 7;
	return true;
}

/* Prefixes and opcode (prefix.c): false with d->error set. */
bool decode_prefixes(struct decoding *d);

/* The memory operand's base, index, scale and displacement (address.c); ModRM is read. */
bool decode_address(struct decoding *d, const struct form *form);

/* DS and, for addresses on the stack, SS; or the override. */
u8 address_segment(const struct decoding *d, u8 base);

#endif
