/*
 * What an engine has to provide, and what all of them share: for engine.c and the engines alone.
 *
 * Owns: struct engine, the head of every engine's own structure. What an engine hands out here may
 * have been written by its guest; engine.c checks it for all of them.
 */
#ifndef PLEX86_ENGINE_OPS_H
#define PLEX86_ENGINE_OPS_H

#include "engine.h"
#include "fpu.h"

/* Each as the function engine_NAME() of engine.h. */
struct engine_ops {
	void (*destroy)(struct engine *e); /* all but the RAM; frees `e`'s structure */
	/* State as it is, without `ram`. */
	void (*get_state)(struct engine *e, struct vm *state);
	void (*set_cpu)(struct engine *e, const struct vcpu *cpu);
	/* It has been checked against the machine's. */
	bool (*set_state)(struct engine *e, const struct machine_state *s);
	void (*set_debug)(struct engine *e, const struct debug_request *request);
	void (*stop_at)(struct engine *e, u64 events);
	void (*set_regs)(struct engine *e, const struct debug_regs *regs);
	/* The area as it is, FPU_AREA bytes, zeros behind what there is. */
	bool (*get_fpu)(struct engine *e, struct fpu_area *area);
	/* It has been checked. */
	bool (*set_fpu)(struct engine *e, const struct fpu_area *area);
	void (*run)(struct engine *e, struct vm_exit *exit); /* exit as it is; EXIT_NONE on entry */
	void (*complete)(struct engine *e, u64 value);
	void (*set_irq)(struct engine *e, unsigned irq, bool level);
	void (*add_device)(struct engine *e, unsigned index, const struct device_page *page);
	void (*device_changed)(struct engine *e);
	u64 (*take_bells)(struct engine *e);
	void (*ring)(struct engine *e, u64 bells);
	struct port_window *(*window)(struct engine *e); /* NULL: none */
	bool (*is_idle)(struct engine *e);
	void (*kick)(struct engine *e);
	void (*stop)(struct engine *e);
	void (*get_stats)(struct engine *e, struct vm_stats *out);
	u64 (*shared_resident)(struct engine *e); /* engine_memory's */
};

struct engine {
	const struct engine_ops *ops;
	u8 *ram; /* of ram_size + HOST_EXTRA_BYTES */
	u64 ram_size;
	int ram_fd;
	unsigned spaces;
	bool pinned; /* the guest keeps the host's pages it has: none can be given back */
	struct trace_ring *trace; /* set by the engine: where the core writes it */
	u64 trace_tail;		  /* read so far */
};

/* Guest RAM and the pages behind it, and the fields that follow from `cfg`. engine_destroy() works
 * from here on, whether this succeeded or not. */
bool engine_init(struct engine *e, const struct engine_ops *ops, const struct engine_config *cfg,
		 char *err, size_t err_size);
/* Memory that other processes have as well, zeroed; NULL: errno. */
void *engine_create_memory(const char *name, u64 size, int *fd);
/* What of a memfd the host has at this moment, in bytes. */
u64 engine_resident(int fd);

/* The engines: engine-kmod.c, and engine-user.c for those made of processes. As engine_create(). */
struct engine *engine_user_create(const struct engine_config *cfg, char *err, size_t err_size);
struct engine *engine_emulator_create(const struct engine_config *cfg, char *err, size_t err_size);
struct engine *engine_hybrid_create(const struct engine_config *cfg, char *err, size_t err_size);
struct engine *engine_hybrid_kmod_create(const struct engine_config *cfg, char *err,
					 size_t err_size);
struct engine *engine_kmod_create(const struct engine_config *cfg, char *err, size_t err_size);

#endif
