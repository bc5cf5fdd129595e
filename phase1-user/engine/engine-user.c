/*
 * The engines made of processes, seen from the VMM: those processes and the memory shared with
 * them.
 *
 * Owns: starting, waking and ending the vcpu processes: plex86-vcpu's (phase1-user/vcpu/), one for
 * each guest address space in use, or that of plex86-emulator (phase1-user/emulator/). What is read
 * from the shared memory may have been written by guest code: it is copied once and checked.
 */
#include "engine-user.h"
#include "kmod-device.h"

#include <errno.h>
#include <sched.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static struct user *user_of(struct engine *engine)
{
	return (struct user *)((char *)engine - offsetof(struct user, base));
}

#define STOP_NS 3000000000u /* how long it may take */
#define LOOK_NS 100000000u

static long futex(u32 *word, int op, u32 value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, op, value, timeout, NULL, 0);
}

/* ---------------------------------------------------------- hand-over ---- */

static void kill_all(struct user *e)
{
	for (u32 i = 0; i < e->processes; i++)
		if (e->pid[i] > 0)
			kill(e->pid[i], SIGKILL);
}

/* Has a vcpu process ended? Remembers its status; the others have nothing left to do. */
static bool vcpu_ended(struct user *e)
{
	for (u32 i = 0; !e->dead && i < e->processes; i++)
		if (waitpid(e->pid[i], &e->status, WNOHANG) == e->pid[i]) {
			e->pid[i] = 0;
			e->dead = true;
			kill_all(e);
		}
	return e->dead;
}

static u64 now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000u + t.tv_nsec;
}

/* Guest code that broke out of its 32-bit world may have cut off every other way to stop it. */
static void end_disobedient(struct user *e)
{
	const u64 stop_by = __atomic_load_n(&e->stop_by, __ATOMIC_ACQUIRE);

	if (stop_by && now() > stop_by)
		kill_all(e);
}

static void choose_cpu(struct user *e)
{
	const struct vm *vm = &e->shared->vm;

	affinity_look(&e->affinity, vm->stats.count[EV_SWITCH] + vm->stats.count[EV_HANDOVER],
		      vm->pool.active);
}

/* Is there something to do? Looks for a while, and as long as it does doorbells need no exit. */
static bool turn_comes_or_bell(struct user *e)
{
	struct device_pages *d = &e->shared->vm.devices;

	/* Nor in a deterministic run: there each has its moment. */
	if (!e->shared->spin)
		return turn_is(e->shared, TURN_VMM);
	__atomic_store_n(&d->watched, 1, __ATOMIC_SEQ_CST);
	if (turn_comes(e->shared, TURN_VMM, &e->patience))
		return true;
	__atomic_store_n(&d->watched, 0, __ATOMIC_SEQ_CST);
	return turn_is(e->shared, TURN_VMM);
}

/* The vcpu's side may pass the turn around among itself meanwhile, which does not end the wait. */
static void wait_while(struct user *e, u32 turn)
{
	/* A process that dies wakes nobody: look now and then. */
	struct timespec look = {.tv_sec = now() / 1000000000u};

	look.tv_nsec = now() % 1000000000u + LOOK_NS;
	look.tv_sec += look.tv_nsec / 1000000000;
	look.tv_nsec %= 1000000000;
	syscall(SYS_futex, &e->shared->turn, FUTEX_WAIT_BITSET, turn, &look, NULL,
		TURN_BIT(TURN_VMM));
}

bool user_wait_for_turn(struct user *e)
{
	while (!turn_comes_or_bell(e)) {
		const u32 turn = __atomic_load_n(&e->shared->turn, __ATOMIC_ACQUIRE);

		choose_cpu(e);
		if (turn != TURN_VMM)
			wait_while(e, turn);
		if (__atomic_load_n(&e->shared->turn, __ATOMIC_ACQUIRE) == TURN_VMM)
			continue;
		if (vcpu_ended(e))
			return false;
		end_disobedient(e);
	}
	return true;
}

/* Who runs the guest: the emulator beside the vcpu processes, or one of them. */
static bool emulator_runs(const struct user *e)
{
	return e->emulator &&
	       __atomic_load_n(&e->shared->runner, __ATOMIC_SEQ_CST) == TURN_EMULATOR;
}

