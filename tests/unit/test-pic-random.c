/*
 * Random traffic to common/pic.c, compared after every step with a second model that is written
 * another way: lists of inputs in priority order, scanned.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "../../common/pic.h"

/* Inputs as structs in a list that is in priority order, highest first. */
struct model_input {
	unsigned number;
	bool request, service, masked, level, line;
};

struct model_chip {
	struct model_input order[8];
	u8 base;
	bool smm, sfnm, aeoi, rotate_aeoi, poll, show_isr, single, need4;
	int step;
};

struct model {
	struct model_chip chip[2];
};

static struct model_input *by_number(struct model_chip *c, unsigned n)
{
	for (int i = 0; i < 8; i++)
		if (c->order[i].number == n)
			return &c->order[i];
	abort();
}

/* Make `n` the last of the list. */
static void make_lowest(struct model_chip *c, unsigned n)
{
	while (c->order[7].number != n) {
		struct model_input first = c->order[0];
		for (int i = 0; i < 7; i++)
			c->order[i] = c->order[i + 1];
		c->order[7] = first;
	}
}

static struct model_input *winner(struct model *m, int which)
{
	struct model_chip *c = &m->chip[which];

	for (int i = 0; i < 8; i++) {
		struct model_input *in = &c->order[i];
		bool candidate = in->request && !in->masked;
		if (in->service && !(c->smm && in->masked)) {
			bool again = which == 0 && in->number == 2 && c->sfnm;
			return candidate && again ? in : NULL;
		}
		if (candidate)
			return in;
	}
	return NULL;
}

static void model_wire(struct model *m)
{
	struct model_input *two = by_number(&m->chip[0], 2);

	two->line = two->request = winner(m, 1) != NULL;
}

static int model_take(struct model *m, int which)
{
	struct model_chip *c = &m->chip[which];
	struct model_input *in = winner(m, which);
	int n;

	if (!in)
		return -1;
	n = in->number;
	if (!in->level)
		in->request = false;
	if (!c->aeoi)
		in->service = true;
	else if (c->rotate_aeoi)
		make_lowest(c, n);
	return n;
}

static u8 model_ack(struct model *m)
{
	int n = model_take(m, 0), chip = 0;

	if (n == 2 && !m->chip[0].single) {
		chip = 1;
		n = model_take(m, 1);
	}
	model_wire(m);
	return m->chip[chip].base + (n < 0 ? 7 : n);
}

static void model_line(struct model *m, unsigned irq, bool level)
{
	struct model_input *in = by_number(&m->chip[irq / 8], irq % 8);

	if (irq == 2)
		return;
	if (in->level)
		in->request = level;
	else if (level && !in->line)
		in->request = true;
	in->line = level;
	model_wire(m);
}

static void model_icw1(struct model_chip *c, u8 v)
{
	make_lowest(c, 7);
	for (int i = 0; i < 8; i++) {
		struct model_input *in = &c->order[i];
		in->masked = in->service = false;
		in->request = in->level && in->line;
	}
	c->smm = c->sfnm = c->aeoi = c->rotate_aeoi = c->poll = c->show_isr = false;
	c->single = v & 2;
	c->need4 = v & 1;
	c->step = 2;
}

static void model_ocw2(struct model_chip *c, u8 v)
{
	struct model_input *in = NULL;

	switch (v >> 5) {
	case 0:
	case 4:
		c->rotate_aeoi = v >> 7;
		return;
	case 2:
		return;
	case 6:
		make_lowest(c, v & 7);
		return;
	case 3:
	case 7:
		in = by_number(c, v & 7);
		break;
	default:
		for (int i = 7; i >= 0; i--)
			if (c->order[i].service && !(c->smm && c->order[i].masked))
				in = &c->order[i];
	}
	if (!in)
		return;
	in->service = false;
	if (v & 0x80)
		make_lowest(c, in->number);
}

static void model_odd(struct model_chip *c, u8 v)
{
	switch (c->step) {
	case 0:
		for (unsigned n = 0; n < 8; n++)
			by_number(c, n)->masked = v >> n & 1;
		return;
	case 2:
		c->base = v / 8 * 8;
		c->step = 3;
		if (!c->single)
			return;
		break;
	case 3:
		break;
	default:
		c->aeoi = v & 2;
		c->sfnm = v & 16;
		c->step = 0;
		return;
	}
	c->step = c->need4 ? 4 : 0;
}

static void model_write(struct model *m, u16 port, u8 v)
{
	struct model_chip *c = &m->chip[port >= 0xa0 && port != 0x4d0];

	if (port >= 0x4d0) {
		for (unsigned n = 0; n < 8; n++) {
			struct model_input *in = by_number(c, n);
			bool fixed = port == 0x4d0 ? n < 3 : n == 0 || n == 5;
			in->level = !fixed && (v >> n & 1);
			if (in->level)
				in->request = in->line;
		}
	} else if (port & 1) {
		model_odd(c, v);
	} else if (v & 0x10) {
		model_icw1(c, v);
	} else if (!(v & 8)) {
		model_ocw2(c, v);
	} else {
		if (v & 0x40)
			c->smm = v & 0x20;
		if (v & 4)
			c->poll = true;
		else if (v & 2)
			c->show_isr = v & 1;
	}
	model_wire(m);
}

