/*
 * Delivery of exceptions and interrupts: SDM vol. 2, INT n ("PROTECTED-MODE", which holds for
 * external interrupts and exceptions as well); vol. 3, 6.12 to 6.15 (double faults: table 6-5).
 */
#include "model.h"

enum { TASK_GATE = 5, INT16 = 6, TRAP16 = 7, INT32 = 14, TRAP32 = 15 };

static bool is_gate32(u8 type)
{
	return type == INT32 || type == TRAP32;
}

static bool is_interrupt_gate(u8 type)
{
	return type == INT16 || type == INT32;
}

/* The IDT's descriptor. */
static u64 read_idt(struct model *m, const struct m_event *e, u32 ext)
{
	const u32 error = e->vector * 8u + 2 + ext, at = e->vector * 8u;
	u64 raw;
	struct m_segment d; /* its type, S, DPL and P are where a segment's are */

	if (at + 7 > m->r.idtr.limit)
		fault(m, EXC_GP, error);
	raw = m_read_system(m, m->r.idtr.base + at, 8);
	d = m_unpack(raw, 0);
	if (d.s || (d.type != TASK_GATE && d.type != INT16 && d.type != TRAP16 && d.type != INT32 &&
		    d.type != TRAP32))
		fault(m, EXC_GP, error);
	if (e->kind == M_SOFTWARE && d.dpl < m->r.cpl)
		fault(m, EXC_GP, error);
	if (!d.present)
		fault(m, EXC_NP, error);
	if (d.type == TASK_GATE)
		stop(m, M_TASK_SWITCH);
	return raw;
}

static struct m_segment read_handler_segment(struct model *m, u16 selector, u32 ext)
{
	struct m_segment cs;

	if (m_is_null(selector))
		fault(m, EXC_GP, ext);
	cs = m_unpack(m_read_descriptor(m, selector, EXC_GP, ext), selector);
	if (!m_is_code(&cs) || cs.dpl > m->r.cpl)
		fault(m, EXC_GP, M_ERROR(selector) + ext);
	if (!cs.present)
		fault(m, EXC_NP, M_ERROR(selector) + ext);
	m_set_accessed(m, &cs);
	return cs;
}

/* INTERRUPT-FROM-VIRTUAL-8086-MODE: they are pushed first, and null in the handler. */
static void save_data_segments(struct model *m, struct m_stack *stack, unsigned size)
{
	static const enum seg_reg data[] = {SEG_GS, SEG_FS, SEG_DS, SEG_ES};

	for (unsigned i = 0; i < ARRAY_SIZE(data); i++) {
		m_push(m, stack, m->r.seg[data[i]].selector, size);
		m->r.seg[data[i]] = (struct m_segment){.null = true};
	}
}

/* One attempt. Both INTER- and INTRA-PRIVILEGE-LEVEL-INTERRUPT. */
static void deliver(struct model *m, const void *arg)
{
	const struct m_event *e = arg;
	const u32 ext = e->kind == M_SOFTWARE ? 0 : 1;
	const u64 gate = read_idt(m, e, ext);
	const u8 type = gate >> 40 & 0xf;
	const unsigned size = is_gate32(type) ? 4 : 2;
	const u32 offset = (gate & 0xffff) | (is_gate32(type) ? gate >> 48 << 16 : 0);
	struct m_segment cs = read_handler_segment(m, gate >> 16 & 0xffff, ext);
	const bool inner = !m_is_conforming(&cs) && cs.dpl < m->r.cpl;
	const bool vm86 = m->r.eflags & FLAG_VM;
	const unsigned items = 3 + (inner ? 2 : 0) + (vm86 ? 4 : 0) + (e->has_error ? 1 : 0);
	const struct m_stack old = m_present_stack(m);
	struct m_stack stack;

	if (vm86 && (!inner || cs.dpl != 0))
		fault(m, EXC_GP, M_ERROR(cs.selector) + ext);
	stack = inner ? m_stack_of_level(m, cs.dpl, ext) : old;
	if (!m_stack_has_room(&stack, items, size))
		fault(m, EXC_SS, inner ? M_ERROR(stack.ss.selector) + ext : ext);
	if (offset > cs.limit)
		fault(m, EXC_GP, ext);
	if (vm86)
		save_data_segments(m, &stack, size);
	if (inner) {
		m_push(m, &stack, old.ss.selector, size);
		m_push(m, &stack, old.esp, size);
	}
	m_push(m, &stack, m->r.eflags, size);
	m_push(m, &stack, m->r.seg[SEG_CS].selector, size);
	m_push(m, &stack, e->eip, size);
	if (e->has_error)
		m_push(m, &stack, e->error, size);
	if (inner)
		m->r.cpl = cs.dpl;
	cs.selector = (cs.selector & ~3u) | m->r.cpl;
	m->r.seg[SEG_CS] = cs;
	m->r.seg[SEG_SS] = stack.ss;
	m->r.gpr[GPR_SP] = stack.esp;
	m->r.eip = offset;
	m->r.eflags &= ~(FLAG_TF | FLAG_VM | FLAG_RF | FLAG_NT);
	/* The core's, not the SDM's: its guests' inner levels run where alignment is checked. */
	if (m->deprivileged && m->r.cpl < 3)
		m->r.eflags &= ~FLAG_AC;
	if (is_interrupt_gate(type))
		m->r.eflags &= ~FLAG_IF;
}