static void give_turn(struct user *e)
{
	const u32 turn = emulator_runs(e) ? TURN_EMULATOR : TURN_VCPU;

	if (e->running)
		return;
	e->running = true;
	__atomic_store_n(&e->shared->turn, turn, __ATOMIC_RELEASE);
	syscall(SYS_futex, &e->shared->turn, FUTEX_WAKE_BITSET, 1, NULL, NULL, TURN_BIT(turn));
}

/* Interrupt the process that runs guest code. Should it pass the baton before the signal comes, the
 * next one looks by itself before it runs any. */
static void signal_active(struct user *e)
{
	u32 active = e->emulator;

	/* One process alone has all address spaces. */
	if (!emulator_runs(e))
		active = e->processes == 1
				 ? 0
				 : __atomic_load_n(&e->shared->vm.pool.active, __ATOMIC_SEQ_CST);

	if (active < e->processes && e->pid[active] > 0 && !e->dead)
		kill(e->pid[active], SIGUSR1);
}

/* irq_lines or kick have changed: make the vcpu look. */
static void get_attention(struct user *e)
{
	switch (__atomic_load_n(&e->shared->mode, __ATOMIC_SEQ_CST)) {
	case MODE_GUEST:
		signal_active(e);
		break;
	case MODE_IDLE:
		__atomic_add_fetch(&e->shared->wake, 1, __ATOMIC_SEQ_CST);
		futex(&e->shared->wake, FUTEX_WAKE, 1, NULL);
		break;
	}
}

static void user_set_irq(struct engine *engine, unsigned irq, bool level)
{
	struct user *e = user_of(engine);
	u32 bit = 1u << irq;

	if (level)
		__atomic_or_fetch(&e->shared->vm.irq_lines, bit, __ATOMIC_SEQ_CST);
	else
		__atomic_and_fetch(&e->shared->vm.irq_lines, ~bit, __ATOMIC_SEQ_CST);
	get_attention(e);
}

static void user_add_device(struct engine *engine, unsigned index, const struct device_page *page)
{
	struct user *e = user_of(engine);

	e->shared->vm.devices.page[index] = *page;
}

static struct port_window *user_window(struct engine *engine)
{
	return &user_of(engine)->shared->vm.window;
}

static void user_device_changed(struct engine *engine)
{
	struct user *e = user_of(engine);

	__atomic_add_fetch(&e->shared->vm.irq_lines, DEVICE_NEWS, __ATOMIC_SEQ_CST);
	get_attention(e);
}

static void user_ring(struct engine *engine, u64 bells)
{
	struct user *e = user_of(engine);

	__atomic_or_fetch(&e->shared->vm.devices.rung, bells, __ATOMIC_SEQ_CST);
}

static u64 user_take_bells(struct engine *engine)
{
	struct user *e = user_of(engine);

	return __atomic_exchange_n(&e->shared->vm.devices.rung, 0, __ATOMIC_SEQ_CST);
}

static void user_kick(struct engine *engine)
{
	struct user *e = user_of(engine);

	__atomic_store_n(&e->shared->kick, 1, __ATOMIC_SEQ_CST);
	get_attention(e);
}

static void user_stop(struct engine *engine)
{
	struct user *e = user_of(engine);

	__atomic_store_n(&e->stop_by, now() + STOP_NS, __ATOMIC_RELEASE);
	user_kick(&e->base);
}

static bool user_is_idle(struct engine *engine)
{
	struct user *e = user_of(engine);

	return __atomic_load_n(&e->shared->mode, __ATOMIC_SEQ_CST) == MODE_IDLE;
}

static void user_run(struct engine *engine, struct vm_exit *exit)
{
	struct user *e = user_of(engine);

	if (!e->dead)
		give_turn(e);
	if (e->dead || !user_wait_for_turn(e)) {
		exit->kind = EXIT_FAULT;
		exit->fault.reason = FAULT_GONE;
		exit->fault.detail = e->status;
		return;
	}
	if (__atomic_load_n(&e->shared->turn, __ATOMIC_ACQUIRE) != TURN_VMM) {
		exit->kind = EXIT_BELL;
		end_disobedient(e);
		return;
	}
	e->running = false;
	memcpy(exit, &e->shared->vm.exit, sizeof(*exit));
	/* Not the vcpu's to say. */
	if (exit->kind == EXIT_BELL ||
	    (exit->kind == EXIT_FAULT && exit->fault.reason == FAULT_GONE))
		exit->kind = EXIT_NONE;
}

