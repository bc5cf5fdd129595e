/*
 * The 8254 interval timer and port 0x61.
 *
 * Owns: three counters and the speaker port. Nothing ticks: every answer is computed from the time
 * the caller passes in and the time a count was loaded, so a counter nobody looks at costs nothing.
 * `now` must not go backwards. Counts load at once, where the chip waits for its next clock.
 */
#include "pit.h"

#define NS_PER_SEC 1000000000ull

#define CONTROL_READ_BACK   3 /* as the counter number */
#define READ_BACK_NO_COUNT  0x20
#define READ_BACK_NO_STATUS 0x10

#define PORT61_GATE2   0x01
#define PORT61_SPEAKER 0x02
#define PORT61_REFRESH 0x10
#define PORT61_OUT2    0x20
#define REFRESH_CLOCKS 18 /* counter 1 as every BIOS sets it: memory refresh each 15 us */

/* Split, so that no product overflows in centuries of uptime. */
static u64 clocks(u64 ns)
{
	return ns / NS_PER_SEC * PIT_HZ + ns % NS_PER_SEC * PIT_HZ / NS_PER_SEC;
}

/* The first nanosecond at which clocks() gives `t`. */
static u64 nanoseconds(u64 t)
{
	return t / PIT_HZ * NS_PER_SEC + (t % PIT_HZ * NS_PER_SEC + PIT_HZ - 1) / PIT_HZ;
}

static bool is_periodic(const struct pit_counter *c)
{
	return c->mode == 2 || c->mode == 3;
}

/* Modes a rising gate starts: one-shot and hardware strobe. */
static bool is_triggered(const struct pit_counter *c)
{
	return c->mode == 1 || c->mode == 5;
}

static u64 elapsed(const struct pit_counter *c, u64 t)
{
	return c->running ? t - c->start : c->held;
}

/* Clocks in the high part of mode 3's square. */
static u32 high_part(u32 count)
{
	return (count + 1) / 2;
}

static bool output(const struct pit_counter *c, u64 t)
{
	u64 d = elapsed(c, t);

	if (!c->armed)
		return c->mode != 0;
	if (!c->running && c->mode != 0 && c->mode != 4)
		return true;
	switch (c->mode) {
	case 0:
	case 1:
		return d >= c->count;
	case 2:
		return d % c->count != c->count - 1;
	case 3:
		return d % c->count < high_part(c->count);
	default:
		return d != c->count;
	}
}

/* Clocks from the load to the first rising edge. */
static u64 first_edge(const struct pit_counter *c)
{
	return c->mode >= 4 ? (u64)c->count + 1 : c->count;
}

/* Rising edges since `start`. */
static u64 edges_so_far(const struct pit_counter *c, u64 t)
{
	u64 d = elapsed(c, t);

	if (!c->armed || (!c->running && c->mode != 0 && c->mode != 4))
		return c->edges;
	if (is_periodic(c))
		return d / c->count;
	return d >= first_edge(c);
}

static void count_edges(struct pit_counter *c, u64 t)
{
	u64 edges = edges_so_far(c, t);

	c->due += edges - c->edges;
	c->edges = edges;
}

static void load(struct pit_counter *c, u64 t)
{
	c->count = c->reload;
	c->start = t;
	c->held = 0;
	c->edges = 0;
	c->switch_at = 0;
	c->null_count = false;
}

/* Bring the counter up to `t`: a periodic one may have taken up a new count on the way. */
static void settle(struct pit_counter *c, u64 t)
{
	u64 at = c->switch_at;

	if (at && c->running && t >= at) {
		count_edges(c, at);
		bool low = !output(c, at);
		load(c, at);
		if (low) /* mode 3 at mid-square: the new high part counts as past */
			c->start -= high_part(c->count);
	}
	count_edges(c, t);
}

/* When the present period (mode 3: half of it) ends. */
static u64 next_switch(const struct pit_counter *c, u64 t)
{
	u64 d = t - c->start, period = d / c->count * c->count;
	u32 high = high_part(c->count);

	if (c->mode == 3 && d - period < high)
		return c->start + period + high;
	return c->start + period + c->count;
}

static u16 to_bcd(u32 n)
{
	return n % 10 | n / 10 % 10 << 4 | n / 100 % 10 << 8 | n / 1000 % 10 << 12;
}

