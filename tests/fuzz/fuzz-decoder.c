/*
 * Fuzzing the decoder: any bytes, in any mode.
 *
 * The first byte of the input is the mode. ASan sees what is read behind the bytes given. An
 * instruction is the same whatever follows it, is cut short by every byte that it lacks, and is
 * what Capstone says it is, as far as Capstone is right (tests/unit/decoder-compare.h).
 */
#include <stdio.h>
#include <string.h>
#include "../unit/decoder-compare.h"
#include "fuzz-input.h"

static bool is_register(u8 reg)
{
	return reg < 16 || reg == REG_NONE || reg == REG_IP;
}

static void check_operand(const struct insn *insn, const struct operand *o)
{
	fuzz_require(o->kind > OPND_NONE && o->kind <= OPND_FAR);
	fuzz_require(o->kind != OPND_SEG || o->reg < SEG_COUNT);
	fuzz_require(o->kind != OPND_REG || o->reg < (o->high_byte ? 4 : 16));
	fuzz_require((o->kind != OPND_CR && o->kind != OPND_DR) || o->reg < 16);
	fuzz_require(o->kind != OPND_MEM || insn->has_mem);
}

/* What the core indexes its tables with. */
static void check_fields(const struct insn *insn)
{
	fuzz_require(insn->op < OP_COUNT && insn->nopnds <= ARRAY_SIZE(insn->opnd));
	fuzz_require(insn->prefix_len < insn->length && insn->length <= INSN_MAX);
	fuzz_require(insn->seg_override < SEG_COUNT || insn->seg_override == REG_NONE);
	for (unsigned i = 0; i < insn->nopnds; i++)
		check_operand(insn, &insn->opnd[i]);
	if (!insn->has_mem)
		return;
	fuzz_require(is_register(insn->mem.base) && is_register(insn->mem.index));
	fuzz_require(insn->mem.seg < SEG_COUNT && insn->mem.scale <= 8);
}

static void check_lengths(const u8 *bytes, enum insn_mode mode, const struct insn *insn)
{
	struct insn again;

	fuzz_require(insn_decode(bytes, insn->length, mode, &again) == DECODE_OK);
	fuzz_require(!memcmp(&again, insn, sizeof(again)));
	for (unsigned n = 0; n < insn->length; n++)
		fuzz_require(insn_decode(bytes, n, mode, &again) == DECODE_TRUNCATED);
}

static void compare(const u8 *bytes, size_t size, enum insn_mode mode)
{
	static struct prober prober;
	static struct compare_stats stats;
	char why[COMPARE_TEXT];
	u8 padded[INSN_MAX + 1] = {0};

	if (!prober.insn)
		fuzz_require(prober_open(&prober));
	memcpy(padded, bytes, size < INSN_MAX ? size : INSN_MAX);
	if (decoder_agrees(&prober, padded, mode, &stats, why))
		return;
	fprintf(stderr, "%s\n", why);
	fuzz_require(false);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	const enum insn_mode mode = size ? data[0] % 3 : MODE_32;
	struct insn insn;
	enum decode_result result;

	if (size < 2)
		return 0;
	memset(&insn, 0, sizeof(insn));
	result = insn_decode(data + 1, size - 1, mode, &insn);
	fuzz_require(result != DECODE_TRUNCATED || size - 1 < INSN_MAX);
	if (result == DECODE_OK) {
		fuzz_require(insn.length < size);
		check_fields(&insn);
		check_lengths(data + 1, mode, &insn);
	}
	compare(data + 1, size - 1, mode);
	return 0;
}
