/*
 * The decoder against Capstone: see decoder-compare.h.
 */
#include "decoder-compare.h"
#include "decoder-exemptions.h"

#include "gen/errata.h"

#include <stdio.h>
#include <string.h>

#define ADDRESS 0x10000u

#define FAIL(...)                                         \
	do {                                              \
		snprintf(why, COMPARE_TEXT, __VA_ARGS__); \
		return false;                             \
	} while (0)

static bool implicit_memory(const struct insn *insn)
{
	switch (insn->op) {
	case OP_INS:
	case OP_OUTS:
	case OP_MOVS:
	case OP_STOS:
	case OP_LODS:
	case OP_CMPS:
	case OP_SCAS:
		return true;
	default:
		return false;
	}
}

static u64 truncate(u64 value, unsigned bytes)
{
	return bytes >= 8 ? value : value & ((1ull << (8 * bytes)) - 1);
}

/* `override` is Capstone's, which lists CS, DS, ES and SS also in 64-bit mode, where they are idle.
 */
static u8 expected_segment(const struct insn *insn, u8 override, enum insn_mode mode)
{
	if (override != REG_NONE && (mode != MODE_64 || override >= SEG_FS))
		return override;
	return insn->mem.base == 4 || insn->mem.base == 5 ? SEG_SS : SEG_DS;
}

/* Capstone does not list what MASKMOVQ and MASKMOVDQU store to: DS:[rDI]. */
static bool same_maskmov(const struct insn *insn, const struct probe *p)
{
	unsigned size = p->id == X86_INS_MASKMOVQ ? 8 : 16;

	return insn->has_mem && insn->mem.base == 7 && insn->mem.index == REG_NONE &&
	       insn->mem.disp == 0 && insn->mem.size == size && insn->mem.access == ACCESS_WRITE;
}

static bool is_maskmov(unsigned id)
{
	return id == X86_INS_MASKMOVQ || id == X86_INS_MASKMOVDQU || id == X86_INS_VMASKMOVDQU;
}

static bool same_memory(const struct insn *insn, const struct probe *p, enum insn_mode mode,
			struct compare_stats *stats, char *why)
{
	const struct mem_operand *m = &insn->mem;

	if (implicit_memory(insn))
		return true;
	if (is_maskmov(p->id) && !p->has_mem && same_maskmov(insn, p)) {
		stats->maskmov++;
		return true;
	}
	if (insn->has_mem != p->has_mem)
		FAIL("memory operand %d, Capstone %d", insn->has_mem, p->has_mem);
	if (!p->has_mem)
		return true;
	if (m->base != p->base || m->index != p->index ||
	    (m->index != REG_NONE && m->scale != p->scale))
		FAIL("address %u + %u * %u, Capstone %u + %u * %u", m->base, m->index, m->scale,
		     p->base, p->index, p->scale);
	if (truncate((u64)m->disp, insn->addr_size) != truncate((u64)p->disp, insn->addr_size))
		FAIL("displacement %llx, Capstone %llx", (unsigned long long)m->disp,
		     (unsigned long long)p->disp);
	if (m->seg != expected_segment(insn, p->seg, mode))
		FAIL("segment %u, Capstone %u", m->seg, p->seg);
	if (m->size != p->mem_size || m->access != p->mem_access)
		FAIL("accesses %u bytes (%u), Capstone %u (%u)", m->size, m->access, p->mem_size,
		     p->mem_access);
	return true;
}

static bool same_immediate(const struct insn *insn, const struct operand *o,
			   const struct probe_operand *c, char *why)
{
	if (truncate(insn->imm, o->size) != truncate(c->imm, o->size))
		FAIL("immediate %llx, Capstone %llx", (unsigned long long)insn->imm,
		     (unsigned long long)c->imm);
	return true;
}

/*
 * SDM vol. 2, Jcc: a target is cut to 16 bits by the operand size; Capstone does so by the address
 * size (67, and 66 in 16-bit mode).
 */
