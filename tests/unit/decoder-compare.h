/*
 * The decoder against Capstone.
 *
 * Owns: what it means that both agree about an instruction, and the exemptions: where Capstone is
 * known to be wrong although the decoder is right.
 */
#ifndef PLEX86_TEST_DECODER_COMPARE_H
#define PLEX86_TEST_DECODER_COMPARE_H

#include "decode.h"
#include "gen/probe.h"

enum { COMPARE_TEXT = 400 };

/* All counters: compare_add() relies on it. */
struct compare_stats {
	u64 compared, valid;
	u64 exempt[16], fatal[4], targets, maskmov;
	u64 errata[64]; /* by row of decoder/gen/errata.c */
};

/*
 * Decode `bytes` (15 of them) both ways. False if they disagree, with the difference in `why`.
 */
bool decoder_agrees(struct prober *prober, const u8 *bytes, enum insn_mode mode,
		    struct compare_stats *stats, char *why);

void compare_add(struct compare_stats *sum, const struct compare_stats *part);

/* Print how often each exemption and erratum was needed. */
void compare_print(const struct compare_stats *stats);

#endif
