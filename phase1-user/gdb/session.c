/*
 * What is between the guest and its debugger: see session.h.
 */
#include "session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../record/travel.h"

#define TEXT_MAX (64u << 10)

static struct engine *engine_of(const struct gdb *g)
{
	return g->machine->engine;
}

/* ---- the guest ---- */

/* It stands still: see what it is like. */
static void look(struct gdb *g)
{
	engine_get_state(engine_of(g), g->cpu.vm);
	g->cpu.fpu_size = engine_get_fpu(engine_of(g), g->cpu.fpu, sizeof(g->cpu.fpu));
	g->cpu.changed = g->cpu.fpu_changed = false;
}

bool gdb_put_registers(struct gdb *g)
{
	bool ok = true;

	if (g->cpu.changed)
		engine_set_regs(engine_of(g), &g->cpu.vm->cpu);
	if (g->cpu.fpu_changed)
		ok = engine_set_fpu(engine_of(g), g->cpu.fpu, g->cpu.fpu_size);
	look(g);
	return ok;
}

static void queue_job(struct gdb *g)
{
	if (g->job_queued)
		return;
	g->job_queued = true;
	machine_do(g->machine, &g->job);
}

/* Have it stop soon. */
static void stop_guest(struct gdb *g, u8 signal)
{
	if (g->stopped || g->want_stop)
		return;
	g->want_stop = true;
	g->signal = signal;
	g->exit = (struct vm_exit){.kind = EXIT_NONE};
	machine_pause(g->machine, PAUSE_DEBUGGER);
	queue_job(g);
}

/* It has stopped. */
static void note_stop(struct gdb *g)
{
	g->want_stop = false;
	g->stopped = true;
	look(g);
	if (!g->awaits_stop)
		return;
	g->awaits_stop = false;
	gdb_reply_stop(g);
	gdb_send(g);
}

static void forget_points(struct gdb *g)
{
	static const struct debug_request none;

	g->forget = false;
	if (!g->crashed)
		engine_set_debug(engine_of(g), &none);
}

/* On the run thread: the guest stands between two instructions. */
static void job_run(struct machine_job *job)
{
	struct gdb *g = (struct gdb *)((char *)job - offsetof(struct gdb, job));

	g->job_queued = false;
	g->standing = true;
	if (g->forget)
		forget_points(g);
	if (g->want_stop)
		note_stop(g);
	else if (!g->stopped)
		look(g);
	gdb_session_step(g);
	g->standing = false;
	g->wake(g);
}

static u8 signal_of(const struct vm_exit *exit)
{
	switch (exit->kind) {
	case EXIT_DEBUG:
		return GDB_SIGTRAP;
	case EXIT_SHUTDOWN:
		return GDB_SIGSEGV;
	default:
		return GDB_SIGABRT;
	}
}

/* On the run thread: this exit would end the run, or is the debugger's. */
static bool exited(struct machine_debugger *hook, const struct vm_exit *exit)
{
	struct gdb *g = (struct gdb *)((char *)hook - offsetof(struct gdb, hook));

	if (!g->attached)
		return false;
	g->exit = *exit;
	g->signal = signal_of(exit);
	g->crashed = exit->kind != EXIT_DEBUG;
	note_stop(g);
	g->wake(g);
	return true;
}

void gdb_resume(struct gdb *g, bool step)
{
	struct debug_request request;

	if (!g->crashed) {
		gdb_points_request(&g->points, step, &request);
		engine_set_debug(engine_of(g), &request);
	}
	g->stopped = false;
	g->awaits_stop = true;
	machine_continue(g->machine, PAUSE_DEBUGGER);
}

/* Words for the user, who waits for a stop. */
static void say(struct gdb *g, const char *text)
{
	gdb_text_clear(&g->reply);
	gdb_print(&g->reply, "O");
	for (; *text; text++)
		gdb_print(&g->reply, "%02x", (u8)*text);
	gdb_print(&g->reply, "0a");
	gdb_send(g);
}

