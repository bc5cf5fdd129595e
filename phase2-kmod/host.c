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

/* What user code may do there. Its system calls begin in the PV page, whose words are not its own.
 */
static u64 user_flags_of(struct vm *vm, u64 la, unsigned prot)
{
	if (la == PLEX86_PV_PAGE && prot)
		return vm->abi ? table_flags(HOST_READ | HOST_EXEC) : 0;
	return prot & HOST_USER ? table_flags(prot) : 0;
}

static bool is_low(u64 la, u64 len)
{
	return len <= 1ull << 32 && la <= (1ull << 32) - len;
}

/* In both views, table by table. */
static bool change_all(struct vm *vm, u64 la, u64 gpa, u64 len, bool map, unsigned prot)
{
	struct machine *m = machine_of(vm);
	const u64 end = la + len;
	u64 lost = 0;
	bool ok = true;

	while (ok && la < end) {
		struct table_change c = {.la = la, .end = min(end, (la | (PMD_SIZE - 1)) + 1)};

		c.map = map;
		c.gpa = gpa;
		c.flags = table_flags(prot);
		ok = tables_change(m, VIEW_KERNEL, &c, &lost);
		c.flags = user_flags_of(vm, la, prot);
		ok = ok && tables_change(m, VIEW_USER, &c, &lost);
		gpa += c.end - la;
		la = c.end;
	}
	tables_lost(m, lost);
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
