/*
 * Engines: choosing one, and what they have in common.
 *
 * Owns: guest RAM, the copying of traces, and the checks of what an engine says: its guest may have
 * written it.
 */
#include "engine-ops.h"
#include "../vcpu/vsyscall.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
	const char *name;
	struct engine *(*create)(const struct engine_config *cfg, char *err, size_t err_size);
} engines[] = {{ENGINE_DEFAULT, engine_user_create},
	       {ENGINE_EMULATOR, engine_emulator_create},
	       {ENGINE_HYBRID, engine_hybrid_create},
	       {ENGINE_HYBRID_KMOD, engine_hybrid_kmod_create},
	       {ENGINE_KMOD, engine_kmod_create}};

struct engine *engine_create(const char *name, const struct engine_config *cfg, char *err,
			     size_t err_size)
{
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
		if (!strcmp(engines[i].name, name))
			return engines[i].create(cfg, err, err_size);
	snprintf(err, err_size, "engine '%s': there is none of this name", name);
	return NULL;
}

bool engine_exists(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(engines); i++)
		if (!strcmp(engines[i].name, name))
			return true;
	return false;
}

bool engine_needs_note(const char *name)
{
	return !strcmp(name, ENGINE_DEFAULT) || !strcmp(name, ENGINE_KMOD);
}

const char *engine_name(unsigned i)
{
	return i < ARRAY_SIZE(engines) ? engines[i].name : NULL;
}

/* ------------------------------------------------------------- memory ---- */

