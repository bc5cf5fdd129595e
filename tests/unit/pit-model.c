/*
 * A second model of the 8254: see pit-model.h.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "pit-model.h"

#define REFRESH_CLOCKS 18

u64 pit_model_time(u64 t)
{
	return (u64)(((unsigned __int128)t * 1000000000u + PIT_HZ - 1) / PIT_HZ);
}

/* ----------------------------------------------------- one counter ---- */

u16 pit_model_digits(u32 n, bool bcd)
{
	u16 v = 0;

	if (!bcd)
		return n;
	for (int i = 0; i < 4; i++, n /= 10)
		v |= n % 10 << 4 * i;
	return v;
}

u16 pit_model_count(const struct pit_model_counter *m)
{
	bool loaded = m->armed && (m->counting || (m->mode != 1 && m->mode != 5));

	return loaded ? pit_model_digits(m->ce % (m->bcd ? 10000 : 65536), m->bcd) : m->frozen;
}

static void model_out(struct pit_model_counter *m, bool out)
{
	m->edges += out && !m->out;
	m->out = out;
}

static void model_load(struct pit_model_counter *m)
{
	m->ce = m->cr;
	m->null = m->fired = false;
	m->odd = false;
	if (m->mode == 3) {
		m->odd = m->cr & 1;
		m->ce = m->cr & ~1u;
	}
}

static void step_square(struct pit_model_counter *m)
{
	if (m->out && m->odd && m->ce == 0) {
		model_out(m, false);
		model_load(m);
		return;
	}
	m->ce -= 2;
	if (m->ce == 0 && !(m->out && m->odd)) {
		model_out(m, !m->out);
		model_load(m);
	}
}

void pit_model_step(struct pit_model_counter *m)
{
	if (!m->armed || !m->counting)
		return;
	if (m->mode == 3) {
		step_square(m);
		return;
	}
	m->ce = m->ce == 0 ? (m->bcd ? 9999 : 65535) : m->ce - 1;
	if (m->mode == 2) {
		model_out(m, m->ce != 1);
		if (m->ce == 0)
			model_load(m);
		return;
	}
	if (m->mode >= 4)
		model_out(m, m->fired || m->ce != 0);
	else if (m->ce == 0)
		model_out(m, true);
	m->fired |= m->ce == 0;
}

void pit_model_control(struct pit_model_counter *m, unsigned mode, unsigned access, bool bcd)
{
	m->frozen = pit_model_count(m);
	m->mode = mode;
	m->access = access;
	m->bcd = bcd;
	m->armed = m->counting = false;
	m->null = true;
	model_out(m, mode != 0);
}

void pit_model_first_byte(struct pit_model_counter *m)
{
	if (m->mode != 0)
		return;
	m->frozen = pit_model_count(m);
	m->armed = false;
	model_out(m, false);
}

void pit_model_count_written(struct pit_model_counter *m, u32 count)
{
	bool again = m->armed;

	m->cr = count;
	m->armed = m->null = true;
	if (m->mode == 1 || m->mode == 5 || (again && (m->mode == 2 || m->mode == 3)))
		return;
	m->counting = m->gate;
	model_out(m, m->mode != 0);
	model_load(m);
}

void pit_model_gate(struct pit_model_counter *m, bool gate)
{
	bool rises = gate && !m->gate;

	m->gate = gate;
	if (!m->armed)
		return;
	if (m->mode == 0 || m->mode == 4) {
		m->counting = gate;
	} else if (rises) {
		m->counting = true;
		model_out(m, m->mode != 1);
		model_load(m);
	} else if (!gate && (m->mode == 2 || m->mode == 3)) {
		m->counting = false;
		model_out(m, true);
	}
}