/* Table 6-4. */
enum class { BENIGN, CONTRIBUTORY, PAGE_FAULT };

static enum class class_of(u8 vector) {
	switch (vector){
		case EXC_DE : case EXC_TS : case EXC_NP : case EXC_SS : case
		EXC_GP : return CONTRIBUTORY;
		case EXC_PF : return PAGE_FAULT;
		default : return BENIGN;
	}
}

/* Table 6-5: rows are the first event's class, columns the second's. */
static bool is_double_fault(const struct m_event *first, u8 second)
{
	static const bool table[3][3] = {
		[BENIGN] = {false, false, false},
		[CONTRIBUTORY] = {false, true, false},
		[PAGE_FAULT] = {false, true, true},
	};
	/* Interrupts are benign whatever their vector. */
	const enum class row = first->kind == M_EXCEPTION ? class_of(first->vector) : BENIGN;

	return table[row][class_of(second)];
}

bool m_has_error_code(u8 vector)
{
	return vector == EXC_DF || (vector >= EXC_TS && vector <= EXC_PF) || vector == EXC_AC;
}

enum m_outcome m_deliver(struct model *m, struct m_event event)
{
	const u32 eip = m->r.eip; /* faults are the interrupted instruction's */

	for (;;) {
		const enum m_outcome outcome = model_run(m, deliver, &event);
		const u8 second = m->fault.vector;

		if (outcome != M_FAULT)
			return outcome;
		if (second == EXC_PF)
			m->r.cr2 = m->fault.address;
		if (event.kind == M_EXCEPTION && event.vector == EXC_DF) {
			m->r.shutdown = true;
			return M_DONE;
		}
		if (is_double_fault(&event, second)) {
			event = (struct m_event){M_EXCEPTION, EXC_DF, true, 0, eip};
			continue;
		}
		/* Vol. 3, 17.3.1.1: RF is set in the image of every fault. */
		m->r.eflags |= FLAG_RF;
		event = (struct m_event){M_EXCEPTION, second, m_has_error_code(second),
					 m->fault.error, eip};
	}
}

/* ------------------------------------------------------------- stepping ---- */

enum m_outcome m_step(struct model *m, m_operation *operation, const void *arg,
		      enum m_step_kind kind)
{
	const bool single_step = m->r.eflags & FLAG_TF;
	const u32 rf = m->r.eflags & FLAG_RF;
	enum m_outcome outcome;

	/* Vol. 3, 17.3.1.1: it is clear behind each instruction but iret, which loads it. */
	m->r.eflags &= ~FLAG_RF;
	outcome = model_run(m, operation, arg);
	if (outcome == M_FAULT) {
		m->r.eflags |= FLAG_RF;
		if (m->fault.vector == EXC_PF)
			m->r.cr2 = m->fault.address;
		return m_deliver(m, (struct m_event){M_EXCEPTION, m->fault.vector,
						     m_has_error_code(m->fault.vector),
						     m->fault.error, m->r.eip});
	}
	if (outcome != M_DONE) {
		m->r.eflags |= rf;
		return outcome;
	}
	/* Vol. 3, 17.3.1.4, and 6.8.3 of loads of SS. */
	if (!single_step || kind == M_LOADS_SS)
		return M_DONE;
	return m_deliver(m, (struct m_event){M_EXCEPTION, EXC_DB, false, 0, m->r.eip});
}