static void user_complete(struct engine *engine, u64 value)
{
	struct user *e = user_of(engine);
	struct vm_exit *exit = &e->shared->vm.exit;

	if (exit->kind == EXIT_IO)
		exit->io.value = value;
	else if (exit->kind == EXIT_MMIO)
		exit->mmio.value = value;
}

/* -------------------------------------------------------------- state ---- */

static void user_get_state(struct engine *engine, struct vm *state)
{
	struct user *e = user_of(engine);

	/* All but the shadows, which come last and are of no use outside. */
	memcpy(state, &e->shared->vm, offsetof(struct vm, shadow));
}

static void user_set_cpu(struct engine *engine, const struct vcpu *cpu)
{
	struct user *e = user_of(engine);

	e->shared->vm.cpu = *cpu;
}

static bool user_set_state(struct engine *engine, const struct machine_state *s)
{
	struct user *e = user_of(engine);

	e->shared->state = *s;
	e->shared->restore = true;
	return true;
}

static void user_set_debug(struct engine *engine, const struct debug_request *request)
{
	struct user *e = user_of(engine);

	e->shared->debug = *request;
	e->shared->debug_asked = 1;
}

static void user_set_regs(struct engine *engine, const struct debug_regs *regs)
{
	debug_set_regs(&user_of(engine)->shared->vm, regs);
}

static bool user_get_fpu(struct engine *engine, struct fpu_area *area)
{
	memcpy(area, user_of(engine)->shared->fpu.area, sizeof(*area));
	return true;
}

static bool user_set_fpu(struct engine *engine, const struct fpu_area *area)
{
	struct vcpu_fpu *fpu = &user_of(engine)->shared->fpu;

	memcpy(fpu->area, area, sizeof(*area));
	fpu->changed = true;
	return true;
}

static void user_stop_at(struct engine *engine, u64 events)
{
	user_of(engine)->shared->vm.clock.stop_at = events;
}

static void user_get_stats(struct engine *engine, struct vm_stats *out)
{
	struct user *e = user_of(engine);

	memcpy(out, &e->shared->vm.stats, sizeof(*out));
}

static u64 user_shared_resident(struct engine *engine)
{
	return engine_resident(user_of(engine)->shared_fd);
}

static bool create_shared(struct user *e, char *err, size_t err_size)
{
	e->shared = engine_create_memory("plex86-shared", sizeof(*e->shared), &e->shared_fd);
	if (!e->shared) {
		snprintf(err, err_size, "cannot create the vcpu's shared memory: %s",
			 strerror(errno));
		return false;
	}
	return true;
}

static bool several_cpus(void)
{
	cpu_set_t set;

	return !sched_getaffinity(0, sizeof(set), &set) && CPU_COUNT(&set) > 1;
}

static void user_destroy(struct engine *engine)
{
	struct user *e = user_of(engine);

	kill_all(e);
	for (u32 i = 0; i < e->processes; i++)
		if (e->pid[i] > 0)
			waitpid(e->pid[i], NULL, 0);
	if (e->shared)
		munmap(e->shared, sizeof(*e->shared));
	if (e->shared_fd >= 0)
		close(e->shared_fd);
	if (e->kmod_fd >= 0)
		close(e->kmod_fd);
	free(e);
}

static const struct engine_ops ops = {
	.destroy = user_destroy,
	.get_state = user_get_state,
	.set_cpu = user_set_cpu,
	.set_state = user_set_state,
	.set_debug = user_set_debug,
	.set_regs = user_set_regs,
	.stop_at = user_stop_at,
	.get_fpu = user_get_fpu,
	.set_fpu = user_set_fpu,
	.run = user_run,
	.complete = user_complete,
	.set_irq = user_set_irq,
	.add_device = user_add_device,
	.device_changed = user_device_changed,
	.take_bells = user_take_bells,
	.ring = user_ring,
	.window = user_window,
	.is_idle = user_is_idle,
	.kick = user_kick,
	.stop = user_stop,
	.get_stats = user_get_stats,
	.shared_resident = user_shared_resident,
};

