/*
 * The engines made of processes, seen from the VMM: those processes and the memory shared with
 * them.
 *
 * Owns: starting, waking and ending the vcpu processes: plex86-vcpu's (phase1-user/vcpu/), one for
 * each guest address space in use, or that of plex86-emulator (phase1-user/emulator/). What is read
 * from the shared memory may have been written by guest code: it is copied once and checked.
 */
#include "engine-ops.h"
#include "affinity.h"
#include "vcpu/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct user {
	struct engine base;
	const char *program; /* that the vcpu process runs: a file's name */
	struct vcpu_shared *shared;
	int shared_fd;
	pid_t pid[SHADOW_COUNT]; /* the first has started the others, and leads their group */
	u32 processes;
	bool dead;    /* one of them has been waited for: the machine is no more */
	int status;   /* its wait status */
	bool running; /* it is the vcpu's turn: engine_run() returned for a doorbell */
	struct turn_patience patience;
	struct affinity affinity;
	u64 stop_by; /* CLOCK_MONOTONIC, ns: the guest must have stopped by then; 0: it may run */
};

static struct user *user_of(struct engine *engine)
{
	return (struct user *)((char *)engine - offsetof(struct user, base));
}

#define STOP_NS 3000000000u /* how long it may take */

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

	affinity_look(&e->affinity, vm->stats.count[EV_SWITCH], vm->pool.active);
}

/* Is there something to do? Looks for a while, and as long as it does doorbells need no exit. */
static bool turn_comes_or_bell(struct user *e)
{
	struct device_pages *d = &e->shared->vm.devices;

	__atomic_store_n(&d->watched, 1, __ATOMIC_SEQ_CST);
	if (turn_comes(e->shared, TURN_VMM, &e->patience))
		return true;
	__atomic_store_n(&d->watched, 0, __ATOMIC_SEQ_CST);
	return turn_is(e->shared, TURN_VMM);
}

/* Wait until it is the VMM's turn or a doorbell rings; false if a vcpu process ended instead. */
static bool wait_for_turn(struct user *e)
{
	/* A process that dies wakes nobody: look now and then. */
	const struct timespec look = {.tv_nsec = 100 * 1000 * 1000};

	while (!turn_comes_or_bell(e)) {
		choose_cpu(e);
		futex(&e->shared->turn, FUTEX_WAIT, TURN_VCPU, &look);
		if (__atomic_load_n(&e->shared->turn, __ATOMIC_ACQUIRE) == TURN_VMM)
			continue;
		if (vcpu_ended(e))
			return false;
		end_disobedient(e);
	}
	return true;
}

static void give_turn(struct user *e)
{
	if (e->running)
		return;
	e->running = true;
	__atomic_store_n(&e->shared->turn, TURN_VCPU, __ATOMIC_RELEASE);
	futex(&e->shared->turn, FUTEX_WAKE, 1, NULL);
}

/* Interrupt the process that runs guest code. Should it pass the baton before the signal comes, the
 * next one looks by itself before it runs any. */
