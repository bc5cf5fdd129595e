/*
 * A machine for the gdb server's session: see mock-machine.h.
 */
#include "mock-machine.h"

#include "../../phase1-user/snapshot/request.h"
#include "../../phase1-user/record/travel.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct mock_machine *mock_of(struct engine *e)
{
	return (struct mock_machine *)e;
}

static void woken(struct gdb *g)
{
	struct mock_machine *m = (struct mock_machine *)g->machine;

	m->wakes++;
}

struct mock_machine *mock_machine_create(struct vm *vm, const struct symbols *symbols)
{
	struct mock_machine *m = calloc(1, sizeof(*m));

	if (!m)
		abort();
	m->machine.engine = (struct engine *)m;
	m->vm = vm;
	m->gdb.wake = woken;
	if (!gdb_session_init(&m->gdb, symbols))
		abort();
	return m;
}

void mock_machine_restart(struct mock_machine *m)
{
	struct vm *vm = m->vm;
	struct gdb *g = &m->gdb;

	memset(m, 0, offsetof(struct mock_machine, gdb));
	m->machine.engine = (struct engine *)m;
	m->vm = vm;
	g->job_queued = g->stopped = g->standing = g->want_stop = g->forget = g->crashed = false;
	g->attached = false;
	g->points.count = 0;
}

void mock_machine_free(struct mock_machine *m)
{
	gdb_session_destroy(&m->gdb);
	free(m);
}

void mock_stand(struct mock_machine *m)
{
	while (m->machine.jobs && !m->machine.end) {
		struct machine_job *job = m->machine.jobs;

		m->machine.jobs = job->next;
		job->run(job);
	}
}

bool mock_exit(struct mock_machine *m, const struct vm_exit *exit)
{
	if (!m->machine.debugger || !m->machine.debugger->exited(m->machine.debugger, exit))
		return false;
	m->machine.paused |= PAUSE_DEBUGGER;
	mock_stand(m);
	return true;
}

void mock_receive(struct mock_machine *m, const void *bytes, size_t len)
{
	struct gdb *g = &m->gdb;
	const u8 *from = bytes;

	while (len && g->attached && !g->hang_up) {
		const size_t n = len < sizeof(g->in) ? len : sizeof(g->in);

		memcpy(g->in, from, n);
		g->in_done = 0;
		g->in_len = n;
		from += n;
		len -= n;
		for (;;) {
			g->out_done = g->out_len; /* sent */
			if (gdb_session_step(g))
				continue;
			if (gdb_session_waits(g))
				mock_stand(m);
			else
				break;
		}
	}
}

/* ---- machine.h ---- */

void machine_pause(struct machine *m, unsigned who)
{
	m->paused |= who;
}

void machine_continue(struct machine *m, unsigned who)
{
	m->paused &= ~who;
}

void machine_do(struct machine *m, struct machine_job *job)
{
	for (const struct machine_job *other = m->jobs; other; other = other->next)
		if (other == job)
			abort(); /* it would be in the list twice */
	job->next = m->jobs;
	m->jobs = job;
}

bool machine_snapshot(struct machine *m, const char *path, struct snapshot_result *result,
		      struct error *e)
{
	(void)m;
	*result = (struct snapshot_result){.bytes = 1500000, .ns = 250000000};
	return strcmp(path, "refused") || error_set(e, "snapshot '%s': no", path);
}

void machine_stop(struct machine *m)
{
	m->end = END_SIGNAL;
}

/* ---- engine.h ---- */

void engine_get_state(struct engine *e, struct vm *state)
{
	memcpy(state, mock_of(e)->vm, offsetof(struct vm, shadow));
}

void engine_set_debug(struct engine *e, const struct debug_request *request)
{
	struct mock_machine *m = mock_of(e);

	if (request->count > DEBUG_POINTS)
		abort();
	for (u32 i = 0; i < request->count; i++)
		if (!request->point[i].len || request->point[i].len > DEBUG_POINT_MAX)
			abort();
	m->debug = *request;
	m->debug_calls++;
}

void engine_set_regs(struct engine *e, const struct vcpu *cpu)
{
	struct mock_machine *m = mock_of(e);

	memcpy(m->vm->cpu.gpr, cpu->gpr, sizeof(cpu->gpr));
	m->vm->cpu.rip = cpu->rip;
	m->vm->cpu.rflags = cpu->rflags;
	m->regs_calls++;
}

size_t engine_get_fpu(struct engine *e, void *xsave, size_t size)
{
	struct mock_machine *m = mock_of(e);

	if (!m->has_fpu)
		return 0;
	memcpy(xsave, m->fpu, size < sizeof(m->fpu) ? size : sizeof(m->fpu));
	return sizeof(m->fpu);
}

bool engine_set_fpu(struct engine *e, const void *xsave, size_t size)
{
	struct mock_machine *m = mock_of(e);

	m->fpu_calls++;
	if (m->fpu_refused || size > sizeof(m->fpu))
		return false;
	memcpy(m->fpu, xsave, size);
	return true;
}

size_t engine_last_events(struct engine *e, struct trace_record *out, size_t max)
{
	const size_t n = max < 3 ? max : 3;

	(void)e;
	for (size_t i = 0; i < n; i++)
		out[i] = (struct trace_record){
			.time = 1000 * i, .event = EV_CR, .rip = 0xc0001000 + i, .a = 3};
	return n;
}

/* ---- trace-file.h ---- */

void trace_line(const struct trace_record *r, const struct trace_clock *clock,
		const struct symbols *symbols, char *text, size_t size)
{
	(void)symbols;
	snprintf(text, size, "%llu %llx %s", (unsigned long long)(r->time - clock->start),
		 (unsigned long long)r->rip, event_text(r->event)->name);
}

int trace_file_drain(struct trace_file *t, struct engine *engine, bool still)
{
	(void)t, (void)engine, (void)still;
	abort(); /* no test has a trace file */
}

void trace_file_mute(struct trace_file *t, bool muted)
{
	(void)t, (void)muted;
	abort();
}

/* There is no replay to go back in. */
enum travel_result travel_step_back(struct travel *t, bool ended)
{
	(void)t, (void)ended;
	abort();
}

enum travel_result travel_run_back(struct travel *t, const struct debug_request *points, bool ended,
				   struct vm_exit *exit)
{
	(void)t, (void)points, (void)ended, (void)exit;
	abort();
}

const char *travel_error(const struct travel *t)
{
	(void)t;
	abort();
}
