/*
 * The host services of common/host.h, made of mmap, modify_ldt and set_thread_area;
 * those of time are in host-time.c.
 *
 * Owns: the low 4 GiB of this process. Called from the signal handler, with all signals blocked.
 */
#include "../../guest/include/plex86-abi.h"
#include "sys.h"
#include "vcpu.h"
#include "vsyscall.h"
#include <asm/ldt.h>
#include <asm/prctl.h>
#include <cpuid.h>
#include <linux/mman.h>

static u64 ldt[HOST_SLOT_TLS0]; /* each process's own: the LDT entries it has */

/* ------------------------------------------------------------ memory ---- */

static int native_prot(unsigned prot)
{
	return (prot & HOST_READ ? PROT_READ : 0) | (prot & HOST_WRITE ? PROT_WRITE : 0) |
	       (prot & HOST_EXEC ? PROT_EXEC : 0);
}

static enum host_error host_error(long ret)
{
	return ret == -SYS_ENOMEM ? HOST_LIMIT : HOST_FAIL;
}

/* With a page that is read the host maps its neighbours as well, as many as this (fault-around).
 * That is quicker than MAP_POPULATE, which looks at each page by itself. */
#define AROUND (16 * PAGE_SIZE_4K)

static void touch(u64 la, u64 len)
{
	for (u64 at = la; at < la + len; at = (at | (AROUND - 1)) + 1)
		*(const volatile u8 *)at;
}

enum host_error host_map(struct vm *vm, u64 la, u64 gpa, u64 len, unsigned prot)
{
	long ret;

	if (la < vm->low_limit)
		return HOST_LOW;
	ret = sys_mmap(la, len, native_prot(prot), MAP_SHARED | MAP_FIXED, VCPU_FD_RAM, gpa);
	if (ret != (long)la)
		return host_error(ret);
	if (shared->hybrid.on) {
		hybrid_mapped(vm, &shared->hybrid, la, gpa, len, prot);
		vsyscall_mapped(vm, &shared->hybrid, la, gpa, len, prot);
	}
	if (prot & HOST_POPULATE)
		touch(la, len);
	return HOST_OK;
}

enum host_error host_protect(struct vm *vm, u64 la, u64 len, unsigned prot)
{
	long ret;

	if (shared->hybrid.on && (prot & HOST_WRITE))
		vsyscall_writable(vm, &shared->hybrid, la, len);
	ret = sys3(__NR_mprotect, la, len, native_prot(prot));
	return ret ? host_error(ret) : HOST_OK;
}

enum host_error host_unmap(struct vm *vm, u64 la, u64 len)
{
	long ret = sys3(__NR_munmap, la, len, 0);

	if (shared->hybrid.on) {
		hybrid_unmapped(&shared->hybrid, vm->pool.active, la, len);
		vsyscall_unmapped(&shared->hybrid, vm->pool.active, la, len);
	}
	if (!ret)
		return HOST_OK;
	/* Splitting a mapping can exceed vm.max_map_count; dropping all of them cannot. The core's
	 * records then promise too much, and the next faults set that right. */
	if (ret == -SYS_ENOMEM &&
	    !sys3(__NR_munmap, vm->low_limit, PLEX86_PV_PAGE - vm->low_limit, 0))
		return HOST_OK;
	return HOST_FAIL;
}

/* The lowest address this process may map: vm.mmap_min_addr, or 0 with CAP_SYS_RAWIO. */
static u64 probe_low_limit(void)
{
	const u64 give_up = 0x1000000;

	for (u64 la = 0; la < give_up; la += PAGE_SIZE_4K) {
		long ret = sys_mmap(la, PAGE_SIZE_4K, PROT_READ, MAP_SHARED | MAP_FIXED,
				    VCPU_FD_RAM, 0);

		if (ret != (long)la)
			continue;
		sys3(__NR_munmap, la, PAGE_SIZE_4K, 0);
		return la;
	}
	return give_up;
}

/* ----------------------------------------------------------- segments ---- */

static void unpack_descriptor(u64 desc, struct user_desc *d)
{
	d->base_addr = (desc >> 16 & 0xffffff) | (desc >> 32 & 0xff000000u);
	d->limit = (desc & 0xffff) | (desc >> 32 & 0xf0000);
	d->contents = desc >> 42 & 3;
	if (d->contents == MODIFY_LDT_CONTENTS_CODE + 1)
		d->contents--; /* conforming code, which the host refuses: at CPL 3 no difference */
	d->read_exec_only = !(desc >> 41 & 1);
	d->useable = desc >> 52 & 1;
	d->seg_32bit = desc >> 54 & 1;
	d->limit_in_pages = desc >> 55 & 1;
	d->seg_not_present = !(desc >> 47 & 1);
}

static long set_ldt(unsigned entry, u64 desc)
{
	const int write_new_mode = 0x11;
	struct user_desc d = {.entry_number = entry};

	if (desc) {
		unpack_descriptor(desc, &d);
	} else {
		d.read_exec_only = 1; /* the pattern that empties an entry */
		d.seg_not_present = 1;
	}
	return sys3(__NR_modify_ldt, write_new_mode, (long)&d, sizeof(d));
}

static enum host_error sync_ldt(unsigned entry)
{
	const u64 desc = shared->ldt[entry];

