/*
 * Memory through segments (SDM vol. 3, 5.3 to 5.5), and stacks.
 */
#include "model.h"

static void write_byte(struct model *m, u32 pa, u8 value)
{
	if (m->writes == M_WRITES_MAX)
		stop(m, M_OUT_OF_SCOPE);
	m->write[m->writes++] = (struct m_write){.pa = pa, .value = value};
}

static u64 read_linear(struct model *m, u32 la, unsigned size, bool user)
{
	u64 value = 0;

	for (unsigned i = 0; i < size; i++) {
		const u32 pa = m_translate(m, la + i, (struct m_access){.user = user});

		/* Nobody answers where there is no memory. */
		value |= (u64)(pa < m->ram_size ? m->ram[pa] : 0xff) << 8 * i;
	}
	return value;
}

static void write_linear(struct model *m, u32 la, u64 value, unsigned size, bool user)
{
	const struct m_access access = {.write = true, .user = user};

	for (unsigned i = 0; i < size; i++)
		write_byte(m, m_translate(m, la + i, access), value >> 8 * i);
}

/* 4.6.1: accesses to descriptor tables and the TSS are the supervisor's at any CPL. */
u64 m_read_system(struct model *m, u32 la, unsigned size)
{
	return read_linear(m, la, size, false);
}

/* At once: descriptors are marked whether or not the instruction faults later. */
void m_write_system(struct model *m, u32 la, u64 value, unsigned size)
{
	for (unsigned i = 0; i < size; i++) {
		const u32 pa = m_translate(m, la + i, (struct m_access){.write = true});

		if (pa < m->ram_size)
			m->ram[pa] = value >> 8 * i;
	}
}

/* 5.3. Of an expand-down segment the limit is the last byte that does not belong to it. */
bool m_within(const struct m_segment *seg, u32 offset, unsigned size)
{
	const u64 first = offset, last = (u64)offset + size - 1;
	const bool expand_down = !(seg->type & SEG_TYPE_CODE) && (seg->type & SEG_TYPE_DOWN);

	if (expand_down)
		return first > seg->limit && last <= (seg->big ? 0xffffffffu : 0xffffu);
	return last <= seg->limit;
}

void m_check(struct model *m, enum seg_reg reg, u32 offset, unsigned size)
{
	const struct m_segment *seg = &m->r.seg[reg];
	const bool unreadable = m_is_code(seg) && !(seg->type & SEG_TYPE_WRITE);

	if (seg->null || unreadable || !m_within(seg, offset, size))
		fault(m, reg == SEG_SS ? EXC_SS : EXC_GP, 0);
}

u32 m_read(struct model *m, enum seg_reg reg, u32 offset, unsigned size)
{
	m_check(m, reg, offset, size);
	return read_linear(m, m->r.seg[reg].base + offset, size, m->r.cpl == 3);
}

/* ------------------------------------------------------------ stacks ---- */

struct m_stack m_present_stack(const struct model *m)
{
	return (struct m_stack){m->r.seg[SEG_SS], m->r.gpr[GPR_SP], m->r.cpl};
}

/* The B flag says how wide the stack pointer is (vol. 1, 6.2.3). */
static u32 stack_offset(const struct m_stack *s, u32 delta)
{
	const u32 esp = s->esp + delta;

	return s->ss.big ? esp : esp & 0xffff;
}

void m_stack_move(struct m_stack *s, u32 delta)
{
	const u32 offset = stack_offset(s, delta);

	s->esp = s->ss.big ? offset : (s->esp & 0xffff0000u) | offset;
}

bool m_stack_holds(const struct m_stack *s, u32 depth, unsigned n, unsigned size)
{
	for (unsigned i = 0; i < n; i++)
		if (!m_within(&s->ss, stack_offset(s, depth + i * size), size))
			return false;
	return true;
}

bool m_stack_has_room(const struct m_stack *s, unsigned n, unsigned size)
{
	for (unsigned i = 1; i <= n; i++)
		if (!m_within(&s->ss, stack_offset(s, -(i * size)), size))
			return false;
	return true;
}

u32 m_stack_read(struct model *m, const struct m_stack *s, u32 depth, unsigned size)
{
	return read_linear(m, s->ss.base + stack_offset(s, depth), size, s->cpl == 3);
}

/* The limit has been looked at: m_stack_has_room(). */
void m_push(struct model *m, struct m_stack *s, u32 value, unsigned size)
{
	m_stack_move(s, -size);
	write_linear(m, s->ss.base + stack_offset(s, 0), value, size, s->cpl == 3);
}