/* A machine for user code, of the same RAM: the emulator is given it. */
static bool create_module(struct user *e, const struct engine_config *cfg, char *err,
			  size_t err_size)
{
	struct plex86_memory memory = {
		.address = (u64)e->base.ram,
		.ram_size = cfg->ram_size,
		.flags = cfg->deterministic ? PLEX86_DETERMINISTIC : 0,
	};

	e->kmod_fd = kmod_device_open(PLEX86_USER_CODE, err, err_size);
	if (e->kmod_fd < 0 || !kmod_device_set_memory(e->kmod_fd, &memory, err, err_size))
		return false;
	e->base.pinned = true;
	e->shared->hybrid.kmod = true;
	return true;
}

enum native { NATIVE_ALL, NATIVE_USER, NATIVE_MODULE }; /* what is not emulated, and where */

static struct engine *create(const char *program, enum native native,
			     const struct engine_config *cfg, char *err, size_t err_size)
{
	struct user *e = calloc(1, sizeof(*e));

	if (!e) {
		snprintf(err, err_size, "out of memory");
		return NULL;
	}
	e->shared_fd = e->kmod_fd = -1;
	if (!engine_init(&e->base, &ops, cfg, err, err_size) || !create_shared(e, err, err_size))
		goto fail;
	e->base.trace = &e->shared->trace;
	e->shared->hybrid.on = native != NATIVE_ALL;
	e->shared->ram_size = cfg->ram_size;
	e->shared->vmm_pid = getpid();
	e->shared->abi = cfg->abi;
	e->shared->fast_paths = !cfg->no_fast_paths && !cfg->deterministic;
	e->shared->deterministic = cfg->deterministic;
	e->shared->paced = cfg->paced;
	e->shared->common_cpu = cfg->common_cpu;
	e->shared->stop_at = cfg->stop_at;
	e->shared->flip_at = cfg->flip_at;
	e->shared->jail = !cfg->no_jail;
	/* Who looks for its turn reads the TSC: the vcpu cannot. */
	e->shared->spin = several_cpus() && !cfg->deterministic;
	e->shared->trace.keep = cfg->keep_trace;
	if (native == NATIVE_MODULE && !create_module(e, cfg, err, err_size))
		goto fail;
	if (!user_start(e, program, err, err_size))
		goto fail;
	e->shared->vm.pic.chip[0].elcr = cfg->level_irqs;
	e->shared->vm.pic.chip[1].elcr = cfg->level_irqs >> 8;
	return &e->base;
fail:
	engine_destroy(&e->base);
	return NULL;
}

struct engine *engine_user_create(const struct engine_config *cfg, char *err, size_t err_size)
{
	return create(VCPU_PROGRAM, NATIVE_ALL, cfg, err, err_size);
}

/* Engines that need the emulator. */
static struct engine *create_emulated(const char *name, const char *program, enum native native,
				      const struct engine_config *cfg, char *err, size_t err_size)
{
#ifdef HAVE_EMULATOR
	(void)name;
	return create(program, native, cfg, err, err_size);
#else
	(void)program;
	(void)native;
	(void)cfg;
	snprintf(err, err_size,
		 "engine '%s': this build has no emulator (install libunicorn-dev, build again)",
		 name);
	return NULL;
#endif
}

struct engine *engine_emulator_create(const struct engine_config *cfg, char *err, size_t err_size)
{
	return create_emulated(ENGINE_EMULATOR, EMULATOR_PROGRAM, NATIVE_ALL, cfg, err, err_size);
}

/* Its system calls do not trap, and the page they go through is in no emulated kernel. */
static bool is_for_hybrid(const char *name, const struct engine_config *cfg, char *err,
			  size_t err_size)
{
	if (!cfg->abi)
		return true;
	snprintf(err, err_size, "engine '%s': the kernel was built for plex86: take --engine %s",
		 name, strcmp(name, ENGINE_HYBRID) ? ENGINE_KMOD : ENGINE_DEFAULT);
	return false;
}

struct engine *engine_hybrid_create(const struct engine_config *cfg, char *err, size_t err_size)
{
	if (!is_for_hybrid(ENGINE_HYBRID, cfg, err, err_size))
		return NULL;
	return create_emulated(ENGINE_HYBRID, VCPU_PROGRAM, NATIVE_USER, cfg, err, err_size);
}

struct engine *engine_hybrid_kmod_create(const struct engine_config *cfg, char *err,
					 size_t err_size)
{
	if (!is_for_hybrid(ENGINE_HYBRID_KMOD, cfg, err, err_size))
		return NULL;
	return create_emulated(ENGINE_HYBRID_KMOD, EMULATOR_PROGRAM, NATIVE_MODULE, cfg, err,
			       err_size);
}