static void signal_active(struct user *e)
{
	u32 active = __atomic_load_n(&e->shared->vm.pool.active, __ATOMIC_SEQ_CST);

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
	if (e->dead || !wait_for_turn(e)) {
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

/* -------------------------------------------------------------- start ---- */

static const char *step_text(u32 step)
{
#define VCPU_STEP_TEXT(id, text) [STEP_##id] = text,
	static const char *const texts[] = {VCPU_STEPS(VCPU_STEP_TEXT)};

	return step < STEP_COUNT ? texts[step] : "start";
}

static const char *step_remedy(u32 step)
{
	switch (step) {
	case STEP_LDT:
		return "; the host kernel needs CONFIG_MODIFY_LDT_SYSCALL (see `plex86 doctor`)";
	case STEP_JAIL:
		return "; the host kernel needs seccomp filters, or use --no-jail";
	case STEP_TRAPS:
		return "; the host kernel has no Syscall User Dispatch: do not use --no-jail here";
	default:
		return "";
	}
}

/* The vcpu program lies beside this one, or where it is installed. */
static int open_vcpu_program(const char *name, char *err, size_t err_size)
{
	static const char *const places[] = {"", "../libexec/plex86/"};
	char exe[PATH_MAX], path[PATH_MAX + 64];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	if (n < 0)
		n = 0;
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	if (slash)
		slash[1] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		int fd;

		snprintf(path, sizeof(path), "%s%s%s", exe, places[i], name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0)
			return fd;
	}
	snprintf(err, err_size, "'%s%s': %s (it must lie beside plex86)", exe, name,
		 strerror(errno));
	return -1;
}

/* In the child: nothing of the VMM is left open but the two memfds. */
static _Noreturn void exec_vcpu(const struct user *e, int program)
{
	char *const argv[] = {(char *)e->program, NULL}, *const envp[] = {NULL};
	const struct rlimit no_core = {0, 0};
	const int high = 100;
	sigset_t none;
	int ram, shared, prog;

	/* Move out of the way of the fixed numbers first. */
	ram = fcntl(e->base.ram_fd, F_DUPFD, high);
	shared = fcntl(e->shared_fd, F_DUPFD, high);
	prog = fcntl(program, F_DUPFD_CLOEXEC, high);
	if (ram < 0 || shared < 0 || prog < 0 || dup2(ram, VCPU_FD_RAM) < 0 ||
	    dup2(shared, VCPU_FD_SHARED) < 0)
		_exit(1);
	for (int fd = 0; fd < VCPU_FD_RAM; fd++)
		close(fd);
	syscall(SYS_close_range, VCPU_FD_SHARED + 1, prog - 1, 0);
	syscall(SYS_close_range, prog + 1, ~0u, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	/* Terminal signals are for the VMM to act on. */
	setpgid(0, 0);
	/* A core file would be all of the guest's RAM. */
	setrlimit(RLIMIT_CORE, &no_core);
	syscall(SYS_execveat, prog, "", argv, envp, AT_EMPTY_PATH);
	_exit(127);
}

/* No guest code has run yet: what the first vcpu process says of the others it has started is true.
 */
static void note_processes(struct user *e)
{
	const struct vcpu_shared *s = e->shared;

	for (; e->processes < s->processes && e->processes < SHADOW_COUNT; e->processes++)
		e->pid[e->processes] = s->pid[e->processes];
}

static bool start_vcpu(struct user *e, char *err, size_t err_size)
{
	int program = open_vcpu_program(e->program, err, err_size);
	struct vcpu_shared *s = e->shared;
	bool started;

	if (program < 0)
		return false;
	e->pid[0] = fork();
	if (e->pid[0] == 0)
		exec_vcpu(e, program);
	close(program);
	if (e->pid[0] < 0) {
		snprintf(err, err_size, "cannot start the vcpu process: %s", strerror(errno));
		return false;
	}
	e->processes = 1;
	started = wait_for_turn(e);
	note_processes(e);
	affinity_init(&e->affinity, e->pid, e->processes);
	if (started)
		return true;
	if (s->failed_step)
		snprintf(err, err_size, "cannot %s: %.*s%s", step_text(s->failed_step),
			 (int)sizeof(s->failed_why) - 1,
			 s->failed_why[0] ? s->failed_why : strerror(s->failed_errno),
			 step_remedy(s->failed_step));
	else
		snprintf(err, err_size, "the vcpu process ended at its start (%s %d)",
			 WIFSIGNALED(e->status) ? "signal" : "status",
			 WIFSIGNALED(e->status) ? WTERMSIG(e->status) : WEXITSTATUS(e->status));
	return false;
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
	.is_idle = user_is_idle,
	.kick = user_kick,
	.stop = user_stop,
	.get_stats = user_get_stats,
	.shared_resident = user_shared_resident,
};

static struct engine *create(const char *program, const struct engine_config *cfg, char *err,
			     size_t err_size)
{
	struct user *e = calloc(1, sizeof(*e));

	if (!e) {
		snprintf(err, err_size, "out of memory");
		return NULL;
	}
	e->program = program;
	e->shared_fd = -1;
	if (!engine_init(&e->base, &ops, cfg, err, err_size) || !create_shared(e, err, err_size))
		goto fail;
	e->base.trace = &e->shared->trace;
	e->shared->turn = TURN_VCPU;
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
	if (!start_vcpu(e, err, err_size))
		goto fail;
	e->shared->vm.pic.chip[0].elcr = cfg->level_irqs;
	e->shared->vm.pic.chip[1].elcr = cfg->level_irqs >> 8;
	e->base.spaces = e->processes;
	return &e->base;
fail:
	engine_destroy(&e->base);
	return NULL;
}

struct engine *engine_user_create(const struct engine_config *cfg, char *err, size_t err_size)
{
	return create("plex86-vcpu", cfg, err, err_size);
}

struct engine *engine_emulator_create(const struct engine_config *cfg, char *err, size_t err_size)
{
#ifdef HAVE_EMULATOR
	return create("plex86-emulator", cfg, err, err_size);
#else
	(void)cfg;
	snprintf(err, err_size,
		 "engine 'emulator': this build has none (install libunicorn-dev, build again)");
	return NULL;
#endif
}
