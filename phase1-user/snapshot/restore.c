/*
 * Going on from a snapshot: see snapshot.h.
 */
#include <stdlib.h>
#include <string.h>
#include "board.h"
#include "file.h"
#include "fpu.h"
#include "ram.h"
#include "snapshot.h"

struct snapshot {
	struct snapshot_file file;
	struct snapshot_config config;
};

static bool wrong(const struct snapshot *s, const char *why, struct error *e)
{
	return error_set(e, "snapshot '%s': %s", s->file.path, why);
}

static bool read_config(struct snapshot *s, struct error *e)
{
	struct byte_reader r = snapshot_section(&s->file, SECTION_CONFIG);

	return snapshot_config_get(&s->config, &r) ||
	       wrong(s, state_error_text(STATE_OTHER_BUILD), e);
}

struct snapshot *snapshot_open(const char *path, struct error *e)
{
	struct snapshot *s = calloc(1, sizeof(*s));

	if (!s) {
		error_set(e, "snapshot '%s': out of memory", path);
		return NULL;
	}
	s->file.fd = -1;
	if (snapshot_file_open(&s->file, path, e) && read_config(s, e))
		return s;
	snapshot_close(s);
	return NULL;
}

void snapshot_close(struct snapshot *s)
{
	if (!s)
		return;
	snapshot_file_close(&s->file);
	free(s);
}

const struct snapshot_config *snapshot_config(const struct snapshot *s)
{
	return &s->config;
}

static bool check_clock(const struct snapshot *s, const struct machine *m, struct error *e)
{
	struct snapshot_config *now = calloc(1, sizeof(*now));
	const char *why = "out of memory";
	bool ok;

	if (now)
		snapshot_config_host(now, tsc_khz(&m->started));
	ok = now && snapshot_clock_goes_on(&s->config, now, &why);
	free(now);
	return ok || wrong(s, why, e);
}

static bool restore_state(struct snapshot *s, struct machine *m, struct error *e)
{
	struct byte_reader r = snapshot_section(&s->file, SECTION_STATE);
	struct machine_state state;
	enum state_error error;

	if (r.left != sizeof(state))
		return wrong(s, state_error_text(STATE_OTHER_BUILD), e);
	bytes_get(&r, &state, sizeof(state));
	error = engine_set_state(m->engine, &state);
	return !error || wrong(s, state_error_text(error), e);
}

static bool restore_fpu(struct snapshot *s, struct machine *m, struct error *e)
{
	struct byte_reader r = snapshot_section(&s->file, SECTION_FPU);
	struct fpu_area area;
	const char *why = snapshot_get_fpu(&area, &r);

	if (!why && !engine_set_fpu(m->engine, &area, sizeof(area)))
		why = "the engine does not take its FPU state";
	return !why || wrong(s, why, e);
}

static bool restore_devices(struct snapshot *s, struct machine *m, u64 *bells, struct error *e)
{
	struct byte_reader r = snapshot_section(&s->file, SECTION_DEVICES);

	if (!hal_load(m->hal, &r, bells, e))
		return false;
	return bytes_all_read(&r) || snapshot_damaged(&s->file, "there is more of a device", e);
}

static bool restore_board(struct snapshot *s, struct machine *m, struct error *e)
{
	struct byte_reader r = snapshot_section(&s->file, SECTION_BOARD);

	return snapshot_get_board(m, &r) ||
	       snapshot_damaged(&s->file, "its serial port makes no sense", e);
}

bool snapshot_restore(struct snapshot *s, struct machine *m, struct error *e)
{
	u64 bells;

	/* What is quick to refuse first; devices look at their queues, which are in RAM. */
	if (!check_clock(s, m, e) || !restore_state(s, m, e) || !restore_fpu(s, m, e) ||
	    !restore_board(s, m, e) ||
	    !snapshot_read_ram(&s->file, engine_ram(m->engine), s->config.memory, e) ||
	    !restore_devices(s, m, &bells, e))
		return false;
	if (bells) {
		engine_device_changed(m->engine);
		engine_ring(m->engine, bells);
	}
	return true;
}
