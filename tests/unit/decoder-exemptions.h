/*
 * What misleads Capstone.
 *
 * Owns: the table of encodings that Capstone reads wrongly although it knows the instruction, and
 * how each is rewritten so that the rest of the instruction can still be compared.
 */
#ifndef PLEX86_TEST_DECODER_EXEMPTIONS_H
#define PLEX86_TEST_DECODER_EXEMPTIONS_H

#include "decode.h"

/* The prefixes before an opcode, as far as they count; length is that of all of them. */
struct prefixes {
	u8 segment, rep, rex;
	bool lock, opsize, addrsize;
	unsigned length;
};

struct prefixes read_prefixes(const u8 *bytes, enum insn_mode mode);

/* One byte string, and what the decoder made of it. */
struct trial {
	const u8 *bytes;
	enum insn_mode mode;
	enum decode_result result;
	struct insn insn;
	struct prefixes prefixes;
	u8 opcode[2]; /* the first bytes after the prefixes */
};

/*
 * Where Capstone 4.0.2 is wrong although both agree on the opcode. Each row says when it may be
 * used and which prefixes mislead Capstone: these are taken away, and the rest has to agree.
 */
struct exemption {
	const char *what;
	bool (*applies)(const struct trial *t);
	void (*strip)(struct prefixes *p);
	/* Where the error is not in the prefixes: change both the code and our reading of it. */
	void (*fix)(u8 *opcode, struct insn *insn);
};

extern const struct exemption exemptions[];
extern const unsigned exemption_count;

#endif