static u32 from_bcd(u16 n)
{
	return (n & 15) + (n >> 4 & 15) * 10 + (n >> 8 & 15) * 100 + (n >> 12) * 1000;
}

/* What the counting element holds. */
static u16 current(const struct pit_counter *c, u64 t)
{
	u32 modulus = c->bcd ? 10000 : 65536, n = c->count;
	u64 d = elapsed(c, t);

	if (!c->armed || (is_triggered(c) && !c->running))
		return c->idle;
	if (c->mode == 2) {
		n -= d % n;
	} else if (c->mode == 3) { /* counts down by two, in each half */
		u32 phase = d % n, high = high_part(n);
		n = (n & ~1u) - 2 * (phase < high ? phase : phase - high);
	} else { /* wraps around and goes on after the end */
		n = n + modulus - d % modulus;
	}
	return c->bcd ? to_bcd(n % modulus) : n % modulus;
}

static void write_count(struct pit_counter *c, u16 value, u64 t)
{
	bool was_armed = c->armed;

	c->reload = c->bcd ? from_bcd(value) : value;
	if (c->reload == 0)
		c->reload = c->bcd ? 10000 : 65536;
	if (c->reload == 1 && is_periodic(c))
		c->reload = 2; /* the smallest the data sheet allows */
	c->armed = true;
	c->null_count = true;
	if (is_triggered(c))
		return;			   /* loaded by the next trigger */
	if (is_periodic(c) && was_armed) { /* loaded when the period ends, or by the gate */
		if (c->running)
			c->switch_at = next_switch(c, t);
		return;
	}
	c->running = c->gate;
	load(c, t);
}

/* A change of the output by the write itself is an edge like any other. */
static void note_edge(struct pit_counter *c, bool before, u64 t)
{
	if (!before && output(c, t))
		c->due++;
}

static void write_counter(struct pit_counter *c, u8 value, u64 t)
{
	settle(c, t);
	bool before = output(c, t);

	if (c->access == 1) {
		write_count(c, value, t);
	} else if (c->access == 2) {
		write_count(c, value << 8, t);
	} else if (!c->write_high) {
		c->write_low = value;
		c->write_high = true;
		if (c->mode == 0) { /* the first byte stops the count */
			c->idle = current(c, t);
			c->armed = false;
		}
	} else {
		c->write_high = false;
		write_count(c, value << 8 | c->write_low, t);
	}
	note_edge(c, before, t);
}

static void latch_count(struct pit_counter *c, u64 t)
{
	if (c->latched)
		return;
	settle(c, t);
	c->latch = current(c, t);
	c->latched = true;
}

static void latch_status(struct pit_counter *c, u64 t)
{
	if (c->status_latched)
		return;
	settle(c, t);
	c->status = output(c, t) << 7 | c->null_count << 6 | c->access << 4 | c->mode << 1 | c->bcd;
	c->status_latched = true;
}

static void read_back(struct pit *p, u8 value, u64 t)
{
	for (unsigned i = 0; i < ARRAY_SIZE(p->counter); i++) {
		if (!(value & 2u << i))
			continue;
		if (!(value & READ_BACK_NO_COUNT))
			latch_count(&p->counter[i], t);
		if (!(value & READ_BACK_NO_STATUS))
			latch_status(&p->counter[i], t);
	}
}

static void write_control(struct pit *p, u8 value, u64 t)
{
	struct pit_counter *c;
	u8 access = value >> 4 & 3, mode = value >> 1 & 7;

	if (value >> 6 == CONTROL_READ_BACK) {
		read_back(p, value, t);
		return;
	}
	c = &p->counter[value >> 6];
	if (access == 0) {
		latch_count(c, t);
		return;
	}
	settle(c, t);
	bool before = output(c, t);
	c->idle = current(c, t);
	c->mode = mode > 5 ? mode - 4 : mode;
	c->access = access;
	c->bcd = value & 1;
	c->armed = false;
	c->running = false;
	c->null_count = true;
	c->write_high = c->read_high = false;
	c->latched = c->status_latched = false;
	note_edge(c, before, t);
}

static u8 read_counter(struct pit_counter *c, u64 t)
{
	u16 value;
	bool high;

	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	settle(c, t);
	value = c->latched ? c->latch : current(c, t);
	high = c->access == 2 || (c->access == 3 && c->read_high);
	if (c->access == 3)
		c->read_high = !c->read_high;
	if (high || c->access == 1)
		c->latched = false;
	return high ? value >> 8 : value;
}

