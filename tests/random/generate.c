/*
 * Making sequences.
 *
 * Owns: the choice of instructions and operands, and where memory operands point. An operand's base
 * and index are often loaded by instructions put in front, so that most addresses are good ones.
 */
#include "forms.h"
#include "random.h"

struct maker {
	struct sequence *s;
	struct rng rng;
};

/* One instruction being written. */
struct draft {
	u8 bytes[24];
	u32 n, prefixes; /* so many of them */
};

static void put(struct draft *d, u32 byte)
{
	if (d->n < sizeof(d->bytes))
		d->bytes[d->n++] = byte;
}

static void put_value(struct draft *d, u32 v, u32 bytes)
{
	while (bytes--) {
		put(d, v & 0xff);
		v >>= 8;
	}
}

static struct item *add_item(struct maker *m, const struct draft *d)
{
	struct item *i;

	if (m->s->items == MAX_ITEMS || d->n > sizeof(i->bytes))
		return NULL;
	i = &m->s->item[m->s->items++];
	*i = (struct item){.length = d->n};
	for (u32 b = 0; b < d->n; b++)
		i->bytes[b] = d->bytes[b];
	return i;
}

static void load_register(struct maker *m, u32 reg, u32 value)
{
	struct draft d = {.n = 0};

	put(&d, 0xb8 + reg);
	put_value(&d, value, 4);
	add_item(m, &d);
}

static u32 some_value(struct rng *r)
{
	static const u32 special[] = {0,	  1,	      0x7f,	  0x80,
				      0xff,	  0x7fff,     0x8000,	  0xffff,
				      0x7fffffff, 0x80000000, 0xffffffff, 0xfffffffe};

	switch (rng_below(r, 4)) {
	case 0:
		return special[rng_below(r, ARRAY_SIZE(special))];
	case 1:
		return rng_below(r, 64) - 16;
	default:
		return rng_next(r);
	}
}

/* Accesses of more than 8 bytes are several to the emulator: none that might fault in the middle.
 */
static bool is_wide(const struct form *f)
{
	if (f->map == MAP_1)
		return f->first == 0xdb || f->first == 0xdf;
	return f->map == MAP_0F &&
	       ((f->first >= 0x10 && f->first <= 0x17) || f->first == 0x6f || f->first == 0x7f ||
		f->first == 0x7e || f->first == 0xe6 || f->first == 0x5a);
}

static u32 target(struct rng *r, bool aligned)
{
	/* Not the end of FIXED: which page faults first is another matter (BUG_RMW). */
	static const u32 edges[] = {DATA, DATA + PAGE, FIXED, STACK, STACK + STACK_SIZE, KERNEL};
	u32 a;

	switch (rng_below(r, 64)) {
	case 0 ... 2:
		a = edges[rng_below(r, ARRAY_SIZE(edges))] - 8 + rng_below(r, 16);
		break;
	case 3 ... 5:
		a = FIXED + rng_below(r, PAGE - 192);
		break;
	case 6:
		a = KERNEL + rng_below(r, PAGE);
		break;
	case 7:
		a = rng_next(r);
		break;
	case 8 ... 11:
		a = STACK + rng_below(r, STACK_SIZE - 16);
		break;
	case 12 ... 15:
		a = DATA + PAGE - 16 + rng_below(r, 32);
		break;
	default:
		a = DATA + rng_below(r, DATA_SIZE - 16);
	}
	return aligned ? a & ~15u : one_in(r, 2) ? a & ~3u : a;
}

/* [disp32] */
static void put_absolute(struct draft *d, u32 reg, u32 address)
{
	put(d, reg << 3 | 5);
	put_value(d, address, 4);
}

/* [base + disp] or [base + index * scale + disp], base and index loaded just before. */
static void put_based(struct maker *m, struct draft *d, u32 reg, u32 address)
{
	struct rng *r = &m->rng;
	const u32 base = rng_below(r, 8), scale = rng_below(r, 4);
	u32 index = one_in(r, 2) ? rng_below(r, 8) : 4, mod = 1 + rng_below(r, 2), rest = address;
	const u32 step = rng_below(r, 64) - 32;
	const u32 disp = mod == 1 ? (u32)(int)(signed char)rng_next(r) : some_value(r);

	if (index == base)
		index = 4; /* none */
	if (index != 4) {
		load_register(m, index, step);
		rest -= step << scale;
	}
	if (base == 4 && !one_in(r, 8)) { /* ESP is worth keeping */
		put_absolute(d, reg, address);
		return;
	}
	load_register(m, base, rest - disp);
	if (index == 4 && base != 4) {
		put(d, mod << 6 | reg << 3 | base);
	} else {
		put(d, mod << 6 | reg << 3 | 4);
		put(d, scale << 6 | index << 3 | base);
	}
	put_value(d, disp, mod == 1 ? 1 : 4);
}

