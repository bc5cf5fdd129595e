/*
 * The hybrid engine's user code in the kernel module: see kmod.h, and phase2-kmod/plex86-ioctl.h.
 *
 * Its page tables are filled as those of the vcpu processes are: by page faults of the code, out of
 * the shadows that the emulated kernel has as well (../vcpu/hybrid.h). What is to be changed in
 * them is collected, and told with the next run.
 */
#include "kmod.h"
#include "../../common/native.h"
#include "../../common/segment.h"
#include "../../phase2-kmod/plex86-ioctl.h"
#include "../vcpu/handover.h"
#include "fpu.h"
#include "mmu.h"
#include "run.h"
#include "unicorn-internals.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define RIGHTS	    (HOST_READ | HOST_WRITE | HOST_EXEC)
#define INT80	    0x80
#define MODULE_PAGE ((sizeof(struct plex86_user) + PAGE_SIZE_4K - 1) & PAGE_MASK_4K)

static struct {
	struct plex86_user *page;
	bool has_fpu;	  /* the module's FPU registers are the guest's */
	bool catching_up; /* what the emulator's own TLB has forgotten long ago is unmapped */
	bool had_ldt;	  /* the guest */
	int error;	  /* of the module's */
} kmod;

long kmod_open(void)
{
	kmod.page = mmap(NULL, MODULE_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, VCPU_FD_KMOD, 0);
	if (kmod.page != MAP_FAILED)
		return 0;
	kmod.page = NULL;
	return -errno;
}

void kmod_poke(void)
{
	if (kmod.page)
		__atomic_store_n(&kmod.page->stop, 1, __ATOMIC_SEQ_CST);
}

static void clear_poke(void)
{
	__atomic_store_n(&kmod.page->stop, 0, __ATOMIC_SEQ_CST);
}

static bool call(unsigned long command, void *argument)
{
	if (!kmod.error && ioctl(VCPU_FD_KMOD, command, argument) && errno != EINTR)
		kmod.error = errno;
	return !kmod.error;
}

/* ---- page tables and descriptors ---- */

/* What is collected is for the space in force. */
static bool choose_space(const struct vm *vm)
{
	struct plex86_user *u = kmod.page;

	if (u->space == vm->pool.active)
		return true;
	if (u->maps && !call(PLEX86_USER_MAP, NULL))
		return false;
	u->space = vm->pool.active;
	return true;
}

static enum host_error queue(struct vm *vm, unsigned op, u64 la, u64 gpa, u64 len, unsigned prot)
{
	struct plex86_user *u = kmod.page;

	if (!choose_space(vm) || (u->maps == ARRAY_SIZE(u->map) && !call(PLEX86_USER_MAP, NULL)))
		return HOST_FAIL;
	u->map[u->maps++] = (struct plex86_user_map){
		.page = la >> PAGE_SHIFT_4K,
		.pages = len >> PAGE_SHIFT_4K,
		.frame = gpa >> PAGE_SHIFT_4K,
		.op = op,
		.prot = prot & RIGHTS,
	};
	return HOST_OK;
}

enum host_error kmod_map(struct vm *vm, u64 la, u64 gpa, u64 len, unsigned prot)
{
	enum host_error result;

	/* The core may see more than user code does. */
	if (!(prot & HOST_USER))
		return HOST_OK;
	result = queue(vm, PLEX86_USER_MAP_SET, la, gpa, len, prot);
	if (result == HOST_OK)
		hybrid_mapped(vm, &shared->hybrid, la, gpa, len, prot);
	return result;
}

enum host_error kmod_protect(struct vm *vm, u64 la, u64 len, unsigned prot)
{
	if (!(prot & HOST_WRITE) && !kmod.catching_up)
		mmu_forget(la, len);
	return queue(vm, PLEX86_USER_MAP_PROTECT, la, 0, len, prot);
}

enum host_error kmod_unmap(struct vm *vm, u64 la, u64 len)
{
	if (!kmod.catching_up)
		mmu_forget(la, len);
	hybrid_unmapped(&shared->hybrid, vm->pool.active, la, len);
	shared->hybrid.flush = false; /* it has been told */
	return queue(vm, PLEX86_USER_MAP_UNMAP, la, 0, len, 0);
}

enum host_error kmod_set_segment(enum host_slot slot, u64 descriptor)
{
	struct plex86_user *u = kmod.page;
	const unsigned entry = slot < HOST_SLOT_LDT0 ? slot : slot - HOST_SLOT_LDT0;

	if (entry >= ARRAY_SIZE(u->ldt))
		return HOST_FAIL;
	if (u->ldt[entry] == descriptor)
		return HOST_OK;
	u->ldt[entry] = descriptor;
	u->ldt_changed |= 1u << entry;
	return HOST_OK;
}

/* As host_hide_segments() of a vcpu process does. */
static void hide_segments(struct vm *vm)
{
	struct plex86_user *u = kmod.page;

	kmod.had_ldt |= !seg_is_null(vm->cpu.ldtr.selector);
	for (unsigned i = 0; kmod.had_ldt && i < ARRAY_SIZE(u->ldt); i++)
		if (u->ldt[i] && !native_keeps(vm, i, u->ldt[i]))
			kmod_set_segment(HOST_SLOT_LDT0 + i, 0);
}

