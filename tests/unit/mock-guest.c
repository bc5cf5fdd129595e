/*
 * A machine that only remembers: see mock-guest.h.
 */
#include "mock-guest.h"

#include <stdio.h>
#include <string.h>
#include "../../phase1-user/snapshot/request.h"

struct mock_guest mock_guest;

bool machine_snapshot(struct machine *m, const char *path, struct snapshot_result *result,
		      struct error *e)
{
	(void)m;
	*result = (struct snapshot_result){.bytes = 12345, .ns = 678};
	snprintf(mock_guest.saved_to, sizeof(mock_guest.saved_to), "%s", path);
	snprintf(e->text, sizeof(e->text), "snapshot '/full': no space");
	return strcmp(path, "/full");
}

void machine_stats(const struct machine *m, struct stats *s)
{
	(void)m;
	*s = (struct stats){.ns = 5000000000, .idle_ns = 7};
	stats_add(s, STATS_TRAP, "io", 3, 300);
	stats_add(s, STATS_TRAP, "cr", ~0ull, 1);
	stats_add(s, STATS_EVENT, "irq", 2, 0);
}

void engine_get_memory(struct engine *e, struct engine_memory *out)
{
	(void)e;
	*out = (struct engine_memory){.ram_size = 1 << 20, .ram_resident = 4096};
}

bool machine_agent_listens(const struct machine *m)
{
	(void)m;
	return mock_guest.agent;
}

void machine_power_off(struct machine *m)
{
	(void)m;
	mock_guest.powered_off++;
}

void machine_stop(struct machine *m)
{
	m->end = END_SIGNAL;
	mock_guest.stopped++;
}

void machine_pause(struct machine *m, unsigned who)
{
	m->paused |= who;
}

void machine_continue(struct machine *m, unsigned who)
{
	m->paused &= ~who;
}

const char *machine_end_text(enum machine_end end)
{
	return end == END_SIGNAL ? "signal" : "running";
}