/* Registers as they are; no SIB with a base of EBP and mod 0 (its length is another). */
static void put_wild(struct rng *r, struct draft *d, u32 reg)
{
	const u32 mod = rng_below(r, 3), rm = rng_below(r, 8);
	u32 disp = mod == 1 ? 1 : mod == 2 || rm == 5 ? 4 : 0;

	put(d, mod << 6 | reg << 3 | rm);
	if (rm == 4) {
		const u32 sib = rng_next(r) & 0xff;

		put(d, sib);
		if ((sib & 7) == 5 && !mod)
			disp = 4;
	}
	put_value(d, some_value(r), disp);
}

static void put_memory(struct maker *m, struct draft *d, u32 reg, const struct form *f)
{
	u32 address = target(&m->rng, f->flags & F_ALIGN);

	if (is_wide(f) && (address & 0xfff) > PAGE - 16)
		address &= ~15u;
	/* Absolute where it must be aligned: that is so whatever is left out. */
	switch (f->flags & F_ALIGN ? 1 : rng_below(&m->rng, 8)) {
	case 0:
		put_wild(&m->rng, d, reg);
		break;
	case 1 ... 3:
		put_absolute(d, reg, address);
		break;
	default:
		put_based(m, d, reg, address);
	}
}

static u32 pick_register(struct rng *r)
{
	const u32 reg = rng_below(r, 8);

	return reg == 4 && !one_in(r, 8) ? rng_below(r, 4) : reg;
}

static u32 pick_ext(struct rng *r, u32 mask)
{
	u32 e;

	do
		e = rng_below(r, 8);
	while (!(mask >> e & 1));
	return e;
}

static void put_modrm(struct maker *m, struct draft *d, const struct form *f)
{
	struct rng *r = &m->rng;
	const u32 reg = f->ext ? pick_ext(r, f->ext) : pick_register(r);
	const bool memory = f->modrm == RM_MEM || (f->modrm == RM_ANY && one_in(r, 2));

	if (!memory) {
		put(d, 0xc0 | reg << 3 | pick_register(r));
		return;
	}
	if (f->flags & F_BIT && !one_in(r, 16))
		load_register(m, reg, rng_below(r, 4096) - 2048);
	put_memory(m, d, reg, f);
}

/* What the instruction needs in front of it. */
static void prepare(struct maker *m, const struct form *f)
{
	struct rng *r = &m->rng;

	if (f->flags & F_CL)
		load_register(m, 1, rng_below(r, 40) | rng_next(r) << 8);
	if (f->flags & F_BX)
		load_register(m, 3, target(r, false));
	if (f->flags & F_DIV && !one_in(r, 4)) {
		load_register(m, 2, one_in(r, 2) ? 0 : rng_below(r, 64));
		if (one_in(r, 2))
			load_register(m, 0, rng_below(r, 0x10000));
	}
	if (f->flags & F_FLAGS) {
		struct draft d = {.bytes = {0x68}, .n = 1};

		put_value(&d, rng_next(r) & 0x00200ed5u, 4); /* ID, OF, DF, IF and the rest */
		add_item(m, &d);
	}
	if (f->flags & F_REP) {
		load_register(m, 6, target(r, false));
		load_register(m, 7, target(r, false));
		load_register(m, 1, rng_below(r, 40));
	}
}

static void put_prefixes(struct rng *r, struct draft *d, const struct form *f)
{
	static const u8 segment[] = {0x26, 0x36, 0x3e, 0x64, 0x65};

	if (one_in(r, 24))
		put(d, segment[rng_below(r, ARRAY_SIZE(segment))]);
	if (f->flags & F_LOCK ? one_in(r, 4) : one_in(r, 256))
		put(d, 0xf0);
	if (f->flags & F_SIZE16 ? one_in(r, 4) : false)
		put(d, 0x66);
	if (f->flags & F_REP && one_in(r, 2))
		put(d, one_in(r, 2) ? 0xf2 : 0xf3);
	if (f->prefix)
		put(d, f->prefix);
	d->prefixes = d->n;
}

static bool has_size16(const struct draft *d)
{
	for (u32 i = 0; i < d->prefixes; i++)
		if (d->bytes[i] == 0x66)
			return true;
	return false;
}

static void put_immediate(struct rng *r, struct draft *d, const struct form *f)
{
	const u32 z = f->flags & F_SIZE16 && has_size16(d) ? 2 : 4;

	switch (f->immediate) {
	case IMM_8:
		put(d, some_value(r));
		break;
	case IMM_Z:
		put_value(d, some_value(r), z);
		break;
	case IMM_ENTER:
		put_value(d, rng_below(r, 128), 2);
		put(d, rng_below(r, one_in(r, 4) ? 256 : 4));
		break;
	case IMM_MOFFS:
		put_value(d, target(r, false), 4);
		break;
	default:
		break;
	}
}

