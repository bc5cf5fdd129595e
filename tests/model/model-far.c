/*
 * Far jumps, calls and returns: SDM vol. 2, JMP, CALL and RET in protected mode.
 */
#include "model.h"

enum {
	SYSTEM_TSS16 = 1,
	SYSTEM_CALL_GATE16 = 4,
	SYSTEM_TASK_GATE = 5,
	SYSTEM_TSS32 = 9,
	SYSTEM_CALL_GATE32 = 12
};

/* A call gate, figure 5-8. */
struct gate {
	u16 selector;
	u32 offset;
	unsigned size, parameters;
};

static struct m_segment with_rpl(struct m_segment d, unsigned rpl)
{
	d.selector = (d.selector & ~3u) | rpl;
	return d;
}

static void must_be_within(struct model *m, const struct m_segment *cs, u32 eip)
{
	if (eip > cs->limit)
		fault(m, EXC_GP, 0);
}

/* CONFORMING-CODE-SEGMENT and NONCONFORMING-CODE-SEGMENT. */
static void check_code_segment(struct model *m, const struct m_segment *d)
{
	const unsigned rpl = d->selector & 3, cpl = m->r.cpl;
	const bool reachable = m_is_conforming(d) ? d->dpl <= cpl : rpl <= cpl && d->dpl == cpl;

	if (!reachable)
		fault(m, EXC_GP, M_ERROR(d->selector));
	if (!d->present)
		fault(m, EXC_NP, M_ERROR(d->selector));
	m_set_accessed(m, d);
}

/* TASK-GATE and TASK-STATE-SEGMENT, up to where the switch begins. */
static noreturn void task(struct model *m, const struct m_segment *d)
{
	const unsigned rpl = d->selector & 3;

	if (d->dpl < m->r.cpl || d->dpl < rpl)
		fault(m, EXC_GP, M_ERROR(d->selector));
	/* Vol. 3, 8.2.2: a TSS descriptor that the TI flag finds in an LDT is none. */
	if (d->type != SYSTEM_TASK_GATE && (d->selector & 4))
		fault(m, EXC_GP, M_ERROR(d->selector));
	if (!d->present)
		fault(m, EXC_NP, M_ERROR(d->selector));
	stop(m, M_TASK_SWITCH);
}

/* CALL-GATE, up to the code segment, whose own checks differ. */
static struct gate read_gate(struct model *m, const struct m_segment *d, u64 raw)
{
	const unsigned rpl = d->selector & 3;
	struct gate g = {.selector = raw >> 16 & 0xffff, .parameters = raw >> 32 & 0x1f};

	if (d->dpl < m->r.cpl || d->dpl < rpl)
		fault(m, EXC_GP, M_ERROR(d->selector));
	if (!d->present)
		fault(m, EXC_NP, M_ERROR(d->selector));
	g.size = d->type == SYSTEM_CALL_GATE32 ? 4 : 2;
	g.offset = (raw & 0xffff) | (g.size == 4 ? raw >> 48 << 16 : 0);
	if (m_is_null(g.selector))
		fault(m, EXC_GP, 0);
	return g;
}

static struct m_segment gate_code_segment(struct model *m, const struct gate *g, bool jump)
{
	struct m_segment cs = m_unpack(m_read_descriptor(m, g->selector, EXC_GP, 0), g->selector);

	if (!m_is_code(&cs))
		fault(m, EXC_GP, M_ERROR(g->selector));
	if (cs.dpl > m->r.cpl || (jump && !m_is_conforming(&cs) && cs.dpl != m->r.cpl))
		fault(m, EXC_GP, M_ERROR(g->selector));
	if (!cs.present)
		fault(m, EXC_NP, M_ERROR(g->selector));
	m_set_accessed(m, &cs);
	return cs;
}

/* What a far pointer's selector names: a code segment, or a gate; all else ends here. */
static struct m_segment look_up(struct model *m, u16 selector, u64 *raw)
{
	struct m_segment d;

	if (m_is_null(selector))
		fault(m, EXC_GP, 0);
	*raw = m_read_descriptor(m, selector, EXC_GP, 0);
	d = m_unpack(*raw, selector);
	if (m_is_code(&d))
		return d;
	if (d.s)
		fault(m, EXC_GP, M_ERROR(selector));
	switch (d.type) {
	case SYSTEM_CALL_GATE16:
	case SYSTEM_CALL_GATE32:
		return d;
	case SYSTEM_TASK_GATE:
	case SYSTEM_TSS16:
	case SYSTEM_TSS32:
		task(m, &d);
	default:
		fault(m, EXC_GP, M_ERROR(selector));
	}
}

static void enter(struct model *m, struct m_segment cs, u32 eip)
{
	m->r.seg[SEG_CS] = with_rpl(cs, m->r.cpl);
	m->r.eip = eip;
}

void m_far_jump(struct model *m, u16 selector, u32 offset)
{
	u64 raw;
	struct m_segment d = look_up(m, selector, &raw);

	if (m_is_code(&d)) {
		check_code_segment(m, &d);
		must_be_within(m, &d, offset);
		enter(m, d, offset);
	} else {
		const struct gate g = read_gate(m, &d, raw);
		const struct m_segment cs = gate_code_segment(m, &g, true);

		must_be_within(m, &cs, g.offset);
		enter(m, cs, g.offset);
	}
}

