/*
 * The pair of 8259A interrupt controllers.
 *
 * Owns: the registers and priority logic of both chips. Touches nothing but struct pic_pair;
 * whoever delivers interrupts asks pic_pending() and pic_ack().
 *
 * Two choices where a model has to decide:
 * - A rising edge is remembered until it is acknowledged even if the line falls again first, so
 *   that a source may pulse its line. The chip wants the line held until INTA.
 * - The slave's INT output is wired to the master's input 2 as a level: it follows the slave at
 *   once, so a slave request that goes away leaves no stale request at the master.
 */
#include "pic.h"

#define INPUTS	8
#define NONE	INPUTS
#define CASCADE 2
#define BIT(n)	((u8)(1u << (n)))

/* Inputs whose trigger mode is fixed to edge: timer, keyboard, cascade; clock and FPU. */
static const u8 elcr_writable[2] = {0xf8, 0xde};

#define ICW1_SELECT   0x10
#define ICW1_SINGLE   0x02
#define ICW1_NEED4    0x01
#define ICW4_AUTO_EOI 0x02
#define ICW4_SFNM     0x10
#define OCW3_SELECT   0x08
#define OCW3_ESMM     0x40
#define OCW3_SMM      0x20
#define OCW3_POLL     0x04
#define OCW3_RR	      0x02
#define OCW3_RIS      0x01
#define POLL_REQUEST  0x80

/* OCW2 is three independent bits. */
#define OCW2_ROTATE   0x80
#define OCW2_SPECIFIC 0x40
#define OCW2_EOI      0x20

static bool is_master(const struct pic_pair *p, const struct pic *c)
{
	return c == &p->chip[0];
}

/* The input of highest priority in `set`, or NONE. */
static unsigned highest(const struct pic *c, u8 set)
{
	for (unsigned i = 1; i <= INPUTS; i++) {
		unsigned input = (c->lowest_priority + i) % INPUTS;
		if (set & BIT(input))
			return input;
	}
	return NONE;
}

/* How many inputs stand before `input`: 0 is the highest priority, INPUTS for NONE. */
static unsigned rank(const struct pic *c, unsigned input)
{
	if (input == NONE)
		return INPUTS;
	return (input - c->lowest_priority - 1) % INPUTS;
}

/* The input the chip requests an interrupt for, or NONE. */
static unsigned requested(const struct pic_pair *p, const struct pic *c)
{
	unsigned input, served;

	if (!(c->irr & ~c->imr)) /* as after most traps */
		return NONE;
	input = highest(c, c->irr & ~c->imr);
	/* In special mask mode a masked input in service no longer holds back the others. */
	served = highest(c, c->special_mask ? c->isr & ~c->imr : c->isr);
	if (rank(c, input) < rank(c, served))
		return input;
	/* Special fully nested: the slave being served may interrupt itself. */
	if (input == served && input == CASCADE && c->special_fully_nested && is_master(p, c))
		return input;
	return NONE;
}

static void update_cascade(struct pic_pair *p)
{
	struct pic *master = &p->chip[0];

	if (requested(p, &p->chip[1]) == NONE)
		master->irr &= ~BIT(CASCADE);
	else
		master->irr |= BIT(CASCADE);
}

/* The part of INTA that happens inside one chip. NONE: the request has gone. */
static unsigned acknowledge(struct pic_pair *p, struct pic *c)
{
	unsigned input = requested(p, c);

	if (input == NONE)
		return NONE;
	if (!(c->elcr & BIT(input)))
		c->irr &= ~BIT(input);
	if (!c->auto_eoi)
		c->isr |= BIT(input);
	else if (c->rotate_on_auto_eoi)
		c->lowest_priority = input;
	return input;
}

void pic_reset(struct pic_pair *p)
{
	mem_set(p, 0, sizeof(*p));
	for (unsigned i = 0; i < ARRAY_SIZE(p->chip); i++) {
		p->chip[i].lowest_priority = INPUTS - 1;
		/* There is no vector to deliver before ICW2: be silent until ICW1 clears this. */
		p->chip[i].imr = 0xff;
	}
}

void pic_set_line(struct pic_pair *p, unsigned irq, bool level)
{
	struct pic *c;
	u8 bit = BIT(irq % INPUTS);
	bool was;

	if (irq == CASCADE || irq >= 2 * INPUTS)
		return;
	c = &p->chip[irq / INPUTS];
	was = c->line & bit;
	c->line = level ? c->line | bit : c->line & ~bit;
	if (level && (!was || (c->elcr & bit)))
		c->irr |= bit;
	if (!level && (c->elcr & bit))
		c->irr &= ~bit;
	update_cascade(p);
}

static bool chip_valid(const struct pic *c)
{
	const bool *const flags[] = {&c->init4,	       &c->single,
				     &c->read_isr,     &c->poll,
				     &c->special_mask, &c->special_fully_nested,
				     &c->auto_eoi,     &c->rotate_on_auto_eoi};

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++)
		if (!bool_valid(flags[i]))
			return false;
	return c->lowest_priority < INPUTS && !(c->vector_base & (INPUTS - 1)) &&
	       (!c->init_step || (c->init_step >= 2 && c->init_step <= 4));
}