void *engine_create_memory(const char *name, u64 size, int *fd)
{
	void *p;

	/* Other processes have it, too: none may cut it off under us (that is SIGBUS). */
	*fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (*fd < 0 || ftruncate(*fd, size) ||
	    fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return NULL;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

bool engine_init(struct engine *e, const struct engine_ops *ops, const struct engine_config *cfg,
		 char *err, size_t err_size)
{
	e->ops = ops;
	e->ram_size = cfg->ram_size;
	e->spaces = 1;
	e->ram = engine_create_memory("plex86-ram", e->ram_size + VSYSCALL_EXTRA_BYTES, &e->ram_fd);
	if (e->ram)
		return true;
	snprintf(err, err_size, "cannot create %llu MiB of guest RAM: %s (try a smaller -m)",
		 (unsigned long long)e->ram_size >> 20, strerror(errno));
	return false;
}

void engine_destroy(struct engine *e)
{
	u8 *ram = e->ram;
	const u64 size = e->ram_size + VSYSCALL_EXTRA_BYTES;
	const int fd = e->ram_fd;

	e->ops->destroy(e);
	if (ram)
		munmap(ram, size);
	if (fd >= 0)
		close(fd);
}

u8 *engine_ram(struct engine *e)
{
	return e->ram;
}

int engine_ram_fd(struct engine *e)
{
	return e->ram_fd;
}

void engine_release_ram(struct engine *e, u64 gpa, u64 len)
{
	const int how = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	if (e->pinned || gpa % PAGE_SIZE_4K || len % PAGE_SIZE_4K || !len)
		return;
	if (gpa >= e->ram_size || len > e->ram_size - gpa)
		return;
	/* Holes are holes for all who map the file: the vcpu, and backends of devices, which
	 * find zeros as we do. What the guest does not use is in no request of theirs; if it lies,
	 * its own request is what it spoils. If the host refuses, nothing but memory is lost. */
	while (fallocate(e->ram_fd, how, gpa, len) && errno == EINTR)
		;
}

u8 *engine_device_pages(struct engine *e)
{
	return e->ram + e->ram_size + PAGE_SIZE_4K;
}

u64 engine_resident(int fd)
{
	struct stat st;

	return fstat(fd, &st) ? 0 : (u64)st.st_blocks * 512;
}

void engine_get_memory(struct engine *e, struct engine_memory *out)
{
	out->ram_size = e->ram_size;
	out->ram_resident = engine_resident(e->ram_fd);
	out->shared_resident = e->ops->shared_resident(e);
}

/* ------------------------------------------------ what the guest may forge ---- */

/* A bool that may have been written by guest code: any byte. */
static void repair_bool(bool *b)
{
	u8 byte;

	memcpy(&byte, b, sizeof(byte));
	*b = byte != 0;
}

/* An exit copied out of shared memory, with everything the VMM relies on made true. */
static void sanitize_exit(struct vm_exit *exit)
{
	bool plausible;

	switch (exit->kind) {
	case EXIT_IO:
		repair_bool(&exit->io.write);
		plausible = exit->io.size == 1 || exit->io.size == 2 || exit->io.size == 4;
		break;
	case EXIT_MMIO:
		repair_bool(&exit->mmio.write);
		plausible = exit->mmio.size == 1 || exit->mmio.size == 2 || exit->mmio.size == 4 ||
			    exit->mmio.size == 8;
		break;
	case EXIT_DEBUG:
		plausible = exit->debug.reason < DEBUG_STOP_COUNT;
		break;
	default:
		plausible = exit->kind > EXIT_NONE && exit->kind < EXIT_COUNT;
	}
	if (plausible)
		return;
	memset(exit, 0, sizeof(*exit));
	exit->kind = EXIT_FAULT;
	exit->fault.reason = FAULT_MONITOR;
}

void engine_run(struct engine *e, struct vm_exit *exit)
{
	memset(exit, 0, sizeof(*exit));
	e->ops->run(e, exit);
	sanitize_exit(exit);
}

bool engine_take_up(struct engine *e)
{
	const u64 bells = engine_take_bells(e);
	struct vm_exit exit;

	engine_kick(e);
	engine_run(e, &exit);
	if (bells)
		engine_ring(e, bells);
	return exit.kind == EXIT_KICKED || exit.kind == EXIT_SHUTDOWN || exit.kind == EXIT_HALTED;
}

void engine_get_state(struct engine *e, struct vm *state)
{
	e->ops->get_state(e, state);
	repair_bool(&state->cpu.halted);
	repair_bool(&state->cpu.shutdown);
	repair_bool(&state->abi);
	state->pool.active = 0; /* may name anything, and none is copied */
	state->ram = e->ram;
	state->ram_size = e->ram_size;
}

/* Copy records [from, head) out of the ring; at most `max`, the oldest still there first. */
static size_t copy_trace(struct engine *e, u64 from, struct trace_record *out, size_t max, u64 *end)
{
	const struct trace_ring *ring = e->trace;
	u64 head = __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE);
	size_t n = 0;

	if (head - from > TRACE_RING)
		from = head - TRACE_RING;
	while (from != head && n < max)
		out[n++] = ring->record[from++ % TRACE_RING];
	*end = from;
	return n;
}

size_t engine_read_trace(struct engine *e, struct trace_record *out, size_t max)
{
	size_t n = copy_trace(e, e->trace_tail, out, max, &e->trace_tail);

	__atomic_store_n(&e->trace->tail, e->trace_tail, __ATOMIC_RELEASE);
	return n;
}

size_t engine_last_events(struct engine *e, struct trace_record *out, size_t max)
{
	u64 head = __atomic_load_n(&e->trace->head, __ATOMIC_ACQUIRE), end;

	return copy_trace(e, head > max ? head - max : 0, out, max, &end);
}

/* -------------------------------------------------- what an engine does ---- */

unsigned engine_spaces(const struct engine *e)
{
	return e->spaces;
}

void engine_set_cpu(struct engine *e, const struct vcpu *cpu)
{
	e->ops->set_cpu(e, cpu);
}

static enum state_error check_state(struct engine *e, const struct machine_state *s)
{
	struct vm *fresh = malloc(sizeof(*fresh));
	enum state_error error = STATE_INVALID;

	if (!fresh)
		return error;
	engine_get_state(e, fresh);
	error = state_check(fresh, s);
	free(fresh);
	return error;
}

enum state_error engine_set_state(struct engine *e, const struct machine_state *s)
{
	const enum state_error error = check_state(e, s);

	if (error)
		return error;
	if (!e->ops->set_state(e, s))
		return STATE_INVALID;
	for (unsigned irq = 0; irq < 16; irq++)
		engine_set_irq(e, irq, s->irq_lines >> irq & 1);
	return STATE_OK;
}

void engine_set_debug(struct engine *e, const struct debug_request *request)
{
	e->ops->set_debug(e, request);
}

void engine_stop_at(struct engine *e, u64 events)
{
	e->ops->stop_at(e, events);
}

void engine_set_regs(struct engine *e, const struct vcpu *cpu)
{
	struct debug_regs regs = {.rip = cpu->rip, .rflags = cpu->rflags};

	memcpy(regs.gpr, cpu->gpr, sizeof(regs.gpr));
	e->ops->set_regs(e, &regs);
}

size_t engine_get_fpu(struct engine *e, void *xsave, size_t size)
{
	struct fpu_area area = {0};
	size_t has;

	if (!e->ops->get_fpu(e, &area))
		return 0;
	has = fpu_tidy(&area);
	memcpy(xsave, &area, size < has ? size : has);
	return has;
}

bool engine_set_fpu(struct engine *e, const void *xsave, size_t size)
{
	struct fpu_area area = {0};

	if (size > sizeof(area))
		return false;
	memcpy(&area, xsave, size);
	return fpu_acceptable(&area, size) && e->ops->set_fpu(e, &area);
}

void engine_complete(struct engine *e, u64 value)
{
	e->ops->complete(e, value);
}

void engine_set_irq(struct engine *e, unsigned irq, bool level)
{
	e->ops->set_irq(e, irq, level);
}

void engine_add_device(struct engine *e, unsigned index, const struct device_page *page)
{
	e->ops->add_device(e, index, page);
}

void engine_device_changed(struct engine *e)
{
	e->ops->device_changed(e);
}

u64 engine_take_bells(struct engine *e)
{
	return e->ops->take_bells(e);
}

void engine_ring(struct engine *e, u64 bells)
{
	e->ops->ring(e, bells);
}

u32 engine_offer(struct engine *e, u16 port, const u8 *data, u32 n)
{
	struct port_window *w = e->ops->window ? e->ops->window(e) : NULL;

	if (!w)
		return 0;
	n = n < PORT_WINDOW_BYTES ? n : PORT_WINDOW_BYTES;
	__atomic_store_n(&w->end, 0, __ATOMIC_RELAXED);
	memcpy(w->data, data, n);
	w->port = port;
	w->used = 0;
	__atomic_store_n(&w->end, n, __ATOMIC_RELEASE);
	return n;
}

u32 engine_take_back(struct engine *e)
{
	struct port_window *w = e->ops->window ? e->ops->window(e) : NULL;

	if (!w)
		return 0;
	__atomic_store_n(&w->end, 0, __ATOMIC_RELAXED);
	return __atomic_load_n(&w->used, __ATOMIC_RELAXED);
}

bool engine_is_idle(struct engine *e)
{
	return e->ops->is_idle(e);
}

void engine_kick(struct engine *e)
{
	e->ops->kick(e);
}

void engine_stop(struct engine *e)
{
	e->ops->stop(e);
}

void engine_get_stats(struct engine *e, struct vm_stats *out)
{
	e->ops->get_stats(e, out);
}
