/*
 * Operations that end or fault: see model.h.
 */
#include "model.h"

noreturn void stop(struct model *m, enum m_outcome outcome)
{
	m->outcome = outcome;
	longjmp(m->stop, 1);
}

noreturn void fault(struct model *m, u8 vector, u32 error)
{
	m->fault = (struct m_fault){.vector = vector, .error = error};
	stop(m, M_FAULT);
}

noreturn void page_fault(struct model *m, u32 la, u32 error)
{
	m->fault = (struct m_fault){.vector = EXC_PF, .error = error, .address = la};
	stop(m, M_FAULT);
}

enum m_outcome model_run(struct model *m, m_operation *operation, const void *arg)
{
	const struct m_registers before = m->r;

	m->writes = 0;
	if (setjmp(m->stop)) {
		m->r = before;
		return m->outcome;
	}
	operation(m, arg);
	for (unsigned i = 0; i < m->writes; i++)
		if (m->write[i].pa < m->ram_size)
			m->ram[m->write[i].pa] = m->write[i].value;
	return M_DONE;
}