bool pic_valid(const struct pic_pair *p)
{
	return chip_valid(&p->chip[0]) && chip_valid(&p->chip[1]);
}

bool pic_pending(const struct pic_pair *p)
{
	return requested(p, &p->chip[0]) != NONE;
}

/* A chip that is asked for a vector and has no request any more answers with its input 7, without
 * putting it in service. */
static u8 vector(const struct pic *c, unsigned input)
{
	return c->vector_base | (input == NONE ? INPUTS - 1 : input);
}

u8 pic_ack(struct pic_pair *p)
{
	struct pic *master = &p->chip[0], *slave = &p->chip[1];
	unsigned input = acknowledge(p, master);
	u8 v = vector(master, input);

	if (input == CASCADE && !master->single)
		v = vector(slave, acknowledge(p, slave));
	update_cascade(p);
	return v;
}

static void write_icw1(struct pic *c, u8 value)
{
	/* LTIM is ignored: the ELCR decides. An edge seen earlier is forgotten. */
	c->irr = c->line & c->elcr;
	c->imr = 0;
	c->isr = 0;
	c->lowest_priority = INPUTS - 1;
	c->special_mask = false;
	c->read_isr = false;
	c->poll = false;
	c->auto_eoi = false;
	c->rotate_on_auto_eoi = false;
	c->special_fully_nested = false;
	c->single = value & ICW1_SINGLE;
	c->init4 = value & ICW1_NEED4;
	c->init_step = 2;
}

static void write_icw(struct pic *c, u8 value)
{
	u8 last = c->init4 ? 4 : 0;

	switch (c->init_step) {
	case 2:
		c->vector_base = value & 0xf8;
		c->init_step = c->single ? last : 3;
		break;
	case 3: /* the wiring is fixed, so ICW3 has nothing to say */
		c->init_step = last;
		break;
	default: /* buffering and the 8080 mode do not exist here */
		c->auto_eoi = value & ICW4_AUTO_EOI;
		c->special_fully_nested = value & ICW4_SFNM;
		c->init_step = 0;
	}
}

static void end_of_interrupt(struct pic *c, u8 value)
{
	unsigned input;

	if (value & OCW2_SPECIFIC)
		input = value & 7;
	else /* a masked input stays in service in special mask mode */
		input = highest(c, c->special_mask ? c->isr & ~c->imr : c->isr);
	if (input == NONE)
		return;
	c->isr &= ~BIT(input);
	if (value & OCW2_ROTATE)
		c->lowest_priority = input;
}

static void write_ocw2(struct pic *c, u8 value)
{
	if (value & OCW2_EOI)
		end_of_interrupt(c, value);
	else if (!(value & OCW2_SPECIFIC))
		c->rotate_on_auto_eoi = value & OCW2_ROTATE;
	else if (value & OCW2_ROTATE)
		c->lowest_priority = value & 7;
}

static void write_ocw3(struct pic *c, u8 value)
{
	if (value & OCW3_ESMM)
		c->special_mask = value & OCW3_SMM;
	if (value & OCW3_POLL)
		c->poll = true;
	else if (value & OCW3_RR)
		c->read_isr = value & OCW3_RIS;
}

static void write_command(struct pic *c, u8 value)
{
	if (value & ICW1_SELECT)
		write_icw1(c, value);
	else if (value & OCW3_SELECT)
		write_ocw3(c, value);
	else
		write_ocw2(c, value);
}

static void write_data(struct pic *c, u8 value)
{
	if (c->init_step)
		write_icw(c, value);
	else
		c->imr = value;
}

static void write_elcr(struct pic *c, u8 value)
{
	c->elcr = value;
	/* The request of a level input is its line, now as later. */
	c->irr = (c->irr & ~value) | (c->line & value);
}

void pic_write(struct pic_pair *p, u16 port, u8 value)
{
	if ((port & ~1) == 0x4d0) {
		write_elcr(&p->chip[port & 1], value & elcr_writable[port & 1]);
	} else {
		struct pic *c = &p->chip[(port >> 7) & 1];
		if (port & 1)
			write_data(c, value);
		else
			write_command(c, value);
	}
	update_cascade(p);
}

static u8 read_poll(struct pic_pair *p, struct pic *c)
{
	unsigned input = acknowledge(p, c);

	c->poll = false;
	update_cascade(p);
	return input == NONE ? 0 : POLL_REQUEST | input;
}

u8 pic_read(struct pic_pair *p, u16 port)
{
	struct pic *c = &p->chip[(port >> 7) & 1];

	if ((port & ~1) == 0x4d0)
		return p->chip[port & 1].elcr;
	if (c->poll) /* at either port */
		return read_poll(p, c);
	if (port & 1)
		return c->imr;
	return c->read_isr ? c->isr : c->irr;
}
