/*
 * The kmod engine, seen from the VMM: plex86.ko behind /dev/plex86 (phase2-kmod/plex86-ioctl.h).
 *
 * Owns: the file descriptor and the pages shared with the module. The guest runs on the thread that
 * calls engine_run(), in the kernel.
 */
#include "engine-ops.h"
#include "kmod-device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

struct kmod {
	struct engine base;
	int fd;
	struct plex86_run *run; /* shared with the module, which does not rely on it */
	u64 rung;		/* doorbells rung by engine_ring() */
	int error;		/* errno of a PLEX86_RUN that failed: the machine is no more */
};

static struct kmod *kmod_of(struct engine *engine)
{
	return (struct kmod *)((char *)engine - offsetof(struct kmod, base));
}

static void kmod_run(struct engine *engine, struct vm_exit *exit)
{
	struct kmod *e = kmod_of(engine);

	if (__atomic_load_n(&e->rung, __ATOMIC_SEQ_CST)) {
		exit->kind = EXIT_BELL;
		return;
	}
	while (!e->error && ioctl(e->fd, PLEX86_RUN))
		if (errno != EINTR)
			e->error = errno;
	if (e->error) {
		exit->kind = EXIT_FAULT;
		exit->fault.reason = FAULT_HOST;
		exit->fault.detail = e->error;
		return;
	}
	memcpy(exit, &e->run->exit, sizeof(*exit));
}

static void kmod_complete(struct engine *engine, u64 value)
{
	struct vm_exit *exit = &kmod_of(engine)->run->exit;

	if (exit->kind == EXIT_IO)
		exit->io.value = value;
	else if (exit->kind == EXIT_MMIO)
		exit->mmio.value = value;
}

static void kmod_set_irq(struct engine *engine, unsigned irq, bool level)
{
	struct plex86_irq arg = {.irq = irq, .level = level};

	ioctl(kmod_of(engine)->fd, PLEX86_SET_IRQ, &arg);
}

static void kmod_add_device(struct engine *engine, unsigned index, const struct device_page *page)
{
	struct plex86_device arg = {.index = index, .page = *page};

	ioctl(kmod_of(engine)->fd, PLEX86_ADD_DEVICE, &arg);
}

static void kmod_device_changed(struct engine *engine)
{
	ioctl(kmod_of(engine)->fd, PLEX86_NEWS);
}

/* The guest does not run while the VMM does, on the same thread: its own doorbells are exits. */
static void kmod_ring(struct engine *engine, u64 bells)
{
	__atomic_or_fetch(&kmod_of(engine)->rung, bells, __ATOMIC_SEQ_CST);
}

static u64 kmod_take_bells(struct engine *engine)
{
	return __atomic_exchange_n(&kmod_of(engine)->rung, 0, __ATOMIC_SEQ_CST);
}

static void kmod_kick(struct engine *engine)
{
	ioctl(kmod_of(engine)->fd, PLEX86_KICK);
}

static bool kmod_is_idle(struct engine *engine)
{
	return __atomic_load_n(&kmod_of(engine)->run->idle, __ATOMIC_RELAXED);
}

/* -------------------------------------------------------------- state ---- */

static void kmod_get_state(struct engine *engine, struct vm *state)
{
	ioctl(kmod_of(engine)->fd, PLEX86_GET_STATE, state);
}

static void kmod_set_cpu(struct engine *engine, const struct vcpu *cpu)
{
	struct kmod *e = kmod_of(engine);

	/* The guest does not start without it: told by the first engine_run(). */
	if (ioctl(e->fd, PLEX86_SET_CPU, cpu))
		e->error = errno;
}

static bool kmod_set_state(struct engine *engine, const struct machine_state *s)
{
	return !ioctl(kmod_of(engine)->fd, PLEX86_SET_STATE, s);
}

static void kmod_set_debug(struct engine *engine, const struct debug_request *request)
{
	ioctl(kmod_of(engine)->fd, PLEX86_SET_DEBUG, request);
}

static void kmod_set_regs(struct engine *engine, const struct debug_regs *regs)
{
	ioctl(kmod_of(engine)->fd, PLEX86_SET_REGS, regs);
}

static bool kmod_get_fpu(struct engine *engine, struct fpu_area *area)
{
	struct plex86_fpu arg;

	_Static_assert(sizeof(arg) == sizeof(*area), "one is the other");
	if (ioctl(kmod_of(engine)->fd, PLEX86_GET_FPU, &arg))
		return false;
	memcpy(area, &arg, sizeof(*area));
	return true;
}

