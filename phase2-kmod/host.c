/*
 * The host services of common/host.h, made of page tables, descriptor tables and an hrtimer.
 *
 * Owns: the low 4 GiB of the machine's page tables. Runs on the host's page tables, where it may
 * sleep; the guest's TLB is empty at every entry, so nothing is flushed here.
 */
#include "plex86.h"
#include <linux/ktime.h>
#include <linux/sched/signal.h>
#include <asm/msr.h>
#include <asm/processor.h>

static u64 flags_of(unsigned prot)
{
	if (!(prot & (HOST_READ | HOST_WRITE | HOST_EXEC)))
		return 0;
	return _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY |
	       (prot & HOST_WRITE ? _PAGE_RW : 0) | (prot & HOST_EXEC ? 0 : _PAGE_NX);
}

static bool is_low(u64 la, u64 len)
{
	return len <= 1ull << 32 && la <= (1ull << 32) - len;
}

enum host_error host_map(struct vm *vm, u64 la, u64 gpa, u64 len, unsigned prot)
{
	struct machine *m = machine_of(vm);

	if (WARN_ON_ONCE(!is_low(la, len) || (gpa + len) >> PAGE_SHIFT > m->page_count))
		return HOST_FAIL;
	for (u64 at = 0; at < len; at += PAGE_SIZE) {
		u64 *entry = tables_entry(m, la + at, true);

		if (!entry)
			return HOST_FAIL;
		*entry = page_to_phys(m->pages[(gpa + at) >> PAGE_SHIFT]) | flags_of(prot);
	}
	return HOST_OK;
}

/* Entries that are there, for `len` bytes: and, or. Skips the reach of a table that is not. */
static void change(struct machine *m, u64 la, u64 len, u64 keep, u64 set)
{
	const u64 end = la + len;

	while (la < end) {
		u64 *entry = tables_entry(m, la, false);

		if (!entry) {
			la = (la | (PMD_SIZE - 1)) + 1;
			continue;
		}
		if (*entry)
			*entry = (*entry & keep) | set;
		la += PAGE_SIZE;
	}
}

enum host_error host_protect(struct vm *vm, u64 la, u64 len, unsigned prot)
{
	if (WARN_ON_ONCE(!is_low(la, len)))
		return HOST_FAIL;
	/* A page that is not present keeps its address: it may be made readable again. */
	change(machine_of(vm), la, len, PTE_PFN_MASK, flags_of(prot));
	return HOST_OK;
}

enum host_error host_unmap(struct vm *vm, u64 la, u64 len)
{
	if (WARN_ON_ONCE(!is_low(la, len)))
		return HOST_FAIL;
	change(machine_of(vm), la, len, 0, 0);
	return HOST_OK;
}

/* One address space keeps its mappings; the core was not told of more. */
enum host_error host_activate(struct vm *vm, unsigned index)
{
	return index == 0 ? HOST_OK : HOST_FAIL;
}

enum host_error host_set_segment(struct vm *vm, enum host_slot slot, u64 descriptor)
{
	const bool ldt = slot < HOST_SLOT_TLS0;

	nexus_set_descriptor(machine_of(vm), ldt,
			     ldt ? slot : HOST_TLS_ENTRY + slot - HOST_SLOT_TLS0, descriptor);
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