static u8 model_read(struct model *m, u16 port)
{
	int which = port >= 0xa0 && port != 0x4d0;
	struct model_chip *c = &m->chip[which];
	u8 v = 0;

	if (port < 0x4d0 && c->poll) {
		int n = model_take(m, which);
		c->poll = false;
		model_wire(m);
		return n < 0 ? 0 : 0x80 + n;
	}
	for (unsigned n = 0; n < 8; n++) {
		struct model_input *in = by_number(c, n);
		bool bit = c->show_isr ? in->service : in->request;

		if (port >= 0x4d0)
			bit = in->level;
		else if (port & 1)
			bit = in->masked;
		v |= bit << n;
	}
	return v;
}

static void model_reset(struct model *m)
{
	*m = (struct model){0};
	for (int which = 0; which < 2; which++)
		for (unsigned n = 0; n < 8; n++)
			m->chip[which].order[n] = (struct model_input){.number = n, .masked = true};
}

static u32 next_random(u64 *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 33;
}

/* A command byte; ICW1 is rare, or the chips would hardly ever run. */
static u8 random_command(u64 *seed)
{
	u32 r = next_random(seed);

	if (r % 200 == 0)
		return 0x10 | (r >> 8 & 0x0f);
	if (r % 4 == 0)
		return 0x08 | (r >> 8 & 0x67);
	return r >> 8 & 0xe7;
}

/* The visible state, read without side effects. */
static void compare(struct pic_pair *p, struct model *m)
{
	for (int which = 0; which < 2; which++) {
		u8 request = 0, service = 0, mask = 0;
		for (unsigned n = 0; n < 8; n++) {
			struct model_input *in = by_number(&m->chip[which], n);
			request |= in->request << n;
			service |= in->service << n;
			mask |= in->masked << n;
		}
		assert_int_equal(p->chip[which].irr, request);
		assert_int_equal(p->chip[which].isr, service);
		assert_int_equal(p->chip[which].imr, mask);
	}
	assert_int_equal(pic_pending(p), winner(m, 0) != NULL);
}

/* What must hold of an INTA whatever the state was. */
static void checked_ack(struct pic_pair *p, struct model *m)
{
	struct pic_pair before = *p;
	bool pending = pic_pending(p);
	u8 v = pic_ack(p);

	assert_int_equal(v, model_ack(m));
	if (pending)
		return;
	assert_int_equal(v, before.chip[0].vector_base | 7);
	assert_int_equal(p->chip[0].isr, before.chip[0].isr);
	assert_int_equal(p->chip[1].isr, before.chip[1].isr);
	assert_int_equal(p->chip[1].irr, before.chip[1].irr);
}

static void random_step(struct pic_pair *p, struct model *m, u64 *seed)
{
	static const u16 ports[] = {0x20, 0x21, 0xa0, 0xa1, 0x4d0, 0x4d1};
	u32 r = next_random(seed);
	u16 port = ports[(r >> 8) % 6];
	u8 v = r >> 16;

	switch (r % 16) {
	case 0 ... 5:
		pic_set_line(p, v % 16, v & 0x10);
		model_line(m, v % 16, v & 0x10);
		break;
	case 6 ... 9:
		checked_ack(p, m);
		break;
	case 10:
		assert_int_equal(pic_read(p, port), model_read(m, port));
		break;
	case 11:
		/* Masks with few bits; ICW2-4 take what comes. */
		port = r & 0x80 ? 0x21 : 0xa1;
		v &= next_random(seed);
		pic_write(p, port, v);
		model_write(m, port, v);
		break;
	case 12:
		if (r >> 20 & 15)
			return;
		port = r & 0x80 ? 0x4d0 : 0x4d1;
		pic_write(p, port, v);
		model_write(m, port, v);
		break;
	default:
		port = r & 0x80 ? 0x20 : 0xa0;
		v = random_command(seed);
		pic_write(p, port, v);
		model_write(m, port, v);
	}
}

static void test_against_model(void **state)
{
	u64 seed = 86;
	unsigned pending = 0, served = 0;

	(void)state;
	for (unsigned run = 0; run < 200; run++) {
		struct pic_pair p;
		struct model m;

		pic_reset(&p);
		model_reset(&m);
		for (unsigned i = 0; i < 5000; i++) {
			random_step(&p, &m, &seed);
			compare(&p, &m);
			pending += pic_pending(&p);
			served += p.chip[1].isr != 0;
		}
	}
	/* The traffic is worth its name: both chips are busy much of the time. */
	assert_true(pending > 100000);
	assert_true(served > 100000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