static bool kmod_set_fpu(struct engine *engine, const struct fpu_area *area)
{
	struct plex86_fpu arg;

	memcpy(&arg, area, sizeof(arg));
	return !ioctl(kmod_of(engine)->fd, PLEX86_SET_FPU, &arg);
}

static void kmod_stop_at(struct engine *engine, u64 events)
{
	ioctl(kmod_of(engine)->fd, PLEX86_STOP_AT, &events);
}

static void kmod_get_stats(struct engine *engine, struct vm_stats *out)
{
	ioctl(kmod_of(engine)->fd, PLEX86_GET_STATS, out);
}

/* Kernel memory, of which we know nothing. */
static u64 kmod_shared_resident(struct engine *engine)
{
	(void)engine;
	return sizeof(struct plex86_run);
}

/* -------------------------------------------------------------- start ---- */

static void kmod_destroy(struct engine *engine)
{
	struct kmod *e = kmod_of(engine);

	if (e->run)
		munmap(e->run, sizeof(*e->run));
	if (e->fd >= 0)
		close(e->fd);
	free(e);
}

static bool map_page(struct kmod *e, char *err, size_t err_size)
{
	e->base.spaces = ioctl(e->fd, PLEX86_GET_SPACES);
	e->run = mmap(NULL, sizeof(*e->run), PROT_READ | PROT_WRITE, MAP_SHARED, e->fd, 0);
	if (e->run != MAP_FAILED)
		return true;
	e->run = NULL;
	snprintf(err, err_size, "'" KMOD_DEVICE "': mmap: %s", strerror(errno));
	return false;
}

static bool set_memory(struct kmod *e, const struct engine_config *cfg, char *err, size_t err_size)
{
	struct plex86_memory arg = {
		.address = (u64)e->base.ram,
		.ram_size = cfg->ram_size,
		.stop_at = cfg->stop_at,
		.flip_at = cfg->flip_at,
		.flags = (cfg->abi ? PLEX86_ABI : 0) |
			 (cfg->deterministic ? PLEX86_DETERMINISTIC : 0) |
			 (cfg->paced ? PLEX86_PACED : 0) |
			 (cfg->no_fast_paths ? PLEX86_NO_FAST_PATHS : 0),
		.level_irqs = cfg->level_irqs,
	};

	return kmod_device_set_memory(e->fd, &arg, err, err_size);
}

static const struct engine_ops ops = {
	.destroy = kmod_destroy,
	.get_state = kmod_get_state,
	.set_cpu = kmod_set_cpu,
	.set_state = kmod_set_state,
	.set_debug = kmod_set_debug,
	.set_regs = kmod_set_regs,
	.stop_at = kmod_stop_at,
	.get_fpu = kmod_get_fpu,
	.set_fpu = kmod_set_fpu,
	.run = kmod_run,
	.complete = kmod_complete,
	.set_irq = kmod_set_irq,
	.add_device = kmod_add_device,
	.device_changed = kmod_device_changed,
	.take_bells = kmod_take_bells,
	.ring = kmod_ring,
	.is_idle = kmod_is_idle,
	.kick = kmod_kick,
	.stop = kmod_kick,
	.get_stats = kmod_get_stats,
	.shared_resident = kmod_shared_resident,
};

struct engine *engine_kmod_create(const struct engine_config *cfg, char *err, size_t err_size)
{
	struct kmod *e = calloc(1, sizeof(*e));

	if (!e) {
		snprintf(err, err_size, "out of memory");
		return NULL;
	}
	e->fd = -1;
	if (cfg->common_cpu) {
		snprintf(err, err_size, "--kmod: not with --common-cpu: compare it with 'user'");
		free(e);
		return NULL;
	}
	if (!engine_init(&e->base, &ops, cfg, err, err_size) ||
	    (e->fd = kmod_device_open(PLEX86_WHOLE, err, err_size)) < 0 ||
	    !map_page(e, err, err_size) || !set_memory(e, cfg, err, err_size)) {
		engine_destroy(&e->base);
		return NULL;
	}
	e->base.pinned = true;
	e->base.trace = &e->run->trace;
	e->run->trace.keep = cfg->keep_trace;
	return &e->base;
}