/* On the run thread: the guest stands still. */
static void go_back(struct machine_job *job)
{
	struct gdb *g = (struct gdb *)((char *)job - offsetof(struct gdb, back));
	struct travel *t = g->machine->travel;
	struct debug_request request;
	enum travel_result result;

	g->exit = (struct vm_exit){.kind = EXIT_DEBUG};
	g->exit.debug.reason = DEBUG_STOP_STEP;
	gdb_points_request(&g->points, false, &request);
	result = g->back_step ? travel_step_back(t, g->crashed)
			      : travel_run_back(t, &request, g->crashed, &g->exit);
	if (result != TRAVEL_THERE) {
		g->exit = (struct vm_exit){.kind = EXIT_NONE};
		g->replay_log = result == TRAVEL_BEGIN ? "begin" : NULL;
	}
	if (result == TRAVEL_LOST)
		say(g, travel_error(t));
	g->crashed = false;
	g->signal = GDB_SIGTRAP;
	note_stop(g);
	g->replay_log = NULL;
	g->wake(g);
}

void gdb_reverse(struct gdb *g, bool step)
{
	g->back_step = step;
	g->stopped = false;
	g->awaits_stop = true;
	machine_do(g->machine, &g->back);
}

void gdb_kill(struct gdb *g)
{
	g->hang_up = true;
	/* A guest that has crashed is let go, and ends so. */
	if (!g->crashed)
		machine_stop(g->machine);
	gdb_session_detach(g);
}

/* ---- the debugger ---- */

void gdb_session_attach(struct gdb *g)
{
	gdb_reader_init(&g->reader);
	g->in_len = g->in_done = 0;
	g->out_len = g->out_done = g->out_last = 0;
	g->packet = g->hang_up = g->awaits_stop = false;
	g->no_ack = g->swbreak = g->hwbreak = false;
	g->space = GDB_LINEAR;
	g->attached = true;
	stop_guest(g, GDB_SIGTRAP);
}

void gdb_session_detach(struct gdb *g)
{
	if (!g->attached)
		return;
	g->attached = g->awaits_stop = g->want_stop = g->packet = false;
	g->points.count = 0;
	if (g->stopped || g->standing) {
		forget_points(g);
	} else {
		g->forget = true;
		queue_job(g);
	}
	g->stopped = false;
	machine_continue(g->machine, PAUSE_DEBUGGER);
}

static bool output_waits(const struct gdb *g)
{
	return g->out_done < g->out_len;
}

static void put_out(struct gdb *g, const void *data, size_t len)
{
	if (!output_waits(g))
		g->out_len = g->out_done = g->out_last = 0;
	if (len > sizeof(g->out) - g->out_len) {
		g->hang_up = true;
		return;
	}
	memcpy(g->out + g->out_len, data, len);
	g->out_len += len;
}

void gdb_send(struct gdb *g)
{
	u8 frame[GDB_FRAME_SIZE(sizeof(g->reply_buffer))];
	size_t before, len;

	if (g->reply.full) {
		gdb_text_clear(&g->reply);
		gdb_reply_why(g, "the answer is too long");
	}
	len = gdb_frame(frame, g->reply.data, g->reply.len);
	before = output_waits(g) ? g->out_len : 0;
	put_out(g, frame, len);
	g->out_last = before;
}

void gdb_reply_error(struct gdb *g, unsigned number)
{
	gdb_text_clear(&g->reply);
	gdb_print(&g->reply, "E%02x", number);
}

void gdb_reply_why(struct gdb *g, const char *why)
{
	gdb_text_clear(&g->reply);
	gdb_print(&g->reply, "E.%s", why);
}

static void put_expedited(struct gdb *g, unsigned n)
{
	gdb_print(&g->reply, "%02x:", n);
	gdb_register_put(&g->cpu, n, &g->reply);
	gdb_print(&g->reply, ";");
}

/* May the reason be given? One that the debugger does not know would confuse it. */
static bool reason_is_known(const struct gdb *g)
{
	return g->exit.kind == EXIT_DEBUG &&
	       (g->exit.debug.reason != DEBUG_STOP_BREAK || (g->swbreak && g->hwbreak));
}