static bool same_target(const struct insn *insn, const struct probe_operand *c, enum insn_mode mode,
			struct compare_stats *stats, char *why)
{
	u64 target = ADDRESS + insn->length + insn->imm;

	if (truncate(target, insn->op_size) == truncate(c->imm, insn->op_size))
		return true;
	if (truncate(target, 2) != truncate(c->imm, 2) || (mode != MODE_16 && insn->addr_size != 2))
		FAIL("target %llx, Capstone %llx", (unsigned long long)target,
		     (unsigned long long)c->imm);
	stats->targets++;
	return true;
}

static bool same_operand(const struct insn *insn, unsigned i, const struct probe *p,
			 enum insn_mode mode, struct compare_stats *stats, char *why)
{
	const struct operand *o = &insn->opnd[i];
	const struct probe_operand *c = &p->opnd[i];

	if (o->kind == OPND_REL)
		return same_target(insn, c, mode, stats, why);
	if (o->kind == OPND_IMM)
		return same_immediate(insn, o, c, why);
	if (o->kind == OPND_FAR) {
		if (insn->far_selector != (u16)c->imm ||
		    insn->imm != truncate(p->opnd[i + 1].imm, 4))
			FAIL("far pointer %x:%llx, Capstone %llx:%llx", insn->far_selector,
			     (unsigned long long)insn->imm, (unsigned long long)c->imm,
			     (unsigned long long)p->opnd[i + 1].imm);
		return true;
	}
	if (o->kind != c->kind)
		FAIL("operand %u of kind %d, Capstone %d", i, o->kind, c->kind);
	if (o->kind == OPND_MEM) {
		if (o->size != insn->mem.size || o->access != insn->mem.access)
			FAIL("operand %u and memory operand differ", i);
		return true;
	}
	if (o->reg != c->reg || o->high_byte != c->high_byte || o->size != c->size)
		FAIL("operand %u is register %u.%d of %u bytes, Capstone %u.%d of %u", i, o->reg,
		     o->high_byte, o->size, c->reg, c->high_byte, c->size);
	return true;
}

static bool same_operands(const struct insn *insn, const struct probe *p, enum insn_mode mode,
			  struct compare_stats *stats, char *why)
{
	unsigned expected = p->nopnds;

	if (insn->op == OP_OTHER || implicit_memory(insn) || insn->op == OP_MONITOR ||
	    insn->op == OP_MWAIT || insn->op == OP_UD)
		expected = 0;
	if (insn->nopnds && insn->opnd[0].kind == OPND_FAR)
		expected--;
	if (insn->nopnds != expected)
		FAIL("%u operands, Capstone %u", insn->nopnds, expected);
	for (unsigned i = 0; i < insn->nopnds; i++)
		if (!same_operand(insn, i, p, mode, stats, why))
			return false;
	return true;
}

static bool same_insn(enum decode_result result, const struct insn *insn, const struct probe *p,
		      unsigned extra, enum insn_mode mode, struct compare_stats *stats, char *why)
{
	bool valid = p->valid && p->length + extra <= INSN_MAX;

	if ((result == DECODE_OK) != valid)
		FAIL("%s, Capstone %s", result == DECODE_OK ? "valid" : "invalid",
		     valid ? "valid" : "invalid");
	if (!valid)
		return true;
	if (insn->length != p->length + extra)
		FAIL("length %u, Capstone %u", insn->length, p->length + extra);
	if (insn->op != p->op)
		FAIL("operation %u, Capstone %u", insn->op, p->op);
	return same_memory(insn, p, mode, stats, why) && same_operands(insn, p, mode, stats, why);
}

/*
 * The instruction at `bytes` with the prefixes `p`, each once and in the order Capstone
 * understands: F2 and F3 last where they belong to the opcode, else before 66. Returns the number
 * of bytes saved.
 */