/* The deadline is the clock at which the stepped copy's output rises. */
void pit_model_check_deadline(const struct pit *p, struct pit_model_counter m, u64 t)
{
	u64 deadline = pit_deadline(p, pit_model_time(t)), before = m.edges;
	struct pit copy = *p;

	if (deadline == 0) {
		for (unsigned i = 0; i < 300; i++)
			pit_model_step(&m);
		assert_int_equal(m.edges, before);
		return;
	}
	if (deadline > pit_model_time(t + 2000))
		return;
	while (m.edges == before) {
		assert_true(pit_model_time(t) < deadline);
		pit_model_step(&m);
		t++;
	}
	assert_int_equal(deadline, pit_model_time(t));
	assert_int_equal(pit_take_edges(&copy, deadline - 1), 0);
	assert_int_equal(pit_take_edges(&copy, deadline), 1);
}

/* -------------------------------------------------------- the ports ---- */

void pit_model_reset(struct pit_model *m)
{
	*m = (struct pit_model){0};
	for (unsigned n = 0; n < 3; n++)
		m->counter[n] = (struct pit_model_counter){
			.mode = 3, .access = 3, .gate = n != 2, .null = true, .out = true};
}

static u32 digits_value(u16 v)
{
	u32 n = 0;

	for (int i = 3; i >= 0; i--)
		n = n * 10 + (v >> 4 * i & 15);
	return n;
}

static void write_whole(struct pit_model_counter *m, u16 v)
{
	u32 count = m->bcd ? digits_value(v) : v;

	if (count == 0)
		count = m->bcd ? 10000 : 65536;
	/* Periodic modes do not take 1: the data sheet's smallest count there is 2. */
	if (count == 1 && (m->mode == 2 || m->mode == 3))
		count = 2;
	pit_model_count_written(m, count);
}

static void write_counter(struct pit_model_counter *m, u8 v)
{
	if (m->access == 3 && !m->second_write) {
		m->first = v;
		m->second_write = true;
		pit_model_first_byte(m);
		return;
	}
	if (m->access == 3)
		write_whole(m, v << 8 | m->first);
	else
		write_whole(m, m->access == 2 ? v << 8 : v);
	m->second_write = false;
}

static void latch_count(struct pit_model_counter *m)
{
	if (!m->latched)
		m->latch = pit_model_count(m);
	m->latched = true;
}

static void latch_status(struct pit_model_counter *m)
{
	if (!m->status_latched)
		m->status = m->out << 7 | m->null << 6 | m->access << 4 | m->mode << 1 | m->bcd;
	m->status_latched = true;
}

static void read_back(struct pit_model *m, u8 v)
{
	for (unsigned n = 0; n < 3; n++) {
		if (!(v >> (n + 1) & 1))
			continue;
		if (!(v & 0x20))
			latch_count(&m->counter[n]);
		if (!(v & 0x10))
			latch_status(&m->counter[n]);
	}
}

static void write_control(struct pit_model *m, u8 v)
{
	struct pit_model_counter *c = &m->counter[v >> 6 & 3];
	const unsigned access = v >> 4 & 3, mode = v >> 1 & 7;

	if (v >> 6 == 3) {
		read_back(m, v);
	} else if (access == 0) {
		latch_count(c);
	} else {
		pit_model_control(c, mode < 6 ? mode : mode & 3, access, v & 1);
		c->second_write = c->second_read = c->latched = c->status_latched = false;
	}
}

void pit_model_write(struct pit_model *m, u16 port, u8 v)
{
	if (port == 0x61) {
		m->port61 = v & 3;
		pit_model_gate(&m->counter[2], v & 1);
	} else if (port == 0x43) {
		write_control(m, v);
	} else {
		write_counter(&m->counter[port - 0x40], v);
	}
}

static u8 read_counter(struct pit_model_counter *m)
{
	const u16 v = m->latched ? m->latch : pit_model_count(m);
	const bool high = m->access == 2 || m->second_read;

	if (m->status_latched) {
		m->status_latched = false;
		return m->status;
	}
	m->second_read = m->access == 3 && !m->second_read;
	if (!m->second_read) /* whole */
		m->latched = false;
	return high ? v >> 8 : v & 0xff;
}

u8 pit_model_read(struct pit_model *m, u16 port, u64 t)
{
	if (port == 0x61)
		return m->port61 | (t / REFRESH_CLOCKS & 1) << 4 | m->counter[2].out << 5;
	return port == 0x43 ? 0xff : read_counter(&m->counter[port - 0x40]);
}
