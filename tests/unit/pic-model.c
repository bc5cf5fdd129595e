/*
 * A second model of the pair of 8259s: see pic-model.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "pic-model.h"

static struct pic_model_input *by_number(struct pic_model_chip *c, unsigned n)
{
	for (int i = 0; i < 8; i++)
		if (c->order[i].number == n)
			return &c->order[i];
	abort();
}

/* Make `n` the last of the list. */
static void make_lowest(struct pic_model_chip *c, unsigned n)
{
	while (c->order[7].number != n) {
		struct pic_model_input first = c->order[0];
		for (int i = 0; i < 7; i++)
			c->order[i] = c->order[i + 1];
		c->order[7] = first;
	}
}

static struct pic_model_input *winner(struct pic_model *m, int which)
{
	struct pic_model_chip *c = &m->chip[which];

	for (int i = 0; i < 8; i++) {
		struct pic_model_input *in = &c->order[i];
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

static void model_wire(struct pic_model *m)
{
	struct pic_model_input *two = by_number(&m->chip[0], 2);

	two->line = two->request = winner(m, 1) != NULL;
}

static int model_take(struct pic_model *m, int which)
{
	struct pic_model_chip *c = &m->chip[which];
	struct pic_model_input *in = winner(m, which);
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

u8 pic_model_ack(struct pic_model *m)
{
	int n = model_take(m, 0), chip = 0;

	if (n == 2 && !m->chip[0].single) {
		chip = 1;
		n = model_take(m, 1);
	}
	model_wire(m);
	return m->chip[chip].base + (n < 0 ? 7 : n);
}

void pic_model_line(struct pic_model *m, unsigned irq, bool level)
{
	struct pic_model_input *in = by_number(&m->chip[irq / 8], irq % 8);

	if (irq == 2)
		return;
	if (in->level)
		in->request = level;
	else if (level && !in->line)
		in->request = true;
	in->line = level;
	model_wire(m);
}

static void model_icw1(struct pic_model_chip *c, u8 v)
{
	make_lowest(c, 7);
	for (int i = 0; i < 8; i++) {
		struct pic_model_input *in = &c->order[i];
		in->masked = in->service = false;
		in->request = in->level && in->line;
	}
	c->smm = c->sfnm = c->aeoi = c->rotate_aeoi = c->poll = c->show_isr = false;
	c->single = v & 2;
	c->need4 = v & 1;
	c->step = 2;
}

static void model_ocw2(struct pic_model_chip *c, u8 v)
{
	struct pic_model_input *in = NULL;

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

static void model_odd(struct pic_model_chip *c, u8 v)
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

void pic_model_write(struct pic_model *m, u16 port, u8 v)
{
	struct pic_model_chip *c = &m->chip[port >= 0xa0 && port != 0x4d0];

	if (port >= 0x4d0) {
		for (unsigned n = 0; n < 8; n++) {
			struct pic_model_input *in = by_number(c, n);
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

u8 pic_model_read(struct pic_model *m, u16 port)
{
	int which = port >= 0xa0 && port != 0x4d0;
	struct pic_model_chip *c = &m->chip[which];
	u8 v = 0;

	if (port < 0x4d0 && c->poll) {
		int n = model_take(m, which);
		c->poll = false;
		model_wire(m);
		return n < 0 ? 0 : 0x80 + n;
	}
	for (unsigned n = 0; n < 8; n++) {
		struct pic_model_input *in = by_number(c, n);
		bool bit = c->show_isr ? in->service : in->request;

		if (port >= 0x4d0)
			bit = in->level;
		else if (port & 1)
			bit = in->masked;
		v |= bit << n;
	}
	return v;
}

void pic_model_reset(struct pic_model *m)
{
	*m = (struct pic_model){0};
	for (int which = 0; which < 2; which++)
		for (unsigned n = 0; n < 8; n++)
			m->chip[which].order[n] =
				(struct pic_model_input){.number = n, .masked = true};
}

/* The visible state, read without side effects. */
void pic_model_compare(const struct pic_pair *p, struct pic_model *m)
{
	for (int which = 0; which < 2; which++) {
		u8 request = 0, service = 0, mask = 0;
		for (unsigned n = 0; n < 8; n++) {
			struct pic_model_input *in = by_number(&m->chip[which], n);
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
void pic_model_compare_ack(struct pic_pair *p, struct pic_model *m)
{
	struct pic_pair before = *p;
	bool pending = pic_pending(p);
	u8 v = pic_ack(p);

	assert_int_equal(v, pic_model_ack(m));
	if (pending)
		return;
	assert_int_equal(v, before.chip[0].vector_base | 7);
	assert_int_equal(p->chip[0].isr, before.chip[0].isr);
	assert_int_equal(p->chip[1].isr, before.chip[1].isr);
	assert_int_equal(p->chip[1].irr, before.chip[1].irr);
}
