/*
 * Taking a snapshot: see snapshot.h.
 *
 * Devices come first: what brings them to rest changes RAM, and may raise interrupts.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "board.h"
#include "file.h"
#include "fpu.h"
#include "ram.h"
#include "snapshot.h"

static u64 now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void put_config(struct snapshot_writer *w, const struct snapshot_config *given,
		       const struct machine *m, struct byte_writer *b)
{
	struct snapshot_config *c = malloc(sizeof(*c));

	if (!c) {
		b->failed = true;
	} else {
		*c = *given;
		snapshot_config_host(c, tsc_khz(&m->started));
		snapshot_config_put(c, b);
		free(c);
	}
	snapshot_put(w, SECTION_CONFIG, b);
}

static bool put_state(struct snapshot_writer *w, struct machine *m, struct byte_writer *b,
		      struct error *e)
{
	struct machine_state *s = malloc(sizeof(*s));
	struct vm *vm = malloc(sizeof(*vm));
	bool ok = false;

	if (s && vm) {
		engine_get_state(m->engine, vm);
		ok = state_save(vm, now_ns(), s);
		if (ok)
			bytes_put(b, s, sizeof(*s));
		else
			error_set(e, "snapshot '%s': the guest is in the middle of an instruction",
				  w->path);
	} else {
		error_set(e, "snapshot '%s': out of memory", w->path);
	}
	snapshot_put(w, SECTION_STATE, b);
	free(s);
	free(vm);
	return ok;
}

static bool put_fpu(struct snapshot_writer *w, struct machine *m, struct byte_writer *b,
		    struct error *e)
{
	struct fpu_area area = {0};

	if (!engine_get_fpu(m->engine, &area, sizeof(area)))
		return error_set(e, "snapshot '%s': the engine does not tell its FPU's registers",
				 w->path);
	snapshot_put_fpu(&area, b);
	snapshot_put(w, SECTION_FPU, b);
	return true;
}

static bool put_devices(struct snapshot_writer *w, struct machine *m, struct byte_writer *b,
			struct error *e)
{
	if (!hal_save(m->hal, b, e))
		return false;
	snapshot_put(w, SECTION_DEVICES, b);
	return true;
}

static bool put_parts(struct snapshot_writer *w, struct machine *m,
		      const struct snapshot_config *config, struct error *e)
{
	struct byte_writer b[SECTIONS] = {0};
	bool ok;

	ok = put_devices(w, m, &b[SECTION_DEVICES], e);
	if (ok) {
		snapshot_put_board(m, &b[SECTION_BOARD]);
		snapshot_put(w, SECTION_BOARD, &b[SECTION_BOARD]);
		put_config(w, config, m, &b[SECTION_CONFIG]);
		ok = put_fpu(w, m, &b[SECTION_FPU], e) && put_state(w, m, &b[SECTION_STATE], e);
	}
	for (unsigned i = 0; i < SECTIONS; i++)
		bytes_free(&b[i]);
	return ok;
}

bool snapshot_take(struct machine *m, const struct snapshot_config *config, const char *path,
		   struct snapshot_result *result, struct error *e)
{
	const u64 begun = now_ns();
	struct snapshot_writer w;
	bool ok;

	if (!snapshot_create(&w, path, e))
		return false;
	ok = put_parts(&w, m, config, e) &&
	     snapshot_write_ram(&w, engine_ram_fd(m->engine), config->memory, e);
	ok = snapshot_finish(&w, ok, &result->bytes, e);
	result->ns = now_ns() - begun;
	return ok;
}
