/*
 * IRET: SDM vol. 2, IRET in protected mode, and TASK-RETURN up to the switch.
 */
#include "model.h"

enum { SYSTEM_TSS16_BUSY = 3, SYSTEM_TSS32_BUSY = 11 };

static noreturn void task_return(struct model *m)
{
	const u16 link = m_read_system(m, m->r.tr.base, 2);
	struct m_segment tss;

	/* Vol. 3, 3.4.2: the GDT's first entry is none. */
	if ((link & 4) || m_is_null(link))
		fault(m, EXC_TS, M_ERROR(link));
	tss = m_unpack(m_read_descriptor(m, link, EXC_TS, 0), link);
	if (tss.s || (tss.type != SYSTEM_TSS16_BUSY && tss.type != SYSTEM_TSS32_BUSY))
		fault(m, EXC_TS, M_ERROR(link));
	if (!tss.present)
		fault(m, EXC_NP, M_ERROR(link));
	stop(m, M_TASK_SWITCH);
}

/* By the rights of the level that returns. */
static u32 new_flags(const struct model *m, u32 image, unsigned size)
{
	const unsigned iopl = (m->r.eflags & FLAG_IOPL) >> 12;
	u32 mask = FLAG_CF | FLAG_PF | FLAG_AF | FLAG_ZF | FLAG_SF | FLAG_TF | FLAG_DF | FLAG_OF |
		   FLAG_NT;

	if (size == 4)
		mask |= FLAG_RF | FLAG_AC | FLAG_ID;
	if (m->r.cpl <= iopl)
		mask |= FLAG_IF;
	/* VIF and VIP come with VME, which the processor does not have. */
	if (m->r.cpl == 0)
		mask |= FLAG_IOPL;
	return (m->r.eflags & ~mask) | (image & mask);
}

void m_iret(struct model *m, unsigned size)
{
	struct m_stack stack = m_present_stack(m);
	struct m_segment cs, ss;
	u16 selector, ss_selector;
	u32 eip, flags, esp;

	if (m->r.eflags & FLAG_NT)
		task_return(m);
	if (!m_stack_holds(&stack, 0, 3, size))
		fault(m, EXC_SS, 0);
	eip = m_stack_read(m, &stack, 0, size);
	selector = m_stack_read(m, &stack, size, size);
	flags = m_stack_read(m, &stack, 2 * size, size);
	if ((flags & FLAG_VM) && m->r.cpl == 0)
		stop(m, M_VM86);
	cs = m_return_code_segment(m, selector);
	if ((selector & 3) == m->r.cpl) {
		if (eip > cs.limit)
			fault(m, EXC_GP, 0);
		m_stack_move(&stack, 3 * size);
		m->r.gpr[GPR_SP] = stack.esp;
		m->r.eflags = new_flags(m, flags, size);
		m->r.seg[SEG_CS] = cs;
		m->r.eip = eip;
		return;
	}
	if (!m_stack_holds(&stack, 3 * size, 2, size))
		fault(m, EXC_SS, 0);
	esp = m_stack_read(m, &stack, 3 * size, size);
	ss_selector = m_stack_read(m, &stack, 4 * size, size);
	ss = m_return_stack_segment(m, ss_selector, selector & 3);
	if (eip > cs.limit)
		fault(m, EXC_GP, 0);
	m->r.eflags = new_flags(m, flags, size);
	m->r.cpl = selector & 3;
	m->r.seg[SEG_CS] = cs;
	m->r.eip = eip;
	m->r.seg[SEG_SS] = ss;
	/* With a 16-bit stack segment only SP is loaded, as processors do it. */
	m->r.gpr[GPR_SP] = ss.big ? esp : (stack.esp & 0xffff0000u) | (esp & 0xffff);
	m_drop_inner_segments(m);
}
