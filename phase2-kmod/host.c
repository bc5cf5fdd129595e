/*
 * The host services of common/host.h, made of page tables, descriptor tables and an hrtimer.
 *
 * Owns: the low 4 GiB of the machine's page tables. Called away or at home; what has to sleep goes
 * home.
 */
#include "plex86.h"
#include <linux/ktime.h>
#include <asm/msr.h>
#include <asm/processor.h>

static u64 flags_of(unsigned prot)
{
	if (!(prot & (HOST_READ | HOST_WRITE | HOST_EXEC)))
		return 0;
	return _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY |
	       (prot & HOST_WRITE ? _PAGE_RW : 0) | (prot & HOST_EXEC ? 0 : _PAGE_NX);
}

/* What user code may do there. Its system calls begin in the PV page, whose words are not its own.
 */
static u64 user_flags_of(struct vm *vm, u64 la, unsigned prot)
{
	if (la == PLEX86_PV_PAGE && prot)
		return vm->abi ? flags_of(HOST_READ | HOST_EXEC) : 0;
	return prot & HOST_USER ? flags_of(prot) : 0;
}

static bool is_low(u64 la, u64 len)
{
	return len <= 1ull << 32 && la <= (1ull << 32) - len;
}

/* Might a translation by `old` be too much? What is not present no TLB has; what becomes allowed a
 * fault finds out (SDM vol. 3, 4.10.4.2 and 4.10.4.3). */
static bool is_less(u64 old, u64 new)
{
	return (old & _PAGE_PRESENT) && ((old ^ new) & (PTE_PFN_MASK | _PAGE_PRESENT) ||
					 old & ~new &_PAGE_RW || new & ~old &_PAGE_NX);
}

/* Entries to be given to [la, end), all in one table. */
struct change {
	u64 la, end;
	bool map;  /* else only those that are there, which keep their page */
	u64 gpa;   /* if so */
	u64 flags; /* 0: none are to be there */
};

/* False: out of memory. `*lost`: the page of which something was taken; FORGET_ALL: several. */
static bool change(struct machine *m, unsigned view, const struct change *c, u64 *lost)
{
	u64 *table = tables_get(m, view, c->la, c->map && c->flags);

	if (!table)
		return !(c->map && c->flags);
	for (u64 la = c->la; la < c->end; la += PAGE_SIZE) {
		u64 *entry = &table[la >> PAGE_SHIFT & 511], old = *entry, new = 0;

		if (c->flags && c->map)
			new = page_to_phys(m->pages[(c->gpa + la - c->la) >> PAGE_SHIFT]) |
			      c->flags;
		else if (c->flags && old)
			new = (old & PTE_PFN_MASK) | c->flags;
		if (is_less(old, new))
			*lost = *lost && *lost != (la | 1) ? FORGET_ALL : la | 1;
		*entry = new;
	}
	return true;
}

/* In both views, table by table. */
static bool change_all(struct vm *vm, u64 la, u64 gpa, u64 len, bool map, unsigned prot)
{
	struct machine *m = machine_of(vm);
	const u64 end = la + len;
	u64 lost = 0;
	bool ok = true;

	while (ok && la < end) {
		struct change c = {.la = la, .end = min(end, (la | (PMD_SIZE - 1)) + 1)};

		c.map = map;
		c.gpa = gpa;
		c.flags = flags_of(prot);
		ok = change(m, VIEW_KERNEL, &c, &lost);
		c.flags = user_flags_of(vm, la, prot);
		ok = ok && change(m, VIEW_USER, &c, &lost);
		gpa += c.end - la;
		la = c.end;
	}
	if (lost)
		nexus_forget(m, lost == FORGET_ALL ? lost : lost & PAGE_MASK);
	return ok;
}

enum host_error host_map(struct vm *vm, u64 la, u64 gpa, u64 len, unsigned prot)
{
	if (WARN_ON_ONCE(!is_low(la, len) ||
			 (gpa + len) >> PAGE_SHIFT > machine_of(vm)->page_count))
		return HOST_FAIL;
	return change_all(vm, la, gpa, len, true, prot) ? HOST_OK : HOST_FAIL;
}

enum host_error host_protect(struct vm *vm, u64 la, u64 len, unsigned prot)
{
	if (WARN_ON_ONCE(!is_low(la, len)))
		return HOST_FAIL;
	change_all(vm, la, 0, len, false, prot);
	return HOST_OK;
}

enum host_error host_unmap(struct vm *vm, u64 la, u64 len)
{
	if (WARN_ON_ONCE(!is_low(la, len)))
		return HOST_FAIL;
	change_all(vm, la, 0, len, false, 0);
	return HOST_OK;
}

static void set_tls(struct machine *m, unsigned slot)
{
	nexus_set_descriptor(m, false, HOST_TLS_ENTRY + slot, m->space->tls[slot]);
}

enum host_error host_activate(struct vm *vm, unsigned index)
{
	struct machine *m = machine_of(vm);

	if (!m->spaces[index]) {
		go_home(m); /* to sleep */
		m->spaces[index] = tables_create_space(m);
		if (!m->spaces[index])
			return HOST_FAIL;
	}
	m->space = m->spaces[index];
	for (unsigned i = 0; i < HOST_TLS_COUNT; i++)
		set_tls(m, i);
	return HOST_OK;
}

enum host_error host_set_segment(struct vm *vm, enum host_slot slot, u64 descriptor)
{
	struct machine *m = machine_of(vm);

	if (slot >= HOST_SLOT_TLS0) {
		m->space->tls[slot - HOST_SLOT_TLS0] = descriptor;
		set_tls(m, slot - HOST_SLOT_TLS0);
	} else {
		nexus_set_descriptor(m, true, slot, descriptor);
	}
	return HOST_OK;
}

u64 host_now(struct vm *vm)
{
	return ktime_get_ns();
}

s64 host_utc(struct vm *vm)
{
	return ktime_get_real_seconds();
}

bool host_due(struct vm *vm, u64 deadline)
{
	return ktime_get_ns() >= deadline;
}

enum hrtimer_restart host_timer_fired(struct hrtimer *timer)
{
	struct machine *m = container_of(timer, struct machine, timer);

	WRITE_ONCE(m->due, true);
	machine_notify(m);
	return HRTIMER_NORESTART;
}

void host_arm_timer(struct vm *vm, u64 deadline)
{
	struct machine *m = machine_of(vm);

	if (deadline)
		hrtimer_start(&m->timer, ns_to_ktime(deadline), HRTIMER_MODE_ABS);
	else
		hrtimer_cancel(&m->timer);
}

void host_cpuid(struct vm *vm, u32 leaf, u32 subleaf, u32 out[4])
{
	cpuid_count(leaf, subleaf, &out[0], &out[1], &out[2], &out[3]);
}

u64 host_tsc(struct vm *vm)
{
	return rdtsc();
}
