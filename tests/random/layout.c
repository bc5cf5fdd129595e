/*
 * From items to code.
 *
 * Owns: which flags are undefined where. A flag that an instruction leaves undefined must not be
 * read by a later one: a CMP is put in front of that, which is no item and so is never dropped.
 */
#include "random.h"

struct layout {
	struct sequence *s;
	u32 undefined;
	u32 arriving[MAX_ITEMS + 1]; /* undefined flags that jumps bring to an item */
	u32 farthest;		     /* item that jumps go to */
	struct fpu_track fpu;
};

static void write(struct sequence *s, const u8 *bytes, u32 n)
{
	for (u32 i = 0; i < n; i++)
		s->code[s->length++] = bytes[i];
}

static void define_flags(struct layout *l)
{
	static const u8 compare[] = {0x83, 0xf8, 0x33}; /* cmp $0x33, %eax */

	write(l->s, compare, sizeof(compare));
	l->undefined = 0;
}

static bool is_wanted(struct layout *l, u32 n, const struct key *k, const struct options *o)
{
	const u32 why = insn_left_out(k);

	if (why && (why < BUG_FIRST || !(o->bugs >> (why - BUG_FIRST) & 1)))
		return false;
	/* Where a jump may have led around it nobody knows the stack. */
	if ((is_x87(k) || is_mmx(k) || (k->map == MAP_0F && k->opcode == 0x77)) && n < l->farthest)
		return false;
	l->s->mmx |= is_mmx(k);
	return fpu_step(&l->fpu, k);
}

static void place(struct layout *l, u32 n, const struct options *o)
{
	struct sequence *s = l->s;
	const struct item *i = &s->item[n];
	u8 window[32] = {0};
	struct flag_effect e;
	struct key k;

	for (u32 b = 0; b < i->length; b++)
		window[b] = i->bytes[b];
	if (o->mode == MODE_SOUP) {
		write(s, i->bytes, i->length);
		return;
	}
	if (!insn_key(window, &k) || !is_wanted(l, n, &k, o))
		return;
	e = insn_flags(&k);
	if (e.reads & l->undefined) {
		define_flags(l);
		s->undefined[n] = 0;
		s->offset[n] = s->length;
	}
	write(s, i->bytes, i->length);
	if (i->to) {
		const u32 to = i->to < s->items ? i->to : s->items;

		l->arriving[to] |= l->undefined;
		if (to > l->farthest)
			l->farthest = to;
	}
	l->undefined = (l->undefined & ~e.defines) | e.undefined;
	s->any_undefined |= e.undefined;
}

static void aim_jumps(struct sequence *s)
{
	for (u32 n = 0; n < s->items; n++) {
		const struct item *i = &s->item[n];
		const u32 to = i->to < s->items ? i->to : s->items, end = s->offset[n] + i->length;

		if (!i->to || s->entry[n + 1] == s->offset[n])
			continue; /* no jump, or left out */
		for (u32 b = 0; b < i->relative; b++)
			s->code[end - i->relative + b] = (s->entry[to] - end) >> (8 * b);
	}
}

void lay_out(struct sequence *s, const struct options *o, u32 keep)
{
	struct layout l = {.s = s, .fpu = s->fpu};

	s->length = s->any_undefined = 0;
	s->mmx = false;
	for (u32 n = 0; n < s->items; n++) {
		l.undefined |= l.arriving[n];
		s->undefined[n] = l.undefined;
		s->entry[n] = s->offset[n] = s->length;
		if (keep >> n & 1)
			place(&l, n, o);
	}
	s->undefined[s->items] = l.undefined | l.arriving[s->items];
	s->entry[s->items] = s->offset[s->items] = s->length;
	if (o->mode == MODE_VALID)
		aim_jumps(s);
	write(s, (const u8[]){0xcd, VEC_DONE}, 2);
}
