/*
 * The interface between the VMM and a CPU engine.
 *
 * An engine owns one guest's CPU state and RAM and runs it until something outside is needed.
 * engine_run() is called from one thread; engine_set_irq() and engine_kick() from any.
 */
#ifndef PLEX86_ENGINE_H
#define PLEX86_ENGINE_H

#include "../../common/debug.h"
#include "../../common/state.h"
#include "../../common/vm.h"

#define ENGINE_DEFAULT	   "user"     /* ordinary processes */
#define ENGINE_KMOD	   "kmod"     /* the kernel module */
#define ENGINE_EMULATOR	   "emulator" /* all of it emulated, by libunicorn */
#define ENGINE_HYBRID	   "hybrid"   /* its kernel emulated, its user code in ordinary processes */
#define ENGINE_HYBRID_KMOD "hybrid-kmod" /* the same, but its user code in the kernel module */

struct engine;

struct engine_config {
	u64 ram_size;	    /* bytes, a multiple of 4 KiB */
	bool abi;	    /* the kernel carries the plex86 ELF note */
	bool no_fast_paths; /* every privileged event traps: the twin to compare with */
	bool deterministic; /* time is a function of the guest's events (common/clock.h); fast paths
			     * are off */
	bool paced;	    /* and waits of such a guest take the host's time (struct clock) */
	bool common_cpu;    /* struct vm's: for comparing engines */
	u64 stop_at, flip_at; /* of such a run: struct clock's */
	bool keep_trace;      /* stop (EXIT_KICKED) rather than lose trace records */
	u16 level_irqs; /* interrupt lines that are level-triggered, as firmware would set the ELCR
			 */
	bool no_jail;	/* debugging plex86 itself: run the vcpu process without its filter */
};

/* NULL on failure, with one line in err saying what was attempted, why it failed, what to do. */
struct engine *engine_create(const char *name, const struct engine_config *cfg, char *err,
			     size_t err_size);
/* Is there an engine of this name? */
bool engine_exists(const char *name);
/* Does it run the guest's kernel natively, so that this must have been built for it? */
bool engine_needs_note(const char *name);
/* The names, by number; NULL behind the last. */
const char *engine_name(unsigned i);
void engine_destroy(struct engine *e);
/* How many guest address spaces keep their mappings while others run: at least 1. */
unsigned engine_spaces(const struct engine *e);

/* Guest RAM in this process; valid until engine_destroy(). */
u8 *engine_ram(struct engine *e);
/* The file it is, from its beginning: for other processes to map, but not to cut. */
int engine_ram_fd(struct engine *e);
/* Give whole pages of guest RAM back to the host: they read as zeros until written again. An engine
 * whose guest RAM is pinned keeps them as they are. */
void engine_release_ram(struct engine *e, u64 gpa, u64 len);
/* Copy the machine's state out (for reports) or in (before the first run). The copy's `ram` is
 * engine_ram(), so that the core's page walker works on it. Shadow records are not copied. */
void engine_get_state(struct engine *e, struct vm *state);
void engine_set_cpu(struct engine *e, const struct vcpu *cpu);
/* In place of engine_set_cpu(): go on with a machine at rest. Its RAM and device pages are there
 * already, and its devices have been added. STATE_INVALID also if the engine refuses it. */
enum state_error engine_set_state(struct engine *e, const struct machine_state *s);
/* An engine takes up that state when it first runs, and can be looked at only then: have it do so,
 * and stand there. False: it cannot. */
bool engine_take_up(struct engine *e);

/* For a debugger, while the guest stands still (EXIT_DEBUG, EXIT_KICKED): what it wants from now
 * on, until it says otherwise; and of `cpu` the general registers, rip, and those of rflags that
 * are the hardware's. */
/* A deterministic run's: stop (DEBUG_STOP_EVENTS) behind so many events; 0: never. */
void engine_stop_at(struct engine *e, u64 events);
void engine_set_debug(struct engine *e, const struct debug_request *request);
void engine_set_regs(struct engine *e, const struct vcpu *cpu);
/* The guest's FPU and vector registers, while it stands still: an XSAVE area of the standard format
 * (SDM vol. 1, 13.4), of which at most `size` bytes. Returns how many it has; 0: not to be had. */
size_t engine_get_fpu(struct engine *e, void *xsave, size_t size);
/* False: this host's CPU cannot hold that. */
bool engine_set_fpu(struct engine *e, const void *xsave, size_t size);

/* Run until the guest needs the VMM. Exits are never EXIT_NONE or EXIT_IDLE: an engine waits
 * by itself. EXIT_FAULT with FAULT_GONE if the engine itself died. EXIT_BELL: the guest goes on
 * running and is not to be touched; engine_take_bells(), and call again. */
void engine_run(struct engine *e, struct vm_exit *exit);
/* The value for the EXIT_IO or EXIT_MMIO read just returned; give it before engine_run(). */
void engine_complete(struct engine *e, u64 value);

/* Drive interrupt line `irq` (0-15). */
void engine_set_irq(struct engine *e, unsigned irq, bool level);
/* Devices whose register pages the core serves (common/device-page.h): DEVICE_PAGES pages of 4 KiB,
 * which the guest reads. They may hold anything: guest code that broke out can write them. Before
 * the first run: which one the guest sees where. */
u8 *engine_device_pages(struct engine *e);
void engine_add_device(struct engine *e, unsigned index, const struct device_page *page);
/* A status word has changed: its line may have to. Any thread. */
void engine_device_changed(struct engine *e);
/* The doorbells rung since the last call, as bits DEVICE_BELLS * page + queue; any may be set. */
u64 engine_take_bells(struct engine *e);
/* Have engine_run() return soon for these, to go on with what was too much at once. On the thread
 * that calls it. */
void engine_ring(struct engine *e, u64 bells);
/* Have the guest read `n` bytes at `port` without exits, all but the last of them
 * (common/port-window.h); there is one such window. Returns how many it has taken into that: 0
 * where an engine has none. */
u32 engine_offer(struct engine *e, u16 port, const u8 *data, u32 n);
/* Close it, the guest standing at an exit: how many of them have been read. */
u32 engine_take_back(struct engine *e);
/* Does the guest wait for an interrupt at this moment? Any thread. */
bool engine_is_idle(struct engine *e);
/* Make engine_run() return EXIT_KICKED soon. */
void engine_kick(struct engine *e);
/* The run is to end: the same, but an engine that does not obey within seconds is ended. */
void engine_stop(struct engine *e);

/* Trace records since the last call, oldest first; at most `max`. */
size_t engine_read_trace(struct engine *e, struct trace_record *out, size_t max);
/* The newest records without consuming them; at most `max`, oldest first. */
size_t engine_last_events(struct engine *e, struct trace_record *out, size_t max);
/* Any thread; while the guest runs, counters may be of slightly different moments. */
void engine_get_stats(struct engine *e, struct vm_stats *out);

/* Memory that the engine's processes share, and what of it the host has at this moment. */
struct engine_memory {
	u64 ram_size, ram_resident;
	u64 shared_resident; /* everything but guest RAM */
};
void engine_get_memory(struct engine *e, struct engine_memory *out);

#endif
