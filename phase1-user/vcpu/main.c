/*
 * The vcpu processes: set-up, from exec to the first guest instruction.
 *
 * Owns: the order in which they give up what they do not need. The first is started by the VMM with
 * two file descriptors (shared.h) and nothing else; the others are forks of it.
 */
#include "../../common/core.h"
#include "sys.h"
#include "vcpu.h"
#include "vsyscall.h"
#include <linux/mman.h>
#include <linux/prctl.h>
#include <linux/signal.h>

struct vcpu_shared *shared;

_Noreturn void vcpu_main(void);

static bool is_error(long ret)
{
	return ret < 0 && ret > -4096;
}

static _Noreturn void fail(enum vcpu_step step, long error)
{
	shared->failed_step = step;
	shared->failed_errno = -error;
	sys_exit(1);
}

static void check(enum vcpu_step step, long ret)
{
	if (is_error(ret))
		fail(step, ret);
}

/* Die with the VMM, also if it was gone before we asked for that. */
static void follow_vmm(void)
{
	sys3(__NR_prctl, PR_SET_PDEATHSIG, SIGKILL, 0);
	if ((u32)sys3(__NR_getppid, 0, 0, 0) != shared->vmm_pid)
		sys_exit(1);
}

static void map_shared(void)
{
	long ret =
		sys_mmap(0, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, VCPU_FD_SHARED, 0);

	if (is_error(ret))
		sys_exit(1);
	shared = (struct vcpu_shared *)ret;
}

static void map_ram(void)
{
	struct vm *vm = &shared->vm;
	long ret = sys_mmap(0, shared->ram_size + VSYSCALL_EXTRA_BYTES, PROT_READ | PROT_WRITE,
			    MAP_SHARED, VCPU_FD_RAM, 0);

	check(STEP_MAP_RAM, ret);
	vm->ram = (u8 *)ret;
	vm->ram_size = shared->ram_size;
	vm->trace = &shared->trace;
	vm->abi = shared->abi;
	vm->fast_paths = shared->fast_paths;
	vm->clock.deterministic = shared->deterministic;
	vm->clock.paced = shared->paced;
	vm->common_cpu = shared->common_cpu;
	vm->clock.stop_at = shared->stop_at;
	vm->clock.flip_at = shared->flip_at;
}

/* What is not inherited over fork, in the other processes. */
static bool prepare_fork(void)
{
	long dispatch;

	follow_vmm();
	if (is_error(timer_setup()))
		return false;
	dispatch = dispatch_setup();
	return !is_error(shared->jail ? jail_setup() : dispatch);
}

_Noreturn void vcpu_main(void)
{
	struct vm *vm;
	long ret;

	map_shared();
	follow_vmm();
	map_ram();
	vm = &shared->vm;
	check(STEP_SIGNALS, signal_setup());
	check(STEP_TIMER, timer_setup());
	host_setup();
	if (!shared->hybrid.on)
		gate_setup();
	fpu_setup();
	core_reset(vm);
	if (shared->hybrid.on)
		native_setup(vm);
	/* Every host needs the LDT: find out now, with a message, rather than at the first load. */
	check(STEP_LDT, ldt_probe());
	/* For the monitor as well, and inherited over fork. */
	if (shared->deterministic)
		check(STEP_TSC, sys3(__NR_prctl, PR_SET_TSC, PR_TSC_SIGSEGV, 0));
	pool_create(prepare_fork);
	ret = dispatch_setup();
	shared->dispatch = !is_error(ret);
	if (shared->jail)
		check(STEP_JAIL, jail_setup());
	else
		/* One of the two must stand between the guest's int $0x80 and the host: without
		 * either, any guest's init mounts, kills and reboots there. */
		check(STEP_TRAPS, ret);
	signal_enter_guest();
}