void gdb_reply_stop(struct gdb *g)
{
	gdb_text_clear(&g->reply);
	gdb_print(&g->reply, "T%02x", g->signal);
	put_expedited(g, GDB_REG_EIP);
	put_expedited(g, GPR_SP);
	put_expedited(g, GPR_BP);
	if (reason_is_known(g))
		gdb_points_reason(&g->points, &g->exit, &g->reply);
	if (g->replay_log)
		gdb_print(&g->reply, "replaylog:%s;", g->replay_log);
	gdb_print(&g->reply, "thread:1;");
}

/* ---- what it sends ---- */

static bool can_answer(const struct gdb *g)
{
	return g->stopped || g->standing;
}

bool gdb_session_waits(struct gdb *g)
{
	if (!g->packet || can_answer(g))
		return false;
	queue_job(g);
	return true;
}

static void acknowledge(struct gdb *g, const char *how)
{
	if (!g->no_ack)
		put_out(g, how, 1);
}

static void refuse(struct gdb *g, const char *why)
{
	gdb_reply_why(g, why);
	gdb_send(g);
}

static void take(struct gdb *g, enum gdb_event event)
{
	switch (event) {
	case GDB_PACKET:
		acknowledge(g, "+");
		g->packet = true;
		break;
	case GDB_DAMAGED:
		if (g->no_ack)
			refuse(g, "a packet with a wrong checksum");
		acknowledge(g, "-");
		break;
	case GDB_TOO_LONG:
		acknowledge(g, "+");
		refuse(g, "a packet longer than PacketSize");
		break;
	case GDB_NAK:
		if (!g->no_ack && !output_waits(g))
			g->out_done = g->out_last;
		break;
	case GDB_INTERRUPT:
		stop_guest(g, GDB_SIGINT);
		break;
	case GDB_ACK:
	case GDB_NOTHING:
		break;
	}
}

bool gdb_session_step(struct gdb *g)
{
	while (!g->packet && g->attached && !g->hang_up && g->in_done < g->in_len)
		take(g, gdb_reader_take(&g->reader, g->in[g->in_done++]));
	if (!g->packet || g->hang_up || gdb_session_waits(g))
		return false;
	/* The acknowledgement alone may wait: it is sent with the answer. */
	if (g->out_len - g->out_done > 1)
		return false;
	g->packet = false;
	gdb_text_clear(&g->reply);
	gdb_command(g);
	return true;
}

/* ---- beginning and end ---- */

bool gdb_session_init(struct gdb *g, const struct symbols *symbols)
{
	g->symbols = symbols;
	g->hook.exited = exited;
	g->job.run = job_run;
	g->back.run = go_back;
	g->reply = (struct gdb_text){.data = g->reply_buffer, .size = sizeof(g->reply_buffer)};
	g->text = (struct gdb_text){.data = malloc(TEXT_MAX), .size = TEXT_MAX};
	g->cpu.vm = calloc(1, sizeof(*g->cpu.vm));
	return g->text.data && g->cpu.vm;
}

void gdb_session_destroy(struct gdb *g)
{
	free(g->text.data);
	free(g->cpu.vm);
}

void gdb_session_start(struct gdb *g, struct machine *m, bool wait)
{
	g->machine = m;
	m->debugger = &g->hook;
	if (!wait)
		return;
	machine_pause(m, PAUSE_DEBUGGER);
	g->signal = GDB_SIGTRAP;
	g->stopped = true;
	look(g);
}

static bool is_crash(const struct machine *m)
{
	return m->end == END_CRASH || m->end == END_GONE;
}

void gdb_session_end(struct gdb *g, int status)
{
	struct machine *m = g->machine;

	m->debugger = NULL;
	if (!g->attached || !g->awaits_stop)
		return;
	gdb_text_clear(&g->reply);
	if (is_crash(m))
		gdb_print(&g->reply, "X%02x",
			  m->end == END_GONE ? GDB_SIGKILL : signal_of(&m->exit));
	else
		gdb_print(&g->reply, "W%02x", status & 0xff);
	gdb_send(g);
	g->attached = g->awaits_stop = false;
}
