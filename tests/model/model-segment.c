/*
 * Descriptors, and loads of segment registers, LDTR and TR: SDM vol. 3, 3.4.5 and 5; vol. 2, MOV,
 * POP, LDS, LLDT, LTR.
 */
#include "model.h"

/* Table 3-2. */
enum { SYSTEM_TSS16 = 1, SYSTEM_LDT = 2, SYSTEM_TSS16_BUSY = 3, SYSTEM_TSS32 = 9 };

struct m_segment m_unpack(u64 descriptor, u16 selector)
{
	struct m_segment d = {.selector = selector};

	d.base = (descriptor >> 16 & 0xffffff) | (descriptor >> 56 & 0xff) << 24;
	d.limit = (descriptor & 0xffff) | (descriptor >> 48 & 0xf) << 16;
	d.type = descriptor >> 40 & 0xf;
	d.s = descriptor >> 44 & 1;
	d.dpl = descriptor >> 45 & 3;
	d.present = descriptor >> 47 & 1;
	d.big = descriptor >> 54 & 1;
	d.granular = descriptor >> 55 & 1;
	if (d.granular)
		d.limit = (d.limit << 12) + 0xfff;
	return d;
}

bool m_is_code(const struct m_segment *d)
{
	return d->s && (d->type & SEG_TYPE_CODE);
}

bool m_is_conforming(const struct m_segment *d)
{
	return m_is_code(d) && (d->type & SEG_TYPE_DOWN);
}

bool m_is_writable_data(const struct m_segment *d)
{
	return d->s && !(d->type & SEG_TYPE_CODE) && (d->type & SEG_TYPE_WRITE);
}

static u32 descriptor_address(const struct model *m, u16 selector)
{
	const u32 table = selector & 4 ? m->r.ldtr.base : m->r.gdtr.base;

	return table + (selector >> 3) * 8;
}

u64 m_read_descriptor(struct model *m, u16 selector, u8 vector, u32 ext)
{
	const bool no_table = (selector & 4) && m->r.ldtr.null;
	const u32 limit = selector & 4 ? m->r.ldtr.limit : m->r.gdtr.limit;

	if (no_table || (selector >> 3) * 8u + 7 > limit)
		fault(m, vector, M_ERROR(selector) + ext);
	return m_read_system(m, descriptor_address(m, selector), 8);
}

void m_set_accessed(struct model *m, const struct m_segment *d)
{
	const u32 at = descriptor_address(m, d->selector) + 5;
	const u8 byte = d->present << 7 | d->dpl << 5 | d->s << 4 | d->type;

	if (!(d->type & SEG_TYPE_ACCESSED))
		m_write_system(m, at, byte | SEG_TYPE_ACCESSED, 1);
}

static struct m_segment read_data_descriptor(struct model *m, u16 selector)
{
	return m_unpack(m_read_descriptor(m, selector, EXC_GP, 0), selector);
}

static void load_ss(struct model *m, u16 selector)
{
	const unsigned rpl = selector & 3;
	struct m_segment d;

	if (m_is_null(selector))
		fault(m, EXC_GP, 0);
	d = read_data_descriptor(m, selector);
	if (rpl != m->r.cpl || !m_is_writable_data(&d) || d.dpl != m->r.cpl)
		fault(m, EXC_GP, M_ERROR(selector));
	if (!d.present)
		fault(m, EXC_SS, M_ERROR(selector));
	m_set_accessed(m, &d);
	m->r.seg[SEG_SS] = d;
}

void m_load_segment(struct model *m, enum seg_reg reg, u16 selector)
{
	const unsigned rpl = selector & 3;
	bool unreadable;
	struct m_segment d;

	if (reg == SEG_SS) {
		load_ss(m, selector);
		return;
	}
	if (m_is_null(selector)) {
		m->r.seg[reg] = (struct m_segment){.selector = selector, .null = true};
		return;
	}
	d = read_data_descriptor(m, selector);
	unreadable = m_is_code(&d) && !(d.type & SEG_TYPE_WRITE);
	if (!d.s || unreadable)
		fault(m, EXC_GP, M_ERROR(selector));
	if (!m_is_conforming(&d) && (rpl > d.dpl || m->r.cpl > d.dpl))
		fault(m, EXC_GP, M_ERROR(selector));
	if (!d.present)
		fault(m, EXC_NP, M_ERROR(selector));
	m_set_accessed(m, &d);
	m->r.seg[reg] = d;
}

/* LLDT and LTR: a system descriptor, which is in the GDT only. */
static struct m_segment read_system_descriptor(struct model *m, u16 selector)
{
	if (selector & 4)
		fault(m, EXC_GP, M_ERROR(selector));
	return m_unpack(m_read_descriptor(m, selector, EXC_GP, 0), selector);
}

void m_lldt(struct model *m, u16 selector)
{
	struct m_segment d;

	if (m->r.cpl != 0)
		fault(m, EXC_GP, 0);
	if (m_is_null(selector)) {
		m->r.ldtr = (struct m_segment){.selector = selector, .null = true};
		return;
	}
	d = read_system_descriptor(m, selector);
	if (d.s || d.type != SYSTEM_LDT)
		fault(m, EXC_GP, M_ERROR(selector));
	if (!d.present)
		fault(m, EXC_NP, M_ERROR(selector));
	m->r.ldtr = d;
}

void m_ltr(struct model *m, u16 selector)
{
	struct m_segment d;

	if (m->r.cpl != 0)
		fault(m, EXC_GP, 0);
	if (m_is_null(selector))
		fault(m, EXC_GP, 0);
	d = read_system_descriptor(m, selector);
	if (d.s || (d.type != SYSTEM_TSS16 && d.type != SYSTEM_TSS32))
		fault(m, EXC_GP, M_ERROR(selector));
	if (!d.present)
		fault(m, EXC_NP, M_ERROR(selector));
	d.type |= 2; /* busy */
	m_write_system(m, descriptor_address(m, selector) + 5, d.present << 7 | d.dpl << 5 | d.type,
		       1);
	m->r.tr = d;
}

/* Vol. 2, INT n, "INTER-PRIVILEGE-LEVEL-INTERRUPT", and CALL, "MORE-PRIVILEGE": the same text. */
struct m_stack m_stack_of_level(struct model *m, unsigned level, u32 ext)
{
	const struct m_segment *tss = &m->r.tr;
	const bool is16 = tss->type == SYSTEM_TSS16_BUSY;
	const u32 at = is16 ? level * 4 + 2 : level * 8 + 4;
	const unsigned size = is16 ? 2 : 4;
	struct m_stack stack = {.cpl = level};
	u16 ss;

	if (at + size + 1 > tss->limit)
		fault(m, EXC_TS, M_ERROR(tss->selector) + ext);
	stack.esp = m_read_system(m, tss->base + at, size);
	ss = m_read_system(m, tss->base + at + size, 2);
	if (m_is_null(ss))
		fault(m, EXC_TS, ext);
	stack.ss = m_unpack(m_read_descriptor(m, ss, EXC_TS, ext), ss);
	if ((ss & 3) != level || stack.ss.dpl != level || !m_is_writable_data(&stack.ss))
		fault(m, EXC_TS, M_ERROR(ss) + ext);
	if (!stack.ss.present)
		fault(m, EXC_SS, M_ERROR(ss) + ext);
	m_set_accessed(m, &stack.ss);
	return stack;
}