/* Without a change of level: by a gate (SAME-PRIVILEGE) or directly. */
static void call_same(struct model *m, struct m_segment cs, u32 offset, unsigned size, u32 next)
{
	struct m_stack stack = m_present_stack(m);

	if (!m_stack_has_room(&stack, 2, size))
		fault(m, EXC_SS, 0);
	must_be_within(m, &cs, offset);
	m_push(m, &stack, m->r.seg[SEG_CS].selector, size);
	m_push(m, &stack, next, size);
	m->r.gpr[GPR_SP] = stack.esp;
	enter(m, cs, offset);
}

/* MORE-PRIVILEGE. */
static void call_inner(struct model *m, struct m_segment cs, const struct gate *g, u32 next)
{
	const struct m_stack old = m_present_stack(m);
	struct m_stack stack = m_stack_of_level(m, cs.dpl, 0);
	u32 parameter[31];

	if (!m_stack_has_room(&stack, g->parameters + 4, g->size))
		fault(m, EXC_SS, M_ERROR(stack.ss.selector));
	must_be_within(m, &cs, g->offset);
	m_push(m, &stack, old.ss.selector, g->size);
	m_push(m, &stack, old.esp, g->size);
	if (!m_stack_holds(&old, 0, g->parameters, g->size))
		fault(m, EXC_SS, 0);
	for (unsigned i = g->parameters; i-- > 0;)
		parameter[i] = m_stack_read(m, &old, i * g->size, g->size);
	for (unsigned i = g->parameters; i-- > 0;)
		m_push(m, &stack, parameter[i], g->size);
	m_push(m, &stack, m->r.seg[SEG_CS].selector, g->size);
	m_push(m, &stack, next, g->size);
	m->r.seg[SEG_SS] = stack.ss;
	m->r.gpr[GPR_SP] = stack.esp;
	m->r.cpl = cs.dpl;
	enter(m, cs, g->offset);
}

void m_far_call(struct model *m, u16 selector, u32 offset, unsigned size, u32 next)
{
	u64 raw;
	struct m_segment d = look_up(m, selector, &raw), cs;
	struct gate g;

	if (m_is_code(&d)) {
		check_code_segment(m, &d);
		call_same(m, d, offset, size, next);
		return;
	}
	g = read_gate(m, &d, raw);
	cs = gate_code_segment(m, &g, false);
	if (!m_is_conforming(&cs) && cs.dpl < m->r.cpl)
		call_inner(m, cs, &g, next);
	else
		call_same(m, cs, g.offset, g.size, next);
}

/* ------------------------------------------------------------ returns ---- */

struct m_segment m_return_code_segment(struct model *m, u16 selector)
{
	const unsigned rpl = selector & 3;
	struct m_segment d;

	if (m_is_null(selector))
		fault(m, EXC_GP, 0);
	d = m_unpack(m_read_descriptor(m, selector, EXC_GP, 0), selector);
	if (!m_is_code(&d) || rpl < m->r.cpl)
		fault(m, EXC_GP, M_ERROR(selector));
	if (m_is_conforming(&d) ? d.dpl > rpl : d.dpl != rpl)
		fault(m, EXC_GP, M_ERROR(selector));
	if (!d.present)
		fault(m, EXC_NP, M_ERROR(selector));
	m_set_accessed(m, &d);
	return d;
}

struct m_segment m_return_stack_segment(struct model *m, u16 selector, unsigned level)
{
	struct m_segment d;

	if (m_is_null(selector))
		fault(m, EXC_GP, 0);
	d = m_unpack(m_read_descriptor(m, selector, EXC_GP, 0), selector);
	if ((selector & 3) != level || !m_is_writable_data(&d) || d.dpl != level)
		fault(m, EXC_GP, M_ERROR(selector));
	if (!d.present)
		fault(m, EXC_SS, M_ERROR(selector));
	m_set_accessed(m, &d);
	return d;
}

/* The CPL is the new one. */
void m_drop_inner_segments(struct model *m)
{
	static const enum seg_reg data[] = {SEG_ES, SEG_FS, SEG_GS, SEG_DS};

	for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
		struct m_segment *seg = &m->r.seg[data[i]];

		if (!seg->null && !m_is_conforming(seg) && m->r.cpl > seg->dpl)
			*seg = (struct m_segment){.null = true};
	}
}

/* `release`: bytes of parameters, on both stacks. */
void m_far_return(struct model *m, unsigned size, u32 release)
{
	struct m_stack stack = m_present_stack(m);
	struct m_segment cs, ss;
	u16 selector, ss_selector;
	u32 eip, esp;

	if (!m_stack_holds(&stack, 0, 2, size))
		fault(m, EXC_SS, 0);
	eip = m_stack_read(m, &stack, 0, size);
	selector = m_stack_read(m, &stack, size, size);
	cs = m_return_code_segment(m, selector);
	if ((selector & 3) == m->r.cpl) {
		must_be_within(m, &cs, eip);
		m_stack_move(&stack, 2 * size + release);
		m->r.gpr[GPR_SP] = stack.esp;
		enter(m, cs, eip);
		return;
	}
	if (!m_stack_holds(&stack, 2 * size + release, 2, size))
		fault(m, EXC_SS, 0);
	esp = m_stack_read(m, &stack, 2 * size + release, size);
	ss_selector = m_stack_read(m, &stack, 3 * size + release, size);
	ss = m_return_stack_segment(m, ss_selector, selector & 3);
	must_be_within(m, &cs, eip);
	m->r.cpl = selector & 3;
	m->r.seg[SEG_SS] = ss;
	/* With a 16-bit stack segment only SP is loaded, as processors do it. */
	m->r.gpr[GPR_SP] =
		ss.big ? esp + release : (stack.esp & 0xffff0000u) | ((esp + release) & 0xffff);
	enter(m, cs, eip);
	m_drop_inner_segments(m);
}