	if (ldt[entry] == desc)
		return HOST_OK;
	if (set_ldt(entry, desc))
		return HOST_FAIL;
	ldt[entry] = desc;
	return HOST_OK;
}

long ldt_probe(void)
{
	return set_ldt(HOST_SLOT_USER_CS, 0);
}

/* set_thread_area exists for 32-bit callers only, and its argument must lie below 4 GiB: the PV
 * page is the one place there that is always ours. */
static long set_thread_area(u32 pointer)
{
	const long nr = 243; /* i386 */
	long ret;

	__asm__ volatile("int $0x80"
			 : "=a"(ret)
			 : "a"(nr), "b"((u64)pointer)
			 : "r8", "r9", "r10", "r11", "memory");
	return (int)ret;
}

static enum host_error set_tls(struct vm *vm, unsigned slot, u64 desc)
{
	const u32 offset = 0xf00;
	struct user_desc *d = (struct user_desc *)(vm->ram + vm->ram_size + offset);
	bool mapped = vm_shadow(vm)->pv_mapped;
	long ret;

	mem_set(d, 0, sizeof(*d));
	d->entry_number = HOST_TLS_ENTRY + slot;
	if (desc) {
		unpack_descriptor(desc, d);
	} else {
		d->read_exec_only = 1;
		d->seg_not_present = 1;
	}
	if (!mapped && host_map(vm, PLEX86_PV_PAGE, HOST_PV_GPA(vm), PAGE_SIZE_4K,
				HOST_READ | HOST_WRITE) != HOST_OK)
		return HOST_FAIL;
	ret = set_thread_area(PLEX86_PV_PAGE + offset);
	if (!mapped)
		host_unmap(vm, PLEX86_PV_PAGE, PAGE_SIZE_4K);
	return ret ? HOST_FAIL : HOST_OK;
}

enum host_error host_set_segment(struct vm *vm, enum host_slot slot, u64 descriptor)
{
	shared->gate.reload = true;
	if (slot >= HOST_SLOT_TLS0)
		return set_tls(vm, slot - HOST_SLOT_TLS0, descriptor);
	shared->ldt[slot] = descriptor;
	return sync_ldt(slot);
}

/* The timer of the process left behind stays armed: at worst it finds a signal waiting when it next
 * runs, and looks at the time for nothing. */
enum host_error host_arrive(struct vm *vm)
{
	shared->gate.reload = true;
	/* The hybrid engine sets those that registers are to name, each time. */
	for (unsigned entry = 0; !shared->hybrid.on && entry < ARRAY_SIZE(ldt); entry++)
		if (sync_ldt(entry) != HOST_OK)
			return HOST_FAIL;
	timer_resync(vm);
	return HOST_OK;
}

/* --------------------------------------------------------------- CPUID ---- */

/* The leaves the core's filter asks for, read before CPUID is made to fault. */
#define LEAF_XSAVE     0xd
#define XSAVE_SUBLEAFS 8
#define LEAF_FEATURES  0x7 /* has two subleafs of interest, in a row */
static const u32 cached_leaf[] = {0x0,	       0x1,	    LEAF_FEATURES, LEAF_FEATURES,
				  0x80000000u, 0x80000001u, 0x80000002u,   0x80000003u,
				  0x80000004u, 0x80000006u, 0x80000007u};
static u32 cached_cpuid[ARRAY_SIZE(cached_leaf)][4], cached_xsave[XSAVE_SUBLEAFS][4];

static u32 subleaf_of(unsigned i)
{
	return i && cached_leaf[i - 1] == cached_leaf[i];
}

void host_cpuid(struct vm *vm, u32 leaf, u32 subleaf, u32 out[4])
{
	(void)vm;
	mem_set(out, 0, 4 * sizeof(out[0]));
	if (leaf == LEAF_XSAVE && subleaf < XSAVE_SUBLEAFS)
		mem_copy(out, cached_xsave[subleaf], sizeof(cached_xsave[subleaf]));
	for (unsigned i = 0; i < ARRAY_SIZE(cached_leaf); i++)
		if (cached_leaf[i] == leaf &&
		    subleaf_of(i) == (leaf == LEAF_FEATURES ? subleaf : 0))
			mem_copy(out, cached_cpuid[i], sizeof(cached_cpuid[i]));
}

static void cache_cpuid(void)
{
	u32 basic = __get_cpuid_max(0, NULL), extended = __get_cpuid_max(0x80000000u, NULL);

	for (unsigned i = 0; i < ARRAY_SIZE(cached_leaf); i++) {
		u32 leaf = cached_leaf[i], *r = cached_cpuid[i];

		if (leaf > (leaf & 0x80000000u ? extended : basic))
			continue;
		__cpuid_count(leaf, subleaf_of(i), r[0], r[1], r[2], r[3]);
	}
	for (u32 i = 0; basic >= LEAF_XSAVE && i < XSAVE_SUBLEAFS; i++) {
		u32 *r = cached_xsave[i];

		__cpuid_count(LEAF_XSAVE, i, r[0], r[1], r[2], r[3]);
	}
}

void host_setup(void)
{
	cache_cpuid();
	shared->vm.low_limit = probe_low_limit();
	shared->cpuid_faults = !sys3(__NR_arch_prctl, ARCH_SET_CPUID, 0, 0);
	shared->vm.cpuid_faults = shared->cpuid_faults;
}
