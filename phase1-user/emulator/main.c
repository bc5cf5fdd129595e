/*
 * The emulator engine's process: set-up, and the guest's life.
 *
 * It is started by the VMM with two file descriptors (../vcpu/shared.h) and nothing else, and
 * speaks with it as plex86-vcpu does.
 */
#include "../../common/core.h"
#include "../vcpu/handover.h"
#include "../vcpu/timer.h"
#include "hybrid.h"
#include "jail.h"
#include "kmod.h"
#include "run.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

struct vcpu_shared *shared;

static _Noreturn void fail(enum vcpu_step step, int error)
{
	shared->failed_step = step;
	shared->failed_errno = error;
	exit(EXIT_FAILURE);
}

static void check(enum vcpu_step step, long ret)
{
	if (ret < 0)
		fail(step, -ret);
}

/* Die with the VMM, also if it was gone before we asked for that. */
static void follow_vmm(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if ((u32)getppid() != shared->vmm_pid)
		exit(EXIT_FAILURE);
}

static void map_shared(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, VCPU_FD_SHARED, 0);
	if (shared == MAP_FAILED)
		exit(EXIT_FAILURE);
}

static void map_ram(struct vm *vm)
{
	vm->ram = mmap(NULL, shared->ram_size + HOST_EXTRA_BYTES, PROT_READ | PROT_WRITE,
		       MAP_SHARED, VCPU_FD_RAM, 0);
	if (vm->ram == MAP_FAILED)
		fail(STEP_MAP_RAM, errno);
	vm->ram_size = shared->ram_size;
}

static void configure(struct vm *vm)
{
	vm->trace = &shared->trace;
	vm->abi = shared->abi;
	vm->levels = vm->two_views = !shared->abi;
	vm->fast_paths = shared->fast_paths && shared->abi;
	/* In native code it does not. */
	vm->cpuid_faults = shared->cpuid_faults = !shared->hybrid.kmod;
	vm->native = shared->hybrid.kmod;
	vm->clock.deterministic = shared->deterministic;
	vm->clock.paced = shared->paced;
	vm->common_cpu = shared->common_cpu;
	vm->clock.stop_at = shared->stop_at;
	vm->clock.flip_at = shared->flip_at;
	shared->processes = 1;
	shared->pid[0] = getpid();
}

static void poke(int sig)
{
	(void)sig;
	run_poke();
	kmod_poke();
}

static int install_handlers(void)
{
	struct sigaction action = {.sa_handler = poke, .sa_flags = SA_RESTART};

	sigfillset(&action.sa_mask);
	return sigaction(SIGALRM, &action, NULL) || sigaction(SIGUSR1, &action, NULL) ? -errno : 0;
}

static void open_emulator(struct vm *vm)
{
	const char *why = run_open(vm);

	if (!why)
		return;
	snprintf(shared->failed_why, sizeof(shared->failed_why), "%s", why);
	fail(STEP_EMULATOR, 0);
}

static _Noreturn void run(struct vm *vm, enum core_next next)
{
	for (;;) {
		run_until_ready(vm, next);
		next = run_guest(vm, false) == RUN_EXIT ? CORE_EXIT : CORE_RESUME;
	}
}

/* The vcpu processes have set the machine up, with pointers that mean nothing here, and go on with
 * it: with an interrupt at once, if it is not new. */
static _Noreturn void run_beside(struct vm *vm)
{
	u8 *const ram = vm->ram, *const translated = vm->translated;

	map_ram(vm);
	open_emulator(vm);
	hybrid_open(vm);
	vm->ram = ram;
	vm->translated = translated;
	if (shared->jail)
		check(STEP_JAIL, jail_setup(false));
	hybrid_run(vm);
}

int main(void)
{
	struct vm *vm;

	map_shared();
	follow_vmm();
	vm = &shared->vm;
	check(STEP_SIGNALS, install_handlers());
	check(STEP_TIMER, timer_setup());
	if (shared->hybrid.on && !shared->hybrid.kmod)
		run_beside(vm);
	if (shared->hybrid.kmod)
		check(STEP_KMOD, kmod_open());
	map_ram(vm);
	configure(vm);
	open_emulator(vm);
	core_reset(vm);
	if (shared->jail)
		check(STEP_JAIL, jail_setup(shared->hybrid.kmod));
	/* vm->cpu is for the VMM to fill. */
	hand_over();
	vm->pool.count = SHADOW_COUNT;
	if (shared->restore)
		state_load(vm, &shared->state);
	if (shared->hybrid.kmod)
		kmod_run(vm);
	run(vm, core_start(vm));
}