static void add_form(struct maker *m, const struct form *f)
{
	struct rng *r = &m->rng;
	struct draft d = {.n = 0};
	struct item *i;

	prepare(m, f);
	put_prefixes(r, &d, f);
	if (f->map != MAP_1)
		put(&d, 0x0f);
	if (f->map == MAP_0F38 || f->map == MAP_0F3A)
		put(&d, f->map == MAP_0F38 ? 0x38 : 0x3a);
	put(&d, f->first + rng_below(r, f->last - f->first + 1u));
	if (f->modrm != NO_MODRM)
		put_modrm(m, &d, f);
	put_immediate(r, &d, f);
	if (f->immediate == IMM_REL8 || f->immediate == IMM_RELZ) {
		const u32 bytes = f->immediate == IMM_REL8 ? 1 : 4;

		put_value(&d, 0, bytes);
		i = add_item(m, &d);
		if (i) {
			i->relative = bytes;
			i->to = m->s->items + rng_below(r, 4);
		}
		return;
	}
	add_item(m, &d);
}

static const struct form *pick_form(struct rng *r)
{
	static u32 total;
	u32 n;

	if (!total)
		for (u32 i = 0; i < form_count; i++)
			total += forms[i].weight;
	n = rng_below(r, total);
	for (u32 i = 0; i < form_count; i++) {
		if (n < forms[i].weight)
			return &forms[i];
		n -= forms[i].weight;
	}
	return &forms[0];
}

/* Mostly opcodes at random, for most of random bytes are ALU instructions with a fault in their
 * operand. */
static void add_soup(struct maker *m)
{
	struct rng *r = &m->rng;
	struct draft d = {.n = 0};

	while (one_in(r, 4)) {
		static const u8 prefix[] = {0x66, 0xf2, 0xf3, 0xf0, 0x26, 0x2e,
					    0x36, 0x3e, 0x64, 0x65, 0x67};

		put(&d, prefix[rng_below(r, ARRAY_SIZE(prefix))]);
		if (d.n == 4)
			break;
	}
	if (one_in(r, 2))
		put(&d, 0x0f);
	put(&d, rng_next(r) >> 8);
	if (one_in(r, 2))
		put(&d, 0xc0 | (rng_next(r) >> 8 & 0x3f));
	else
		put_absolute(&d, rng_below(r, 8), target(r, one_in(r, 2)));
	for (u32 n = rng_below(r, 4); n; n--)
		put(&d, rng_next(r) >> 8);
	if (d.n > 15)
		d.n = 15;
	add_item(m, &d);
}

static void set_start(struct maker *m)
{
	struct rng *r = &m->rng;
	struct user_state *s = &m->s->start;

	*s = (struct user_state){.eip = TEXT,
				 .cs = SEL_UCODE,
				 .ss = SEL_UDATA,
				 .ds = SEL_UDATA,
				 .es = SEL_UDATA,
				 .fs = SEL_UDATA,
				 .gs = SEL_UDATA};
	s->eflags = (rng_next(r) & FLAG_ARITH) | FLAG_IF | 2 | (one_in(r, 8) ? FLAG_DF : 0);
	s->esp = STACK + STACK_SIZE / 2 + rng_below(r, 64) * 4;
	s->eax = some_value(r);
	s->ecx = some_value(r);
	s->edx = some_value(r);
	s->ebx = one_in(r, 2) ? target(r, false) : some_value(r);
	s->ebp = one_in(r, 2) ? s->esp + 64 : some_value(r);
	s->esi = target(r, false);
	s->edi = target(r, false);
	m->s->fpu.valid = (1u << rng_below(r, 9)) - 1;
}

void generate(struct sequence *s, const struct options *o, u32 number)
{
	struct maker m = {.s = s, .rng = {mix(mix(0x706c6578, o->seed), number)}};
	u32 wanted;

	s->items = 0;
	s->fpu = (struct fpu_track){.tags = o->bugs >> (BUG_TAG - BUG_FIRST) & 1};
	set_start(&m);
	wanted = 1 + rng_below(&m.rng, o->mode == MODE_SOUP ? 6 : 12);
	while (s->items < wanted) {
		if (o->mode == MODE_SOUP)
			add_soup(&m);
		else
			add_form(&m, pick_form(&m.rng));
	}
	/* Now and then against the end of the code, where a page is missing. */
	if (one_in(&m.rng, 64))
		s->start.eip = TEXT + TEXT_SIZE - 1 - rng_below(&m.rng, 64);
}
