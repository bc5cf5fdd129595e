/*
 * Machines of which nothing but user code runs here: PLEX86_USER_CODE.
 *
 * Owns: what is taken of struct plex86_user, all of whose words are hostile, and when the code has
 * its turn. Why it stopped is for its owner to deal with, who emulates the rest of the guest: this
 * side knows registers, descriptors and page tables, and nothing of what they mean to a guest.
 */
#include "plex86.h"
#include <linux/sched.h>

#define RIGHTS (HOST_READ | HOST_WRITE | HOST_EXEC)

/* ---------------------------------------------------------- page tables ---- */

static bool is_possible(const struct machine *m, const struct plex86_user_map *c)
{
	if (!c->pages || (u64)c->page + c->pages > SHADOW_PAGES || (c->prot & ~RIGHTS))
		return false;
	switch (c->op) {
	case PLEX86_USER_MAP_UNMAP:
		return !c->prot;
	case PLEX86_USER_MAP_PROTECT:
		return true;
	case PLEX86_USER_MAP_SET:
		return (u64)c->frame + c->pages <= m->page_count;
	}
	return false;
}

/* One change, table by table. We are at home, and it may be all of 4 GiB. */
static int apply(struct machine *m, const struct plex86_user_map *c)
{
	const u64 start = (u64)c->page << PAGE_SHIFT, end = start + ((u64)c->pages << PAGE_SHIFT);
	struct table_change t = {.map = c->op == PLEX86_USER_MAP_SET,
				 .flags = table_flags(c->prot)};
	u64 lost = 0;
	bool ok = true;

	for (t.la = start; ok && t.la < end; t.la = t.end) {
		t.end = min(end, (t.la | (PMD_SIZE - 1)) + 1);
		t.gpa = ((u64)c->frame << PAGE_SHIFT) + t.la - start;
		ok = tables_change(m, VIEW_USER, &t, &lost);
		cond_resched();
	}
	tables_lost(m, lost);
	return ok ? 0 : -ENOMEM;
}

static int choose_space(struct machine *m)
{
	const u32 space = READ_ONCE(m->user->space);

	if (space >= PLEX86_USER_SPACES)
		return -EINVAL;
	if (!m->spaces[space])
		m->spaces[space] = tables_create_space(m);
	if (!m->spaces[space])
		return -ENOMEM;
	m->space = m->spaces[space];
	m->vm.pool.active = space;
	return 0;
}

int user_map(struct machine *m)
{
	const u32 maps = READ_ONCE(m->user->maps);
	int ret = -EINVAL;

	if (!m->pages || maps > ARRAY_SIZE(m->user->map))
		return ret;
	ret = choose_space(m);
	for (u32 i = 0; !ret && i < maps; i++) {
		struct plex86_user_map c;

		memcpy(&c, &m->user->map[i], sizeof(c));
		barrier(); /* what has been checked is what is used */
		ret = is_possible(m, &c) ? apply(m, &c) : -EINVAL;
	}
	if (!ret)
		WRITE_ONCE(m->user->maps, 0);
	return ret;
}

/* ------------------------------------------------------------ registers ---- */

/* nexus.c makes descriptors, flags and the selectors of CS and SS harmless. */
static void take_descriptors(struct machine *m)
{
	u32 changed = READ_ONCE(m->user->ldt_changed);

	for (; changed; changed &= changed - 1) {
		const unsigned slot = __builtin_ctz(changed);

		nexus_set_descriptor(m, true, slot, READ_ONCE(m->user->ldt[slot]));
	}
	WRITE_ONCE(m->user->ldt_changed, 0);
}

/* Loaded at CPL 0: with RPL 3 none that is not of DPL 3 passes. */
static u16 outer(u16 selector)
{
	return selector & ~3 ? selector | 3 : selector;
}

static void take_registers(struct machine *m)
{
	const struct plex86_user *u = m->user;
	struct vcpu *cpu = &m->vm.cpu;

	for (unsigned i = 0; i < ARRAY_SIZE(u->gpr); i++)
		cpu->gpr[i] = READ_ONCE(u->gpr[i]);
	cpu->rip = READ_ONCE(u->rip);
	cpu->rflags = READ_ONCE(u->rflags);
	for (unsigned reg = 0; reg < SEG_COUNT; reg++)
		cpu->hw_selector[reg] = outer(READ_ONCE(u->selector[reg]));
}

static void give_registers(struct machine *m)
{
	struct plex86_user *u = m->user;
	const struct vcpu *cpu = &m->vm.cpu;

	for (unsigned i = 0; i < ARRAY_SIZE(u->gpr); i++)
		WRITE_ONCE(u->gpr[i], cpu->gpr[i]);
	WRITE_ONCE(u->rip, cpu->rip);
	WRITE_ONCE(u->rflags, cpu->rflags);
	for (unsigned reg = 0; reg < SEG_COUNT; reg++)
		WRITE_ONCE(u->selector[reg], cpu->hw_selector[reg]);
}

/* -------------------------------------------------------------- running ---- */

static int enter(struct machine *m, struct trap *trap)
{
	u16 hw[SEG_COUNT];
	int vector;

	m->view = VIEW_USER;
	vector = nexus_run(m, trap, hw);
	if (vector == NX_FAULTED)
		return PLEX86_USER_REFUSED;
	/* After host interrupts as well: it goes on with what it has loaded since. */
	if (vector != NX_ABORTED)
		memcpy(m->vm.cpu.hw_selector, hw, sizeof(hw));
	return vector == NX_ABORTED ? -1 : vector;
}

/* The vector of its trap, or PLEX86_USER_*. */
static int run(struct machine *m, struct trap *trap)
{
	int vector = -1;

	while (vector < 0) {
		if (!m->away) {
			if (!yield_to_host())
				return PLEX86_USER_STOPPED;
			go_away(m);
		}
		if (must_return() || need_resched())
			go_home(m);
		else if (READ_ONCE(m->user->stop))
			return PLEX86_USER_STOPPED;
		else
			vector = enter(m, trap);
	}
	return vector;
}

int user_run(struct machine *m)
{
	struct trap trap = {0};
	int vector, ret = user_map(m);

	if (ret)
		return ret;
	take_descriptors(m);
	take_registers(m);
	fpu_swap_kvm_fpstate(&m->fpu, true);
	vector = run(m, &trap);
	go_home(m);
	fpu_swap_kvm_fpstate(&m->fpu, false);
	give_registers(m);
	WRITE_ONCE(m->user->vector, vector);
	WRITE_ONCE(m->user->error, trap.error);
	WRITE_ONCE(m->user->address, trap.address);
	return 0;
}