static unsigned rewrite(const u8 *bytes, const struct prefixes *p, u8 *out)
{
	bool rep_last = p->length < INSN_MAX && bytes[p->length] == 0x0f;
	unsigned n = 0;

	if (p->segment)
		out[n++] = p->segment;
	if (p->addrsize)
		out[n++] = 0x67;
	if (p->lock)
		out[n++] = 0xf0;
	if (p->rep && !rep_last)
		out[n++] = p->rep;
	if (p->opsize)
		out[n++] = 0x66;
	if (p->rep && rep_last)
		out[n++] = p->rep;
	if (p->rex)
		out[n++] = p->rex;
	unsigned saved = p->length - n;

	memcpy(out + n, bytes + p->length, INSN_MAX - p->length);
	memset(out + INSN_MAX - saved, 0, saved);
	return saved;
}

static void count_errata(u64 errata, struct compare_stats *stats)
{
	for (unsigned i = 0; i < ERRATA_MAX; i++)
		stats->errata[i] += errata >> i & 1;
}

static void describe(struct prober *prober, const u8 *bytes, enum insn_mode mode,
		     const struct probe *p, char *why)
{
	size_t n = strlen(why);

	n += (size_t)snprintf(why + n, COMPARE_TEXT - n, "; %d-bit:", 16 << mode);
	for (unsigned i = 0; i < INSN_MAX; i++)
		n += (size_t)snprintf(why + n, COMPARE_TEXT - n, " %02x", bytes[i]);
	if (p->valid)
		snprintf(why + n, COMPARE_TEXT - n, " (%s)",
			 cs_insn_name(prober->handle[mode], p->id));
}

/* What makes an instruction undefined that Capstone accepts; without it, both have to agree. */
enum fatal { LOCK_FORBIDDEN, PREFIX_BEFORE_VEX, VVVV_OUTSIDE_64, FATALS };

static const char *const fatal_names[FATALS] = {
	[LOCK_FORBIDDEN] = "LOCK where the SDM forbids it",
	[PREFIX_BEFORE_VEX] = "66, F2, F3, LOCK or REX before VEX or EVEX",
	[VVVV_OUTSIDE_64] = "bit 3 of an unused vvvv, or EVEX.V', clear outside 64-bit mode",
};

static bool lockable(const struct probe *p)
{
	if (p->id == X86_INS_CMPXCHG8B || p->id == X86_INS_CMPXCHG16B)
		return true;
	switch (p->op) {
	case OP_ADD:
	case OP_OR:
	case OP_ADC:
	case OP_SBB:
	case OP_AND:
	case OP_SUB:
	case OP_XOR:
	case OP_INC:
	case OP_DEC:
	case OP_NOT:
	case OP_NEG:
	case OP_BTS:
	case OP_BTR:
	case OP_BTC:
	case OP_XADD:
	case OP_CMPXCHG:
		return p->opnd[0].kind == OPND_MEM;
	case OP_XCHG:
		return p->has_mem;
	default:
		return false;
	}
}

static bool is_vector(const struct trial *t)
{
	u8 b = t->opcode[0];

	return (b == 0xc4 || b == 0xc5 || b == 0x62) &&
	       (t->mode == MODE_64 || t->opcode[1] >= 0xc0);
}

/* Take away what is undefined; false if there is nothing of the kind. */
static bool make_defined(const struct trial *t, enum fatal fatal, struct prefixes *p, u8 *opcode)
{
	unsigned vvvv = opcode[0] == 0xc5 ? 1 : 2;

	if (fatal == LOCK_FORBIDDEN) {
		if (!p->lock || is_vector(t))
			return false;
		p->lock = false;
		return true;
	}
	if (!is_vector(t))
		return false;
	if (fatal == PREFIX_BEFORE_VEX) {
		bool any_prefix = p->lock || p->rep || p->opsize || p->rex;

		p->rep = p->rex = 0;
		p->lock = p->opsize = false;
		return any_prefix;
	}
	if (t->mode == MODE_64)
		return false;
	if (opcode[0] == 0x62 && !(opcode[3] & 8)) {
		opcode[3] |= 8;
		return true;
	}
	if (opcode[vvvv] & 0x40)
		return false;
	opcode[vvvv] |= 0x40;
	return true;
}