/* Only counter 2 has a gate, and nobody takes its edges. */
static void set_gate(struct pit_counter *c, bool gate, u64 t)
{
	if (gate == c->gate)
		return;
	settle(c, t);
	c->gate = gate;
	if (c->armed && gate) {
		if (is_triggered(c) || is_periodic(c))
			load(c, t);
		else
			c->start = t - c->held;
		c->running = true;
	} else if (c->armed && !is_triggered(c)) {
		c->held = elapsed(c, t);
		c->running = false;
	}
}

void pit_reset(struct pit *p, u64 now)
{
	(void)now; /* nothing counts until it is programmed */
	mem_set(p, 0, sizeof(*p));
	for (unsigned i = 0; i < ARRAY_SIZE(p->counter); i++) {
		struct pit_counter *c = &p->counter[i];
		c->mode = 3;
		c->access = 3;
		c->null_count = true;
		c->gate = i != 2;
	}
}

u64 pit_take_edges(struct pit *p, u64 now)
{
	struct pit_counter *c = &p->counter[0];
	u64 n;

	settle(c, clocks(now));
	n = c->due;
	c->due = 0;
	return n;
}

/* The first rising edge after `t` of a counter settled at `t`. */
static u64 next_edge(const struct pit_counter *c, u64 t)
{
	u64 at = c->start + first_edge(c);

	if (!c->armed || !c->running)
		return 0;
	if (!is_periodic(c))
		return c->edges ? 0 : at;
	at = c->start + (elapsed(c, t) / c->count + 1) * c->count;
	/* A new count taken up at mid-square moves the edge; at a period's end it is the edge. */
	if (c->switch_at && c->switch_at < at)
		at = c->switch_at + c->reload - high_part(c->reload);
	return at;
}

u64 pit_deadline(const struct pit *p, u64 now)
{
	struct pit_counter c = p->counter[0];
	u64 t = clocks(now), at;

	settle(&c, t);
	if (c.due)
		return now ? now : 1; /* 0 would mean never */
	at = next_edge(&c, t);
	return at ? nanoseconds(at) : 0;
}

u8 pit_read(struct pit *p, u16 port, u64 now)
{
	u64 t = clocks(now);
	u8 value;

	if (port == 0x61) {
		value = p->port61;
		settle(&p->counter[2], t);
		if (t / REFRESH_CLOCKS & 1)
			value |= PORT61_REFRESH;
		if (output(&p->counter[2], t))
			value |= PORT61_OUT2;
		return value;
	}
	if (port == 0x43)
		return 0xff; /* write-only */
	return read_counter(&p->counter[port & 3], t);
}

void pit_write(struct pit *p, u16 port, u8 value, u64 now)
{
	u64 t = clocks(now);

	if (port == 0x61) {
		p->port61 = value & (PORT61_GATE2 | PORT61_SPEAKER);
		set_gate(&p->counter[2], value & PORT61_GATE2, t);
	} else if (port == 0x43) {
		write_control(p, value, t);
	} else {
		write_counter(&p->counter[port & 3], value, t);
	}
}

/* ------------------------------------------------- from one day to another ---- */

static bool counter_valid(const struct pit_counter *c)
{
	const bool *const flags[] = {&c->bcd,	    &c->gate,	    &c->armed,
				     &c->running,   &c->null_count, &c->write_high,
				     &c->read_high, &c->latched,    &c->status_latched};
	const u32 most = 65536;

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++)
		if (!bool_valid(flags[i]))
			return false;
	if (c->mode > 5 || c->access < 1 || c->access > 3)
		return false;
	if (c->reload > most || c->count > most)
		return false;
	/* One that is not armed divides by nothing. */
	return !c->armed || (c->reload && (c->count || is_triggered(c)));
}

bool pit_valid(const struct pit *p)
{
	for (unsigned i = 0; i < ARRAY_SIZE(p->counter); i++)
		if (!counter_valid(&p->counter[i]))
			return false;
	return !(p->port61 & ~(PORT61_GATE2 | PORT61_SPEAKER));
}

void pit_rebase(struct pit *p, u64 then, u64 now)
{
	const u64 passed = clocks(now) - clocks(then);

	for (unsigned i = 0; i < ARRAY_SIZE(p->counter); i++) {
		struct pit_counter *c = &p->counter[i];

		c->start += passed;
		if (c->switch_at)
			c->switch_at += passed;
	}
}