static void catch_up(struct vm *vm)
{
	kmod.catching_up = true;
	hybrid_catch_up(vm, &shared->hybrid);
	kmod.catching_up = false;
}

/* ---- the FPU ---- */

_Static_assert(sizeof(struct plex86_fpu) == FPU_AREA, "one is the other");

void kmod_fetch_fpu(void)
{
	if (!kmod.has_fpu)
		return;
	call(PLEX86_GET_FPU, shared->fpu.area);
	kmod.has_fpu = false;
}

static void give_fpu(void)
{
	if (kmod.has_fpu)
		return;
	fpu_pass();
	fpu_left();
	call(PLEX86_SET_FPU, shared->fpu.area);
	kmod.has_fpu = true;
}

/* ---- one run of user code ---- */

static enum core_next stop(struct vm *vm, enum vm_fault reason, u64 detail)
{
	vm->exit = (struct vm_exit){.kind = EXIT_FAULT};
	vm->exit.fault.reason = reason;
	vm->exit.fault.detail = detail;
	return CORE_EXIT;
}

static void load_guest(const struct vcpu *cpu, struct plex86_user *u)
{
	for (unsigned i = 0; i < ARRAY_SIZE(u->gpr); i++)
		u->gpr[i] = cpu->gpr[i];
	u->rip = cpu->rip;
	u->rflags = cpu->rflags;
	memcpy(u->selector, cpu->hw_selector, sizeof(u->selector));
}

static void save_guest(struct vcpu *cpu, const struct plex86_user *u)
{
	for (unsigned i = 0; i < ARRAY_SIZE(u->gpr); i++)
		cpu->gpr[i] = u->gpr[i];
	cpu->rip = u->rip;
	cpu->rflags = u->rflags;
}

/* User code could not write to `la`: was that because of a translation? Then there is none now. */
static bool code_written(struct vm *vm, u32 la)
{
	struct hybrid *h = &shared->hybrid;
	const u32 frame = vm_shadow(vm)->record[la >> PAGE_SHIFT_4K] >> PAGE_SHIFT_4K;

	if (!hybrid_code_written(vm, h, la))
		return false;
	h->frame[frame] = FRAME_PLAIN;
	h->written = false;
	emulated_drop_code((u64)frame << PAGE_SHIFT_4K);
	return true;
}

static enum core_next dispatch(struct vm *vm, const struct plex86_user *u)
{
	const struct trap trap = {.vector = u->vector, .error = u->error, .address = u->address};

	switch (u->vector) {
	case PLEX86_USER_STOPPED:
		clear_poke();
		trace(vm, EV_KICK, 0, 0);
		return core_kick(vm);
	case PLEX86_USER_REFUSED:
		return stop(vm, FAULT_MONITOR, u->address);
	case INT80:
		return core_int80(vm);
	}
	if (trap.vector == EXC_PF && (trap.error & PF_WRITE) && code_written(vm, trap.address))
		return core_kick(vm);
	return core_trap(vm, &trap);
}

/* Behind these the instruction is done; a fault can be had again. */
static bool is_repeated(u32 vector)
{
	return vector != INT80 && vector != EXC_BP && vector != EXC_OF && vector != EXC_DB;
}

static enum core_next run_user(struct vm *vm)
{
	struct plex86_user *u = kmod.page;
	enum native_loads loads;

	give_fpu();
	load_guest(&vm->cpu, u);
	choose_space(vm);
	u->vector = PLEX86_USER_STOPPED; /* if a signal comes before anything is done */
	call(PLEX86_USER_RUN, NULL);
	stats_trap_begins(vm);
	if (kmod.error)
		return stop(vm, FAULT_HOST, kmod.error);
	save_guest(&vm->cpu, u);
	loads = native_take_selectors(vm, u->selector);
	if (loads == NATIVE_NONE || !is_repeated(u->vector))
		return dispatch(vm, u);
	return loads == NATIVE_FAULT ? native_fault(vm) : core_kick(vm);
}

/* ---- the order of both ---- */

static enum core_next emulate(struct vm *vm)
{
	struct vm_stats_trap trap = vm->stats.trap;
	const u64 since = clock_tsc(vm);
	enum core_next next;

	trace(vm, EV_HANDOVER, 0, 0);
	vm->native = false;
	if (vm->code_written)
		run_others_wrote();
	vm->code_written = false;
	run_taken_back(vm);
	run_until_native(vm);
	run_given_away(vm);
	vm->native = true;
	catch_up(vm);
	stats_handover_ends(vm, &trap, since);
	clear_poke(); /* native_enter() looks */
	next = native_enter(vm);
	hide_segments(vm);
	return next;
}

static enum core_next start(struct vm *vm)
{
	enum core_next next;

	vm->native = true;
	vm->native_ldt = ARRAY_SIZE(kmod.page->ldt);
	next = seg_init(vm) ? core_start(vm) : CORE_EXIT;
	/* A machine that is not new may be at user code. */
	return next == CORE_RESUME && native_runs(vm) ? native_enter(vm) : next;
}

_Noreturn void kmod_run(struct vm *vm)
{
	enum core_next next;

	stats_trap_begins(vm);
	next = start(vm);
	for (;;) {
		run_until_resume(next);
		if (!native_runs(vm)) {
			next = emulate(vm);
			continue;
		}
		stats_trap_ends(vm);
		next = run_user(vm);
	}
}