static bool try_fatal(struct prober *prober, const struct trial *t, enum fatal fatal,
		      struct compare_stats *stats)
{
	struct prefixes p = t->prefixes;
	u8 defined[INSN_MAX + 4] = {0}, bytes[INSN_MAX];
	char ignored[COMPARE_TEXT];
	struct probe without;

	memcpy(defined, t->bytes, INSN_MAX);
	if (t->result != DECODE_INVALID || p.length >= INSN_MAX ||
	    !make_defined(t, fatal, &p, defined + p.length))
		return false;
	rewrite(defined, &p, bytes);
	probe(prober, bytes, INSN_MAX, t->mode, ADDRESS, &without);
	if (fatal == LOCK_FORBIDDEN && lockable(&without))
		return false;
	if (!decoder_agrees(prober, bytes, t->mode, stats, ignored))
		return false;
	stats->fatal[fatal]++;
	return true;
}

static bool try_exemptions(struct prober *prober, const struct trial *t,
			   struct compare_stats *stats, char *why)
{
	for (unsigned i = 0; i < exemption_count; i++) {
		struct prefixes prefixes = t->prefixes;
		u8 bytes[INSN_MAX];
		struct probe p;

		if (!exemptions[i].applies(t))
			continue;
		exemptions[i].strip(&prefixes);
		struct insn insn = t->insn;
		unsigned saved = rewrite(t->bytes, &prefixes, bytes);

		if (exemptions[i].fix)
			exemptions[i].fix(bytes + prefixes.length - saved, &insn);
		probe(prober, bytes, INSN_MAX, t->mode, ADDRESS + saved, &p);
		if (!same_insn(t->result, &insn, &p, saved, t->mode, stats, why))
			continue;
		count_errata(p.errata, stats);
		stats->exempt[i]++;
		return true;
	}
	for (unsigned i = 0; i < FATALS; i++)
		if (try_fatal(prober, t, (enum fatal)i, stats))
			return true;
	return false;
}

bool decoder_agrees(struct prober *prober, const u8 *bytes, enum insn_mode mode,
		    struct compare_stats *stats, char *why)
{
	struct trial t = {.bytes = bytes, .mode = mode};
	char first[COMPARE_TEXT];
	struct probe p;

	t.result = insn_decode(bytes, INSN_MAX, mode, &t.insn);
	stats->compared++;
	stats->valid += t.result == DECODE_OK;
	probe(prober, bytes, INSN_MAX, mode, ADDRESS, &p);
	if (same_insn(t.result, &t.insn, &p, 0, mode, stats, first)) {
		count_errata(p.errata, stats);
		return true;
	}
	t.prefixes = read_prefixes(bytes, mode);
	for (unsigned i = 0; i < 2 && t.prefixes.length + i < INSN_MAX; i++)
		t.opcode[i] = bytes[t.prefixes.length + i];
	if (try_exemptions(prober, &t, stats, why))
		return true;
	snprintf(why, COMPARE_TEXT, "%s", first);
	describe(prober, bytes, mode, &p, why);
	return false;
}

static void print_count(u64 count, const char *what)
{
	printf("%12llu  %s\n", (unsigned long long)count, what);
}

void compare_print(const struct compare_stats *stats)
{
	printf("%llu instructions compared, %llu valid; Capstone set right:\n",
	       (unsigned long long)stats->compared, (unsigned long long)stats->valid);
	for (unsigned i = 0; i < exemption_count; i++)
		print_count(stats->exempt[i], exemptions[i].what);
	for (unsigned i = 0; i < FATALS; i++)
		print_count(stats->fatal[i], fatal_names[i]);
	print_count(stats->targets, "branch target cut to 16 bits");
	print_count(stats->maskmov, "MASKMOVQ's implicit store not listed");
	for (unsigned i = 0; errata_name(i); i++)
		print_count(stats->errata[i], errata_name(i));
}

void compare_add(struct compare_stats *sum, const struct compare_stats *part)
{
	u64 *to = (u64 *)sum;
	const u64 *from = (const u64 *)part;

	for (size_t i = 0; i < sizeof(*sum) / sizeof(u64); i++)
		to[i] += from[i];
}
