/*
 * The emulated CPU's view of memory: see mmu.h.
 */
#include "mmu.h"
#include "../../common/paging.h"
#include "../../common/pv.h"
#include "../../common/shadow-records.h"
#include "../vcpu/handover.h"
#include "code.h"
#include "cpu.h"
#include "run.h"
#include "unicorn-internals.h"

/* From here on it is quicker to forget everything. */
#define FORGET_PAGES 16

void mmu_forget(u64 la, u64 len)
{
	if (len > FORGET_PAGES * PAGE_SIZE_4K) {
		emulated_flush();
		return;
	}
	for (u64 at = la; at < la + len; at += PAGE_SIZE_4K)
		emulated_flush_page(at);
}

static bool allows(unsigned prot, bool write, bool fetch)
{
	return prot & (write ? HOST_WRITE : fetch ? HOST_EXEC : HOST_READ);
}

/* ---- without privilege levels: as the host of plex86-vcpu has it mapped ---- */

static bool pv_mapping(const struct vm *vm, struct emulated_mapping *m)
{
	const struct shadow *s = &vm->shadow[vm->pool.active];

	m->physical = HOST_PV_GPA(vm);
	m->prot = HOST_READ | HOST_EXEC | (s->pv_readonly ? 0 : HOST_WRITE);
	return s->pv_mapped;
}

static bool host_mapping(struct vm *vm, u32 la, bool user, struct emulated_mapping *m)
{
	const u32 record = vm_shadow(vm)->record[la >> PAGE_SHIFT_4K];
	unsigned index;

	/* All guest code is user code: the kernel's rights are the processor's own, for tables. (It
	 * has them for the stacks of far returns and iret as well, which is an error.) */
	if (!user && (la & PAGE_MASK_4K) == CPU_TABLES) {
		m->physical = HOST_PV_GPA(vm) + HOST_EXTRA_BYTES;
		m->prot = HOST_READ | HOST_WRITE;
		return true;
	}
	if (pv_is_page(vm, la))
		return pv_mapping(vm, m);
	m->physical = record & PAGE_MASK_4K;
	m->prot = shadow_rights(record);
	if (record && !vm_ram(vm, m->physical, PAGE_SIZE_4K)) {
		if (!device_page_find(vm, m->physical, &index))
			return false;
		m->physical = HOST_DEVICE_GPA(vm, index);
		m->prot = HOST_READ;
	}
	return record;
}

/* ---- with them ---- */

/* Device memory is not in the shadow: each access to it is served here. */
static bool device_mapping(struct vm *vm, u32 la, struct access access, struct emulated_mapping *m)
{
	struct walk w;
	enum walk_result result = paging_walk(vm, la, &w);
	u32 error;

	if (!paging_check(vm, result, &w, access, &error) || vm_ram(vm, w.gpa, 1))
		return false;
	paging_mark(vm, &w, access.write);
	m->physical = EMULATED_DEVICE_BASE + (w.gpa & PAGE_MASK_4K);
	m->prot = HOST_READ | HOST_EXEC;
	if (access.write || (w.write && w.dirty))
		m->prot |= HOST_WRITE;
	return true;
}

static bool level_mapping(struct vm *vm, u32 la, struct access access, struct emulated_mapping *m)
{
	const u32 record = vm_shadow(vm)->record[la >> PAGE_SHIFT_4K];

	if (!record)
		return device_mapping(vm, la, access, m);
	m->physical = record & PAGE_MASK_4K;
	m->prot = shadow_rights(record);
	return !access.user || (m->prot & HOST_USER);
}

bool mmu_page(u32 la, bool write, bool fetch, bool user, struct emulated_mapping *m)
{
	const struct access access = {.write = write, .fetch = fetch, .user = user};
	struct vm *vm = &shared->vm;

	if (!(vm->levels ? level_mapping(vm, la, access, m) : host_mapping(vm, la, user, m)) ||
	    !allows(m->prot, write, fetch))
		return false;
	if (m->prot & HOST_EXEC)
		code_verify(vm, m->physical);
	return true;
}

/* ---- device memory ---- */

/* Registers that the core serves need no exit. */
static bool page_read(const struct vm *vm, u64 gpa, unsigned size, u64 *value)
{
	unsigned index;

	if (!device_page_find(vm, gpa, &index))
		return false;
	*value = 0;
	mem_copy(value, vm->ram + HOST_DEVICE_GPA(vm, index) + (gpa & ~PAGE_MASK_4K), size);
	return true;
}

static void exit_mmio(struct vm *vm, u64 gpa, unsigned size, bool write, u64 value)
{
	trace(vm, EV_MMIO, gpa, value);
	vm->exit = (struct vm_exit){.kind = EXIT_MMIO};
	vm->exit.mmio.gpa = gpa;
	vm->exit.mmio.size = size;
	vm->exit.mmio.write = write;
	vm->exit.mmio.value = value;
	hand_over();
	__atomic_store_n(&shared->mode, MODE_GUEST, __ATOMIC_SEQ_CST);
	/* Who wanted attention meanwhile has not sent a signal; and a device may have read or
	 * written what the store told it of. */
	run_others_wrote();
}

u64 mmu_device_read(u64 gpa, unsigned size)
{
	struct vm *vm = &shared->vm;
	u64 value;

	if (page_read(vm, gpa, size, &value))
		return value;
	exit_mmio(vm, gpa, size, false, ~0ull);
	return vm->exit.mmio.value;
}

void mmu_device_write(u64 gpa, unsigned size, u64 value)
{
	struct vm *vm = &shared->vm;

	if (!device_page_write(vm, gpa, size, value))
		exit_mmio(vm, gpa, size, true, value);
}
